"""What upstream knows, in one SQLite file.

    store = Store(Path("upstream.db"))
    store.add_batch("front-gate", epoch, batch, received_at)    # one transaction; known identities change nothing
    for event in store.events("front-gate"): ...

An event's identity is (door, epoch, sequence). Records that are right but of another branch of a door's journal are
kept apart, by their chain value, too; of damaged ones the bytes are. A batch is written in one transaction and is on
the disk when `add_batch` returns; only then may it be acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from menwei.liststore import SCHEMA, ListTables
from menwei.passed import Passed
from storage import record

_VERSION = 2
_RECORD = """
    door TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    received_at INTEGER NOT NULL, boot INTEGER NOT NULL,
    time INTEGER NOT NULL, trust INTEGER NOT NULL, uncertainty INTEGER NOT NULL,
    kind INTEGER NOT NULL, reason INTEGER NOT NULL, pseudonym TEXT NOT NULL, detail INTEGER NOT NULL,
    generation INTEGER NOT NULL, chain BLOB NOT NULL, raw BLOB NOT NULL,
    arrival INTEGER PRIMARY KEY AUTOINCREMENT,
"""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events ({_RECORD} UNIQUE (door, epoch, seq));
CREATE TABLE IF NOT EXISTS apart ({_RECORD} UNIQUE (door, epoch, seq, chain));
CREATE TABLE IF NOT EXISTS damaged (
    door TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, apart INTEGER NOT NULL,
    received_at INTEGER NOT NULL, generation INTEGER NOT NULL, chain BLOB NOT NULL, raw BLOB NOT NULL,
    UNIQUE (door, epoch, seq, apart, chain)
);
CREATE TABLE IF NOT EXISTS findings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    door TEXT NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, epoch TEXT, seq INTEGER, text TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS doors (
    door TEXT PRIMARY KEY, online INTEGER NOT NULL, seen_at INTEGER NOT NULL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS journals (
    door TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, generation INTEGER NOT NULL, chain BLOB NOT NULL,
    PRIMARY KEY (door, epoch)
);
CREATE TABLE IF NOT EXISTS commands (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    door TEXT NOT NULL, nonce BLOB NOT NULL, command_id INTEGER NOT NULL, operation INTEGER NOT NULL,
    operator INTEGER NOT NULL, approver INTEGER NOT NULL, reason INTEGER NOT NULL, deadline INTEGER NOT NULL,
    sent_at INTEGER NOT NULL, raw BLOB NOT NULL, result INTEGER, result_at INTEGER
);
CREATE TABLE IF NOT EXISTS counters (
    card TEXT NOT NULL, counter INTEGER NOT NULL, counted INTEGER NOT NULL,
    earliest INTEGER NOT NULL, latest INTEGER NOT NULL, door TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (door, epoch, seq)
);
CREATE INDEX IF NOT EXISTS counters_of_card ON counters (card, counter);
{SCHEMA}"""


@dataclass(frozen=True)
class Event:
    """One verified record; times are seconds since 2020, `pseudonym` and `epoch` are hex."""

    door: str
    epoch: str
    seq: int
    boot: int
    time: int
    trust: int
    uncertainty: int
    kind: int
    reason: int
    pseudonym: str
    detail: int
    generation: int
    chain: bytes
    raw: bytes


@dataclass(frozen=True)
class JournalHead:
    """How far a door's journal is stored here without a hole that was not reported."""

    seq: int
    generation: int
    chain: bytes


@dataclass(frozen=True)
class Wreck:
    """A damaged record: its bytes, and the chain value and key generation that the next record follows."""

    seq: int
    raw: bytes
    chain: bytes
    generation: int
    apart: bool


@dataclass(frozen=True)
class Finding:
    """Something that was wrong. It is kept once for its door, kind, epoch and sequence (or text, without one)."""

    kind: str
    text: str
    epoch: str | None = None
    seq: int | None = None


@dataclass
class Rows:
    """What is to be written of one batch; `head` None leaves the journal's as it is."""

    head: JournalHead | None = None
    events: list[Event] = field(default_factory=list)
    apart: list[Event] = field(default_factory=list)
    damaged: list[Wreck] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


_EVENT_FIELDS = tuple(Event.__dataclass_fields__)


