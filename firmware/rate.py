"""How long the door was closed, open and why, or unknown: the milliseconds of the running hour. Pure.

    rate = Rate()
    if not rate.add(category(door), elapsed_ms, now_s):     # at every step
        finished = hourly.catch_up(rate, category(door), elapsed_ms, now_s)
    rate.save(machine.RTC().memory, lock.cycles)            # now and then

What happens once an hour, or when the clock is set, is in firmware/hourly.py. docs/closed-rate.md, "What is counted".
"""

from array import array
from binascii import crc32

from micropython import const

# Numbers of storage.hours, which is not always in memory.
CLOSED = const(0)
UNKNOWN = const(1)
_PROPPED = const(2)
_AJAR = const(3)
_OPEN = const(4)
SECONDS = const(13)
_IS_PROPPED = const(1)  # bit of firmware.door: propped
_DOOR_OPEN = const(2)  # states of firmware.door: the leaf is open from here on

# What a reset must not lose: milliseconds by category, then these.
OPENINGS = const(13)
CYCLES = const(14)
END_S = const(15)
BLIND_S = const(16)  # seconds of the hour before its watch began
CHECK = const(17)
WORDS = const(18)

HOUR_S = const(3600)
# The clock set by less is a correction: the hour goes on. Set by more it was wrong, and so was the hour.
CORRECTION_S = const(60)
SLACK_MS = const(500)  # between the clock's tick and the steps; the clock is set by whole seconds
CLOSINGS = const(16)


def category(door):
    """Return which of the numbers of storage.hours this moment of a door counts for."""
    if not door.sensed:
        return UNKNOWN
    if door.ajar:
        return _AJAR
    if door.state < _DOOR_OPEN:
        return 0
    return _PROPPED if door.orders & _IS_PROPPED else _OPEN + door.cause


class Rate:
    """The running hour in `state`, as firmware.hourly knows it; `latest` is [closed, known] seconds of 24 hours."""

    def __init__(self):
        self.state = array("i", bytes(4 * WORDS))
        self.room_ms = 0  # of the running hour, still to come
        self.resumed = False
        self.day = array("H", bytes(96))  # closed and known seconds by hour of day
        self.latest = [0, 0]
        self.closings = bytearray(17)  # tenths of a second of the last 16; behind them the place of the next
        self.closer = 0
        self._cycles = 0
        self._saved = -1
        self._checked = memoryview(self.state)[:CHECK]

    def add(self, which, elapsed_ms, now_s):
        """So long it was one category, and now the clock says `now_s`; False if the hour ends or the clock was set."""
        state = self.state
        end_s = state[END_S]
        if now_s > end_s or now_s < end_s - HOUR_S - CORRECTION_S:
            return False
        room_ms = self.room_ms - elapsed_ms
        ahead_ms = 1000 * (end_s - now_s) - room_ms
        if ahead_ms >= 1000 + SLACK_MS:
            # The clock was set back: what comes again is not counted again.
            again_ms = min(elapsed_ms, ahead_ms - SLACK_MS)
            elapsed_ms -= again_ms
            room_ms += again_ms
        if room_ms <= 0 or ahead_ms < -SLACK_MS:
            return False
        state[which] += elapsed_ms
        self.room_ms = room_ms
        self.resumed = False
        return True

    def latched(self, latched_ms):
        """The leaf has latched, so long after the release."""
        closings = self.closings
        # Never 0, which stands for no closing yet: the leaf may fall shut just after somebody pressed a button.
        closings[closings[CLOSINGS]] = max(1, min(latched_ms // 100, 255))
        closings[CLOSINGS] = (closings[CLOSINGS] + 1) % CLOSINGS

    def save(self, memory, cycles):
        """Once a second put the hour where a reset leaves it alone; `cycles` are those of the relay since the start."""
        second = self.room_ms // 1000
        if second == self._saved:
            return
        self._saved = second
        state = self.state
        state[CYCLES] += cycles - self._cycles
        self._cycles = cycles
        state[CHECK] = crc32(self._checked) & 0x3FFFFFFF
        memory(state)
