"""Entries on CPython, against an independent reading of the bit table in docs/flash-formats.md."""

from hashlib import sha256

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from storage import entry, packing

CHECKED_BITS = 106
minutes = st.integers(0, 0xFFFFFF) | st.sampled_from([0, 0xFFFFFF])
pseudonyms = st.binary(min_size=7, max_size=7) | st.sampled_from([bytes(7), b"\xff" * 7])
cards = st.tuples(pseudonyms, minutes, minutes, st.integers(0, 63), st.integers(0, 3), st.integers(0, 16))


def packed(card):
    """Return the 16 bytes of a card."""
    buf = bytearray(16)
    packing.pack(buf, *card)
    return buf


def counter(pseudonym, granted):
    """Return the 16 bytes of a use counter."""
    buf = bytearray(16)
    packing.pack_counter(buf, pseudonym, granted)
    return buf


entries = st.builds(packed, cards) | st.builds(counter, pseudonyms, st.integers(1, 16))


def reference(buf):
    """Return CRC and zeros as the table says, bit by bit."""
    data = bytearray(buf[:13])
    kind = buf[13] & 3
    if kind == 3:
        data[6:12] = b"\xff" * 6
    bits = [byte >> i & 1 for byte in data for i in range(8)] + [kind & 1, kind >> 1]
    assert len(bits) == CHECKED_BITS
    remainder = [0] * 6  # coefficients of x^0 to x^5
    for bit in bits:
        carry = remainder[5] ^ bit
        remainder = [carry, remainder[0] ^ carry, *remainder[1:5]]
    return sum(remainder[5 - i] << i for i in range(6)), bits.count(0)


@given(entries)
def test_checks_are_those_of_the_table(buf):
    """CRC in bits 2-7 of byte 13 with x^5 first, number of zeros in byte 14."""
    crc, zeros = reference(buf)
    assert entry.valid(buf, 0)
    assert buf[13] >> 2 == crc
    assert buf[14] & 127 == zeros
    assert buf[14] >> 7 == 1
    assert buf[15] == 255


@given(cards)
def test_fields_come_back(card):
    """What was packed is what is loaded."""
    pseudonym, valid_from, valid_until, group, key_version, granted = card
    seen = entry.Entry()
    buf = packed(card)
    seen.load(buf, 0)
    assert bytes(buf[:6]) == pseudonym[1:]
    assert (seen.state, seen.valid_from, seen.valid_until) == (entry.LIVE, valid_from, valid_until)
    assert (seen.group, seen.key_version, seen.limited, seen.uses_left) == (group, key_version, granted > 0, 0)


@settings(max_examples=3000)
@given(entries, st.binary(min_size=16, max_size=16), st.sampled_from(["or", "and-or", "prefix"]))
@example(packed((b"\xff" * 7, 0xFFFFFF, 0xFFFFFF, 63, 3, 1)), b"\x01" + bytes(15), "or")
def test_unidirectional_errors_are_always_seen(buf, noise, how):
    """A torn program and a half erase leave ones where zeros should be; no such pattern is a valid entry."""
    torn = bytearray(buf)
    for i in range(16):
        if how == "or":
            torn[i] |= noise[i]
        elif how == "and-or":
            torn[i] |= noise[i] & noise[i - 1] & noise[i - 2]
        elif i >= noise[0] & 15:
            torn[i] = 255
    checked = [i for i in range(14) if buf[13] & 3 != entry.COUNTER or not 6 <= i < 12]
    assume([torn[i] for i in checked] + [torn[14] & 127] != [buf[i] for i in checked] + [buf[14] & 127])
    assert not entry.valid(torn, 0)


@given(entries, st.integers(0, 118))
def test_one_flipped_bit_is_always_seen(buf, bit):
    """In either direction, in everything that is checked."""
    assume(buf[13] & 3 != entry.COUNTER or not 48 <= bit < 96)
    buf[bit >> 3] ^= 1 << (bit & 7)
    assert not entry.valid(buf, 0)


@given(cards, st.sampled_from([entry.LIVE, entry.SUSPENDED, entry.REVOKED, entry.DEAD]), st.integers(119, 127))
def test_one_flipped_state_bit_changes_no_state(card, status, bit):
    """The majority decides, and settling restores the triple."""
    buf = packed(card)
    packing.mark(buf, status)
    good = bytes(buf)
    buf[bit >> 3] ^= 1 << (bit & 7)
    assert entry.valid(buf, 0)
    assert entry.state(buf, 0) == status
    packing.settle(buf)
    assert bytes(buf) == good


@given(cards, st.sampled_from([entry.LIVE, entry.SUSPENDED, entry.REVOKED]))
def test_token_is_the_hash_of_the_table(card, status):
    """What the digests are made of."""
    buf = packed(card)
    text = b"menwei entry" + bytes(buf[:13]) + bytes([buf[13] & 3, status])
    assert packing.token(buf, status).to_bytes(8, "little") == sha256(text).digest()[:8]


@given(st.integers(0, 0xFFFF), st.integers(1, 508), st.binary(min_size=7, max_size=7))
def test_addresses(number, sectors, pseudonym):
    """Every pseudonym has a sector and meets all pages."""
    key = number.to_bytes(2, "big") + pseudonym[2:]
    assert entry.sector_of(key, sectors) == number * sectors // 65536
    pages = {(entry.home_page(key, 1) + i * entry.step(key, 1)) % 16 for i in range(16)}
    assert len(pages) == 16
    assert entry.home_page(key, 1) == (2 + int.from_bytes(key[2:4], "big") % 254) // 16
