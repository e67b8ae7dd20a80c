"""HMAC-SHA256 (RFC 2104) that can be prepared ahead, and keys by purpose.

    mac = Hmac(key)
    mac.prepare()            # when idle: the hash objects are made here
    mac.update(data)         # any number of times
    tag = mac.digest()       # allocates two digests, nothing else; the object can be used again

Pure: runs on MicroPython and CPython.
"""

from hashlib import sha256

from micropython import const

_BLOCK = const(64)


class Hmac:
    """One key; any number of messages, one after the other."""

    def __init__(self, key):
        if len(key) > _BLOCK:
            raise ValueError("HMAC key is longer than 64 bytes: hash it first")
        self._pad = bytearray(_BLOCK)
        self._key = bytes(key)
        self._inner = None
        self._outer = None

    def prepare(self):
        """Make the two hash objects of the next message, if they are not there yet."""
        if self._outer is None:
            # Both hashes have taken in their whole first block, so the pad can be used twice.
            self._inner = self._padded(0x36)
            self._outer = self._padded(0x5C)

    def _padded(self, mask):
        pad = self._pad
        for i in range(_BLOCK):
            pad[i] = mask
        for i, value in enumerate(self._key):
            pad[i] = value ^ mask
        return sha256(pad)

    def update(self, data):
        """Add to the message."""
        self.prepare()
        self._inner.update(data)

    def digest(self):
        """End the message: 32 bytes."""
        self.prepare()
        outer = self._outer
        self._outer = None
        outer.update(self._inner.digest())
        return outer.digest()


def derive(key, purpose):
    """Key for one purpose from the door key (docs/protocol.md), 32 bytes."""
    mac = Hmac(key)
    mac.update(b"menwei/v1/")
    mac.update(purpose)
    return mac.digest()


def same(tag, buf, offset):
    """Whether the whole of tag stands in buf at offset, in a time that does not depend on where they differ."""
    if offset + len(tag) > len(buf):
        return False
    difference = 0
    for i, value in enumerate(tag):
        difference |= value ^ buf[offset + i]
    return difference == 0
