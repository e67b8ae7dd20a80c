"""When a door opens to whom: weekly schedules, holidays, free passage, lock-down. Pure.

    policy = Policy(*policysource.compiled(settings))
    if policy.flags(group) & RESIDENT: ...
    if policy.open(group, clock.earliest_min, clock.latest_min): ...     # the schedule of this group, the time known
    if policy.free(clock.earliest_min, clock.latest_min, clock.trust): ...

docs/policy.md says what all of it means. Nothing here allocates after the start.
"""

from micropython import const

from storage import record

# Flags of a group.
RESIDENT = const(1)  # judged in its favour while the time leaves room
AT_FLOOR = const(2)  # let in while the clock stands at its floor
EXEMPT = const(4)  # let in during a lock-down
ALWAYS = const(8)  # it has no schedule
HOLIDAYS = const(0x30)  # 0: they are days like others
CLOSED = const(0x10)
SUNDAY = const(0x20)

# What a date with a meaning of its own is: like a day of the week, 0 Monday to 6 Sunday, or
HOLIDAY = const(7)
OWN = const(8)  # and above: it has the intervals of exception (code - OWN)

# Table: for each of 64 groups the number of its row, then the rows; row 0 is that of free passage.
_GROUPS = const(64)
_ROW = const(5)  # flags, opening time in s, days of grace, first interval, number of intervals
_DAY_MIN = const(1440)
_WEDNESDAY = const(2)  # 2020-01-01
_WIDEST_MIN = const(10_080)  # an uncertainty of more than a week lies inside no schedule


class Policy:
    """What the settings say about groups and hours, as firmware/policysource.py compiled it, and how the door stands.

    `locked_down` is set from outside. `soon_min`: a card that ends within so many minutes ends soon.
    """

    def __init__(self, table, spans, dates, own, offset_min, first_in, soon_min):
        """Take what was compiled.

        Args:
            table: bytes, see above.
            spans: array of intervals: days or number of exception, 7 bits; begin, 11 bits; length in minutes.
            dates: array of first day since 2020-01-01, 14 bits; days that follow, 8 bits; code, 8 bits. First fits.
            own: index of the first interval of exceptions in `spans`.
            offset_min: local time less UTC.
            first_in: whether free passage waits for a first card.
        """
        self._table = table
        self._spans = spans
        self._dates = dates
        self._own = own
        self._offset_min = offset_min
        self._first_in = first_in
        self._until_min = 0  # local; up to then a first card began free passage
        self.soon_min = soon_min
        self.locked_down = False

    def _row(self, group):
        return _GROUPS + _ROW * self._table[group]

    def flags(self, group):
        """Return the flags of a group."""
        return self._table[self._row(group)]

    def open_ms(self, group):
        """Return how long the lock is let go for a group."""
        return self._table[self._row(group) + 1] * 1000

    def grace_min(self, group):
        """Return for how long after its end a card of this group is let in."""
        return self._table[self._row(group) + 2] * _DAY_MIN

    def open(self, group, earliest_min, latest_min):
        """Tell whether a group's schedule is open in all minutes from the earliest to the latest, in UTC."""
        return self.flags(group) & ALWAYS or self._covers(self._row(group), earliest_min, latest_min)

    def free(self, earliest_min, latest_min, trust):
        """Tell whether everybody may pass without a card now."""
        if trust == record.FLOOR or self.locked_down or not self._covers(_GROUPS, earliest_min, latest_min):
            return False
        # A clock that was set back must not find itself before the end of an interval to come: none is over a day.
        left_min = self._until_min - self._offset_min - latest_min
        return not self._first_in or 0 < left_min <= _DAY_MIN

    def entered(self, earliest_min, latest_min, trust):
        """A card was let in; it may be the first one for which free passage waits."""
        if self._first_in and trust != record.FLOOR and self._covers(_GROUPS, earliest_min, latest_min):
            self._until_min = self._end(_GROUPS, latest_min + self._offset_min)

    def _covers(self, row, earliest_min, latest_min):
        minute = earliest_min + self._offset_min
        last = latest_min + self._offset_min
        if last - minute > _WIDEST_MIN:
            return False
        while minute <= last:
            minute = self._end(row, minute)
            if not minute:
                return False
        return True

    def _end(self, row, minute):
        """Return the minute in which the intervals end that cover this local one, 0 if none does."""
        table = self._table
        spans = self._spans
        end = 0
        for back in range(2):  # an interval belongs to the day on which it begins, and may go on over midnight
            day = minute // _DAY_MIN - back
            midnight = day * _DAY_MIN
            code = self._code(day, table[row] & HOLIDAYS)
            first = table[row + 3] if code < OWN else self._own
            for index in range(first, first + table[row + 4] if code < OWN else len(spans)):
                span = spans[index]
                if (span & 127) == code - OWN if code >= HOLIDAY else span >> code & 1:
                    begin = midnight + (span >> 7 & 2047)
                    if begin <= minute < begin + (span >> 18):
                        end = max(end, begin + (span >> 18))
        return end

    def _code(self, day, holidays):
        """Return what a day is to those who mind holidays in this way."""
        if holidays:
            for date in self._dates:
                if 0 <= day - (date >> 16) <= date >> 8 & 255:
                    code = date & 255
                    if code == HOLIDAY and holidays == SUNDAY:
                        return 6
                    return code
        return (day + _WEDNESDAY) % 7
