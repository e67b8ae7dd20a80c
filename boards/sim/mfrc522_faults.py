"""Faults of a reader module, by name: what `fault NAME [VALUE]` on the control channel does to the chip.

    inject(chip, "hang", "soft")
    inject(chip, "hang")  # without a value a lasting fault goes away

Lasting ones are attributes of the chip, and `kept(chip)` tells which are set:

| name | value | the chip |
|---|---|---|
| hang | soft, hard, power, ever | does nothing until soft reset, reset by pin, power cycle, for ever; registers live |
| mute | 1 | a chip that hangs reads as 00, too |
| miso | 00 or FF | MISO is stuck |
| rst_low | 1 | the wire to NRSTPD is broken, and the pin floats low |
| deaf | 1 | the antenna is broken |
| noise | N | the next N answers arrive damaged |
| gain_limit | 0 to 7 | with a higher RxGain code most answers of more than two bytes arrive damaged |
| baud_limit | Hz | on a faster bus bits flip |
| crc_hang | 1 | the CRC coprocessor never finishes |
| version | 12 15 82 88 89 B2 | a clone: fails the self-test against the result of 92, and works |

The others happen once: `crypto` leaves MFCrypto1On set, `antenna` clears the antenna bits of TxControlReg, `registers`
brings all registers back to their reset values (brown-out).
"""

_FLAGS = ("mute", "rst_low", "deaf", "crc_hang")
_RANGES = {"noise": 1 << 20, "gain_limit": 7, "baud_limit": 1 << 30}
_ABSENT = {"gain_limit": 7}
_LASTING = ("hang", "miso", "version", "noise", "gain_limit", "baud_limit") + _FLAGS


def inject(chip, name, value=None):
    """Bring about a fault or, without a value, mend it; values are strings. Raises ValueError."""
    if name == "hang":
        if value not in (None, "soft", "hard", "power", "ever"):
            raise ValueError("hang: until soft, hard, power or ever")
        chip.fall_silent(value)
    elif name == "miso":
        if value is not None and int(value, 16) not in (0x00, 0xFF):
            raise ValueError("miso: 00 or FF")
        chip.miso = None if value is None else int(value, 16)
    elif name == "version":
        number = 0x92 if value is None else int(value, 16)
        if not 0 < number < 0xFF:
            raise ValueError("version: 01 to FE")
        chip.become(number)
    elif name in _FLAGS:
        if value not in (None, "0", "1"):
            raise ValueError(name + ": 1 or 0")
        setattr(chip, name, value == "1")
        if name == "rst_low":
            chip.reset_pin(chip.rst_level)
    elif name in _RANGES:
        number = _ABSENT.get(name, 0) if value is None else int(value)
        if not 0 <= number <= _RANGES[name]:
            raise ValueError("%s: 0 to %d" % (name, _RANGES[name]))
        setattr(chip, name, number)
    elif name == "crypto":
        chip.registers[0x08] |= 0x08
    elif name == "antenna":
        chip.registers[0x14] &= 0xFC
        chip.rewired()
    elif name == "registers":
        chip.brown_out()
    else:
        raise ValueError("faults are: crypto, antenna, registers, " + ", ".join(_LASTING))


def kept(chip):
    """Return the lasting faults that are set, as names and the values that bring them about."""
    found = {}
    for name in _FLAGS:
        if getattr(chip, name):
            found[name] = "1"
    for name in _RANGES:
        if getattr(chip, name) != _ABSENT.get(name, 0):
            found[name] = str(getattr(chip, name))
    if chip.hang:
        found["hang"] = chip.hang
    if chip.miso is not None:
        found["miso"] = "%02X" % chip.miso
    if chip.version != 0x92:
        found["version"] = "%02X" % chip.version
    return found
