"""The 16-byte entry of the cards region: fields, checks, state triples.

    buf = bytearray(16)
    pack(buf, pseudonym, valid_from, valid_until, group)
    valid(buf, 0) and state(buf, 0) == LIVE

Pure: no I/O, runs on MicroPython and on CPython. The bit table and what the checks promise: docs/flash-formats.md.
"""

from hashlib import sha256

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


def spread(bits, count):
    """Return `count` triples for as many bits."""
    triples = 0
    for i in range(count):
        if bits >> i & 1:
            triples |= 7 << 3 * i
    return triples


def sector_of(pseudonym, sectors):
    """Return the logical sector of a 7-byte pseudonym."""
    return (pseudonym[0] << 8 | pseudonym[1]) * sectors >> 16


def whole(entry, logical, sectors):
    """Return the 7-byte pseudonym of an entry in a logical sector.

    Its first byte is the lowest that leads to this sector: entry and sector do not tell more.
    """
    first = 0
    while (first << 8 | entry[0]) * sectors >> 16 != logical:
        first += 1
    return bytes((first,)) + bytes(entry[:6])


def home_page(key, k):
    """Return the page where the search for the six bytes at key[k] begins."""
    return 2 + (key[k + 1] << 8 | key[k + 2]) % 254 >> 4


def step(key, k):
    """Return by how many pages the search goes on; odd, so that it meets all 16."""
    return (key[k + 3] & 7) << 1 | 1


def _checks(buf, off):
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
    checks = _checks(buf, off)
    return buf[off + 14] & 127 == checks >> 8 and buf[off + 13] & 252 == checks & 252 and buf[off + 13] & 3 != 0


def state(buf, off):
    """Return LIVE, SUSPENDED, REVOKED or DEAD of a valid entry, by majority."""
    bits = majority(buf[off + 14] >> 7 | buf[off + 15] << 1, 3)
    return DEAD if bits < 4 else REVOKED if bits < 6 else SUSPENDED if bits < 7 else LIVE


def mark(buf, what):
    """Clear the triple of a state in a 16-byte entry."""
    if what == SUSPENDED:
        buf[14] &= 127
    buf[15] &= b"\xff\xfc\xe3\x1f"[what]


def settle(buf):
    """Make all triples of a 16-byte entry agree with their majority."""
    triples = spread(majority(buf[14] >> 7 | buf[15] << 1, 3), 3)
    buf[14] = buf[14] & 127 | (triples & 1) << 7
    buf[15] = triples >> 1
    if buf[13] & 3 == COUNTER:
        _put_uses(buf, uses(buf, 0))


def get24(buf, off):
    """Read three bytes."""
    return buf[off] | buf[off + 1] << 8 | buf[off + 2] << 16


def _put24(buf, off, value):
    buf[off] = value & 255
    buf[off + 1] = value >> 8 & 255
    buf[off + 2] = value >> 16


def uses(buf, off):
    """Return the uses that are left in a counter as bits, use 0 in bit 0."""
    return majority(get24(buf, off + 6), 8) | majority(get24(buf, off + 9), 8) << 8


def _put_uses(buf, bits):
    _put24(buf, 6, spread(bits & 255, 8))
    _put24(buf, 9, spread(bits >> 8, 8))


def pack(buf, pseudonym, valid_from, valid_until, group, key_version=0, granted=0):
    """Fill a 16-byte buffer with a live card; 0 granted uses mean no limit."""
    if (
        len(pseudonym) != 7
        or not 0 <= valid_from <= NO_END
        or not 0 <= valid_until <= NO_END
        or not 0 <= group < 64
        or not 0 <= key_version < 4
        or not 0 <= granted <= 16
    ):
        raise ValueError("cards: 7 bytes, minutes below 2^24, group 0-63, key version 0-3, uses 0-16 are needed")
    buf[:6] = pseudonym[1:]
    _put24(buf, 6, valid_from)
    _put24(buf, 9, valid_until)
    buf[12] = group | key_version << 6
    _seal(buf, LIMITED if granted else CARD)


def pack_counter(buf, pseudonym, granted):
    """Fill a 16-byte buffer with the counter of a card with 1 to 16 uses."""
    pack(buf, pseudonym, 0, 0, granted, 0, granted)
    _seal(buf, COUNTER)
    _put_uses(buf, (1 << granted) - 1)


def _seal(buf, kind):
    buf[13] = kind
    checks = _checks(buf, 0)
    buf[13] |= checks & 252
    buf[14] = checks >> 8 | 128
    buf[15] = 255


def token(buf, status):
    """Return the number by which a 16-byte entry in this state counts in the digests."""
    text = b"menwei entry" + bytes(buf[:13]) + bytes((buf[13] & 3, status))
    return int.from_bytes(sha256(text).digest()[:8], "little")


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
