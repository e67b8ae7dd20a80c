"""When it really happened: times of records that were made before the clock was set, put right afterwards.

    for moment in corrected(store.events("front-gate")):
        print(moment.record.seq, moment.record.time, moment.time, moment.within)

A door stamps its records with the time it believes in, and says how far. A *clock* record is stamped with the old time
and carries the new one, so it tells how wrong the records of the same start before it were. docs/time.md, "Times put
right". Pure: works on anything with seq, boot, time, trust, uncertainty, kind, reason, detail and raw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from storage import record

# How late the time of a message is at most, and how far a step may be no matter of drift (firmware/clockrules.py).
_LATE_S = 4
_SLACK_S = 10
_ARGUMENT = slice(41, 45)  # of a long record: bytes 8 to 11 of the payload, which begins at byte 33


@dataclass(frozen=True)
class Moment:
    """A record and when it was, in seconds since 2020.

    `time` is None if only bounds are known; `earliest` and `latest` are None where nothing is. `changed` tells that
    `time` comes from a later *clock* record, not from the record itself.
    """

    record: Any
    time: int | None
    earliest: int | None
    latest: int | None
    changed: bool = False

    @property
    def within(self) -> int | None:
        """Half the width of the interval, rounded up; None if it is open."""
        if self.earliest is None or self.latest is None:
            return None
        return (self.latest - self.earliest + 1) // 2


def new_time(item: Any) -> int:
    """The time that a *clock* record says was set."""
    if len(item.raw) >= 64:
        return int.from_bytes(item.raw[_ARGUMENT], "little")
    back = item.reason & record.LOWERED == record.LOWERED
    return item.time + (-item.detail if back else item.detail)


def corrected(records: Iterable[Any], drift_ppm: int = 50) -> list[Moment]:
    """Put the times of one door's records of one journal right; in the order of their numbers.

    Args:
        records: complete starts, or what there is of them.
        drift_ppm: the door's setting of that name.
    """
    ordered = sorted(records, key=lambda item: item.seq)
    starts = [list(group) for _, group in groupby(ordered, key=lambda item: item.boot)]
    found: list[Moment] = []
    before: int | None = None  # everything that is still to come was before this
    for start in reversed(starts):
        moments = _start(start, before, drift_ppm)
        latest = [moment.latest for moment in moments if moment.latest is not None]
        before = min(latest, default=before) if before is None else min([before, *latest])
        found = moments + found
    return found


def _start(items: list[Any], before: int | None, drift_ppm: int) -> list[Moment]:
    """The records between two starts of the door."""
    stretches: list[list[Any]] = [[]]  # each but the last ends with the record of the setting that ended it
    for item in items:
        stretches[-1].append(item)
        if item.kind == record.CLOCK:
            stretches.append([])
    last = stretches.pop()
    setting = stretches[-1][-1] if stretches else None
    wrong = _wrong_setting(last, setting, before)
    found = [_as_it_stands(item, wrong, before) for item in last]
    carry = wrong
    for number in range(len(stretches) - 1, -1, -1):
        stretch = stretches[number]
        end = stretch[-1]
        begun = new_time(stretches[number - 1][-1]) if number else None
        if carry is None:  # what ended it was wrong, and nobody knows by how much
            moments = [_as_it_stands(item, 0, before) for item in stretch]
            carry = 0
        else:
            error = new_time(end) + carry - end.time  # by this the clock was slow when it was set
            grown = begun is not None and abs(error) <= _SLACK_S + abs(end.time - begun) * drift_ppm / 1e6
            moments = [_put_right(item, end, error, begun if grown else None, drift_ppm) for item in stretch]
            carry = 0 if grown else error
        found = moments + found
    return found


def _wrong_setting(last: list[Any], setting: Any | None, before: int | None) -> int | None:
    """How far the last setting of a start was wrong, as what came later shows: 0 for not at all, None: not known."""
    if before is None or setting is None:
        return 0
    stamps = [item.time for item in last if item.trust != record.FLOOR] or [new_time(setting)]
    if min(stamps) <= before + _SLACK_S:
        return 0
    return None if setting.reason & 3 == record.FLOOR else setting.time - new_time(setting)


def _as_it_stands(item: Any, wrong: int | None, before: int | None) -> Moment:
    """A record that no later setting explains."""
    # What would have been after something that came later was stamped by a wrong clock.
    sound = wrong is not None and (bool(wrong) or before is None or item.time <= before + _SLACK_S)
    if item.trust == record.FLOOR or not sound:
        # A floor is no time, but it was not earlier; unless the floor itself was wrong.
        return Moment(item, None, item.time if sound else None, before)
    time = item.time + wrong
    error = 1 << item.uncertainty
    return Moment(item, time, time - error, time + error, bool(wrong))


def _put_right(item: Any, end: Any, error: int, begun: int | None, drift_ppm: int) -> Moment:
    """A record of a stretch at whose end the clock was `error` slow; right at `begun`, or as wrong all the time."""
    if begun is None:
        time = item.time + error
        bound = _LATE_S + 1 + int((end.time - item.time) * drift_ppm / 1e6)
    else:
        length = max(end.time - begun, 1)
        time = item.time + round(error * min(max(item.time - begun, 0), length) / length)
        bound = _LATE_S + abs(error)
    return Moment(item, time, time - bound, time + bound, time != item.time)
