"""The wires of the simulated board: who drives a pin, which resistor pulls it, and who wants to know.

    pins.external_pull(25, 0)  # the board's resistor holds the relay off while the chip's pins float
    pins.on_change(25, relay_follows)  # fn(pin, level)
    pins.drive(36, 0)  # the world closes the door contact

    pins.load(36, 1000)  # a line with resistors at its end; 2.2 kOhm on the board pull it up to 3.3 V

Levels are 0, 1 or None (floating). The chip's output wins over the world, that over resistors, and a resistor on the
board (some 10 kOhm) over one in the chip (45 kOhm).
"""

from micropython import const

from boards.sim import clock

_PINS = const(40)
_FLOATS = const(2)
_RISING = const(1)
_FALLING = const(2)
# These pins move while the ROM boots ("ESP32 pinout reference", Random Nerd Tutorials); what must not move hangs
# elsewhere.
_BOOT_PINS = (0, 1, 3, 5, 14, 15)
_BOOT_PULSES = const(3)
_BOOT_PULSE_US = const(5000)
_BOOT_US = const(270000)  # the rest of ROM, bootloader and interpreter start
_RESTART_US = const(50000)  # the interpreter alone
_SUPPLY_MV = const(3300)
_LINE_PULL_OHMS = const(2200)
_LOW_MV = const(825)  # what the chip takes for 0 and for 1 for certain (ESP32 data sheet, DC characteristics: 0.25 and
_HIGH_MV = const(2475)  # 0.75 of the supply); between them a level stays what it was

_chip = bytearray([_FLOATS] * _PINS)
_world = bytearray([_FLOATS] * _PINS)
_ohms = {}  # pin: what hangs between it and ground, None for nothing
_board_pull = bytearray([_FLOATS] * _PINS)
_chip_pull = bytearray([_FLOATS] * _PINS)
_level = bytearray(_PINS)
_watchers = [()] * _PINS
_irqs = [None] * _PINS
refresh = None  # fn(): fetch what the mechanics in another process did meanwhile (control.py)


def _resolve(pin):
    level = _chip[pin]
    if level == _FLOATS:
        level = _world[pin]
        if level == _FLOATS:
            level = _board_pull[pin]
            if level == _FLOATS:
                level = _chip_pull[pin] & 1  # floating reads as 0
    if level == _level[pin]:
        return
    _level[pin] = level
    for watcher in _watchers[pin]:
        watcher(pin, level)
    irq = _irqs[pin]
    if irq is not None and irq[1] & (_RISING if level else _FALLING):
        irq[0](pin)


def _code(level):
    return _FLOATS if level is None else 1 if level else 0


def level(pin):
    """What a voltmeter shows: 0 or 1."""
    return _level[pin]


def drive(pin, level):
    """The world drives a pin, or lets go of it with None."""
    if _world[pin] != _code(level):
        _world[pin] = _code(level)
        clock.stir()
        _resolve(pin)


def load(pin, ohms):
    """Hang a line of so many ohms on a pin, None if it is cut; the board pulls such a pin up by 2.2 kOhm."""
    if pin in _ohms and _ohms[pin] == ohms:
        return
    _ohms[pin] = ohms
    voltage = millivolts(pin)
    if voltage < _LOW_MV:
        _world[pin] = 0
    elif voltage > _HIGH_MV:
        _world[pin] = 1
    clock.stir()
    _resolve(pin)


def unload(pin):
    """Take the line away, and put the board's usual resistor back."""
    _ohms.pop(pin, None)


def millivolts(pin):
    """What a voltmeter shows."""
    if pin in _ohms:
        ohms = _ohms[pin]
        return _SUPPLY_MV if ohms is None else _SUPPLY_MV * ohms // (ohms + _LINE_PULL_OHMS)
    return _SUPPLY_MV * _level[pin]


def chip_out(pin, level):
    """The chip drives a pin, or lets go of it with None."""
    if _chip[pin] != _code(level):
        _chip[pin] = _code(level)
        _resolve(pin)


def chip_drives(pin):
    """What the chip does to a pin: 0, 1 or None."""
    return None if _chip[pin] == _FLOATS else _chip[pin]


def external_pull(pin, level):
    """A resistor on the board; None takes it away."""
    _board_pull[pin] = _code(level)
    _resolve(pin)


def chip_pull(pin, level):
    """The resistor inside the chip; None switches it off."""
    _chip_pull[pin] = _code(level)
    _resolve(pin)


def on_change(pin, fn):
    """Have fn(pin, level) called at each change of the resolved level."""
    _watchers[pin] = _watchers[pin] + (fn,)


def set_irq(pin, fn, trigger):
    """The chip's interrupt on a pin: fn(pin) at rising (1) or falling (2) edges; None switches it off."""
    _irqs[pin] = None if fn is None else (fn, trigger)


def forget():
    """Unplug everything; for tests."""
    _ohms.clear()
    for pin in range(_PINS):
        _watchers[pin] = ()
        _irqs[pin] = None
        _chip[pin] = _world[pin] = _board_pull[pin] = _chip_pull[pin] = _FLOATS
        _level[pin] = 0


def reset(kind):
    """The chip restarts: interrupts go, and unless it was a soft reset all pins float and the ROM makes its pulses."""
    for pin in range(_PINS):
        _irqs[pin] = None
        if kind != "soft":  # a soft reset restarts the interpreter only, outputs keep their levels
            _chip_pull[pin] = _FLOATS
            chip_out(pin, None)
            _resolve(pin)
    if kind == "soft":
        clock.sleep_us(_RESTART_US)
        return
    for pulse in range(2 * _BOOT_PULSES):
        for pin in _BOOT_PINS:
            chip_out(pin, 1 - (pulse & 1))
        clock.sleep_us(_BOOT_PULSE_US)
    for pin in _BOOT_PINS:
        chip_out(pin, None)
    clock.sleep_us(_BOOT_US)
