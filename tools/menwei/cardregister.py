"""The office's register of cards, one SQLite file (mode 0600): which card is on which key version. It holds no names.

register = Register(Path("cards.db"))
register.check_new("uid", uid, "garden")      # CardError: a card with this UID is enrolled already
register.begin("ntag424", uid, "garden", 1, 2)
register.done("ntag424", uid, "garden", 2)
register.versions()                           # how many cards are on which version
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from menwei.cardwriter import CardError

BEGUN, WRITTEN, RESET = "begun", "written", "reset"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cards (
    kind TEXT NOT NULL, uid TEXT NOT NULL, community TEXT NOT NULL, number INTEGER NOT NULL,
    version INTEGER NOT NULL, state TEXT NOT NULL, counter INTEGER, magic INTEGER NOT NULL,
    first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
    PRIMARY KEY (kind, uid)
)
"""
_VERSION = 1


class Row(NamedTuple):
    """One card. `version` is the one it had when it was last seen whole; 0: none."""

    kind: str
    uid: str
    community: str
    number: int
    version: int
    state: str
    counter: int | None
    magic: int
    first_at: int
    last_at: int


class Register:
    """Opened for one command; every change is on disk when the method returns."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        try:
            self._base = sqlite3.connect(path, timeout=5)
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise CardError(f"{path} was made by another version of menwei ({version}); update menwei")
            with self._base:
                self._base.execute(_SCHEMA)
                self._base.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.DatabaseError as error:
            raise CardError(f"{path} is no register of cards ({error}); name another file with --register") from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> Register:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def find(self, kind: str, uid: bytes) -> Row | None:
        """The line of a card, or None."""
        query = "SELECT * FROM cards WHERE kind = ? AND uid = ?"
        with closing(self._base.execute(query, (kind, uid.hex()))) as cursor:
            row = cursor.fetchone()
        return Row(*row) if row else None

    def rows(self, community: str | None = None) -> list[Row]:
        """All cards, oldest first."""
        query = "SELECT * FROM cards WHERE ?1 IS NULL OR community = ?1 ORDER BY first_at, uid"
        return [Row(*row) for row in self._base.execute(query, (community,))]

    def check_community(self, kind: str, uid: bytes, community: str) -> None:
        """Refuse a card that another community has in use."""
        row = self.find(kind, uid)
        if row and row.state != RESET and row.community != community:
            raise CardError(
                f"this card belongs to {row.community}; reset it there before it is written for {community}"
            )

    def check_new(self, kind: str, uid: bytes, community: str) -> None:
        """Refuse a blank card whose UID is known as written: it is a copy, or was emptied elsewhere.

        Raises:
            CardError: says since when, and what to do.
        """
        self.check_community(kind, uid, community)
        row = self.find(kind, uid)
        if row and row.state == WRITTEN:
            raise CardError(
                f"a {kind} card with this UID is in the register since {day(row.first_at)}: this one is a duplicate, "
                "perhaps a copy; if it is the same card and the old entry is to go, run: menwei card forget --uid UID"
            )

    def begin(
        self, kind: str, uid: bytes, community: str, number: int, magic: bool = False, counter: int | None = None
    ) -> None:
        """A card is about to be written; its line keeps the version that it had, and the highest counter."""
        now = int(time.time())
        with self._base:
            self._base.execute(
                "INSERT INTO cards VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?) ON CONFLICT (kind, uid) DO UPDATE SET "
                "community = excluded.community, number = excluded.number, state = excluded.state, "
                "counter = nullif(max(coalesce(counter, 0), coalesce(excluded.counter, 0)), 0), "
                "magic = excluded.magic, last_at = excluded.last_at",
                (kind, uid.hex(), community, number, BEGUN, counter, magic, now, now),
            )

    def done(self, kind: str, uid: bytes, version: int, counter: int | None = None, state: str = WRITTEN) -> None:
        """A card was written, seen or reset. A counter never goes down: doors remember the highest."""
        with self._base:
            self._base.execute(
                "UPDATE cards SET version = ?, state = ?, last_at = ?, "
                "counter = nullif(max(coalesce(counter, 0), ?), 0) WHERE kind = ? AND uid = ?",
                (version, state, int(time.time()), counter or 0, kind, uid.hex()),
            )

    def forget(self, uid: bytes) -> int:
        """Take a card out, lost or destroyed; returns how many lines went."""
        with self._base:
            return self._base.execute("DELETE FROM cards WHERE uid = ?", (uid.hex(),)).rowcount

    def versions(self, community: str | None = None) -> list[tuple[str, str, int, str, int]]:
        """Community, kind, version, state and the number of cards. `begun` cards may be on either of two versions."""
        query = (
            "SELECT community, kind, version, state, count(*) FROM cards WHERE state != ?1 AND "
            "(?2 IS NULL OR community = ?2) GROUP BY community, kind, version, state ORDER BY community, kind, version"
        )
        return list(self._base.execute(query, (RESET, community)))

    def left_on(self, community: str, kind: str, version: int) -> int:
        """How many cards stop working when a version is dropped: those on it, and those that may be."""
        query = (
            "SELECT count(*) FROM cards WHERE community = ? AND kind = ? AND (state = ? OR (state = ? AND version = ?))"
        )
        return self._base.execute(query, (community, kind, BEGUN, WRITTEN, version)).fetchone()[0]


def day(unix: int) -> str:
    """A date for people."""
    return time.strftime("%Y-%m-%d", time.localtime(unix))
