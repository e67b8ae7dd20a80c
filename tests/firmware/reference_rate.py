"""What the seconds of each hour should be, written from docs/closed-rate.md: slow, and imports nothing of ours.

Time goes in quanta of 100 ms. Every second of the clock has a purse for 1,000 ms; what nobody put in is unknown.
"""

QUANTUM_MS = 100
HOUR_S = 3600
UNKNOWN = 1
CORRECTION_S = 60


class Reference:
    """`hours` maps an hour of the clock to the list of its milliseconds by category, as often as it was finished."""

    def __init__(self):
        self.hours = []
        self.lost_ms = 0  # of the moved hour that nobody could place
        self._purses = None

    def begin(self, now_s):
        """Watch begins with nothing known."""
        self._purses = {}
        self._extra = {}  # milliseconds by category that belong to this hour, nobody knows to which seconds
        self._hour = now_s // HOUR_S
        self._high_s = now_s
        self._first_s = now_s
        self._fresh = False

    def reset(self, now_s):
        """A reset that the RTC's memory survived: what lies between is unknown, and no correction of the clock."""
        self._fresh = True
        self._last_s = now_s

    def power(self):
        """The power was cut, and nothing survived it."""
        self._purses = None

    def quantum(self, category, now_s, ms=QUANTUM_MS):
        """So long it was one category, in this second of the clock; 0: the clock is only looked at."""
        if self._purses is None:
            self.begin(now_s)
        high_s = self._high_s
        back_s = high_s - now_s
        if back_s > 0:
            if now_s < high_s // HOUR_S * HOUR_S - CORRECTION_S:
                self._move(now_s)
            else:
                self._fresh = False
                return
        elif now_s - high_s > CORRECTION_S + 1 and not self._fresh:
            self._move(now_s)
        self._fresh = False
        self._high_s = max(self._high_s, now_s)
        while self._hour < self._high_s // HOUR_S:
            self._finish(self._hour)
            self._hour += 1
            if self._high_s // HOUR_S > self._hour:  # whole hours that nobody watched
                self._hour = self._high_s // HOUR_S
            self._extra = {}
            self._first_s = max(self._first_s, self._hour * HOUR_S)
        purse = self._purses.setdefault(now_s, {})
        if sum(purse.values()) < 1000:
            purse[category] = purse.get(category, 0) + ms

    def _sums(self, from_s, until_s):
        sums = dict(self._extra)
        for second, purse in self._purses.items():
            if from_s <= second < until_s:
                for category, ms in purse.items():
                    sums[category] = sums.get(category, 0) + ms
        return sums

    def _finish(self, hour):
        sums = self._sums(hour * HOUR_S, (hour + 1) * HOUR_S)
        sums[UNKNOWN] = sums.get(UNKNOWN, 0) + 1000 * HOUR_S - sum(sums.values())
        self.hours.append((hour, sums))
        self._purses = {second: purse for second, purse in self._purses.items() if second >= (hour + 1) * HOUR_S}

    def _move(self, now_s):
        """The clock was wrong by more than a correction: what was seen lies right before the new time."""
        watched_s = self._high_s - self._first_s
        into_s = now_s % HOUR_S
        sums = self._sums(self._first_s, self._high_s + 1)
        self.begin(now_s)
        if watched_s <= into_s:
            self._extra = sums
            self._first_s = now_s - watched_s
        else:
            self.lost_ms += sum(sums.values())
