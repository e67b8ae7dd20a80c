"""What happens to the running hour once an hour, when the clock is set, and at a start. Pure; loaded when needed.

    for hour, counts in catch_up(rate, category, elapsed_ms, now_s):    # storage.hours; seconds that add up to 3,600
        ...
    resume(rate, machine.RTC().memory())
    closer = quicker(rate.closings)

Every second of the clock is counted once. What nobody watched is unknown: before a start, while the controller
restarted, what the clock was set forward by. docs/closed-rate.md, "What is counted".
"""

from binascii import crc32

from micropython import const

from firmware.rate import (
    BLIND_S,
    CHECK,
    CLOSED,
    CLOSINGS,
    CORRECTION_S,
    CYCLES,
    END_S,
    HOUR_S,
    OPENINGS,
    SECONDS,
    SLACK_MS,
    UNKNOWN,
    WORDS,
)

_HOUR_MS = const(3_600_000)
_DAY_H = const(24)
_QUICKER = const(4)


def catch_up(rate, which, elapsed_ms, now_s):
    """Take what Rate.add did not take; return the hours that are over, [(hour since 2020, sixteen numbers), …]."""
    end_s = rate.state[END_S]
    if not end_s:
        begin(rate, now_s)
        return ()
    ahead_ms = 1000 * (end_s - now_s) - rate.room_ms + elapsed_ms
    lacking_s = max(0, (SLACK_MS - 1 - ahead_ms) // 1000)
    if now_s < end_s - HOUR_S - CORRECTION_S or (lacking_s > CORRECTION_S and not rate.resumed):
        _move(rate, now_s)
        return ()
    rate.resumed = False
    finished = []
    _put(rate, UNKNOWN, 1000 * lacking_s, finished)
    if ahead_ms >= 1000 + SLACK_MS:
        elapsed_ms -= min(elapsed_ms, ahead_ms - SLACK_MS)
    _put(rate, which, elapsed_ms, finished)
    return finished


def begin(rate, now_s):
    """Watch begins in the middle of an hour."""
    state = rate.state
    blind_s = now_s % HOUR_S
    for i in range(SECONDS):
        state[i] = 0
    state[UNKNOWN] = 1000 * blind_s
    state[BLIND_S] = blind_s
    state[END_S] = now_s - blind_s + HOUR_S
    rate.room_ms = _HOUR_MS - 1000 * blind_s
    _forget_day(rate)


def _forget_day(rate):
    for i in range(2 * _DAY_H):
        rate.day[i] = 0
    rate.latest[:] = 0, 0


def _put(rate, which, count_ms, finished):
    state = rate.state
    while count_ms >= rate.room_ms:
        state[which] += rate.room_ms
        count_ms -= rate.room_ms
        finished.append(_finish(rate))
        if count_ms >= _HOUR_MS:
            # Whole hours that nobody watched have no record.
            state[END_S] += count_ms // _HOUR_MS * HOUR_S
            count_ms %= _HOUR_MS
            _forget_day(rate)
    state[which] += count_ms
    rate.room_ms -= count_ms


def _finish(rate):
    """Round to seconds, by the largest remainder; what is rounded goes on into the next hour, so nothing is lost."""
    state = rate.state
    counts = [max(0, state[i] // 1000) for i in range(SECONDS)]
    for _ in range(abs(HOUR_S - sum(counts))):
        rests = [state[i] - 1000 * counts[i] for i in range(SECONDS)]
        if sum(counts) < HOUR_S:
            counts[rests.index(max(rests))] += 1
        else:
            rests = [rests[i] if counts[i] else 1000 for i in range(SECONDS)]
            counts[rests.index(min(rests))] -= 1
    for i in range(SECONDS):
        state[i] -= 1000 * counts[i]
    counts += [state[OPENINGS], state[CYCLES], rate.closer]
    state[OPENINGS] = state[CYCLES] = state[BLIND_S] = 0
    hour = state[END_S] // HOUR_S - 1
    state[END_S] += HOUR_S
    rate.room_ms = _HOUR_MS
    day = rate.day
    at = hour % _DAY_H << 1
    for i, value in ((0, counts[CLOSED]), (1, HOUR_S - counts[UNKNOWN])):
        rate.latest[i] += value - day[at + i]
        day[at + i] = value
    return hour, counts


def _move(rate, now_s):
    """The clock was wrong: what was seen in the running hour belongs to the seconds before `now_s`."""
    state = rate.state
    seen = list(state[:SECONDS])
    seen[UNKNOWN] -= 1000 * state[BLIND_S]
    watched_s = (sum(seen) + SLACK_MS) // 1000
    begin(rate, now_s)
    blind_s = state[BLIND_S] - watched_s
    if blind_s < 0:
        return  # a part of it belongs to the hour before, and nobody knows which
    for i in range(SECONDS):
        state[i] = seen[i]
    state[UNKNOWN] += 1000 * blind_s
    state[BLIND_S] = blind_s
    rate.room_ms = _HOUR_MS - sum(state[:SECONDS])


def resume(rate, kept):
    """Go on with the hour that Rate.save left in the RTC's memory, if there is one; what lies between is unknown."""
    if len(kept) != 4 * WORDS:
        return
    words = [int.from_bytes(kept[at : at + 4], "little") for at in range(0, len(kept), 4)]
    if words[CHECK] != crc32(kept[: 4 * CHECK]) & 0x3FFFFFFF:
        return
    for i in range(CHECK):
        rate.state[i] = words[i] - (words[i] >> 31 << 32)
    rate.room_ms = _HOUR_MS - sum(rate.state[:SECONDS])
    rate.resumed = True


def quicker(closings):
    """Tenths of a second that the quickest quarter of the last 16 closings stay within, 0 while there are fewer.

    People hold a door, let others through, carry things: the quicker ones are the closer's, the others theirs.
    """
    latest = sorted(closings[:CLOSINGS])
    return latest[_QUICKER - 1] if latest[0] else 0


def slow(figure, reference, percent, already):
    """Whether a closer has become slow: from `percent` of the reference on; it ends half-way back, lest it flicker."""
    if already:
        percent = (percent + 100) >> 1
    return reference * percent <= figure * 100
