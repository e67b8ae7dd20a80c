"""AES-CMAC (RFC 4493) with one key, and the diversification of AES-128 keys by it (NXP AN10922).

master = Cmac(key)
tag = master.tag(message, length)          # 16 bytes, valid until the next call
card_key = master.tag(message, length, 32)  # AN10922: message is 01 || M, at most 31 bytes of M
"""

from cryptolib import aes
from micropython import const

_ECB = const(1)


class Cmac:
    """One key; a tag leaves no garbage."""

    def __init__(self, key):
        """`key` is 16 bytes."""
        self._aes = aes(key, _ECB)
        self._block = block = bytearray(16)
        self._aes.encrypt(block, block)
        self._masks = []
        for _ in range(2):  # the block times x in GF(2^128), RFC 4493 2.3
            carry = 0
            for index in range(15, -1, -1):
                carry |= block[index] << 1
                block[index] = carry & 0xFF
                carry >>= 8
            if carry:
                block[15] ^= 0x87
            self._masks.append(bytes(block))

    def tag(self, message, length, room=16):
        """The tag of message[:length]: 16 bytes in a buffer that the next call writes anew.

        The padding fills at least `room` bytes, a multiple of 16. RFC 4493 has 16; AN10922 2.2 has 32, whatever is
        missing to that.
        """
        block = self._block
        end = max(room, length + 15 & ~15)
        mask = self._masks[length < end]
        for index in range(end):
            byte = message[index] if index < length else 0x80 if index == length else 0
            at = index & 15
            if index > 15:
                byte ^= block[at]
            if index + 16 >= end:
                byte ^= mask[at]
            block[at] = byte
            if at == 15:
                self._aes.encrypt(block, block)
        return block
