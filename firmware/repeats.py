"""Repeated refusals: nobody washes out the journal by tapping junk, nor keeps the door busy with it. Pure.

    memory = tries()
    if wrong(memory, uptime_s): ...                             # the fifth in a row
    if answered(memory, uptime_s): ...                          # this unknown one gets a light and a sound
    memory[COUNT] = 0                                           # somebody was let in

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
_TRIES = const(5)  # GB 50396-2007 5.1.5 (1): an alarm after at most five wrong tries in a row
_QUIET_S = const(600)  # after as long without one, five more are another series
_FIRST_PAUSE_S = const(2)
_LONGEST_PAUSE_S = const(10)


# What is remembered of tries: a list of
COUNT = const(0)  # wrong ones since the last grant
_WRONG_S = const(1)  # when the last one was
_UNTIL_S = const(2)  # up to and in which second unknown ones are not answered
_PAUSE_S = const(3)  # how long that was


def tries():
    """Return the memory of a door at which nobody was yet; whoever is let in sets its COUNT to 0."""
    return [0, 0, -1, 1]


def wrong(tries, uptime_s):
    """Take a refusal in; True if it is the fifth since the last grant, once in a series."""
    count = tries[COUNT]
    if count == _TRIES and uptime_s - tries[_WRONG_S] >= _QUIET_S:
        count = 0
    tries[_WRONG_S] = uptime_s
    tries[COUNT] = min(count + 1, _TRIES)
    return count == _TRIES - 1


def answered(tries, uptime_s):
    """Tell whether an unknown credential is answered: not within the pause after the last one that was."""
    over_s = uptime_s - tries[_UNTIL_S]
    if over_s <= 0:  # whole seconds: with < it could be one second too few
        return False
    pause_s = min(2 * tries[_PAUSE_S], _LONGEST_PAUSE_S) if over_s <= _LONGEST_PAUSE_S else _FIRST_PAUSE_S
    tries[_PAUSE_S] = pause_s
    tries[_UNTIL_S] = uptime_s + pause_s
    return True


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
