"""Weekly schedules, holidays, exceptions and free passage. Pure. Only loaded at a door whose policy has intervals.

    hours = Hours(*parts)                                       # as firmware/policysource.py compiled them
    if hours.open(row, clock.earliest_min, clock.latest_min): ...
    if hours.turns(clock.earliest_min, clock.latest_min, clock.trust, locked_down): ...      # hours.free is another one

docs/policy.md says what all of it means. Nothing here allocates after the start.
"""

from micropython import const

from firmware import access
from storage import record

_FREE = const(0)  # row of free passage
_WEDNESDAY = const(2)  # 2020-01-01
_WIDEST_MIN = const(10_080)  # an uncertainty of more than a week lies inside no schedule


class Hours:
    """The intervals of all groups and of free passage; `free` tells whether everybody may pass without a card."""

    def __init__(self, table, spans, dates, own, offset_min, first_in):
        """Take what was compiled.

        Args:
            table: bytes, see firmware.access.
            spans: array of intervals: days or number of exception, 7 bits; begin, 11 bits; length in minutes.
            dates: array of first day since 2020-01-01, 14 bits; days that follow, 8 bits; code, 8 bits. First fits.
            own: number of the first interval of exceptions.
            offset_min: local time less UTC.
            first_in: whether free passage waits for a first card.
        """
        self._table = table
        self._spans = spans
        self._dates = dates
        self._own = own
        self._offset_min = offset_min
        self._first_in = first_in
        self.free = False
        self._until_min = 0  # up to then, in local time, a first card began free passage

    def turns(self, earliest_min, latest_min, trust, locked_down):
        """Bring `free` to the present; True if it has changed."""
        # A clock that was set back must not find itself before the end of an interval to come: none is over a day.
        left_min = self._until_min - self._offset_min - latest_min
        free = (
            trust != record.FLOOR
            and not locked_down
            and (not self._first_in or 0 < left_min <= access.DAY_MIN)
            and self.open(_FREE, earliest_min, latest_min)
        )
        changed = free != self.free
        self.free = free
        return changed

    def armed(self, earliest_min, latest_min, trust):
        """Tell whether alarms are heard at the door; they are as long as it may be the time for it."""
        return (
            self._table[access.ARMED] & access.ALWAYS > 0
            or trust == record.FLOOR
            or self.open(access.ARMED, earliest_min, earliest_min)
            or self.open(access.ARMED, latest_min, latest_min)
        )

    def entered(self, earliest_min, latest_min, trust):
        """A card was let in; it may be the first one for which free passage waits."""
        if self._first_in and trust != record.FLOOR and self.open(_FREE, earliest_min, latest_min):
            self._until_min = self._end(_FREE, latest_min + self._offset_min)

    def open(self, row, earliest_min, latest_min):
        """Tell whether every minute from the earliest to the latest, in UTC, lies in an interval of this row."""
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
        # An interval belongs to the day on which it begins, and may go on over midnight.
        for back in range(2):
            day = minute // access.DAY_MIN - back
            code = self._code(day, table[row] & access.HOLIDAYS)
            first = table[row + access.FIRST] if code < access.OWN else self._own
            for index in range(first, first + table[row + access.COUNT] if code < access.OWN else len(spans)):
                span = spans[index]
                if (span & 127) == code - access.OWN if code >= access.HOLIDAY else span >> code & 1:
                    begin = day * access.DAY_MIN + (span >> 7 & 2047)
                    if begin <= minute < begin + (span >> 18):
                        end = max(end, begin + (span >> 18))
        return end

    def _code(self, day, holidays):
        """Return what a day is to those who mind holidays in this way."""
        if holidays:
            for date in self._dates:
                if 0 <= day - (date >> 16) <= date >> 8 & 255:
                    code = date & 255
                    if code == access.HOLIDAY and holidays == access.SUNDAY:
                        return 6
                    return code
        return (day + _WEDNESDAY) % 7
