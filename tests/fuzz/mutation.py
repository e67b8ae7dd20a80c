"""Alters bytes at random, for the fuzzers of what comes from upstream. Runs on MicroPython."""

import random


def mutated(data, other):
    """Bits turned, parts cut off, put in, doubled or exchanged; sometimes plain noise."""
    bits = random.getrandbits
    data = bytearray(data)
    kind = bits(3)
    if kind < 3:
        for _ in range(1 + bits(2)):
            data[bits(16) % len(data)] ^= 1 << bits(3)
    elif kind == 3:
        data = data[: bits(16) % len(data)]
    elif kind == 4:
        at = bits(16) % len(data)
        data = data[:at] + bytes(bits(8) for _ in range(1 + bits(5))) + data[at:]
    elif kind == 5:
        at = bits(16) % len(data)
        data = data[:at] + other[at:] + data[:1]
    elif kind == 6:
        data = bytearray(bits(8) for _ in range(bits(bits(3) + 1)))
    else:
        at = bits(16) % len(data)
        data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)
