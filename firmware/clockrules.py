"""Which time may be taken, how far the oscillator is off, when the clock counts as lost. Pure; docs/time.md.

    verdict = clockrules.judge(clock, time_s, uptime_s)     # TAKE, DOUBT or REFUSE
    clockrules.measure(clock, time_s, uptime_s)             # before clock.synchronise

Needed when a time comes, a few times a day: loaded then, and dropped afterwards.
"""

from micropython import const

from firmware.version import BUILT_S
from storage import record

TAKE = const(0)
DOUBT = const(1)
REFUSE = const(2)

CONFIRM_S = const(600)

# From the floor: a door that had the time was off for a year at most; one that never had it may run a release that is
# five years old. What is beyond waits ten minutes for its confirmation.
_OFF_S = const(31_622_400)
_FIRST_S = const(157_852_800)
# What is beyond these no message of upstream confirms, only two persons do: a clock that runs is not off by a day, and
# no door that was dark for eight years is put back without anybody looking at it.
_RUNNING_S = const(86_400)
_DARK_S = const(252_460_800)
# Upstream cuts its time to whole seconds, and a message may be under way for 3 s until its deadline.
_LATE_S = const(4)
_SLACK_S = const(10)
_DAY_S = const(86_400)
_WINDOW_S = const(691_200)  # 8 days: 4 s in them are 5.8 ppm
_GRACE_S = const(600)
_MOST_EXPONENT = const(30)


def explained(clock, step_s):
    """Whether the clock's own uncertainty explains such a step, or at the floor, a time without power."""
    if clock.trust == record.FLOOR:
        return step_s <= (_OFF_S if clock.floor_s > BUILT_S else _FIRST_S)
    return abs(step_s) <= _SLACK_S + (1 << clock.uncertainty)


def judge(clock, time_s, uptime_s):
    """Say what becomes of an authenticated time.

    `clock.doubt` remembers one that waits for its confirmation: its distance from uptime, since when, and whether
    messages can confirm it at all. It is confirmed by another one that agrees, `CONFIRM_S` later or more, in whichever
    session: a server that starts before its own clock is set breaks all sessions and makes new ones within seconds, so
    a session proves nothing.
    """
    step_s = clock.step_to(time_s, uptime_s)
    if step_s is None:
        return REFUSE
    if explained(clock, step_s):
        clock.doubt = None
        return TAKE
    offset_s = time_s - uptime_s
    near = abs(step_s) <= (_RUNNING_S if clock.trust else _DARK_S)
    if near and clock.doubt:
        first_s, since_s, _ = clock.doubt
        age_s = uptime_s - since_s
        if abs(offset_s - first_s) <= _SLACK_S + age_s // 1000 * clock.drift_ppm // 1000:
            if age_s < CONFIRM_S:
                return DOUBT
            clock.doubt = clock.anchor = None  # what was measured until now was measured by another time
            return TAKE
    clock.doubt = offset_s, uptime_s, near
    return DOUBT


def measure(clock, time_s, uptime_s):
    """Learn from a time that is about to be taken how slow (+) or fast (-) the oscillator is: `clock.rate_ppm`.

    The longer the time since the anchor, the more the measurement weighs, all after 8 days; then the anchor moves.
    What the lateness of two messages may feign is never more than `drift_ppm`, so that this still bounds what remains.
    """
    if not clock.anchor:
        clock.anchor = time_s, uptime_s, clock.rate_ppm
        return
    from_s, since_s, rate_ppm = clock.anchor
    age_s = uptime_s - since_s
    limit_ppm = clock.drift_ppm
    if age_s < _DAY_S or age_s * limit_ppm < _LATE_S * 1_000_000:
        return
    found_ppm = ((time_s - from_s - age_s) * 1_000_000 + age_s // 2) // age_s
    if abs(found_ppm) > limit_ppm + _LATE_S * 1_000_000 // age_s:
        clock.anchor = None  # no oscillator is so bad: somebody set upstream's clock
        measure(clock, time_s, uptime_s)
        return
    rate_ppm += ((found_ppm - rate_ppm) * min(age_s, _WINDOW_S) + _WINDOW_S // 2) // _WINDOW_S
    clock.rate_ppm = rate_ppm = max(-limit_ppm, min(limit_ppm, rate_ppm))
    if age_s >= _WINDOW_S:
        clock.anchor = time_s, uptime_s, rate_ppm


def lost(clock, uptime_s, limit_s):
    """Whether somebody should look: at the floor 10 minutes after the start, or not known to `limit_s` seconds.

    The uncertainty is the one of the records, a power of two.
    """
    if clock.trust == record.FLOOR:
        return uptime_s >= _GRACE_S
    return clock.uncertainty >= _MOST_EXPONENT or 1 << clock.uncertainty > limit_s
