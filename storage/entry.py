"""The 16-byte entry of the cards region as the card path reads it: fields, checks, state triples.

    valid(buf, 0) and state(buf, 0) == LIVE

What makes and changes entries is in storage/packing.py. Pure: no I/O, runs on MicroPython and on CPython. The bit table
and what the checks promise: docs/flash-formats.md.
"""

from micropython import const

CARD = const(1)  # kinds; 0 never occurs
LIMITED = const(2)  # a card that needs a use counter
COUNTER = const(3)

LIVE = const(0)  # states, in the order in which they win
SUSPENDED = const(1)
REVOKED = const(2)
DEAD = const(3)  # superseded or forgotten

NO_END = const(0xFFFFFF)

_CHECKED_BITS = const(106)
_CRC_POLYNOMIAL = const(0x30)  # x^6 + x + 1, least significant bit first
_CRC = b"\x00\x06\x0c\x0a\x18\x1e\x14\x12\x30\x36\x3c\x3a\x28\x2e\x24\x22"  # of each nibble
_ONES = b"\0\1\1\2\1\2\2\3\1\2\2\3\2\3\3\4"


def majority(triples, count):
    """Return one bit for each of `count` triples."""
    bits = 0
    for i in range(count):
        # 0xE8: 3, 5, 6 and 7 have two ones or more
        bits |= (0xE8 >> (triples >> 3 * i & 7) & 1) << i
    return bits


def sector_of(pseudonym, sectors):
    """Return the logical sector of a 7-byte pseudonym."""
    return (pseudonym[0] << 8 | pseudonym[1]) * sectors >> 16


def home_page(key, k):
    """Return the page where the search for the six bytes at key[k] begins."""
    return 2 + (key[k + 1] << 8 | key[k + 2]) % 254 >> 4


def step(key, k):
    """Return by how many pages the search goes on; odd, so that it meets all 16."""
    return (key[k + 3] & 7) << 1 | 1


def checks(buf, off):
    """Return the CRC-6 in bits 2-7 and the number of zeros from bit 8 on."""
    kind = buf[off + 13] & 3
    crc = 0
    ones = _ONES[kind]
    for i in range(13):
        byte = buf[off + i]
        if kind == COUNTER and 6 <= i < 12:
            byte = 255  # triples that are cleared in place
        crc = _CRC[(crc ^ byte) & 15] ^ crc >> 4
        crc = _CRC[(crc ^ byte >> 4) & 15] ^ crc >> 4
        ones += _ONES[byte & 15] + _ONES[byte >> 4]
    for i in range(2):
        crc ^= kind >> i & 1
        crc = crc >> 1 ^ (_CRC_POLYNOMIAL if crc & 1 else 0)
    return crc << 2 | _CHECKED_BITS - ones << 8


def valid(buf, off):
    """Tell whether a whole entry stands at `off`."""
    found = checks(buf, off)
    return buf[off + 14] & 127 == found >> 8 and buf[off + 13] & 252 == found & 252 and buf[off + 13] & 3 != 0


def state(buf, off):
    """Return LIVE, SUSPENDED, REVOKED or DEAD of a valid entry, by majority."""
    bits = majority(buf[off + 14] >> 7 | buf[off + 15] << 1, 3)
    return DEAD if bits < 4 else REVOKED if bits < 6 else SUSPENDED if bits < 7 else LIVE


def get24(buf, off):
    """Read three bytes."""
    return buf[off] | buf[off + 1] << 8 | buf[off + 2] << 16


def uses(buf, off):
    """Return the uses that are left in a counter as bits, use 0 in bit 0."""
    return majority(get24(buf, off + 6), 8) | majority(get24(buf, off + 9), 8) << 8


class Entry:
    """What the list says about one card; filled in place, allocated once."""

    def __init__(self):
        self.load(bytes(16), 0)

    def load(self, buf, off):
        """Take the fields of a valid card; its uses stand in its counter."""
        self.state = state(buf, off)
        self.valid_from = get24(buf, off + 6)
        self.valid_until = get24(buf, off + 9)
        self.group = buf[off + 12] & 63
        self.key_version = buf[off + 12] >> 6
        self.limited = buf[off + 13] & 3 == LIMITED
        self.uses_left = 0
