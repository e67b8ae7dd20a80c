"""The access decision: may this credential pass now? Pure: no I/O, no clock of its own.

    reason = decide(entry, clock.earliest_min, clock.latest_min, clock.trust, policy, accepted, proven)
    granted = not reason & REFUSALS

Time is an interval in which the true minute lies for certain. Residents are judged in their favour while the
interval leaves room, everybody else only while all of it lies inside their validity; a schedule is open while all of
it lies inside (docs/policy.md, "In which order").
"""

from micropython import const

from firmware import policy as policies
from storage import entry as entries
from storage import record

REFUSALS = const(15)  # these bits say why not; those above are the reservations of a grant


def decide(entry, earliest_min, latest_min, trust, policy, accepted, proven, passed_back=False):
    """Return why not, or the sum of the reservations with which it is granted: `record.OK` if there is none.

    Args:
        entry: what the allowlist holds (`storage.entry.Entry`), or None if it does not know the credential.
        earliest_min, latest_min: bounds of the present minute since 2020-01-01, inclusive.
        trust: grade of the clock, `record.FLOOR`, `HELD` or `SYNCHRONISED`.
        policy: groups, schedules and lock-down (`firmware.policy.Policy`).
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
    group = entry.group
    limited = entry.limited
    flags = policy.flags(group)
    until = entry.valid_until
    end = until if limited else until + policy.grace_min(group)
    # Past its end even if it is as early as it can be: this holds at every grade of trust. A card that ends before it
    # begins is never valid.
    if earliest_min >= end or entry.valid_from >= until:
        return record.EXPIRED
    if latest_min < entry.valid_from:
        return record.NOT_YET_VALID
    reserved = 0
    if trust == record.FLOOR:
        if limited or not flags & policies.AT_FLOOR:
            return record.CLOCK_UNKNOWN
        reserved = record.ABOVE_FLOOR
        if earliest_min >= until:
            reserved |= record.IN_GRACE
    else:
        if latest_min >= end or earliest_min < entry.valid_from:
            if limited or not flags & policies.RESIDENT:
                return record.EXPIRED if latest_min >= end else record.NOT_YET_VALID
            reserved = record.ABOVE_FLOOR
        if limited and not entry.uses_left:
            return record.USES_EXHAUSTED
        if not policy.open(group, earliest_min, latest_min):
            return record.OUTSIDE_SCHEDULE
        if until <= latest_min and until < end:
            reserved |= record.IN_GRACE
    if policy.locked_down and not flags & policies.EXEMPT:
        return record.LOCKED_DOWN
    return record.PASSED_BACK if passed_back else reserved
