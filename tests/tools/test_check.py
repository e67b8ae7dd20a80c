"""The comparison of database, journal and expectation: it passes when they agree, and each of the three can make
it fail.
"""

import dataclasses
import sqlite3

import pytest
from journal_writer import Writer
from rich.console import Console

from menwei import names
from menwei.check import Line, compare, people_by_pseudonym, read_expectation
from menwei.image import read_journal
from menwei.store import Event, JournalHead, Rows, Store
from storage import record

EPOCH, KEY = b"\x01\x02\x03\x04", bytes(range(16))
ANNA, ZHAO = b"anna---", b"zhao---"
PEOPLE = {ANNA.hex(): "anna", ZHAO.hex(): "zhao"}
DAY = [
    (record.BOOT, 0, bytes(7)),
    (record.GRANTED, record.OK, ANNA),
    (record.PASSED, record.CAUSE_CARD, ANNA),
    (record.REFUSED, record.UNKNOWN, ZHAO),
    (record.REFUSED, record.UNKNOWN, ZHAO),
    (record.ALARM, record.ALARM_HELD_OPEN, bytes(7)),
]


def words(kind, reason):
    return f"{names.kind(kind)} {names.reason(kind, reason)}"


@pytest.fixture
def expectation(tmp_path):
    path = tmp_path / "day.expected"
    path.write_text(
        f"# what should be\n\n{words(record.BOOT, 0)} - 1\n{words(record.GRANTED, record.OK)} anna 1 # she lives here\n"
        f"{words(record.PASSED, record.CAUSE_CARD)} anna 1\n{words(record.REFUSED, record.UNKNOWN)} zhao 2\n"
        f"{words(record.ALARM, record.ALARM_HELD_OPEN)} - 1\n"
    )
    return path


@pytest.fixture
def flash(tmp_path):
    writer = Writer(EPOCH, KEY)
    for kind, reason, pseudonym in DAY:
        writer.record(kind, reason, pseudonym)
    path = tmp_path / "flash.img"
    path.write_bytes(writer.region(2))
    return path


def journal_of(flash):
    return read_journal(flash, 0, 8192, KEY)


@pytest.fixture
def database(tmp_path, flash):
    path = tmp_path / "upstream.db"
    store = Store(path)
    fields = ("seq", "boot", "time", "trust", "uncertainty", "kind", "reason", "detail", "generation", "chain", "raw")
    events = [
        Event(
            "front",
            found.epoch.hex(),
            pseudonym=found.pseudonym.hex(),
            **{name: getattr(found, name) for name in fields},
        )
        for found in journal_of(flash).records
    ]
    head = JournalHead(events[-1].seq, 0, events[-1].chain)
    store.add_batch("front", EPOCH.hex(), Rows(head=head, events=events), 0)
    store.close()
    return path


def stored(database):
    store = Store(database)
    try:
        return store.events("front")
    finally:
        store.close()


def verdict(expectation, database, flash):
    return compare(read_expectation(expectation), stored(database), journal_of(flash), PEOPLE)


def test_three_that_agree(expectation, database, flash):
    report = verdict(expectation, database, flash)
    assert report.agree
    assert report.problems == []
    assert [(row.expected, row.upstream, row.journal) for row in report.rows] == [(1, 1, 1)] * 3 + [
        (2, 2, 2),
        (1, 1, 1),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events WHERE seq = 3",
        "DELETE FROM events WHERE seq = 6",
        "DELETE FROM events WHERE seq = 1",
        f"UPDATE events SET reason = {record.EXPIRED} WHERE seq = 4",
        f"UPDATE events SET kind = {record.GRANTED} WHERE seq = 4",
        f"UPDATE events SET pseudonym = '{ANNA.hex()}' WHERE seq = 4",
        "UPDATE events SET arrival = 100 WHERE seq = 2",
        "UPDATE events SET raw = zeroblob(32) WHERE seq = 2",
        "UPDATE events SET epoch = 'ffffffff' WHERE seq = 2",
        "INSERT INTO events SELECT door, epoch, 7, received_at, boot, time, trust, uncertainty, kind, reason, "
        "pseudonym, detail, generation, chain, raw, 50 FROM events WHERE seq = 6",
    ],
)
def test_a_change_of_the_database_is_seen(expectation, database, flash, statement):
    with sqlite3.connect(database) as connection:
        assert connection.execute(statement).rowcount == 1
    assert not verdict(expectation, database, flash).agree


