"""The clock of decisions, apart from the system clock that TLS reads. Pure.

    uptime = Uptime()
    uptime.advance(ticks_diff(now_ms, last_ms))
    clock = Clock(floor_s, drift_ppm=50)
    clock.update(uptime.seconds)            # fills now_s, earliest_min, latest_min, trust, uncertainty
    clock.synchronise(time_s, uptime.seconds)

Seconds are counted since 2020-01-01 UTC and stay below 2^30, a small integer on the chip, until 2054.
"""

from micropython import const

from storage import record

_FOREVER_S = const(0x3FFFFFFF)
_FRESH_S = const(86_400)  # design: synchronised means not older than 24 h
_UNKNOWN_EXPONENT = const(31)
_MIN_S = const(60)
# A message has been under way for at most this long: the session deadline upstream gives its time.
_TRANSIT_S = const(2)


class Uptime:
    """Whole seconds since boot, counted from differences of the millisecond ticks, which wrap after 12 days."""

    def __init__(self):
        self.seconds = 0
        self._rest_ms = 0

    def advance(self, elapsed_ms):
        """Add the milliseconds that passed since the last call."""
        rest_ms = self._rest_ms + elapsed_ms
        if rest_ms >= 1000:
            self.seconds += rest_ms // 1000
            rest_ms %= 1000
        self._rest_ms = rest_ms


class Clock:
    """The time with its grade of trust and the bounds between which it lies."""

    def __init__(self, floor_s, drift_ppm):
        """Start at the floor: it is not earlier than `floor_s`, and nobody knows how much later.

        Args:
            floor_s: last authenticated time known, or the build time of the release.
            drift_ppm: bound of the oscillator's error, parts per million.
        """
        self.floor_s = floor_s
        self.trust = record.FLOOR
        self.uncertainty = _UNKNOWN_EXPONENT
        self.now_s = self.earliest_s = floor_s
        self.earliest_min = floor_s // _MIN_S
        self.latest_min = _FOREVER_S // _MIN_S
        self._offset_s = floor_s  # time = offset + uptime
        self._set_at_s = 0
        self._set_error_s = 0
        self._was_set = False
        self._drift_ppm = drift_ppm

    def update(self, uptime_s):
        """Bring all fields to the present."""
        now_s = self._offset_s + uptime_s
        self.now_s = now_s
        if not self._was_set:
            # The floor itself moves with the time that has passed since boot.
            self.earliest_s = now_s
            self.earliest_min = now_s // _MIN_S
            return
        age_s = uptime_s - self._set_at_s
        # age × ppm, in thousandths, stays small for 2^30 s only if the age is divided first.
        error_s = self._set_error_s + (age_s // 1000 + 1) * self._drift_ppm // 1000
        self.trust = record.SYNCHRONISED if self._fresh and age_s <= _FRESH_S else record.HELD
        if self.trust == record.SYNCHRONISED:
            # Within a day the error is below GB 50396-2007 5.1.3 (10 s); validity counts in minutes.
            self.earliest_s = now_s
            self.latest_min = now_s // _MIN_S
        else:
            earliest_s = now_s - error_s
            self.earliest_s = earliest_s if earliest_s > self.floor_s else self.floor_s
            self.latest_min = (now_s + error_s) // _MIN_S
        self.earliest_min = self.earliest_s // _MIN_S
        exponent = 0
        while error_s > 1 and exponent < 30:
            error_s = (error_s + 1) >> 1
            exponent += 1
        self.uncertainty = exponent

    def step_to(self, time_s, uptime_s):
        """Return the step in seconds that taking this time would mean, or None if it must be refused.

        Time before the floor is refused: the floor never goes down by a message.
        """
        if time_s < self.floor_s or time_s >= _FOREVER_S:
            return None
        return time_s - (self._offset_s + uptime_s)

    def synchronise(self, time_s, uptime_s):
        """Take authenticated time; return the step in seconds, or None if it is refused."""
        step_s = self.step_to(time_s, uptime_s)
        if step_s is not None:
            self.floor_s = time_s
            self._set(time_s, uptime_s, _TRANSIT_S, True)
        return step_s

    def resume(self, time_s, uptime_s, error_s):
        """Take the time of an RTC that survived a reset: *held*, with its error so far."""
        if time_s >= self.floor_s:
            self._set(time_s, uptime_s, error_s, False)

    def _set(self, time_s, uptime_s, error_s, fresh):
        self._offset_s = time_s - uptime_s
        self._set_at_s = uptime_s
        self._set_error_s = error_s
        self._was_set = True
        self._fresh = fresh
        self.update(uptime_s)
