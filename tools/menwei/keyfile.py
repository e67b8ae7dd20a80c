"""The keys of the doors that one upstream serves, in a JSON file that only its owner may read.

    keys = KeyFile.load(Path("keys.json"))
    keys.door_key("front-gate"); keys.journal_key("front-gate", epoch)

    {"site": "garden", "doors": {"front-gate": {"door_key": "64 hex digits",
                                                "journal": {"epoch, 8 hex digits": "32 hex digits"}}}}

The smallest thing that works for one machine; an office derives and guards its keys elsewhere.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

_DOOR_KEY = 32
_JOURNAL_KEY = 16
_EPOCH = 4
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_NAME_LENGTH = 32


def check_name(what: str, name: str) -> str:
    """A site or a door as protocol.md allows it."""
    if not 1 <= len(name) <= _NAME_LENGTH or not set(name) <= _NAME_CHARACTERS:
        raise ValueError(f"{what} {name!r} must be 1 to 32 characters of a-z, 0-9 and -")
    return name


class KeyFile:
    """Door keys and journal start keys by door."""

    def __init__(self, site: str) -> None:
        self.site = check_name("site", site)
        self._doors: dict[str, tuple[bytes, dict[bytes, bytes]]] = {}

    @property
    def doors(self) -> list[str]:
        """Names of all doors, sorted."""
        return sorted(self._doors)

    def add(self, door: str, door_key: bytes, journal: dict[bytes, bytes]) -> None:
        """Add a door or replace its keys; `journal` holds the start key of each journal epoch."""
        check_name("door", door)
        if len(door_key) != _DOOR_KEY:
            raise ValueError(f"the key of door {door} has {len(door_key)} bytes and needs {_DOOR_KEY}")
        for epoch, key in journal.items():
            if len(epoch) != _EPOCH or len(key) != _JOURNAL_KEY:
                raise ValueError(f"door {door}: a journal epoch is {_EPOCH} bytes and its key {_JOURNAL_KEY}")
        self._doors[door] = (door_key, dict(journal))

    def door_key(self, door: str) -> bytes | None:
        """A door's key, or None if the door is not known."""
        entry = self._doors.get(door)
        return entry[0] if entry else None

    def journal_key(self, door: str, epoch: bytes) -> bytes | None:
        """The start key of one journal epoch of a door, or None."""
        entry = self._doors.get(door)
        return entry[1].get(epoch) if entry else None

    def journal(self, door: str) -> dict[bytes, bytes]:
        """Start keys of all journal epochs of a door, by epoch; none if the door is not known."""
        entry = self._doors.get(door)
        return dict(entry[1]) if entry else {}

    def save(self, path: Path) -> None:
        """Write the file so that only its owner can read it."""
        content = {
            "site": self.site,
            "doors": {
                door: {"door_key": key.hex(), "journal": {epoch.hex(): start.hex() for epoch, start in journal.items()}}
                for door, (key, journal) in self._doors.items()
            },
        }
        # Created with its final mode: there is no moment at which others could open it. As a whole: a full disk must
        # not cost the keys of a site.
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)

    @classmethod
    def load(cls, path: Path) -> KeyFile:
        """Read a file; PermissionError if others could have read it, too, ValueError if it is none or not there."""
        if not path.exists():
            raise ValueError(f"{path} is not there: menwei door-keys makes a key file, --keys names another one")
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise PermissionError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
        try:
            content = json.loads(path.read_text())
            keys = cls(content["site"])
            for door, entry in content["doors"].items():
                journal = {bytes.fromhex(epoch): bytes.fromhex(start) for epoch, start in entry["journal"].items()}
                keys.add(door, bytes.fromhex(entry["door_key"]), journal)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no key file: {error!r}") from error
        return keys
