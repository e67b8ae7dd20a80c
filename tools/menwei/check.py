"""Do upstream's database, the door's journal and the expectation agree?

    report = compare(read_expectation(path), store.events("front-gate"), read_journal(...), people)
    report.print(Console())
    sys.exit(0 if report.agree else 1)

The journal is read from the flash image by `menwei.image`, which shares no code with the firmware; the expectation is
written by hand. An expectation file has one line per kind of event in the order in which they must come: `kind reason
who count`, where `who` is a name of the scenario or `-`, and `count` says how often in a row. Lines between `repeat 20`
and `end` come twenty times one after another.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from menwei import names
from menwei.image import Journal
from menwei.journalscan import Record
from menwei.store import Event
from storage.record import CLOCK, HELD, HOUR, LIST, SELF_TEST, TEST_PASSED

NOBODY = "-"
_FIELDS = 4
_CORRECTION_S = 60  # a clock that was right a week ago is not off by more (drift_ppm 50)


@dataclass(frozen=True)
class Line:
    """What an event is to a person: kind, reason and who."""

    kind: str
    reason: str
    who: str

    def __str__(self) -> str:
        return f"{self.kind} {self.reason} {self.who}"


@dataclass(frozen=True)
class Row:
    """One line of the table: how often it was expected, is stored upstream, and stands in the journal."""

    line: Line
    expected: int
    upstream: int
    journal: int

    @property
    def agree(self) -> bool:
        """All three say the same."""
        return self.expected == self.upstream == self.journal


@dataclass
class Report:
    """What the comparison found."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def agree(self) -> bool:
        """All three say the same."""
        return not self.problems and all(row.agree for row in self.rows)

    def print(self, console: Console, title: str = "") -> None:
        """Show the table, and below it what is wrong."""
        table = Table(title=title or None, title_justify="left")
        for name in ("event", "reason", "who"):
            table.add_column(name)
        for name in ("expected", "upstream", "journal"):
            table.add_column(name, justify="right")
        table.add_column("")
        for row in self.rows:
            mark = "[green]ok[/]" if row.agree else "[bold red]differs[/]"
            counts = [str(count) for count in (row.expected, row.upstream, row.journal)]
            table.add_row(row.line.kind, row.line.reason, row.line.who, *counts, mark)
        table.add_section()
        totals = [str(sum(getattr(row, name) for row in self.rows)) for name in ("expected", "upstream", "journal")]
        table.add_row("all", "", "", *totals, "[green]agree[/]" if self.agree else "[bold red]disagree[/]")
        console.print(table)
        for problem in self.problems:
            console.print(f"[red]{problem}[/]", highlight=False)


def read_expectation(path: Path) -> list[Line]:
    """The expected events, one entry for each; raises ValueError with the line's number."""
    lines: list[Line] = []
    begin, times = 0, 0  # of the block that is repeated; 0 times: there is none
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        words = raw.partition("#")[0].split()
        if not words:
            continue
        if words[0] == "repeat" and len(words) == 2 and words[1].isdigit() and int(words[1]) and not times:
            begin, times = len(lines), int(words[1])
        elif words == ["end"] and times:
            lines += lines[begin:] * (times - 1)
            times = 0
        elif len(words) != _FIELDS or not words[3].isdigit() or not int(words[3]):
            raise ValueError(
                f"{path}:{number}: write: kind reason who count, or a block of them from 'repeat 5' to 'end'"
            )
        else:
            lines += [Line(*words[:3])] * int(words[3])
    if times:
        raise ValueError(f"{path}: 'end' is missing")
    return lines


def people_by_pseudonym(uids: Mapping[str, str], pseudonym: Callable[[bytes], bytes]) -> dict[str, str]:
    """Names of the scenario by pseudonym (hex), from UIDs by name."""
    return {pseudonym(bytes.fromhex(uid)).hex(): name for name, uid in uids.items()}


def line_of(kind: int, reason: int, pseudonym: str, people: Mapping[str, str]) -> Line:
    """An event's numbers in words; a pseudonym of nobody we know is shown behind a `?`."""
    # In a record of the list the office's epoch stands there: nobody.
    nobody = kind == LIST or not pseudonym.strip("0")
    who = NOBODY if nobody else people.get(pseudonym, "?" + pseudonym)
    return Line(names.kind(kind), names.reason(kind, reason), who)


