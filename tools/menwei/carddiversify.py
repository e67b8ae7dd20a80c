"""Keys of one card, diversified from the keys of its community: the office's own implementation of the house rules.

    key = iso_key("ntag424", read_key, uid, 1)          # 16 bytes: AN10922 over UID, application and key number
    sector = classic_keys(read_key, write_key, uid, 1)  # key A, key B and the key of the counter
    block = counter_block(sector.counter, 4, 17, 1)     # 16 bytes for block 4

The doors derive the same keys with code of their own; docs/cards.md states the rules for both.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

KIND_NUMBERS = {"ntag424": range(1, 5), "desfire": range(1, 14), "classic": range(1, 16)}
# Application as it stands in the diversification input. NTAG 424 has one application and no AID of three bytes.
APPLICATIONS = {"ntag424": bytes.fromhex("010000"), "desfire": bytes.fromhex("574DF5")}

_SYSTEM = b"menwei"
_DIVERSIFY_AES128 = b"\x01"
_MOST_INPUT = 31  # AN10922, 2.2
_COUNTER_FORMAT = 1


class ClassicKeys(NamedTuple):
    """The keys of one sector of one MIFARE Classic card."""

    key_a: bytes
    key_b: bytes
    counter: bytes


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC of RFC 4493, 16 bytes."""
    work = CMAC(algorithms.AES(key))
    work.update(message)
    return work.finalize()


def aes_cbc(key: bytes, iv: bytes, data: bytes, *, decrypt: bool = False) -> bytes:
    """AES-CBC without padding; the length of `data` is a multiple of 16."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    work = cipher.decryptor() if decrypt else cipher.encryptor()
    return work.update(data) + work.finalize()


def _doubled(block: bytes) -> bytes:
    """The block times x in GF(2^128), RFC 4493 2.3."""
    number = int.from_bytes(block, "big") << 1
    if number >> 128:
        number ^= (1 << 128) | 0x87
    return number.to_bytes(16, "big")


def an10922(master: bytes, message: bytes) -> bytes:
    """Diversify an AES-128 key by AN10922 2.2; `message` has 1 to 31 bytes.

    It is a CMAC over 01 and the message, but a short message is padded to 32 bytes always, where RFC 4493 would pad
    one of up to 15 bytes to 16.
    """
    if not 1 <= len(message) <= _MOST_INPUT:
        raise ValueError(f"AN10922 takes 1 to {_MOST_INPUT} bytes, not {len(message)}")
    data = _DIVERSIFY_AES128 + message
    subkey = _doubled(aes_cbc(master, bytes(16), bytes(16)))
    if len(data) < 32:
        data = (data + b"\x80").ljust(32, b"\x00")
        subkey = _doubled(subkey)
    last = bytes(a ^ b for a, b in zip(data[16:], subkey, strict=True))
    return aes_cbc(master, bytes(16), data[:16] + last)[16:]


def iso_key(kind: str, master: bytes, uid: bytes, number: int) -> bytes:
    """Key `number` of an NTAG 424 or DESFire card; number 0 with the write key is its application master key."""
    if len(uid) != 7:
        raise ValueError(f"a {kind} card has a UID of 7 bytes, not {len(uid)}")
    return an10922(master, uid + APPLICATIONS[kind] + _SYSTEM + bytes((number,)))


def classic_keys(read_key: bytes, write_key: bytes, uid: bytes, sector: int) -> ClassicKeys:
    """The keys of sector 1 to 15 of a MIFARE Classic card with a UID of 4 or 7 bytes."""
    if len(uid) not in (4, 7):
        raise ValueError(f"a MIFARE Classic card has a UID of 4 or 7 bytes, not {len(uid)}")
    start = b"\x01" + uid + bytes((sector,)) + _SYSTEM
    return ClassicKeys(
        cmac(read_key, start + b" A")[:6], cmac(write_key, start + b" B")[:6], cmac(read_key, start + b" C")
    )


def counter_block(key: bytes, block: int, counter: int, version: int) -> bytes:
    """The 16 bytes of a passage counter in `block` of the card."""
    content = bytes((_COUNTER_FORMAT,)) + counter.to_bytes(3, "little") + bytes((version, 0, 0, 0))
    return content + cmac(key, bytes((block,)) + content)[:8]


def counter_of(key: bytes, block: int, data: bytes) -> int | None:
    """The counter in a block, or None if it is none, or not under this key."""
    if len(data) != 16 or data[0] != _COUNTER_FORMAT:
        return None
    counter = int.from_bytes(data[1:4], "little")
    return counter if counter_block(key, block, counter, data[4]) == data else None
