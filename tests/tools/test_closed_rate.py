"""The closed rate on the host: from records to a report, with every case in which an hour is not simply there."""

import json
from datetime import UTC, date, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from menwei import closedrate, ratereport
from menwei.cli import app
from menwei.closedrate import Entry, closed_rate
from menwei.epoch import UNIX_2020
from storage import hours, record

MIDNIGHT = int(datetime(2030, 5, 1, tzinfo=UTC).timestamp() - UNIX_2020) // 3600
CARD, FORCED = hours.OPEN + record.CAUSE_CARD, hours.OPEN


def counts(unknown=0, closer=0, cycles=0, **seconds):
    """Numbers of an hour: closed but for what is named."""
    numbers = [0] * hours.FIELDS
    numbers[hours.UNKNOWN] = unknown
    for name, count in seconds.items():
        numbers[{"card": CARD, "forced": FORCED, "propped": hours.PROPPED, "ajar": hours.AJAR}[name]] = count
    numbers[hours.CLOSED] = 3600 - sum(numbers)
    numbers[hours.CLOSER], numbers[hours.CYCLES] = closer, cycles
    return numbers


class Log:
    """Records of one door, one after another."""

    def __init__(self, door="gate"):
        self.door, self.boot, self.entries = door, 1, []

    def add(self, kind, reason=0, time=0, trust=record.SYNCHRONISED, detail=0, payload=b""):
        number = len(self.entries) + 1
        self.entries.append(Entry(self.door, number, self.boot, time, trust, kind, reason, detail, payload))

    def hour(self, hour, numbers, trust=record.SYNCHRONISED):
        time = (MIDNIGHT + hour + 1) * 3600
        self.add(record.HOUR, 0, time, trust, MIDNIGHT + hour, hours.pack(numbers))


def test_the_formula():
    """Closed of closed and open; unknown stands apart; propped, ajar and forced are open."""
    log = Log()
    log.hour(0, counts(card=100, propped=200, ajar=50, forced=10))
    log.hour(1, counts(unknown=3600))
    (row,) = closed_rate(log.entries).rows
    assert (row.closed_s, row.open_s, row.unknown_s) == (3240, 360, 3600)
    assert row.rate == 0.9
    assert row.by_cause == {"card": 100, "none": 10}


def test_hours_without_a_record_are_unknown():
    log = Log()
    log.hour(0, counts())
    log.hour(5, counts())
    (row,) = closed_rate(log.entries, until_s=(MIDNIGHT + 7) * 3600).rows
    assert (row.closed_s, row.unknown_s) == (7200, 5 * 3600)


def test_an_hour_counts_once():
    """A clock that was set back comes by again: what knows most counts, of equal ones the later."""
    log = Log()
    log.hour(0, counts(card=1))
    log.hour(0, counts(unknown=3480))
    log.hour(1, counts(card=1))
    log.hour(1, counts(card=2))
    (row,) = closed_rate(log.entries).rows
    assert row.by_cause == {"card": 3}
    assert row.unknown_s == 0


def test_hours_of_the_floor_are_corrected():
    """A record at the floor stands where the clock's setting of the same run of the controller puts it."""
    log = Log()
    log.hour(0, counts(card=7), trust=record.FLOOR)
    log.add(record.CLOCK, record.FLOOR, trust=record.FLOOR, detail=30 * 3600)
    log.hour(31, counts())
    report = closed_rate(log.entries)
    assert [row.by_cause for row in report.rows] == [{"card": 7}]
    assert report.rows[0].day == date(2030, 5, 2)
    log.boot = 2
    log.hour(0, counts(), trust=record.FLOOR)
    log.boot = 3
    log.add(record.CLOCK, record.FLOOR, trust=record.FLOOR, detail=1)
    assert "its hour is not known" in closed_rate(log.entries).problems[0]


def test_shifts_and_local_days():
    """At +08:00 the night shift that begins at 20:00 is that evening's until the next morning."""
    log = Log()
    for hour in range(48):
        log.hour(hour, counts(card=100 if (hour + 8) % 24 < 8 else 0))
    rows = closed_rate(log.entries, offset_min=480, shifts=["08:00-20:00", "20:00-08:00"]).rows
    told = {(row.day.day, row.shift): (row.closed_s + row.open_s, row.open_s) for row in rows}
    assert told[1, "08:00-20:00"] == (12 * 3600, 0)
    assert told[1, "20:00-08:00"] == (12 * 3600, 800)
    assert told[2, "20:00-08:00"] == (12 * 3600, 800)
    with pytest.raises(ValueError, match="full hours"):
        closedrate.parse_shift("08:30-20:00")


