"""The 16-byte entry of the cards region: fields, checks, state triples.

    buf = bytearray(16)
    pack(buf, pseudonym, valid_from, valid_until, group, 0, CARD)
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
_SETTLED = const(0x1FF)  # three triples of ones


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
    triples = buf[off + 14] >> 7 | buf[off + 15] << 1
    if triples == _SETTLED:
        return LIVE
    bits = majority(triples, 3)
    if not bits & 4:
        return DEAD
    if not bits & 2:
        return REVOKED
    return LIVE if bits & 1 else SUSPENDED


def mark(buf, what):
    """Clear the triple of a state in a 16-byte entry."""
    if what == SUSPENDED:
        buf[14] &= 0x7F
    buf[15] &= (0xFF, 0xFC, 0xE3, 0x1F)[what]


def settle(buf):
    """Make all triples of a 16-byte entry agree with their majority; True if one did not."""
    old = bytes(buf)
    triples = spread(majority(buf[14] >> 7 | buf[15] << 1, 3), 3)
    buf[14] = buf[14] & 127 | (triples & 1) << 7
    buf[15] = triples >> 1
    if buf[13] & 3 == COUNTER:
        for i in (6, 9):
            put24(buf, i, spread(majority(get24(buf, i), 8), 8))
    return old != buf


def get24(buf, off):
    """Read three bytes."""
    return buf[off] | buf[off + 1] << 8 | buf[off + 2] << 16


def put24(buf, off, value):
    """Write three bytes."""
    buf[off] = value & 255
    buf[off + 1] = value >> 8 & 255
    buf[off + 2] = value >> 16


def next_use(buf, off):
    """Return the number of the first use that is left in a counter, 16 if none."""
    for i in range(16):
        at = off + 6 + (3 * i >> 3)
        if 0xE8 >> ((buf[at] | buf[at + 1] << 8) >> (3 * i & 7) & 7) & 1:
            return i
    return 16


def uses_left(buf, off):
    """Return how many uses are left in a counter."""
    left = 0
    for i in (6, 9):
        bits = majority(get24(buf, off + i), 8)
        left += _ONES[bits & 15] + _ONES[bits >> 4]
    return left


def pack(buf, pseudonym, valid_from, valid_until, group, key_version, kind):
    """Fill a 16-byte buffer with a live entry."""
    if len(pseudonym) != 7:
        raise ValueError("cards: a pseudonym has 7 bytes")
    if not (0 <= valid_from <= NO_END and 0 <= valid_until <= NO_END):
        raise ValueError("cards: validity must be minutes since 2020, below 2^24")
    if not (0 <= group < 64 and 0 <= key_version < 4):
        raise ValueError("cards: group must be 0 to 63, key version 0 to 3")
    buf[:6] = pseudonym[1:]
    put24(buf, 6, valid_from)
    put24(buf, 9, valid_until)
    buf[12] = group | key_version << 6
    _seal(buf, kind)


def pack_counter(buf, pseudonym, uses):
    """Fill a 16-byte buffer with the counter of a card with 1 to 16 uses."""
    if not 1 <= uses <= 16:
        raise ValueError("cards: uses must be 1 to 16, or 0 for no limit")
    pack(buf, pseudonym, 0, 0, uses, 0, COUNTER)
    bits = (1 << uses) - 1
    put24(buf, 6, spread(bits & 255, 8))
    put24(buf, 9, spread(bits >> 8, 8))


def _seal(buf, kind):
    buf[13] = kind
    checks = _checks(buf, 0)
    buf[13] |= checks & 252
    buf[14] = checks >> 8 | 128
    buf[15] = 255


def token(buf, state_number):
    """Return the 8 bytes by which an entry in this state counts in the digests."""
    return sha256(b"menwei entry" + bytes(buf[:13]) + bytes((buf[13] & 3, state_number))).digest()[:8]


class Entry:
    """What the list says about one card; filled in place, allocated once."""

    def __init__(self):
        self.clear()

    def clear(self):
        """Say nothing."""
        self.state = REVOKED
        self.valid_from = self.valid_until = self.group = self.key_version = self.uses_left = 0
        self.limited = False

    def load(self, buf, off):
        """Take the fields of a valid card; `uses_left` comes from its counter."""
        self.state = state(buf, off)
        self.valid_from = get24(buf, off + 6)
        self.valid_until = get24(buf, off + 9)
        self.group = buf[off + 12] & 63
        self.key_version = buf[off + 12] >> 6
        self.limited = buf[off + 13] & 3 == LIMITED
        self.uses_left = 0
