"""The closed rate for people: `menwei rate`.

show(report, Console(), maintenance=True)
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from menwei.closedrate import TARGET, Entry, Report, Row, of_journal, of_store
from menwei.epoch import UNIX_2020
from menwei.flashmap import ImageError, locate
from menwei.image import read_journal
from menwei.store import Store

_SQLITE = b"SQLite format 3\x00"


def entries_of(file: Path, door: str | None) -> list[Entry]:
    """Records from an upstream's database, or from a flash image, whichever the file is.

    Raises:
        ValueError: it is neither, and what to do.
    """
    if not file.exists():
        raise ValueError(f"{file} is not there: name a database of menwei listen, or a flash image")
    with file.open("rb") as opened:
        is_database = opened.read(len(_SQLITE)) == _SQLITE
    if is_database:
        store = Store(file)
        try:
            return of_store(store, door)
        finally:
            store.close()
    data = file.read_bytes()
    regions = locate(data)
    if "journal" not in regions:
        raise ImageError(f"{file} has no journal: name a database of menwei listen, or a whole flash image")
    return of_journal(read_journal(data, *regions["journal"]), door or file.stem)


def parse_offset(text: str) -> int:
    """Minutes of `+08:00`; ValueError with a sentence."""
    try:
        moved = datetime.fromisoformat(f"2020-01-01T00:00:00{text}").utcoffset()
    except ValueError:
        moved = None
    if moved is None:
        raise ValueError(f"{text!r} is no offset from UTC; write +08:00")
    if moved % timedelta(hours=1):
        raise ValueError(f"{text!r}: doors count by hours of UTC, so only whole hours can be told apart")
    return int(moved.total_seconds()) // 60


def per_cent(rate: float | None) -> str:
    """Of a rate; rounded down, so that 95 % is never shown for less."""
    return "unknown" if rate is None else f"{int(rate * 10000) / 100:.2f} %"


def show(report: Report, console: Console, *, maintenance: bool = False) -> None:
    """Print the table, and below it the sum; or what wears."""
    if maintenance:
        _show_care(report, console)
    else:
        _show_rates(report, console)
    for problem in report.problems:
        console.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)


def _show_rates(report: Report, console: Console) -> None:
    table = Table(title="Closed rate: closed of closed and open (关门率)", title_justify="left")
    for name in ("door", "day", "rate"):
        table.add_column(name, no_wrap=True)
    for name in ("closed s", "open s", "unknown s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it was open for, s")
    for row in report.rows:
        table.add_row(row.door, f"{row.day} {row.shift}".strip(), *_cells(row))
    total = report.total()
    if total is None:
        console.print("no record of an hour: the doors have not served for an hour yet")
        return
    table.add_section()
    table.add_row("all", "", *_cells(total)[:-1], "")
    console.print(table)
    console.print(f"open for, s: {_why(total) or 'nothing'}", highlight=False)
    if total.rate is not None:
        reached = "reached" if total.rate >= TARGET else "not reached"
        console.print(f"{per_cent(total.rate)} closed; {TARGET:.0%} is {reached}", highlight=False)


def _cells(row: Row) -> list[str]:
    style = "" if row.rate is None or row.rate >= TARGET else "[bold red]"
    return [
        style + per_cent(row.rate),
        *(f"{count:,}" for count in (row.closed_s, row.open_s, row.unknown_s)),
        _why(row),
    ]


def _why(row: Row) -> str:
    """What it was open for, most first."""
    parts = {"propped": row.propped_s, "ajar": row.ajar_s} | row.by_cause
    if "none" in parts:
        parts["forced"] = parts.pop("none")
    return ", ".join(f"{name} {count:,}" for name, count in sorted(parts.items(), key=lambda of: -of[1]) if count)


def _show_care(report: Report, console: Console) -> None:
    table = Table(title="Maintenance", title_justify="left")
    for name in ("door", "until", "relay cycles", "restarts", "reader faults", "closer s", "due"):
        table.add_column(name)
    for care in report.care:
        end = f"{datetime.fromtimestamp(care.until_s + UNIX_2020, UTC):%Y-%m-%d}"
        closer = "" if care.closer is None else f"{care.closer:.1f}"
        counts = (f"{care.relay_cycles:,}", str(care.restarts), str(care.reader_faults), closer)
        table.add_row(care.door, end, *counts, "\n".join(care.due))
    console.print(table)


def read_expectation(path: Path) -> dict[str, tuple[int, int]]:
    """What must come out, {number: (least, most)}; a line is `closed_s 2570000 2580000`, or `open_s.card 600 700`."""
    wanted = {}
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        words = raw.partition("#")[0].split()
        if words and (len(words) != 3 or not all(word.isdigit() for word in words[1:])):
            raise ValueError(f"{path}:{number}: write: number least most")
        if words:
            wanted[words[0]] = int(words[1]), int(words[2])
    return wanted


def compare(wanted: dict[str, tuple[int, int]], report: Report) -> list[str]:
    """What came out otherwise, in sentences; a cause that was not expected, too."""
    total, care = report.total(), report.care[0]
    if total is None:
        return ["there is no record of an hour"]
    found = {name: value for name, value in vars(total).items() if isinstance(value, int)}
    found |= {f"open_s.{cause}": seconds for cause, seconds in total.by_cause.items()}
    found |= {name: getattr(care, name) for name in ("relay_cycles", "restarts", "reader_faults")}
    found["closer_slow"] = int(care.closer_slow)
    found["hours"] = (total.closed_s + total.open_s + total.unknown_s) // 3600
    told = [*report.problems]
    for name in sorted(wanted.keys() | {name for name in found if name.startswith("open_s.")}):
        least, most = wanted.get(name, (0, 0))
        if not least <= found.get(name, 0) <= most:
            told.append(f"closed rate: {name} is {found.get(name, 0):,}, expected are {least:,} to {most:,}")
    return told


def as_json(report: Report) -> dict:
    """For programs."""
    total = report.total()
    return {
        "target": TARGET,
        "rate": total and total.rate,
        "reached": total and total.rate is not None and total.rate >= TARGET,
        "rows": [row.as_json() for row in report.rows],
        "maintenance": [{**vars(care), "due": care.due} for care in report.care],
        "problems": report.problems,
    }