@pytest.mark.parametrize("slot", range(2, 8))
def test_a_change_of_the_journal_is_seen(expectation, database, flash, slot):
    good = flash.read_bytes()
    for at in range(slot * 32, slot * 32 + 32):
        changed = bytearray(good)
        changed[at] &= 0x7F if changed[at] & 0x80 else changed[at] & (changed[at] - 1)
        if bytes(changed) == good:
            continue  # a zero byte: nothing more to clear
        flash.write_bytes(changed)
        assert not verdict(expectation, database, flash).agree, at


def test_a_journal_that_goes_on_is_seen(expectation, database, flash):
    writer = Writer(EPOCH, KEY)
    for kind, reason, pseudonym in [*DAY, DAY[-1]]:
        writer.record(kind, reason, pseudonym)
    flash.write_bytes(writer.region(2))
    report = verdict(expectation, database, flash)
    assert not report.agree
    assert any("upstream lacks sequence 7" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("zhao 2", "zhao 1"),
        ("zhao 2", "zhao 3"),
        ("zhao 2", "anna 2"),
        ("anna 1 #", "zhao 1 #"),
        (words(record.REFUSED, record.UNKNOWN), words(record.REFUSED, record.EXPIRED)),
        (words(record.PASSED, record.CAUSE_CARD) + " anna 1\n", ""),
    ],
)
def test_a_change_of_the_expectation_is_seen(expectation, database, flash, old, new):
    text = expectation.read_text()
    assert old in text
    expectation.write_text(text.replace(old, new))
    assert not verdict(expectation, database, flash).agree


def test_another_order_is_seen(expectation, database, flash):
    lines = expectation.read_text().splitlines()
    lines[3], lines[4] = lines[4], lines[3]
    expectation.write_text("\n".join(lines))
    report = verdict(expectation, database, flash)
    assert not report.agree
    assert any(problem.startswith("event 2: expected is passed") for problem in report.problems)


def test_upstream_and_journal_that_are_wrong_in_the_same_way_are_seen(expectation, database, flash):
    journal = journal_of(flash)
    for found in journal.records:
        found.reason = record.EXPIRED
    events = [dataclasses.replace(event, reason=record.EXPIRED) for event in stored(database)]
    assert not compare(read_expectation(expectation), events, journal, PEOPLE).agree


def test_the_table_says_what_differs(expectation, database, flash):
    expectation.write_text(expectation.read_text().replace("zhao 2", "zhao 1"))
    console = Console(record=True, width=120, file=open("/dev/null", "w"))  # noqa: SIM115
    verdict(expectation, database, flash).print(console, "A day")
    text = console.export_text()
    assert "differs" in text
    assert "disagree" in text
    assert "event 5: expected is alarm" in text


@pytest.mark.parametrize("line", ["boot power_on -", "boot power_on - x", "boot power_on - 0", "boot power_on - 1 2"])
def test_mistakes_in_an_expectation_name_the_line(expectation, line):
    expectation.write_text("\n" + line)
    with pytest.raises(ValueError, match=":2: write: kind reason who count"):
        read_expectation(expectation)


def test_people():
    people = people_by_pseudonym({"anna": "04A1"}, lambda uid: bytes(5) + uid)
    assert people == {"000000000004a1": "anna"}
    assert Line("a", "b", "c") == Line("a", "b", "c")


def test_a_block_is_repeated(tmp_path):
    path = tmp_path / "x.expected"
    path.write_text("boot power_on - 1\nrepeat 3\npassed card - 1\nclosed card - 1\nend\n")
    assert [line.kind for line in read_expectation(path)] == ["boot", *["passed", "closed"] * 3]
    for text in ("repeat 3\n", "end\n", "repeat 0\nend\n", "repeat 2\nrepeat 2\nend\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"x\.expected"):
            read_expectation(path)