def test_maintenance():
    log = Log()
    log.add(record.BOOT)
    for hour in range(30):
        log.hour(hour, counts(cycles=4000, closer=61))
    log.add(record.BOOT)
    log.add(record.BOOT)
    log.add(record.READER, 1)
    log.add(record.ALARM, record.ALARM_CLOSER_SLOW)
    (care,) = closed_rate(log.entries).care
    assert (care.relay_cycles, care.restarts, care.reader_faults, care.closer) == (120_000, 2, 1, 6.1)
    assert [line.partition(":")[0] for line in care.due] == ["relay", "closer", "controller"]
    log.add(record.ALARM_ENDED, record.ALARM_CLOSER_SLOW)
    assert not closed_rate(log.entries).care[0].closer_slow


def test_a_damaged_hour_is_told():
    log = Log()
    log.add(record.HOUR, payload=bytes(24))
    assert "add up to 0" in closed_rate(log.entries).problems[0]


def test_what_was_counted_is_compared_with_the_events():
    """Openings and closings tell the same seconds; where they do not, somebody should look."""
    log = Log()
    begin_s = MIDNIGHT * 3600
    for start_s, end_s in ((100, 160), (3590, 3700)):
        log.add(record.OPENED, record.CAUSE_CARD, begin_s + start_s)
        if end_s > 3600:
            log.hour(0, counts(card=70))
        log.add(record.CLOSED, record.CAUSE_CARD, begin_s + end_s)
    assert closedrate.open_by_events(log.entries) == ({MIDNIGHT: 70, MIDNIGHT + 1: 100}, set())
    log.hour(1, counts(card=99))
    assert closed_rate(log.entries).problems == []
    log.hour(2, counts(card=40))
    assert "40 s open, its records of opening and closing say 0 s" in closed_rate(log.entries).problems[0]
    # Somebody set the clock, or the power was lost, while it stood open: the events cannot tell.
    for kind in (record.CLOCK, record.BOOT):
        log = Log()
        log.add(record.OPENED, record.CAUSE_CARD, begin_s + 100)
        log.add(kind, time=begin_s + 200)
        log.hour(0, counts(card=3500))
        assert closed_rate(log.entries).problems == []


def test_the_packing_is_that_of_the_docs():
    """Sixteen numbers of 12 bits, the first in the lowest bits of the first byte."""
    numbers = counts(card=0x123, cycles=5000, closer=0x0AB)
    wire = hours.pack(numbers)
    whole = int.from_bytes(wire, "little")
    assert [whole >> 12 * at & 4095 for at in range(16)] == [*numbers[:14], 4095, 0x0AB]
    assert hours.unpack(wire) == [*numbers[:14], 4095, 0x0AB]


def test_the_command(tmp_path):
    """A database is read, the exit code tells whether 95 % is reached, JSON is one object."""
    missing = CliRunner().invoke(app, ["rate", str(tmp_path / "none.db")])
    assert missing.exit_code == 2
    assert "is not there" in missing.output
    text = tmp_path / "x.txt"
    text.write_text("neither")
    assert CliRunner().invoke(app, ["rate", str(text)]).exit_code == 2
    log = Log()
    log.hour(0, counts(card=3000))
    report = closed_rate(log.entries)
    console = Console(record=True, width=160)
    ratereport.show(report, console)
    ratereport.show(report, console, maintenance=True)
    assert "16.66 %" in console.export_text()
    told = json.loads(json.dumps(ratereport.as_json(report)))
    assert told["reached"] is False
    assert told["rows"][0]["rate"] == pytest.approx(1 / 6)


def test_what_must_come_out(tmp_path):
    """The expectation names ranges; what lies outside, and a cause that nobody expected, is told."""
    log = Log()
    log.add(record.OPENED, record.CAUSE_CARD, MIDNIGHT * 3600 + 10)
    log.add(record.CLOSED, record.CAUSE_CARD, MIDNIGHT * 3600 + 40)
    log.hour(0, counts(card=30))
    report = closed_rate(log.entries)
    path = tmp_path / "x.rate"
    path.write_text("closed_s 3570 3570  # all but\nopen_s.card 30 31\n")
    assert ratereport.compare(ratereport.read_expectation(path), report) == []
    path.write_text("closed_s 1 2\n")
    assert len(ratereport.compare(ratereport.read_expectation(path), report)) == 2
    path.write_text("closed_s many\n")
    with pytest.raises(ValueError, match=r"x\.rate:1"):
        ratereport.read_expectation(path)
