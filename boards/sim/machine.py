"""The module `machine` of the simulated ESP32, as far as a door uses it.

    import machine
    relay = machine.Pin(25, machine.Pin.OUT, value=0)

Register access and deep sleep are not modelled. What the chip does goes through pins.py, spibus.py and i2cbus.py.
"""

import sys

from micropython import const, heap_lock, heap_unlock

from boards.sim import clock, pins, spibus
from boards.sim.chip_time import gmtime, mktime

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_CAUSES = {"watchdog": WDT_RESET, "soft": SOFT_RESET, "hard": HARD_RESET, "panic": HARD_RESET}
_EXIT_RESET = const(87)
_NO_PINS = (20, 24, 28, 29, 30, 31)
_FIRST_INPUT_ONLY = const(34)

chip = {"kind": "power_on", "id": b"\x24\x6f\x28\x00\x00\x01", "memory": b"", "freq": 160000000}  # world.py fills it


class Pin:
    """A GPIO pin. There is one object per pin, as on the chip."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3

    _all = {}

    def __new__(cls, number, *_args, **_options):
        """Return the one object of this pin."""
        if isinstance(number, Pin):
            return number
        pin = cls._all.get(number)
        if pin is None:
            if not 0 <= number < 40 or number in _NO_PINS:
                raise ValueError("invalid pin")
            pin = super().__new__(cls)
            pin._number = number
            pin._mode = 0
            pin._latch = 0
            pin._handler = None
            pin._hard = False
            cls._all[number] = pin
        return pin

    def __init__(self, number, mode=-1, pull=-1, value=None, drive=0, hold=None):
        self.init(mode, pull, value)

    def init(self, mode=-1, pull=-1, value=None, drive=0, hold=None):
        """Change direction, pull and value; the value is set before the output is switched on."""
        if mode not in (-1, Pin.IN, Pin.OUT, Pin.OPEN_DRAIN):
            raise ValueError("invalid pin mode")
        if mode in (Pin.OUT, Pin.OPEN_DRAIN) and self._number >= _FIRST_INPUT_ONLY:
            raise ValueError("pin can only be input")
        if value is not None:
            self._latch = 1 if value else 0
        if mode != -1:
            self._mode = mode
        if pull != -1 and self._number < _FIRST_INPUT_ONLY:  # pins 34 to 39 have no resistors
            pins.chip_pull(self._number, None if pull is None else 1 if pull & Pin.PULL_UP else 0)
        self._output()

    def _output(self):
        if self._mode == Pin.OUT:
            pins.chip_out(self._number, self._latch)
        elif self._mode == Pin.OPEN_DRAIN:
            pins.chip_out(self._number, None if self._latch else 0)
        elif self._mode == Pin.IN:
            pins.chip_out(self._number, None)

    def value(self, level=None):
        """Read the pin, or set its output."""
        clock.charge_us(1)
        if level is None:
            if pins.refresh is not None:
                pins.refresh()
            return pins.level(self._number)
        self._latch = 1 if level else 0
        self._output()

    __call__ = value

    def on(self):
        """Set the output to 1."""
        self.value(1)

    def off(self):
        """Set the output to 0."""
        self.value(0)

    def irq(self, handler=None, trigger=3, wake=None, hard=False):
        """Call handler(pin) at edges: at once and without heap if hard, else before the program goes on."""
        self._handler = handler
        self._hard = hard
        pins.set_irq(self._number, None if handler is None else self._edge, trigger)
        return self

    def _edge(self, _number):
        if clock.irqs_off or not self._hard:
            clock.soft(self._serve, self)
        else:
            self._serve(self)

    def _serve(self, _argument):
        handler = self._handler
        if handler is None:
            return
        if self._hard:
            heap_lock()
        try:
            handler(self)
        except Exception as error:
            if self._hard:
                heap_unlock()
            self.irq(None)  # an interrupt that failed is switched off, as on the chip
            print("Uncaught exception in pin interrupt")
            sys.print_exception(error, sys.stdout)
            return
        if self._hard:
            heap_unlock()

    def __repr__(self):
        return "Pin(%d)" % self._number


class SPI:
    """An SPI bus; chip select is a pin of its own."""

    MSB = 0
    LSB = 1

    def __init__(self, number=-1, baudrate=1000000, **options):
        self._baudrate = baudrate
        self._mode = 0
        self.init(**options)

    def init(self, baudrate=0, polarity=0, phase=0, bits=8, firstbit=0, sck=None, mosi=None, miso=None):
        """Change the rate and the mode."""
        self._baudrate = baudrate or self._baudrate
        self._mode = polarity << 1 | phase | firstbit << 2

    def deinit(self):
        """Let go of the bus."""

    def write(self, buf):
        """Send bytes."""
        spibus.transfer(self._baudrate, self._mode, buf, None, len(buf))

    def readinto(self, buf, write=0):
        """Receive as many bytes as buf holds, sending one byte again and again."""
        spibus.transfer(self._baudrate, self._mode, write, buf, len(buf))

    def read(self, count, write=0):
        """Receive bytes."""
        buf = bytearray(count)
        self.readinto(buf, write)
        return bytes(buf)

    def write_readinto(self, out, into):
        """Send and receive at once; the buffers may be the same."""
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        spibus.transfer(self._baudrate, self._mode, out, into, len(out))


SoftSPI = SPI


class WDT:
    """The watchdog: once started it cannot be stopped, only fed."""

    def __init__(self, id=0, timeout=5000):
        if id != 0 or timeout <= 0:
            raise ValueError("the ESP32 has watchdog 0, with a timeout above 0 ms")
        self._timeout_us = timeout * 1000
        self.feed()

    def feed(self):
        """Not yet."""
        clock.set_watchdog(self._timeout_us, _bite)


def _bite():
    clock.end(_EXIT_RESET, "watchdog")


class RTC:
    """The clock that survives every reset but not the loss of power, with 2048 bytes of memory."""

    def datetime(self, date=None):
        """Read or set (year, month, day, weekday, hour, minute, second, microsecond), UTC."""
        if date is not None:
            seconds = mktime((date[0], date[1], date[2], date[4], date[5], date[6]))
            clock.set_chip_time_us(seconds * 1000000 + date[7])
            return None
        now_us = clock.chip_time_us()
        date = gmtime(now_us // 1000000)
        return date[:3] + (date[6],) + date[3:6] + (now_us % 1000000,)

    def memory(self, data=None):
        """Read or set the memory."""
        if data is None:
            return chip["memory"]
        if len(data) > 2048:
            raise ValueError("buffer too long")
        chip["memory"] = bytes(data)


def reset():
    """Restart the chip."""
    clock.end(_EXIT_RESET, "hard")


def soft_reset():
    """Restart the interpreter."""
    clock.end(_EXIT_RESET, "soft")


def reset_cause():
    """Why the chip started."""
    return _CAUSES.get(chip["kind"], PWRON_RESET)


def unique_id():
    """The chip's MAC address."""
    return chip["id"]


def freq(hertz=None):
    """Read or set the CPU's frequency."""
    if hertz is None:
        return chip["freq"]
    if hertz not in (20000000, 40000000, 80000000, 160000000, 240000000):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    chip["freq"] = hertz


def disable_irq():
    """Hold interrupts back; return what `enable_irq` wants."""
    off = clock.irqs_off
    clock.set_irqs_off(True)
    return off


def enable_irq(off=False):
    """Let interrupts through, if they were before."""
    clock.set_irqs_off(off)


def idle():
    """Wait a little."""
    clock.charge_us(1)


def lightsleep(time_ms=0):
    """Sleep without the event loop."""
    clock.sleep_us(time_ms * 1000)


def __getattr__(name):
    """Load the rarer peripherals when they are asked for: ADC, I2C, SoftI2C, UART, PWM, Timer."""
    from boards.sim import peripherals

    return getattr(peripherals, name)
