"""How much of the day doors were closed (关门率): from what they recorded each hour, by door and day or shift.

    report = closed_rate(entries, offset_min=480, shifts=parse_shifts(["08:00-20:00"]))
    report.rows[0].rate             # 0.987…; None if nothing is known

The formula, and what counts as unknown, is in docs/closed-rate.md. `entries` come from a database (`of_store`) or from
the journal in a flash image (`of_journal`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from menwei import names
from menwei.epoch import UNIX_2020
from menwei.image import Journal
from menwei.store import Event, Store
from storage import hours, record

TARGET = 0.95  # residential property service assessments in China ask for 95 % and more
# Sanyou SRD data sheet, "Endurance": 100,000 operations at rated load, as of most relays of that size.
RELAY_CYCLES = 100_000
# Restarts beyond the first in a report, and readers brought back, that somebody should look into: one a week.
PER_WEEK = 1
_WEEK_S = 7 * 86400
_ALL_DAY = (0, 1440)


@dataclass(frozen=True)
class Entry:
    """One record, whatever it was read from; times in seconds since 2020."""

    door: str
    seq: int
    boot: int
    time: int
    trust: int
    kind: int
    reason: int
    detail: int
    payload: bytes


@dataclass
class Row:
    """One door on one day, or in one shift of it. Seconds by cause are those of docs/records.md."""

    door: str
    day: date
    shift: str
    closed_s: int = 0
    open_s: int = 0
    unknown_s: int = 0
    propped_s: int = 0
    ajar_s: int = 0
    by_cause: dict[str, int] = field(default_factory=dict)
    openings: int = 0

    @property
    def rate(self) -> float | None:
        """Closed of what is known."""
        known_s = self.closed_s + self.open_s
        return self.closed_s / known_s if known_s else None

    def as_json(self) -> dict:
        """For programs."""
        told = {name: value for name, value in vars(self).items() if name != "day"}
        return {"day": self.day.isoformat(), **told, "rate": self.rate, "reached": self.rate and self.rate >= TARGET}


@dataclass
class Care:
    """What of a door wears or failed: its maintenance."""

    door: str
    from_s: int = 0
    until_s: int = 0
    relay_cycles: int = 0
    restarts: int = 0
    reader_faults: int = 0
    closer: float | None = None  # seconds
    closer_slow: bool = False

    @property
    def due(self) -> list[str]:
        """What somebody should look at."""
        weeks = max(1.0, (self.until_s - self.from_s) / _WEEK_S)
        found = []
        if self.relay_cycles >= RELAY_CYCLES:
            found.append(f"relay: {self.relay_cycles:,} cycles, made for {RELAY_CYCLES:,}: replace it")
        if self.closer_slow:
            found.append("closer: much slower than it was: adjust or replace it")
        if self.reader_faults > PER_WEEK * weeks:
            found.append(f"reader: brought back {self.reader_faults} times: look at its wiring and supply")
        if self.restarts > PER_WEEK * weeks:
            found.append(f"controller: {self.restarts} restarts: look at its supply and log")
        return found


@dataclass
class Report:
    """All rows by door and day, the maintenance of each door, and hours that could not be read."""

    rows: list[Row] = field(default_factory=list)
    care: list[Care] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def total(self) -> Row | None:
        """All doors and days together: the community's rate."""
        if not self.rows:
            return None
        total = Row("all", self.rows[0].day, "")
        for row in self.rows:
            for name in ("closed_s", "open_s", "unknown_s", "propped_s", "ajar_s", "openings"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
            for cause, seconds in row.by_cause.items():
                total.by_cause[cause] = total.by_cause.get(cause, 0) + seconds
        return total


def of_store(store: Store, door: str | None = None) -> list[Entry]:
    """What upstream has stored."""
    return [_entry_of_event(event) for event in store.events(door)]


def _entry_of_event(event: Event) -> Entry:
    number = (event.door, event.seq, event.boot, event.time, event.trust, event.kind, event.reason, event.detail)
    return Entry(*number, bytes(event.raw[33:57]))


def of_journal(journal: Journal, door: str) -> list[Entry]:
    """What stands in the journal of a flash image."""
    return [
        Entry(
            door, found.seq, found.boot, found.time, found.trust, found.kind, found.reason, found.detail, found.payload
        )
        for found in journal.records
    ]


def parse_shift(text: str) -> tuple[int, int]:
    """Minutes of the day of `20:00-08:00`; ValueError with a sentence."""
    try:
        begin, end = (time.fromisoformat(part) for part in text.split("-"))
    except ValueError:
        raise ValueError(f"{text!r} is no shift; write 08:00-20:00") from None
    if begin.minute or end.minute or begin == end:
        raise ValueError(f"{text!r}: doors count by hours, so shifts begin and end with full hours")
    return begin.hour * 60, end.hour * 60


def closed_rate(
    entries: Iterable[Entry], *, offset_min: int = 0, shifts: Sequence[str] = (), until_s: int | None = None
) -> Report:
    """Add up the hours of each door by local day and shift; hours without a record are unknown, from first to last.

    `offset_min` is the local time's offset from UTC, `until_s` (since 2020) the end if it is not the last record.
    """
    report = Report()
    spans = {text: parse_shift(text) for text in shifts} or {"": _ALL_DAY}
    by_door: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_door[entry.door].append(entry)
    for door, found in sorted(by_door.items()):
        counted = _hours(door, found, report)
        if counted:
            last = max(counted) if until_s is None else until_s // 3600 - 1
            report.rows += _rows(door, {h: counted.get(h) for h in range(min(counted), last + 1)}, offset_min, spans)
        report.care.append(_care(door, found))
        _compare(door, found, report)
    return report


def _hours(door: str, entries: list[Entry], report: Report) -> dict[int, list[int]]:
    """Numbers by hour since 2020; of several records of one hour the one that knows most, of equal ones the later."""
    counted: dict[int, list[int]] = {}
    for at, entry in enumerate(entries):
        if entry.kind != record.HOUR:
            continue
        try:
            counts = hours.unpack(entry.payload)
        except ValueError as error:
            report.problems.append(f"{door}: record {entry.seq}: {error}")
            continue
        hour = entry.detail
        if entry.trust == record.FLOOR:
            step_s = _correction(entries, at)
            if step_s is None:
                report.problems.append(
                    f"{door}: record {entry.seq}: its hour is not known, the clock was not set later"
                )
                continue
            hour = (entry.detail * 3600 + 1800 + step_s) // 3600
        before = counted.get(hour)
        if before is None or counts[hours.UNKNOWN] <= before[hours.UNKNOWN]:
            counted[hour] = counts
    return counted


def _correction(entries: list[Entry], at: int) -> int | None:
    """Seconds by which the clock was set when it left the floor, in the same run of the controller."""
    for entry in entries[at + 1 :]:
        if entry.boot != entries[at].boot:
            return None
        if entry.kind == record.CLOCK and entry.trust == record.FLOOR:
            return entry.detail  # from the floor it only goes forward
    return None


def _rows(door: str, counted: dict[int, list[int] | None], offset_min: int, spans: dict) -> list[Row]:
    rows: dict[tuple[date, str], Row] = {}
    for hour, counts in counted.items():
        local = datetime.fromtimestamp(hour * 3600 + UNIX_2020, UTC) + timedelta(minutes=offset_min)
        minute = local.hour * 60
        for shift, (begin, end) in spans.items():
            inside = begin <= minute < end if begin < end else minute >= begin or minute < end
            if not inside:
                continue
            # The night shift is that of the evening on which it began.
            day = (local - timedelta(days=1)).date() if begin > end and minute < end else local.date()
            row = rows.setdefault((day, shift), Row(door, day, shift))
            _add(row, counts)
    return [rows[key] for key in sorted(rows)]


def _add(row: Row, counts: list[int] | None) -> None:
    if counts is None:
        row.unknown_s += hours.HOUR_S
        return
    row.closed_s += counts[hours.CLOSED]
    row.unknown_s += counts[hours.UNKNOWN]
    row.propped_s += counts[hours.PROPPED]
    row.ajar_s += counts[hours.AJAR]
    row.open_s += hours.HOUR_S - counts[hours.CLOSED] - counts[hours.UNKNOWN]
    row.openings += counts[hours.OPENINGS]
    for cause, seconds in enumerate(counts[hours.OPEN : hours.SECONDS]):
        if seconds:
            name = names.CAUSES.get(cause, str(cause))
            row.by_cause[name] = row.by_cause.get(name, 0) + seconds


def _care(door: str, entries: list[Entry]) -> Care:
    care = Care(door, from_s=entries[0].time, until_s=entries[-1].time)
    for before, entry in pairwise((None, *entries)):
        if entry.kind == record.HOUR:
            try:
                counts = hours.unpack(entry.payload)
            except ValueError:
                continue  # told already
            care.relay_cycles += counts[hours.CYCLES]
            care.closer = counts[hours.CLOSER] / 10 or care.closer
        elif entry.kind == record.READER:
            care.reader_faults += 1
        elif entry.kind == record.BOOT and before is not None:
            care.restarts += 1
        elif entry.reason == record.ALARM_CLOSER_SLOW and entry.kind in (record.ALARM, record.ALARM_ENDED):
            care.closer_slow = entry.kind == record.ALARM
    return care


def open_by_events(entries: list[Entry]) -> tuple[dict[int, int], set[int]]:
    """Seconds open by hour, from the records *opened* and *closed* alone, and the hours of which they cannot tell."""
    open_s: dict[int, int] = defaultdict(int)
    spoilt: set[int] = set()
    since_s: int | None = None
    for entry in entries:
        hour = entry.time // 3600
        if entry.kind in (record.BOOT, record.CLOCK) or entry.trust == record.FLOOR:
            spoilt.update((hour, (entry.time + entry.detail) // 3600) if entry.kind == record.CLOCK else (hour,))
            if since_s is not None:
                spoilt.update(range(since_s // 3600, hour + 1))
            since_s = None
        elif entry.kind == record.OPENED:
            since_s = entry.time
        elif entry.kind == record.CLOSED and since_s is not None:
            for part in range(since_s // 3600, hour + 1):
                open_s[part] += max(0, min(entry.time, (part + 1) * 3600) - max(since_s, part * 3600))
            since_s = None
    if since_s is not None:
        spoilt.update(range(since_s // 3600, entries[-1].time // 3600 + 1))
    return open_s, spoilt


def _compare(door: str, entries: list[Entry], report: Report) -> None:
    """What a door counted, and what its events say: two ways to the same number, a second or two for each opening."""
    open_s, spoilt = open_by_events(entries)
    for entry in entries:
        if entry.kind != record.HOUR or entry.trust == record.FLOOR or entry.detail in spoilt:
            continue
        try:
            counts = hours.unpack(entry.payload)
        except ValueError:
            continue
        if counts[hours.UNKNOWN]:
            continue
        counted_s = hours.HOUR_S - counts[hours.CLOSED] - counts[hours.AJAR]
        if abs(counted_s - open_s[entry.detail]) > 2 + 2 * counts[hours.OPENINGS]:
            told = f"it counted {counted_s} s open, its records of opening and closing say {open_s[entry.detail]} s"
            report.problems.append(f"{door}: record {entry.seq}: {told}")
