"""AES-CMAC (RFC 4493) with one key, and the diversification of AES-128 keys by it (NXP AN10922).

master = Cmac(key)
tag = master.tag(message, length)          # 16 bytes, valid until the next call
card_key = master.tag(message, length, 32)  # AN10922: message is 01 || M, at most 31 bytes of M
"""

from cryptolib import aes
from micropython import const

_ECB = const(1)


def _doubled(block):
    """The block times x in GF(2^128), RFC 4493 2.3."""
    result = bytearray(16)
    carry = 0
    for index in range(15, -1, -1):
        carry |= block[index] << 1
        result[index] = carry & 0xFF
        carry >>= 8
    if carry:
        result[15] ^= 0x87
    return result


class Cmac:
    """One key; it keeps the key's AES object, so that a tag leaves no garbage."""

    def __init__(self, key):
        """`key` is 16 bytes."""
        self._aes = aes(key, _ECB)
        self._block = block = bytearray(16)
        self._aes.encrypt(block, block)
        self._whole = _doubled(block)
        self._padded = _doubled(self._whole)

    def tag(self, message, length, room=16):
        """The tag of message[:length]: 16 bytes in a buffer that the next call writes anew.

        The padding fills at least `room` bytes, a multiple of 16. RFC 4493 has 16; AN10922 2.2 has 32, whatever is
        missing to that.
        """
        block = self._block
        end = max(room, length + 15 & ~15)
        mask = self._whole if length == end else self._padded
        for index in range(16):
            block[index] = 0
        for index in range(end):
            byte = message[index] if index < length else 0x80 if index == length else 0
            if index >= end - 16:
                byte ^= mask[index & 15]
            block[index & 15] ^= byte
            if index & 15 == 15:
                self._aes.encrypt(block, block)
        return block
