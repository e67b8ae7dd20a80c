"""The access decision: may this credential pass now? Pure: no I/O, no clock of its own.

    reason = decide(entry, clock.earliest_min, clock.latest_min, clock.trust, policy, accepted, proven)
    granted = not reason & REFUSALS

Time is an interval in which the true minute lies for certain. Residents are judged in their favour while the
interval leaves room, everybody else only while all of it lies inside their validity; a schedule is open while all of
it lies inside (docs/policy.md, "In which order").
"""

from micropython import const

from storage import entry as entries
from storage import record

REFUSALS = const(15)  # these bits say why not; those above are the reservations of a grant

# The table of the policy, as firmware/policysource.py makes it: rows of flags and
ROW = const(6)
OPEN_S = const(1)  # how long the lock is let go
GRACE = const(2)  # in days
KINDS = const(3)  # bits of the kinds of credential that are taken
FIRST = const(4)  # number of the first interval (firmware/hours.py)
COUNT = const(5)  # how many there are
GROUPS = const(64)  # and behind them the number of the row of each group. Row 0 is that of free passage, and
SOON = const(2)  # in it: how many days are soon
ARMED = const(6)  # where row 1 begins: when alarms are heard at the door
# Flags.
RESIDENT = const(1)  # judged in its favour while the time leaves room
AT_FLOOR = const(2)  # let in while the clock stands at its floor
EXEMPT = const(4)  # let in during a lock-down
ALWAYS = const(8)  # it has no schedule
HOLIDAYS = const(0x30)  # what holidays are to it; 0: days like others
CLOSED = const(0x10)
SUNDAY = const(0x20)
# What a date with a meaning of its own is: like a day of the week, 0 Monday to 6 Sunday, or
HOLIDAY = const(7)
OWN = const(8)  # and above: it has the intervals of exception (code - OWN)
DAY_MIN = const(1440)


def decide(entry, earliest_min, latest_min, trust, policy, accepted, proven, passed_back=False):
    """Return why not, or the sum of the reservations with which it is granted: `record.OK` if there is none.

    Args:
        entry: what the allowlist holds (`storage.entry.Entry`), or None if it does not know the credential.
        earliest_min, latest_min: bounds of the present minute since 2020-01-01, inclusive.
        trust: grade of the clock, `record.FLOOR`, `HELD` or `SYNCHRONISED`.
        policy: object with `table`, see above, `locked_down`, and `hours` (firmware.hours.Hours), which tells for a
            row whether its schedule is open and is None if there is none.
        accepted: whether this door takes this kind of credential from the entry's group.
        proven: whether the credential has proved what its kind can prove.
        passed_back: whether it went through on this side already (firmware/passback.py).
    """
    if entry is None:
        return record.UNKNOWN
    if entry.state == entries.REVOKED:
        return record.CANCELLED
    if entry.state != entries.LIVE:
        return record.SUSPENDED
    if not accepted:
        return record.TOO_WEAK
    if not proven:
        return record.NOT_PROVEN
    table = policy.table
    row = table[entry.group - GROUPS] * ROW
    flags = table[row]
    limited = entry.limited
    until = entry.valid_until
    end = until if limited else until + table[row + GRACE] * DAY_MIN
    # Past its end even if it is as early as it can be: this holds at every grade of trust. A card that ends before it
    # begins is never valid.
    if earliest_min >= end or entry.valid_from >= until:
        return record.EXPIRED
    if latest_min < entry.valid_from:
        return record.NOT_YET_VALID
    reserved = 0
    if trust == record.FLOOR:
        if limited or not flags & AT_FLOOR:
            return record.CLOCK_UNKNOWN
        reserved = record.ABOVE_FLOOR
        if earliest_min >= until:
            reserved |= record.IN_GRACE
    else:
        if latest_min >= end or earliest_min < entry.valid_from:
            if limited or not flags & RESIDENT:
                return record.EXPIRED if latest_min >= end else record.NOT_YET_VALID
            reserved = record.ABOVE_FLOOR
        if limited and not entry.uses_left:
            return record.USES_EXHAUSTED
        if not flags & ALWAYS and not policy.hours.open(row, earliest_min, latest_min):
            return record.OUTSIDE_SCHEDULE
        if until <= latest_min and until < end:
            reserved |= record.IN_GRACE
    if policy.locked_down and not flags & EXEMPT:
        return record.LOCKED_DOWN
    return record.PASSED_BACK if passed_back else reserved
