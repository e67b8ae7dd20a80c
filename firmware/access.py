"""The access decision: may this credential pass now? Pure: no I/O, no clock of its own.

    reason = decide(entry, clock.earliest_min, clock.latest_min, clock.trust, residents, accepted, proven)
    granted = reason == record.OK

Time is an interval in which the true minute lies for certain. Residents are judged in their favour while the
interval leaves room, everybody else only while all of it lies inside their validity (docs/architecture.md,
"When the time is not known").
"""

from storage import entry as entries
from storage import record


def decide(entry, earliest_min, latest_min, trust, residents, accepted, proven):
    """Return the reason number: `record.OK`, or why not.

    Args:
        entry: what the allowlist holds (`storage.entry.Entry`), or None if it does not know the credential.
        earliest_min, latest_min: bounds of the present minute since 2020-01-01, inclusive.
        trust: grade of the clock, `record.FLOOR`, `HELD` or `SYNCHRONISED`.
        residents: group numbers that are judged in their favour.
        accepted: whether this door takes this kind of credential from the entry's group.
        proven: whether the credential has proved what its kind can prove.
    """
    if entry is None:
        return record.UNKNOWN
    if entry.state == entries.REVOKED:
        return record.CANCELLED
    if entry.state == entries.SUSPENDED:
        return record.SUSPENDED
    if not accepted:
        return record.TOO_WEAK
    if not proven:
        return record.NOT_PROVEN
    # Past its end even if it is as early as it can be: this holds at every grade of trust. A card that ends before it
    # begins is never valid.
    if earliest_min >= entry.valid_until or entry.valid_from >= entry.valid_until:
        return record.EXPIRED
    if latest_min < entry.valid_from:
        return record.NOT_YET_VALID
    if entry.limited or entry.group not in residents:
        if trust == record.FLOOR:
            return record.CLOCK_UNKNOWN
        if latest_min >= entry.valid_until:
            return record.EXPIRED
        if earliest_min < entry.valid_from:
            return record.NOT_YET_VALID
    if entry.limited and not entry.uses_left:
        return record.USES_EXHAUSTED
    return record.OK