class Store(ListTables):
    """The database of one upstream; used from one thread. Without `durable` it does not outlive a power cut."""

    def __init__(self, path: Path | str, durable: bool = True) -> None:
        self.database = self._db = sqlite3.connect(str(path), isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        if self._db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            if self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._db.close()
                raise ValueError(f"{path} was written by another version of menwei: move it away and start anew")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # Events

    def add_batch(self, door: str, epoch: str, rows: Rows, received_at: int) -> Rows:
        """Write all of it in one transaction; return what of it is new."""
        fresh = Rows(rows.head)
        with self._transaction():
            fresh.events = [event for event in rows.events if self._add_event("events", event, received_at)]
            fresh.apart = [event for event in rows.apart if self._add_event("apart", event, received_at)]
            for wreck in rows.damaged:
                self._db.execute(
                    "INSERT OR IGNORE INTO damaged (door, epoch, seq, apart, received_at, generation, chain, raw) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (door, epoch, wreck.seq, wreck.apart, received_at, wreck.generation, wreck.chain, wreck.raw),
                )
            fresh.findings = [finding for finding in rows.findings if self._add_finding(door, finding, received_at)]
            if rows.head:
                self._db.execute(
                    "INSERT INTO journals VALUES (?, ?, ?, ?, ?) ON CONFLICT (door, epoch) "
                    "DO UPDATE SET seq = excluded.seq, generation = excluded.generation, chain = excluded.chain",
                    (door, epoch, rows.head.seq, rows.head.generation, rows.head.chain),
                )
        return fresh

    def _add_event(self, table: str, event: Event, received_at: int) -> bool:
        names = ", ".join((*_EVENT_FIELDS, "received_at"))
        marks = ", ".join("?" * (len(_EVENT_FIELDS) + 1))
        values = [getattr(event, name) for name in _EVENT_FIELDS]
        row = self._db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", (*values, received_at))
        return row.rowcount == 1

    def events(self, door: str | None = None, after: int = 0) -> list[Event]:
        """Stored events in the order in which they arrived, those after the given arrival number."""
        return self._events("events", door, after)

    def events_not_compared(self) -> list[Event]:
        """Passages with a counter that `add_passed` has not seen: somebody stopped between storing and comparing."""
        query = (
            f"SELECT {', '.join(_EVENT_FIELDS)} FROM events AS e WHERE kind = ? AND detail >> 6 & 7 = ? AND NOT EXISTS "
            "(SELECT 1 FROM counters AS c WHERE c.door = e.door AND c.epoch = e.epoch AND c.seq = e.seq) "
            "ORDER BY arrival"
        )
        return [Event(*row) for row in self._db.execute(query, (record.GRANTED, record.KIND_CLASSIC))]

    def add_passed(self, passed: Passed) -> Passed | None:
        """Keep a passage with a counter; return the nearest of the same card that it contradicts (menwei.copies)."""
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO counters VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                tuple(getattr(passed, name) for name in Passed.__dataclass_fields__),
            )
            # A journal knows the order of its own records; between journals only the clocks tell it.
            same = "(door = ?6 AND epoch = ?7)"
            before = f"CASE WHEN {same} THEN seq < ?8 ELSE latest < ?4 END"
            after = f"CASE WHEN {same} THEN seq > ?8 ELSE earliest > ?5 END"
            row = self._db.execute(
                f"SELECT * FROM counters WHERE card = ?1 AND NOT ({same} AND seq = ?8) AND ("
                "(counted AND ?3 AND counter = ?2) "
                f"OR (counter > ?2 - ?3 AND {before}) OR (counter - counted < ?2 AND {after})) "
                "ORDER BY abs(counter - ?2), door, seq LIMIT 1",
                tuple(getattr(passed, name) for name in Passed.__dataclass_fields__),
            ).fetchone()
        return Passed(*row[:2], bool(row[2]), *row[3:]) if row else None

    def rename_cards(self, names: Iterable[tuple[str, str]]) -> None:
        """Give passages of cards the names that those have now: (old, new)."""
        with self._transaction():
            self._db.executemany("UPDATE counters SET card = ?2 WHERE card = ?1", names)

    def apart(self, door: str | None = None) -> list[Event]:
        """Records of other branches of a journal, in the order in which they arrived."""
        return self._events("apart", door, 0)

    def _events(self, table: str, door: str | None, after: int) -> list[Event]:
        query = f"SELECT {', '.join(_EVENT_FIELDS)} FROM {table} WHERE arrival > ? AND ? IN (door, '') ORDER BY arrival"
        return [Event(*row) for row in self._db.execute(query, (after, door or ""))]

    def damaged(self, door: str) -> list[Wreck]:
        """Damaged records in the order of their numbers."""
        rows = self._db.execute(
            "SELECT seq, raw, chain, generation, apart FROM damaged WHERE door = ? ORDER BY epoch, seq", (door,)
        )
        return [Wreck(*row[:4], bool(row[4])) for row in rows]

    def chain_at(self, door: str, epoch: str, seq: int) -> bytes | None:
        """The chain value of a stored event, or the one behind a damaged record, or None."""
        return next((chain for chain, _, apart in self.places(door, epoch, seq) if not apart), None)

    def places(self, door: str, epoch: str, seq: int) -> list[tuple[bytes, int, bool]]:
        """(chain value, key generation, kept apart) of all that is stored under a number, what is not apart first."""
        rows = self._db.execute(
            "SELECT chain, generation, 0 AS apart FROM events WHERE door = ?1 AND epoch = ?2 AND seq = ?3 UNION "
            "SELECT chain, generation, 1 FROM apart WHERE door = ?1 AND epoch = ?2 AND seq = ?3 UNION "
            "SELECT chain, generation, apart FROM damaged WHERE door = ?1 AND epoch = ?2 AND seq = ?3 ORDER BY apart",
            (door, epoch, seq),
        )
        return [(chain, generation, bool(apart)) for chain, generation, apart in rows]

    def is_forked(self, door: str, epoch: str) -> bool:
        """Whether records of this journal are kept apart."""
        row = self._db.execute("SELECT 1 FROM apart WHERE door = ? AND epoch = ? LIMIT 1", (door, epoch))
        return row.fetchone() is not None

    def heads(self) -> list[tuple[str, str, JournalHead]]:
        """(door, epoch, head) of every journal that is known."""
        rows = self._db.execute("SELECT door, epoch, seq, generation, chain FROM journals")
        return [(door, epoch, JournalHead(*rest)) for door, epoch, *rest in rows]

    def head(self, door: str, epoch: str) -> JournalHead | None:
        """How far one journal is stored, or None."""
        return next((head for name, known, head in self.heads() if (name, known) == (door, epoch)), None)

    def received_after(self, door: str, epoch: str, seq: int) -> int | None:
        """When the first of the events behind a number was received, or None if there is none."""
        query = "SELECT min(received_at) FROM events WHERE door = ? AND epoch = ? AND seq > ?"
        return self._db.execute(query, (door, epoch, seq)).fetchone()[0]

    # Findings

    def _add_finding(self, door: str, finding: Finding, at: int) -> bool:
        row = self._db.execute(
            "UPDATE findings SET times = times + 1 WHERE door = ? AND kind = ? AND epoch IS ? AND seq IS ? "
            "AND (seq IS NOT NULL OR text = ?)",
            (door, finding.kind, finding.epoch, finding.seq, finding.text),
        )
        if row.rowcount:
            return False
        self._db.execute(
            "INSERT INTO findings (door, at, kind, epoch, seq, text) VALUES (?, ?, ?, ?, ?, ?)",
            (door, at, finding.kind, finding.epoch, finding.seq, finding.text),
        )
        return True

    def add_finding(self, door: str, finding: Finding, at: int) -> bool:
        """Keep something that was wrong, for people to look at; False if it is known, then it is only counted."""
        with self._transaction():
            return self._add_finding(door, finding, at)

    def findings(self, door: str | None = None) -> list[tuple[str, str, str]]:
        """(door, kind, text), oldest first."""
        rows = self._db.execute(
            "SELECT door, kind, text FROM findings WHERE ? IS NULL OR door = ? ORDER BY number", (door, door)
        )
        return list(rows)

    # Doors

    def set_state(self, door: str, state: dict, at: int) -> None:
        """Keep the last state that a door reported."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO doors VALUES (?, ?, ?, ?) ON CONFLICT (door) "
                "DO UPDATE SET online = excluded.online, seen_at = excluded.seen_at, state = excluded.state",
                (door, int(bool(state.get("online"))), at, json.dumps(state)),
            )

    def set_offline(self, door: str, at: int) -> None:
        """The last state stays: it is what the door last said of itself."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO doors VALUES (?, 0, ?, '{}') ON CONFLICT (door) "
                "DO UPDATE SET online = 0, seen_at = excluded.seen_at",
                (door, at),
            )

    def door(self, door: str) -> tuple[bool, dict] | None:
        """(online, last state) of a door, or None."""
        row = self._db.execute("SELECT online, state FROM doors WHERE door = ?", (door,)).fetchone()
        return (bool(row[0]), json.loads(row[1])) if row else None

    def seen_at(self, door: str) -> int | None:
        """Unix time of a door's last state, or of its last will."""
        row = self._db.execute("SELECT seen_at FROM doors WHERE door = ?", (door,)).fetchone()
        return row and row[0]

    # Commands

    def add_command(self, door: str, fields: dict, raw: bytes, sent_at: int) -> int:
        """Keep a command before it is sent; returns its row number."""
        names = ("nonce", "command_id", "operation", "operator", "approver", "reason", "deadline")
        with self._transaction():
            row = self._db.execute(
                f"INSERT INTO commands (door, {', '.join(names)}, raw, sent_at) VALUES (?{', ?' * (len(names) + 2)})",
                (door, *(fields[name] for name in names), raw, sent_at),
            )
        return row.lastrowid

    def last_command_id(self, door: str, nonce: bytes) -> int:
        """The highest command id that was used in a door's session."""
        row = self._db.execute(
            "SELECT max(command_id) FROM commands WHERE door = ? AND nonce = ?", (door, nonce)
        ).fetchone()
        return row[0] or 0

    def set_result(self, door: str, nonce: bytes, command_id: int, result: int, at: int) -> bool:
        """Keep the first answer to a command: False if it is not the first."""
        with self._transaction():
            row = self._db.execute(
                "UPDATE commands SET result = ?, result_at = ? "
                "WHERE door = ? AND nonce = ? AND command_id = ? AND result IS NULL",
                (result, at, door, nonce, command_id),
            )
        return row.rowcount == 1

    def commands(self, door: str) -> list[tuple[int, int, int, int, int, int | None]]:
        """(command_id, operation, operator, approver, reason, result), oldest first."""
        names = "command_id, operation, operator, approver, reason, result"
        return list(self._db.execute(f"SELECT {names} FROM commands WHERE door = ? ORDER BY number", (door,)))
