"""Makes and changes the 16-byte entries of the cards region; storage/entry.py reads them.

    buf = bytearray(16)
    pack(buf, pseudonym, valid_from, valid_until, group)

Loaded with the modules that change the list, and dropped with them. Pure: no I/O, runs on MicroPython and on CPython.
"""

from hashlib import sha256

from storage.entry import CARD, COUNTER, LIMITED, NO_END, SUSPENDED, checks, majority, uses


def spread(bits, count):
    """Return `count` triples for as many bits."""
    triples = 0
    for i in range(count):
        if bits >> i & 1:
            triples |= 7 << 3 * i
    return triples


def whole(entry, logical, sectors):
    """Return the 7-byte pseudonym of an entry in a logical sector.

    Its first byte is the lowest that leads to this sector: entry and sector do not tell more.
    """
    first = 0
    while (first << 8 | entry[0]) * sectors >> 16 != logical:
        first += 1
    return bytes((first,)) + bytes(entry[:6])


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


def _put24(buf, off, value):
    buf[off] = value & 255
    buf[off + 1] = value >> 8 & 255
    buf[off + 2] = value >> 16


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
    found = checks(buf, 0)
    buf[13] |= found & 252
    buf[14] = found >> 8 | 128
    buf[15] = 255


def token(buf, status):
    """Return the number by which a 16-byte entry in this state counts in the digests."""
    text = b"menwei entry" + bytes(buf[:13]) + bytes((buf[13] & 3, status))
    return int.from_bytes(sha256(text).digest()[:8], "little")
