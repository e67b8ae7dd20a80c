"""Folding of repeated refusals: nobody washes out the journal by tapping junk. Pure.

    series = Series(4)
    if not series.folds(reason, pseudonym, uptime_s): ...       # make a record of its own
    if series.over(uptime_s):
        if series.count: ...                                    # one record for all that were only counted
        series.close()

A series begins with a refusal. In its interval each card makes one record for each reason, and a limited number of
cards do; everything beyond is counted. The interval grows while it goes on.
"""

from micropython import const

_FIRST_S = const(60)
_LONGEST_S = const(960)


class Series:
    """One series of refusals; `count` were folded, `reason` and `pseudonym` are those of the last one."""

    def __init__(self, limit):
        """Start; at most `limit` refusals of an interval make records of their own."""
        self._limit = limit
        self._recorded = []
        self._end_s = 0
        self._length_s = _FIRST_S
        self.count = self.reason = 0
        self.pseudonym = bytearray(7)

    def folds(self, reason, pseudonym, uptime_s):
        """Take a refusal in; True if it is only counted."""
        recorded = self._recorded
        self.reason = reason
        self.pseudonym[:] = pseudonym
        this = bytes((reason,)) + pseudonym
        if not recorded:
            if uptime_s >= self._end_s + self._length_s:
                self._length_s = _FIRST_S  # it was quiet for as long
            self._end_s = uptime_s + self._length_s
        elif this in recorded or len(recorded) >= self._limit:
            self.count += 1
            return True
        recorded.append(this)
        return False

    def over(self, uptime_s):
        """Tell whether a series has come to its end."""
        return self._recorded and uptime_s >= self._end_s

    def close(self):
        """Be ready for the next series."""
        self._length_s = min(2 * self._length_s, _LONGEST_S) if self.count else _FIRST_S
        self._recorded.clear()
        self.count = 0
