"""What upstream knows, in one SQLite file.

    store = Store(Path("upstream.db"))
    store.add_events("front-gate", [Event(...)], received_at)   # one transaction; known identities change nothing
    for event in store.events("front-gate"): ...

An event's identity is (door, epoch, sequence). A batch is written in one transaction and is on the disk when
`add_batch` returns; only then may it be acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    door TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    received_at INTEGER NOT NULL, boot INTEGER NOT NULL,
    time INTEGER NOT NULL, trust INTEGER NOT NULL, uncertainty INTEGER NOT NULL,
    kind INTEGER NOT NULL, reason INTEGER NOT NULL, pseudonym TEXT NOT NULL, detail INTEGER NOT NULL,
    generation INTEGER NOT NULL, chain BLOB NOT NULL, raw BLOB NOT NULL,
    arrival INTEGER PRIMARY KEY AUTOINCREMENT,
    UNIQUE (door, epoch, seq)
);
CREATE TABLE IF NOT EXISTS findings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    door TEXT NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, epoch TEXT, seq INTEGER, text TEXT NOT NULL
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
CREATE TABLE IF NOT EXISTS lists (door TEXT PRIMARY KEY, office_epoch BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS changes (
    door TEXT NOT NULL, revision INTEGER NOT NULL, change BLOB NOT NULL, PRIMARY KEY (door, revision)
);
"""


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


_EVENT_FIELDS = tuple(Event.__dataclass_fields__)


class Store:
    """The database of one upstream; used from one thread."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(str(path), isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
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

    def add_batch(
        self,
        door: str,
        epoch: str,
        head: JournalHead,
        events: Iterable[Event],
        findings: Iterable[tuple],
        received_at: int,
    ) -> list[Event]:
        """Store events, the new head and what verification found in one transaction; return the events that are new."""
        names = ", ".join((*_EVENT_FIELDS, "received_at"))
        marks = ", ".join("?" * (len(_EVENT_FIELDS) + 1))
        fresh = []
        with self._transaction():
            for event in events:
                values = [getattr(event, name) for name in _EVENT_FIELDS]
                row = self._db.execute(
                    f"INSERT OR IGNORE INTO events ({names}) VALUES ({marks})", (*values, received_at)
                )
                if row.rowcount:
                    fresh.append(event)
            for kind, seq, text in findings:
                self._add_finding(door, kind, text, received_at, epoch, seq)
            self._db.execute(
                "INSERT INTO journals VALUES (?, ?, ?, ?, ?) ON CONFLICT (door, epoch) "
                "DO UPDATE SET seq = excluded.seq, generation = excluded.generation, chain = excluded.chain",
                (door, epoch, head.seq, head.generation, head.chain),
            )
        return fresh

    def events(self, door: str | None = None, after: int = 0) -> list[Event]:
        """Stored events in the order in which they arrived, those after the given arrival number."""
        where, values = ("arrival > ?", [after])
        if door is not None:
            where, values = (where + " AND door = ?", [after, door])
        query = f"SELECT {', '.join(_EVENT_FIELDS)} FROM events WHERE {where} ORDER BY arrival"
        return [Event(*row) for row in self._db.execute(query, values)]

    def chain_at(self, door: str, epoch: str, seq: int) -> bytes | None:
        """The chain value of a stored event, or None."""
        row = self._db.execute("SELECT chain FROM events WHERE door = ? AND epoch = ? AND seq = ?", (door, epoch, seq))
        return next((chain for (chain,) in row), None)

    def heads(self) -> list[tuple[str, str, JournalHead]]:
        """(door, epoch, head) of every journal that is known."""
        rows = self._db.execute("SELECT door, epoch, seq, generation, chain FROM journals")
        return [(door, epoch, JournalHead(*rest)) for door, epoch, *rest in rows]

    def head(self, door: str, epoch: str) -> JournalHead | None:
        """How far one journal is stored, or None."""
        return next((head for name, known, head in self.heads() if (name, known) == (door, epoch)), None)

    # Findings

    def _add_finding(self, door: str, kind: str, text: str, at: int, epoch: str | None, seq: int | None) -> None:
        self._db.execute(
            "INSERT INTO findings (door, at, kind, epoch, seq, text) VALUES (?, ?, ?, ?, ?, ?)",
            (door, at, kind, epoch, seq, text),
        )

    def add_finding(
        self, door: str, kind: str, text: str, at: int, epoch: str | None = None, seq: int | None = None
    ) -> None:
        """Keep something that was wrong, for people to look at."""
        with self._transaction():
            self._add_finding(door, kind, text, at, epoch, seq)

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

    # The intended list

    def office_epoch(self, door: str, fresh: bytes) -> bytes:
        """The office epoch of a door's list; `fresh` is taken and kept when there is none yet."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO lists VALUES (?, ?)", (door, fresh))
        return self._db.execute("SELECT office_epoch FROM lists WHERE door = ?", (door,)).fetchone()[0]

    def revision(self, door: str) -> int:
        """The newest revision of a door's intended list."""
        row = self._db.execute("SELECT max(revision) FROM changes WHERE door = ?", (door,)).fetchone()
        return row[0] or 0

    def add_change(self, door: str, change: bytes) -> int:
        """Append one change to a door's list and return the revision that it makes."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO changes SELECT ?1, coalesce(max(revision), 0) + 1, ?2 FROM changes WHERE door = ?1",
                (door, change),
            )
        return self.revision(door)

    def changes(self, door: str, from_revision: int, limit: int) -> list[bytes]:
        """The changes that follow a revision, oldest first."""
        rows = self._db.execute(
            "SELECT change FROM changes WHERE door = ? AND revision > ? ORDER BY revision LIMIT ?",
            (door, from_revision, limit),
        )
        return [change for (change,) in rows]
