"""Folding of repeated refusals: nobody washes out the journal by tapping junk. Pure.

    series = Series(4)
    if not series.folds(reason, pseudonym, uptime_s): ...       # make a record of its own
    if series.over(uptime_s):
        if series.count: ...                                    # one record for all that were only counted
        series.close()

A series begins with a refusal. In its interval the first few make records of their own; the same card for the same
reason again, and everything beyond the few, is counted. The interval grows while it goes on.
"""

from micropython import const

_FIRST_S = const(60)
_LONGEST_S = const(960)


class Series:
    """One series of refusals; `count` were folded, `reason` and `pseudonym` are those of the last one."""

    def __init__(self, limit):
        """Start; at most `limit` refusals of an interval make records of their own."""
        self._limit = limit
        self._stored = 0
        self._end_s = 0
        self._length_s = _FIRST_S
        self.count = self.reason = 0
        self.pseudonym = bytearray(7)

    def folds(self, reason, pseudonym, uptime_s):
        """Take a refusal in; True if it is only counted."""
        same = reason == self.reason and pseudonym == self.pseudonym
        self.reason = reason
        self.pseudonym[:] = pseudonym
        if not self._stored:
            self._end_s = uptime_s + self._length_s
        elif same or self._stored >= self._limit:
            self.count += 1
            return True
        self._stored += 1
        return False

    def over(self, uptime_s):
        """Tell whether a series has come to its end."""
        return self._stored and uptime_s >= self._end_s

    def close(self):
        """Be ready for the next series."""
        self._length_s = min(2 * self._length_s, _LONGEST_S) if self.count else _FIRST_S
        self._stored = self.count = 0