def compare(expected: list[Line], stored: list[Event], journal: Journal, people: Mapping[str, str]) -> Report:
    """Compare the three, one event at a time; upstream and journal bit by bit.

    What a door records each hour is no event: the closed rate judges it (menwei.closedrate). Nor is a correction of a
    clock that ran on by itself, nor a self-test that all passed.
    """
    heard = [event for event in stored if not _routine(event)]
    told = [found for found in journal.records if not _routine(found)]
    upstream = [line_of(event.kind, event.reason, event.pseudonym, people) for event in heard]
    written = [line_of(found.kind, found.reason, found.pseudonym.hex(), people) for found in told]
    report = Report(_rows(expected, upstream, written))
    report.problems += [f"journal: {problem}" for problem in journal.problems]
    report.problems += _bits(stored, journal)
    for name, lines in (("upstream", upstream), ("the journal", written)):
        index = _first_difference(expected, lines)
        if index is not None:
            wanted = str(expected[index]) if index < len(expected) else "nothing more"
            found = str(lines[index]) if index < len(lines) else "nothing more"
            report.problems.append(f"event {index + 1}: expected is {wanted}, {name} has {found}")
    return report


def _routine(found: Event | Record) -> bool:
    corrected = found.kind == CLOCK and found.reason == HELD and found.detail <= _CORRECTION_S
    passed = found.kind == SELF_TEST and found.reason == TEST_PASSED
    return found.kind == HOUR or corrected or passed


def _first_difference(one: list, other: list) -> int | None:
    for index, pair in enumerate(zip(one, other, strict=False)):
        if pair[0] != pair[1]:
            return index
    return None if len(one) == len(other) else min(len(one), len(other))


def _bits(stored: list[Event], journal: Journal) -> Iterable[str]:
    """Upstream must hold the very bytes of the journal, in the order of the journal."""
    up = [(event.epoch, event.seq, event.raw) for event in stored]
    down = [(record.epoch.hex(), record.seq, record.raw) for record in journal.records]
    index = _first_difference(up, down)
    if index is None:
        return
    if index >= len(up):
        yield f"upstream lacks sequence {down[index][1]} and {len(down) - index - 1} more"
    elif index >= len(down):
        yield f"the journal lacks sequence {up[index][1]} and {len(up) - index - 1} more"
    elif up[index][:2] != down[index][:2]:
        there, here = ("/".join(map(str, found[index][:2])) for found in (up, down))
        yield f"upstream's event {index + 1} is {there}, the journal's is {here}"
    else:
        yield f"sequence {up[index][1]} has other bytes upstream than in the journal"


def _rows(expected: list[Line], upstream: list[Line], journal: list[Line]) -> list[Row]:
    """Runs of equal events in expected order; what was not expected stands where it came."""
    matched_up, extra_up = _align(expected, upstream)
    matched_down, extra_down = _align(expected, journal)
    rows: list[Row] = []
    index = 0
    for line, group in groupby(expected):
        count = len(list(group))
        for start in range(index, index + count):
            rows += _extra_rows(extra_up.get(start, []), extra_down.get(start, []))
        spans = slice(index, index + count)
        rows.append(Row(line, count, sum(matched_up[spans]), sum(matched_down[spans])))
        index += count
    return rows + _extra_rows(extra_up.get(index, []), extra_down.get(index, []))


def _align(expected: list[Line], found: list[Line]) -> tuple[list[bool], dict[int, list[Line]]]:
    matched = [False] * len(expected)
    extra: dict[int, list[Line]] = {}
    matcher = difflib.SequenceMatcher(None, expected, found, autojunk=False)
    for operation, start, end, found_start, found_end in matcher.get_opcodes():
        if operation == "equal":
            matched[start:end] = [True] * (end - start)
        elif found_end > found_start:
            extra.setdefault(end, []).extend(found[found_start:found_end])
    return matched, extra


def _extra_rows(upstream: list[Line], journal: list[Line]) -> list[Row]:
    lines = list(dict.fromkeys(upstream + journal))
    return [Row(line, 0, upstream.count(line), journal.count(line)) for line in lines]
