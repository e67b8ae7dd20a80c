"""The clock of decisions, apart from the system clock that TLS reads. Pure.

    uptime = Uptime()
    uptime.advance(ticks_diff(now_ms, last_ms))
    clock = Clock(floor_s, drift_ppm=50)
    clock.update(uptime.seconds)            # fills now_s, earliest_min, latest_min, trust, uncertainty
    clock.synchronise(time_s, uptime.seconds)

Seconds are counted since 2020-01-01 UTC and stay below 2^30, a small integer on the chip, until 2054. Which time may be
taken is judged in firmware/clockrules.py, which is loaded when one comes; docs/time.md has the table of states.
"""

from micropython import const

from storage import record

_FOREVER_S = const(0x3FFFFFFF)
_FRESH_S = const(86_400)  # design: synchronised means not older than 24 h
_UNKNOWN_EXPONENT = const(31)
_MIN_S = const(60)
# A message is under way for at most 3 s, the deadline upstream gives its time, which it cuts to whole seconds.
_TRANSIT_S = const(4)


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
    """The time with its grade of trust and the bounds between which it lies.

    `rate_ppm` is how much slow the oscillator was found to be, and is made good; `drift_ppm` bounds what remains.
    `doubt` and `anchor` are kept for firmware/clockrules.py, `care` for what keeps the time (firmware/settime.py).
    """

    def __init__(self, floor_s, drift_ppm):
        """Start at the floor: it is not earlier than `floor_s`, and nobody knows how much later.

        Args:
            floor_s: last authenticated time known, or the build time of the release.
            drift_ppm: bound of the oscillator's error, parts per million.
        """
        self.floor_s = floor_s
        self.drift_ppm = drift_ppm
        self.rate_ppm = 0
        self.doubt = self.anchor = self.care = None
        self.trust = record.FLOOR
        self.uncertainty = _UNKNOWN_EXPONENT
        self._time_s = floor_s
        self._error_s = self._set_at_s = self._fresh_s = 0
        self.update(0)

    def update(self, uptime_s):
        """Bring all fields to the present."""
        age_s = uptime_s - self._set_at_s
        # age × ppm, in thousandths, stays small for 2^30 s only if the age is divided first.
        age_ks = age_s // 1000
        now_s = min(self._time_s + age_s + age_ks * self.rate_ppm // 1000, _FOREVER_S)
        error_s = self._error_s + (age_ks + 1) * self.drift_ppm // 1000
        earliest_s = latest_s = now_s
        if self.trust == record.FLOOR:
            # The floor itself moves with the time that has passed since boot, no faster than the oscillator is sure.
            now_s = earliest_s = now_s - error_s
            latest_s = _FOREVER_S
        else:
            if uptime_s <= self._fresh_s:
                # Within a day the error is below GB 50396-2007 5.1.3 (10 s); validity counts in minutes.
                self.trust = record.SYNCHRONISED
            else:
                self.trust = record.HELD
                earliest_s = max(now_s - error_s, self.floor_s)
                latest_s = now_s + error_s
            exponent = 0
            while error_s > 1 and exponent < 30:
                error_s = (error_s + 1) >> 1
                exponent += 1
            self.uncertainty = exponent
        self.now_s = now_s
        self.earliest_s = earliest_s
        self.earliest_min = earliest_s // _MIN_S
        self.latest_min = latest_s // _MIN_S

    def step_to(self, time_s, uptime_s):
        """Return the step in seconds that taking this time would mean, or None if it must be refused.

        Time before the floor is refused: the floor never goes down by a message.
        """
        if time_s < self.floor_s or time_s >= _FOREVER_S:
            return None
        self.update(uptime_s)
        return time_s - self.now_s

    def synchronise(self, time_s, uptime_s):
        """Take authenticated time; return the step in seconds, or None if it is refused."""
        step_s = self.step_to(time_s, uptime_s)
        if step_s is not None:
            self.floor_s = time_s
            self.resume(time_s, uptime_s, _TRANSIT_S, _FRESH_S)
        return step_s

    def resume(self, time_s, uptime_s, error_s, fresh_s=-1):
        """Take the time of an RTC that ran on, with its error so far.

        *Held*, or *synchronised* for `fresh_s` seconds more if it was set by authenticated time less than a day ago.
        A time before the floor is ignored.
        """
        if time_s >= self.floor_s:
            self._time_s = time_s
            self._set_at_s = uptime_s
            self._error_s = error_s
            self._fresh_s = uptime_s + fresh_s
            self.trust = record.HELD
            self.update(uptime_s)
