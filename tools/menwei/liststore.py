"""The part of upstream's database that is about the doors' lists: what is intended, and what doors confirmed.

    store.add_change("front-gate", pack_change(REVOKE, pseudonym), made_at)    # Store is one of these
    for revision, change in store.changes("front-gate", 17, 32): ...

A list is the sequence of its changes; the number of a change is the revision that it makes.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from storage import record

SCHEMA = """
CREATE TABLE IF NOT EXISTS lists (
    door TEXT PRIMARY KEY, office_epoch BLOB NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS changes (
    door TEXT NOT NULL, revision INTEGER NOT NULL, change BLOB NOT NULL, PRIMARY KEY (door, revision)
);
CREATE TABLE IF NOT EXISTS made (
    door TEXT NOT NULL, revision INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (door, revision)
);
CREATE TABLE IF NOT EXISTS agreed (
    door TEXT NOT NULL, revision INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
    PRIMARY KEY (door, revision)
);
CREATE TABLE IF NOT EXISTS passes (
    door TEXT PRIMARY KEY, sent_to INTEGER NOT NULL, ended_at INTEGER NOT NULL, rest BLOB NOT NULL,
    asked INTEGER NOT NULL, doubted INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS events_about_lists ON events (door, arrival) WHERE kind IN (8, 13, 17);
"""


@dataclass
class Pass:
    """How far a full reconciliation of a door's list has come, or how the last one ended.

    `sent_to` is the position behind the last page that was sent, -1 before a first one. After the end, `rest` is what
    the digests still differ by. `asked`: the office wants one. `doubted`: the door's list has changes that are not
    known here, so that it is not reconciled unless it is asked for.
    """

    sent_to: int = -1
    ended_at: int = 0
    rest: bytes = b""
    asked: bool = False
    doubted: bool = False

    @property
    def under_way(self) -> bool:
        """Whether one has begun and not ended."""
        return self.sent_to >= 0 and not self.ended_at


class ListTables:
    """Needs `_db` and `_transaction` of menwei.store.Store."""

    def office_epoch(self, door: str, fresh: bytes) -> bytes:
        """The office epoch of a door's list; `fresh` is taken and kept when there is none yet."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO lists (door, office_epoch) VALUES (?, ?)", (door, fresh))
        return self.known_office_epoch(door)

    def known_office_epoch(self, door: str) -> bytes | None:
        """The office epoch of a door's list, or None before the door was first seen."""
        row = self._db.execute("SELECT office_epoch FROM lists WHERE door = ?", (door,)).fetchone()
        return row and row[0]

    def revision(self, door: str) -> int:
        """The newest revision of a door's intended list."""
        query = "SELECT max(coalesce(max(revision), 0), ifnull((SELECT forgotten FROM lists WHERE door = ?1), 0))"
        return self._db.execute(query + " FROM changes WHERE door = ?1", (door,)).fetchone()[0]

    def count_on(self, door: str, revision: int) -> None:
        """Revisions up to this one were made by an office that is not remembered here: the next change comes after."""
        with self._transaction():
            self._db.execute("UPDATE lists SET forgotten = max(forgotten, ?) WHERE door = ?", (revision, door))

    def add_change(self, door: str, change: bytes, made_at: int | None = None) -> int:
        """Append one change to a door's list and return the revision that it makes."""
        with self._transaction():
            revision = self.revision(door) + 1
            self._db.execute("INSERT INTO changes VALUES (?, ?, ?)", (door, revision, change))
            if made_at is not None:
                self._db.execute("INSERT INTO made VALUES (?, ?, ?)", (door, revision, made_at))
        return revision

    def changes(self, door: str, from_revision: int, limit: int = -1) -> list[tuple[int, bytes]]:
        """(revision, change) of the changes that follow a revision, oldest first."""
        return list(
            self._db.execute(
                "SELECT revision, change FROM changes WHERE door = ? AND revision > ? ORDER BY revision LIMIT ?",
                (door, from_revision, limit),
            )
        )

    def made_at(self, door: str, revision: int) -> int | None:
        """Unix time at which a change was made, if it is known."""
        row = self._db.execute("SELECT at FROM made WHERE door = ? AND revision = ?", (door, revision)).fetchone()
        return row and row[0]

    def listed_doors(self) -> list[str]:
        """Doors that have a list, sorted."""
        query = "SELECT door FROM lists UNION SELECT door FROM changes ORDER BY 1"
        return [door for (door,) in self._db.execute(query)]

    # What doors confirmed

    def agree(self, door: str, revision: int, at: int) -> None:
        """The digests in an authentic state were those of this revision."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO agreed VALUES (?, ?, ?, ?) "
                "ON CONFLICT (door, revision) DO UPDATE SET last_at = excluded.last_at",
                (door, revision, at, at),
            )

    def agreed_since(self, door: str, revision: int) -> tuple[int, int] | None:
        """(revision, Unix time) of the first agreement at this revision or a later one, or None."""
        return self._db.execute(
            "SELECT revision, first_at FROM agreed WHERE door = ? AND revision >= ? ORDER BY first_at LIMIT 1",
            (door, revision),
        ).fetchone()

    def list_records(self, door: str, after: int = 0) -> list[tuple[int, int, str, int, str, int, int, int, int]]:
        """(arrival, kind, pseudonym, detail, epoch, seq, time, trust, uncertainty) of what records tell of its list."""
        return list(
            self._db.execute(
                "SELECT arrival, kind, pseudonym, detail, epoch, seq, time, trust, uncertainty FROM events "
                "WHERE door = ? AND arrival > ? AND kind IN (8, 13, 17) AND (kind <> ? OR reason = ?) ORDER BY arrival",
                (door, after, record.ALARM, record.ALARM_LIST_FULL),
            )
        )

    # Full reconciliation

    def list_pass(self, door: str) -> Pass:
        """How a door's full reconciliation stands; kept, so that it goes on when upstream starts again."""
        names = ", ".join(Pass.__dataclass_fields__)
        row = self._db.execute(f"SELECT {names} FROM passes WHERE door = ?", (door,)).fetchone()
        return Pass(*row[:3], *map(bool, row[3:])) if row else Pass()

    def set_pass(self, door: str, state: Pass) -> None:
        """Keep how it stands."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO passes VALUES (?, ?, ?, ?, ?, ?)", (door, *astuple(state)))
