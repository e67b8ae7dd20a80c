"""A reader module's supply, and everything that can go wrong with it; `mfrc522_faults.py` has the list."""

import random

from micropython import const

from boards.sim.mfrc522_radio import Radio
from boards.sim.mfrc522_units import NEVER

_COMMAND = const(0x01)
_COM_IRQ = const(0x04)
_DIV_IRQ = const(0x05)
_FIFO_LEVEL = const(0x0A)
_VERSION = const(0x37)

_NO_CHANGE = const(7)
_SOFT_RESET = const(15)

RESET_CLOCKS_US = 38  # 1024 periods of 27.12 MHz (8.8.2)
STUCK = 8  # added to what the next byte on the bus is: it may not arrive as it was sent


class Faulty(Radio):
    """The attributes are faults, and absent at first."""

    def __init__(self, clock):
        super().__init__(clock)
        self.miso = None
        self.hang = None
        self.mute = self.rst_low = self.crc_hang = False
        self.baud_limit = 0
        self.bus = None  # has `baudrate`; only baud_limit asks
        self.rst_level = 1  # at the wire's other end
        self._supplied = self._powered = True

    def power(self, on):
        """Switch the supply; the pin NRSTPD goes on meaning what it does."""
        if bool(on) != self._supplied:
            if not on and self.hang != "ever":
                self.hang = None
            self._supplied = bool(on)
            self.reset_pin(self.rst_level)
            self._memory = bytearray(25)

    def fall_silent(self, until):
        """Hang until "soft" or "hard" reset, "power" cycle or "ever"; None ends it as that reset would."""
        self.settle()
        before, self.hang = self.hang, until
        if until:
            self._timer_us = self._wake_us = self._air_us = NEVER
            self._halt_modem()
        elif before:
            self.brown_out()

    def become(self, version):
        """Be a chip of another version."""
        self.version = self.registers[_VERSION] = version

    def brown_out(self):
        """Come back at reset values; the host is not told."""
        self._reset(self.settle(), RESET_CLOCKS_US)

    def rewired(self):
        """Follow antenna bits that changed by themselves."""
        self._update_field(self.settle())

    def _disturbed(self, byte_out):
        if not self._supplied:
            return 0xFF if self.miso is None else self.miso
        heard = 0
        fast = self.baud_limit and self.bus and self.bus.baudrate > self.baud_limit
        if fast and not random.getrandbits(2):
            byte_out ^= 1 << random.getrandbits(3)
        self.bytes -= 1
        self._transfer -= STUCK
        if self._powered:
            heard = self.exchange(byte_out)
        else:
            self.bytes += 1
        self._transfer += STUCK
        if self.miso is not None:
            return self.miso
        if self.hang and self.mute:
            return 0
        return heard ^ 1 << random.getrandbits(3) if fast and not random.getrandbits(2) else heard

    def _store_hung(self, address, value, now_us):
        """Registers and FIFO are there, and nothing ever follows from a write."""
        registers = self.registers
        if address == _COMMAND:
            if value & 0x0F == _SOFT_RESET and self.hang == "soft":
                self.hang = None
                self._reset(now_us, RESET_CLOCKS_US)
            elif value & 0x0F not in (_SOFT_RESET, _NO_CHANGE):
                registers[_COMMAND] = value & 0x2F
        elif address == _FIFO_LEVEL and value & 0x80:
            self._flush()
        elif address in (_COM_IRQ, _DIV_IRQ) and not value & 0x80:
            registers[address] &= ~value & 0x7F
