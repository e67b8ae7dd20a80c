"""HMAC-SHA256 (RFC 2104) that can be prepared ahead, keys by purpose, and checks of what lies in flash.

    mac = Hmac(key)
    mac.prepare()            # when idle: the hash objects are made here
    mac.update(data)         # any number of times
    tag = mac.digest()       # allocates two digests, nothing else; the object can be used again

    seal(b"menwei clean", buf, 0, 4, 4)     # bytes 4 to 7 become the check of bytes 0 to 3

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
        self.key = bytes(key)
        self._outer = None

    def prepare(self):
        """Make the two hash objects of the next message, if they are not there yet."""
        if self._outer is None:
            self._inner = self._padded(b"\x36")
            self._outer = self._padded(b"\x5c")

    def _padded(self, filler):
        # As whole numbers: a loop over the bytes takes ten times as long as SHA-256 itself.
        key = self.key
        length = len(key)
        mixed = int.from_bytes(key, "big") ^ int.from_bytes(filler * length, "big")
        return sha256(mixed.to_bytes(length, "big") + filler * (_BLOCK - length))

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


def check(purpose, buf, start, end, size):
    """Return the first `size` bytes of SHA-256(purpose ‖ buf[start:end])."""
    hasher = sha256(purpose)
    hasher.update(buf[start:end])
    return hasher.digest()[:size]


def seal(purpose, buf, start, end, size):
    """Put the check of buf[start:end] behind it."""
    buf[end : end + size] = check(purpose, buf, start, end, size)


def sealed(purpose, buf, start, end, size):
    """Whether the right check stands behind buf[start:end]."""
    return buf[end : end + size] == check(purpose, buf, start, end, size)
