"""The keys of the doors that one upstream serves, in a JSON file that only its owner may read.

    keys = KeyFile.load(Path("keys.json"))
    keys.door_key("front-gate"); keys.journal_key("front-gate", epoch)

    {"site": "garden", "doors": {"front-gate": {"door_key": "64 hex digits",
                                                "journal": {"epoch, 8 hex digits": "32 hex digits"}}}}

While a door's key is rotated (menwei.rekey) its entry has besides `next_door_key`, which the door is to get, and then
`old_door_key`, under which its list still knows cards. A program that runs meanwhile takes in what changes in the file.

The smallest thing that works for one machine; an office derives and guards its keys elsewhere.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Rotation:
    """How far the rotation of a door's key is.

    Args:
        next: the key that the door is to get, until it is known to use it.
        old: the key from before, from then on.
        revision: of the door's list when it was known; what stands there was made under the old key.
        drops: how often it was told to drop one in rotations before, as upstream's database says.
        dropped: the door has forgotten the old one.
    """

    next: bytes | None = field(default=None, repr=False)
    old: bytes | None = field(default=None, repr=False)
    revision: int = 0
    drops: int = 0
    dropped: bool = False


class KeyFile:
    """Door keys and journal start keys by door."""

    def __init__(self, site: str) -> None:
        self.site = check_name("site", site)
        self._doors: dict[str, tuple[bytes, dict[bytes, bytes]]] = {}
        self._rotations: dict[str, Rotation] = {}
        self._proved: dict[str, bytes] = {}
        self._path: Path | None = None
        self._stamp: tuple[int, int, int] | None = None

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
        """The key that a door uses, as far as is known, or None if the door is not known."""
        keys = self.door_keys(door)
        return self._proved.get(door, keys[0]) if keys else None

    def door_keys(self, door: str) -> tuple[bytes, ...]:
        """The keys that a door may use: two while it is to get the next one and has not shown that it has it."""
        self._refresh()
        entry = self._doors.get(door)
        if entry is None:
            return ()
        coming = self.rotation(door).next
        if coming is None:
            self._proved.pop(door, None)
            return entry[:1]
        return (coming,) if self._proved.get(door) == coming else (entry[0], coming)

    def proved(self, door: str, key: bytes) -> None:
        """An authentic message of the door was made with this key: it is the one that it uses, and never older ones."""
        if len(self.door_keys(door)) > 1:
            self._proved[door] = key

    def is_sure(self, door: str) -> bool:
        """Whether it is known which key a door uses; a message under a wrong one would be an alarm there."""
        return len(self.door_keys(door)) == 1 or door in self._proved

    def rotation(self, door: str) -> Rotation:
        """How far the rotation of a door's key is; empty if there is none."""
        self._refresh()
        return self._rotations.get(door, Rotation())

    def set_rotation(self, door: str, rotation: Rotation, door_key: bytes | None = None) -> None:
        """Note how far it is, with the door's present key if that is another one now; `save` keeps it."""
        key, journal = self._doors[door]
        self.add(door, door_key or key, journal)
        self._rotations[door] = rotation
        if rotation == Rotation():
            del self._rotations[door]

    def journal_key(self, door: str, epoch: bytes) -> bytes | None:
        """The start key of one journal epoch of a door, or None."""
        entry = self._doors.get(door)
        return entry[1].get(epoch) if entry else None

    def journal(self, door: str) -> dict[bytes, bytes]:
        """Start keys of all journal epochs of a door, by epoch; none if the door is not known."""
        entry = self._doors.get(door)
        return dict(entry[1]) if entry else {}

    def save(self, path: Path) -> None:
        """Write the file so that only its owner can read it; a power cut leaves the one before."""
        content = {"site": self.site, "doors": {door: self._content(door) for door in self._doors}}
        # Created with its final mode: there is no moment at which others could open it.
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)

    def _content(self, door: str) -> dict:
        key, journal = self._doors[door]
        content = {"door_key": key.hex(), "journal": {epoch.hex(): start.hex() for epoch, start in journal.items()}}
        rotation = self._rotations.get(door, Rotation())
        if rotation.next:
            content["next_door_key"] = rotation.next.hex()
        if rotation.old:
            content["old_door_key"] = rotation.old.hex()
            content["old_until_revision"] = rotation.revision
            content["old_drops"] = rotation.drops
            content["old_dropped"] = rotation.dropped
        return content

    def _refresh(self) -> None:
        """Take in what another program has changed in the file."""
        if self._path is None:
            return
        # A file that cannot be read now is told by who reads it next; what is known goes on counting.
        with suppress(OSError, ValueError):
            if _stamp(self._path) != self._stamp:
                other = KeyFile.load(self._path)
                self._doors, self._rotations, self._stamp = other._doors, other._rotations, other._stamp

    @classmethod
    def load(cls, path: Path) -> KeyFile:
        """Read a file; PermissionError if others could have read it, too, ValueError if it is none or not there."""
        if not path.exists():
            raise ValueError(f"{path} is not there: menwei door-keys makes a key file, --keys names another one")
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise PermissionError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
        try:
            stamp = _stamp(path)
            content = json.loads(path.read_text())
            keys = cls(content["site"])
            keys._path, keys._stamp = path, stamp
            for door, entry in content["doors"].items():
                journal = {bytes.fromhex(epoch): bytes.fromhex(start) for epoch, start in entry["journal"].items()}
                keys.add(door, bytes.fromhex(entry["door_key"]), journal)
                keys.set_rotation(door, _rotation(entry))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no key file: {error!r}") from error
        return keys


def _rotation(entry: dict) -> Rotation:
    coming, old = (_key(entry, name) for name in ("next_door_key", "old_door_key"))
    revision, drops = (int(entry.get(name, 0)) for name in ("old_until_revision", "old_drops"))
    return Rotation(coming, old, revision, drops, bool(entry.get("old_dropped", False)))


def _key(entry: dict, name: str) -> bytes | None:
    key = bytes.fromhex(entry.get(name, ""))
    if key and len(key) != _DOOR_KEY:
        raise ValueError(f"{name} has {len(key)} bytes and needs {_DOOR_KEY}")
    return key or None


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size
