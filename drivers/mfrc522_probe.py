"""A closer look at an MFRC522 in service, for a self-test: what it says of itself, and whether it takes what is sent.

    version, outputs, receiver, written = probe(chip)

Nothing that an exchange needs is touched: a card does not notice, nor does a look that is under way. The digital
self-test of the data sheet (16.1) is left out: it needs a reset, which takes the field from cards, and clones fail it
that read cards well.
"""

from micropython import const

_WATER_LEVEL = const(0x0B << 1)
_TX_CONTROL = const(0x14 << 1)
_RF_CFG = const(0x26 << 1)
_VERSION = const(0x37 << 1)
_PATTERNS = const(b"\x15\x2a\x00\x3f")  # every bit both ways, each beside its like and its contrary


def probe(chip):
    """Ask the chip; 11 SPI frames, about a millisecond.

    Returns:
        VersionReg (92h is the usual one; 00h and FFh mean that nobody answers), how many of the two antenna outputs
        are switched on, gain of the receiver in dB, and whether WaterLevelReg took each of four patterns.
    """
    written = True
    for pattern in _PATTERNS:
        chip._register(_WATER_LEVEL, pattern)
        written = written and chip._read(_WATER_LEVEL) & 0x3F == pattern
    outputs = chip._read(_TX_CONTROL)
    gain = (18, 23, 18, 23, 33, 38, 43, 48)[chip._read(_RF_CFG) >> 4 & 7]
    return chip._read(_VERSION), (outputs & 1) + (outputs >> 1 & 1), gain, written
