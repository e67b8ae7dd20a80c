"""The peripherals of `machine` that a door may do without; machine.py fetches them when they are asked for.

bus = machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21))
"""

import random
from errno import ETIMEDOUT

from micropython import const

from boards.sim import clock, i2cbus, pins

_ADC1 = range(32, 40)
_ADC2 = (0, 2, 4, 12, 13, 14, 15, 25, 26, 27)
_ADC_US = const(60)
_ADC_NOISE_MV = const(15)
# At 11 dB: below and above this the calibrated ESP32 reads the same, whatever there is.
_ADC_LEAST_MV = const(142)
_ADC_MOST_MV = const(3100)


class ADC:
    """One input of the converter, at 11 dB as a door uses it; ADC2 belongs to Wi-Fi."""

    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3

    def __init__(self, pin, atten=0):
        number = getattr(pin, "_number", pin)
        if number not in _ADC1 and number not in _ADC2:
            raise ValueError("invalid pin")
        if atten != ADC.ATTN_11DB:
            raise NotImplementedError("the model knows 11 dB only")
        self._number = number

    def read_uv(self):
        """Microvolts, with the noise and the ends of the range of an ESP32."""
        if self._number not in _ADC1:
            raise OSError(ETIMEDOUT)
        clock.charge_us(_ADC_US)
        noise = random.getrandbits(8) * (2 * _ADC_NOISE_MV) // 255 - _ADC_NOISE_MV
        return min(max(pins.millivolts(self._number) + noise, _ADC_LEAST_MV), _ADC_MOST_MV) * 1000


class I2C:
    """The I2C bus."""

    def __init__(self, number=0, scl=None, sda=None, freq=400000, timeout=50000):
        self._freq = freq

    def scan(self):
        """Addresses at which somebody answers."""
        return sorted(address for address in i2cbus.devices if 0x08 <= address < 0x78)

    def writeto(self, address, buf, stop=True):
        """Send bytes."""
        return i2cbus.write(self._freq, address, buf, stop)

    def readfrom_into(self, address, buf, stop=True):
        """Receive as many bytes as buf holds."""
        i2cbus.read(self._freq, address, buf, stop)

    def readfrom(self, address, count, stop=True):
        """Receive bytes."""
        buf = bytearray(count)
        self.readfrom_into(address, buf, stop)
        return bytes(buf)

    def writeto_mem(self, address, register, buf, addrsize=8):
        """Send a register number and bytes."""
        i2cbus.write(self._freq, address, register.to_bytes(addrsize >> 3, "big") + bytes(buf))

    def readfrom_mem_into(self, address, register, buf, addrsize=8):
        """Send a register number and receive as many bytes as buf holds."""
        i2cbus.write(self._freq, address, register.to_bytes(addrsize >> 3, "big"), False)
        i2cbus.read(self._freq, address, buf)

    def readfrom_mem(self, address, register, count, addrsize=8):
        """Send a register number and receive bytes."""
        buf = bytearray(count)
        self.readfrom_mem_into(address, register, buf, addrsize)
        return bytes(buf)


SoftI2C = I2C


class UART:
    """A serial port; what is wired to it is an object in `UART.wired[number]` with receive(bytes)."""

    wired = {}
    _BUFFER = 256

    def __init__(self, number, baudrate=115200, **_options):
        self._number = number
        self._input = bytearray()
        UART.wired.setdefault(number, None)

    def init(self, baudrate=115200, **_options):
        """Change the rate; the model does not care."""

    def feed(self, data):
        """The world sends; what the chip's buffer cannot hold is lost."""
        self._input.extend(data[: self._BUFFER - len(self._input)])

    def any(self):
        """Bytes that wait."""
        return len(self._input)

    def read(self, count=-1):
        """Take bytes that wait, or None."""
        if not self._input:
            return None
        if count < 0:
            count = len(self._input)
        data = bytes(self._input[:count])
        self._input = self._input[count:]
        return data

    def write(self, data):
        """Send bytes."""
        device = UART.wired[self._number]
        if device is not None:
            device.receive(data)
        return len(data)


class PWM:
    """A tone on a pin: the wire counts as high while the duty is not zero."""

    def __init__(self, pin, freq=1000, duty_u16=0, duty=None):
        self._pin = pin
        self._freq = freq
        self._duty = 0
        self.duty_u16(duty_u16 if duty is None else duty << 6)

    def init(self, freq=None, duty_u16=None):
        """Change frequency and duty."""
        if freq is not None:
            self._freq = freq
        if duty_u16 is not None:
            self.duty_u16(duty_u16)

    def freq(self, freq=None):
        """Read or set the frequency."""
        if freq is None:
            return self._freq
        self._freq = freq

    def duty_u16(self, duty=None):
        """Read or set the duty, 0 to 65535."""
        if duty is None:
            return self._duty
        self._duty = duty
        self._pin.init(self._pin.OUT, value=duty > 0)

    def duty(self, duty=None):
        """Read or set the duty, 0 to 1023."""
        return self._duty >> 6 if duty is None else self.duty_u16(duty << 6)

    def deinit(self):
        """Silence."""
        self.duty_u16(0)


class Timer:
    """A software timer; its callback runs like a soft interrupt."""

    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, number=0, **options):
        self._event = None
        if options:
            self.init(**options)

    def init(self, mode=1, freq=-1, period=-1, callback=None):
        """Start: once or again and again, after `period` ms."""
        self.deinit()
        self._period_us = int(1000000 / freq) if freq > 0 else period * 1000
        if self._period_us <= 0:
            raise ValueError("a timer needs a freq or a period above 0")
        self._periodic = mode == Timer.PERIODIC
        self._callback = callback
        self._event = clock.at_us(clock.now_us() + self._period_us, self._due)

    def _due(self):
        event = self._event
        self._event = clock.at_us(event.at_us + self._period_us, self._due) if self._periodic else None
        if self._callback is not None:
            clock.soft(self._callback, self)

    def deinit(self):
        """Stop."""
        clock.cancel(self._event)
        self._event = None
