"""The parts of the MFRC522 that need no air: registers, FIFO (data sheet 8.3) and timer unit (8.5)."""

from micropython import const

_COM_IRQ = const(0x04)
_ERROR = const(0x06)
_WATER_LEVEL = const(0x0B)
_DEMOD = const(0x19)
_T_MODE = const(0x2A)
_T_PRESCALER = const(0x2B)
_T_RELOAD_HIGH = const(0x2C)
_T_RELOAD_LOW = const(0x2D)

_HI_ALERT_IRQ = const(0x08)
_LO_ALERT_IRQ = const(0x04)
_ERR_IRQ = const(0x02)
_TIMER_IRQ = const(0x01)
_BUFFER_OVERFLOW = const(0x10)
_FIFO_SIZE = const(64)

NEVER = 1 << 60


def us_of_fc(periods):
    """Return carrier periods (1/13.56 MHz) as microseconds, rounded up."""
    return (periods * 25 + 338) // 339


class Units:
    """State shared by everything in the chip."""

    def __init__(self):
        self.registers = bytearray(64)
        self._fifo = bytearray(_FIFO_SIZE)
        self._head = 0
        self._level = 0
        self._timer_us = NEVER  # when the timer reaches zero
        self._timer_start_us = self._timer_reload = self._timer_value = 0
        self._timer_divider = 1

    # FIFO (8.3)

    def _push(self, value):
        level = self._level
        if level == _FIFO_SIZE:
            self._raise(_BUFFER_OVERFLOW)
            return
        self._fifo[(self._head + level) & 63] = value
        self._level = level + 1
        self._alert()

    def _pop(self):
        if not self._level:
            return 0
        value = self._fifo[self._head]
        self._head = (self._head + 1) & 63
        self._level -= 1
        self._alert()
        return value

    def _flush(self):
        self._head = self._level = 0
        self._alert()

    def _alert(self):
        level = self._level
        water = self.registers[_WATER_LEVEL]
        if level <= water:
            self.registers[_COM_IRQ] |= _LO_ALERT_IRQ
        if _FIFO_SIZE - level <= water:
            self.registers[_COM_IRQ] |= _HI_ALERT_IRQ

    def _raise(self, errors):
        self.registers[_ERROR] |= errors
        self.registers[_COM_IRQ] |= _ERR_IRQ

    # Timer unit (8.5)

    def _timer_begins(self, at_us):
        registers = self.registers
        prescaler = (registers[_T_MODE] & 0x0F) << 8 | registers[_T_PRESCALER]
        self._timer_divider = divider = 2 * prescaler + (2 if registers[_DEMOD] & 0x10 else 1)  # TPrescalEven
        self._timer_reload = reload = registers[_T_RELOAD_HIGH] << 8 | registers[_T_RELOAD_LOW]
        self._timer_start_us = at_us
        self._timer_us = at_us + us_of_fc((reload + 1) * divider)

    def _timer_stops(self, at_us):
        self._timer_value = self._timer_counter(at_us)
        self._timer_us = NEVER

    def _timer_counter(self, now_us):
        if self._timer_us == NEVER:
            return self._timer_value
        return max(0, self._timer_reload - (now_us - self._timer_start_us) * 339 // (25 * self._timer_divider))

    def _timer_ends(self, due_us, now_us):
        self.registers[_COM_IRQ] |= _TIMER_IRQ
        self._timer_us = NEVER
        self._timer_value = 0
        if self.registers[_T_MODE] & 0x10:  # TAutoRestart; periods that nobody looked at are skipped
            period_us = due_us - self._timer_start_us
            self._timer_begins(now_us - (now_us - due_us) % period_us)
