"""A DS3231 on the simulated I2C bus, from its data sheet: registers, crystal, battery, oscillator stop flag.

    chip = Ds3231(clock.now_us, ppm=2)
    i2cbus.attach(ds3231.ADDRESS, chip)
    chip.fault("osf")

The chip counts second by second and day by day, as its dividers do; nothing of it is computed from a calendar. Its own
time differs from the world's by `ppm`. Not modelled: the mode of 12 hours, alarms that fire, square wave, temperature
(25 °C always).
"""

from micropython import const

ADDRESS = const(0x68)

_SECONDS = const(0)
_CONTROL = const(0x0E)
_STATUS = const(0x0F)
_AGING = const(0x10)
_TEMPERATURE = const(0x11)
_REGISTERS = const(0x13)
_EOSC = const(0x80)
_OSF = const(0x80)
# Bits that exist, by register: what is not there reads as 0.
_MASKS = b"\x7f\x7f\x7f\x07\x3f\x9f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x8f\xff\x00\x00"
_LENGTHS = b"\x31\x28\x31\x30\x31\x30\x31\x31\x30\x31\x30\x31"  # of the months, BCD
_AGING_PPB = const(100)  # about 0.1 ppm a step at 25 °C; positive slows


def _next(byte):
    """The BCD number after this one."""
    return byte + 7 if byte & 15 == 9 else byte + 1


class Ds3231:
    """One chip. `battery`: whether it holds the time while the board has no power."""

    def __init__(self, now_us, ppm=0):
        self._now_us = now_us
        self._last_us = now_us()
        self.ppm = ppm  # + is fast
        self.battery = True
        self.absent = False
        self.flips = {}  # register: (right readings before it, bits that the next one shows wrongly)
        self._pointer = 0
        self._registers = bytearray(_REGISTERS)
        self._rest = 0  # of a second, in 1e-15 s
        self.lose_power()

    def lose_power(self):
        """Neither supply nor battery: what it holds is gone, and it says so (OSF)."""
        registers = self._registers
        for i in range(_REGISTERS):
            registers[i] = 0
        registers[3:6] = b"\x01\x01\x01"
        registers[_CONTROL] = 0x1C
        registers[_STATUS] = 0x88  # OSF and EN32kHz
        registers[_TEMPERATURE] = 25

    # --- time ---

    def _run(self):
        now_us = self._now_us()
        elapsed_us = now_us - self._last_us
        self._last_us = now_us
        aging = self._registers[_AGING]
        ppb = self.ppm * 1000 - (aging - (aging >> 7 << 8)) * _AGING_PPB
        self._rest += elapsed_us * (1000000000 + ppb)
        seconds, self._rest = divmod(self._rest, 1000000000000000)
        # Whole days at once, or a month without power would take millions of steps.
        self._count(seconds)

    def _count(self, seconds):
        registers = self._registers
        while seconds:
            if seconds >= 86400:
                self._next_day()
                seconds -= 86400
                continue
            seconds -= 1
            registers[0] = _next(registers[0])
            if registers[0] == 0x60:
                registers[0] = 0
                registers[1] = _next(registers[1])
                if registers[1] == 0x60:
                    registers[1] = 0
                    self._next_hour()

    def _next_hour(self):
        registers = self._registers
        registers[2] = _next(registers[2] & 0x3F)
        if registers[2] == 0x24:
            registers[2] = 0
            self._next_day()

    def _next_day(self):
        registers = self._registers
        registers[3] = registers[3] % 7 + 1
        month = registers[5] & 0x1F
        year = (registers[6] >> 4) * 10 + (registers[6] & 15)
        place = (month >> 4) * 10 + (month & 15) - 1
        last = 0x29 if month == 2 and year % 4 == 0 else _LENGTHS[place] if place < 12 else 0x31
        if registers[4] < last:
            registers[4] = _next(registers[4])
            return
        registers[4] = 1
        if month < 0x12:
            registers[5] = registers[5] & 0x80 | _next(month)
            return
        registers[5] = registers[5] & 0x80 | 1
        if registers[6] == 0x99:
            registers[6] = 0
            registers[5] ^= 0x80
        else:
            registers[6] = _next(registers[6])

    # --- the bus ---

    def start(self, reading):
        """A start with the chip's address; a write names a register first."""
        self._run()
        self._named = reading

    def write(self, byte):
        """Take a byte."""
        if not self._named:
            self._pointer = byte % _REGISTERS
            self._named = True
            return True
        register = self._pointer
        self._pointer = (register + 1) % _REGISTERS
        if register == _STATUS:
            old = self._registers[_STATUS]
            byte = byte & 0x08 | old & byte & 0x83 | old & 0x04  # flags can only be cleared; BSY is the chip's
        self._registers[register] = byte & _MASKS[register] if register < _TEMPERATURE else self._registers[register]
        if register == _SECONDS:
            self._rest = 0  # the countdown begins anew
        return True

    def read(self):
        """Give a byte."""
        register = self._pointer
        self._pointer = (register + 1) % _REGISTERS
        byte = self._registers[register]
        if register in self.flips:
            right, bits = self.flips.pop(register)
            if not right:
                return byte ^ bits
            self.flips[register] = right - 1, bits
        return byte

    def stop(self):
        """The end of a transfer."""

    # --- what happens to it ---

    def fault(self, words):
        """Bring a fault about.

        By words: `osf`, `absent`, `back`, `battery 0`, `ppm N`,
        `flip REGISTER BITS [RIGHT]`: of the next reading, after so many right ones.
        """
        name, _, rest = words.partition(" ")
        if name == "osf":
            self._registers[_STATUS] |= _OSF
        elif name in ("absent", "back"):
            self.absent = name == "absent"
        elif name == "battery":
            self.battery = rest == "1"
        elif name == "ppm":
            self._run()
            self.ppm = int(rest)
        elif name == "flip":
            register, bits, right = [int(word) for word in (rest + " 0").split()[:3]]
            self.flips[register] = right, bits
        else:
            raise ValueError("faults of the ds3231: osf, absent, back, battery 0 or 1, ppm N, flip REGISTER BITS")

    def state(self):
        """What the world file keeps."""
        self._run()
        return {
            "registers": list(self._registers),
            "rest": self._rest,
            "ppm": self.ppm,
            "battery": self.battery,
            "absent": self.absent,
        }

    def load(self, kept, elapsed_us):
        """Go on from the world file, after so long without power; on the battery, unless EOSC stops it."""
        self._registers[:] = bytes(kept["registers"])
        self._rest = kept["rest"]
        self.ppm = kept["ppm"]
        self.battery = kept["battery"]
        self.absent = kept["absent"]
        if not elapsed_us:
            return
        if not self.battery:
            self.lose_power()
        elif self._registers[_CONTROL] & _EOSC:
            self._registers[_STATUS] |= _OSF
        else:
            self._last_us = self._now_us() - elapsed_us
            self._run()
