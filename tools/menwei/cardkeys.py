"""The card office's key file: from its master secrets follow the card keys of every community, kind and version.

    keys = CardKeyFile.create(Path("card-keys.json"))
    keys.add("garden", "ntag424", 1)              # version 1 of key number 1
    kind = keys.kind("garden", "ntag424")
    kind.read_key(kind.current); kind.write_key(kind.current)
    keys.rotate("garden", "ntag424")              # version 2 current, version 1 still accepted
    keys.save()
    keys.door_entry("garden")                     # [["ntag424", 2, 1, "32 hex"], ["ntag424", 1, 1, "32 hex"]]

A key is HMAC-SHA256(master secret, "menwei card read" or "menwei card write", 00, community, 00, kind, 00, version),
its first 16 bytes. The read key goes to the doors of the community, the write key and the secrets stay here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from menwei.carddiversify import KIND_NUMBERS
from menwei.keyfile import check_name

KINDS = ("uid", "classic", "ntag424", "desfire")
LAST_VERSION = 255
_DOOR_VERSIONS = 3  # a door and a record tell 1 to 3 apart; 0 is the factory's
_SECRET = 32
_KEY = 16
_FORMAT = 1


class CardKeyError(ValueError):
    """What was asked of the key file cannot be; the message says why and what to do."""


def door_version(version: int) -> int:
    """What doors and cards call a version of ours: 1, 2, 3, 1, 2, … and 0 for the factory's key.

    Two versions are accepted at a time, so that three names are enough.
    """
    return (version - 1) % _DOOR_VERSIONS + 1 if version else 0


@dataclass
class KindKeys:
    """The keys of one kind of card in one community."""

    community: str
    kind: str
    number: int
    current: int
    previous: int | None = None
    masters: dict[int, int] = field(default_factory=dict)  # version: the master secret it is derived from
    secrets: dict[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def versions(self) -> list[int]:
        """The versions that doors accept, newest first."""
        return [self.current] + ([self.previous] if self.previous else [])

    def known(self, version: int) -> bool:
        """Whether keys of this version can still be made, also when doors accept it no more."""
        return self.masters.get(version) in self.secrets

    def called(self, name: int) -> list[int]:
        """The versions that a card may mean by its version byte, the likeliest first."""
        older = sorted(set(self.masters) - set(self.versions), reverse=True)
        return [
            version for version in (*self.versions, *older) if door_version(version) == name and self.known(version)
        ]

    def _derive(self, purpose: str, version: int) -> bytes:
        if not self.known(version):
            raise CardKeyError(f"{self.community} has no version {version} of its {self.kind} keys in this key file")
        words = (f"menwei card {purpose}", self.community, self.kind)
        message = b"".join(word.encode() + b"\x00" for word in words) + bytes((version,))
        return hmac.digest(self.secrets[self.masters[version]], message, hashlib.sha256)[:_KEY]

    def read_key(self, version: int) -> bytes:
        """K: doors of this community hold it."""
        return self._derive("read", version)

    def write_key(self, version: int) -> bytes:
        """W: the office alone holds it."""
        return self._derive("write", version)


class CardKeyFile:
    """Master secrets, and which versions of which keys are in use. Changes are on disk after save()."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._secrets: dict[int, bytes] = {}
        self._kinds: dict[tuple[str, str], KindKeys] = {}

    @classmethod
    def create(cls, path: Path) -> CardKeyFile:
        """A new file with one master secret, saved at once; FileExistsError if there is one already."""
        keys = cls(path)
        keys.new_master()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(keys._text())
        return keys

    def new_master(self) -> None:
        """Draw another master secret; versions that are added from now on are derived from it."""
        self._secrets[max(self._secrets, default=0) + 1] = secrets.token_bytes(_SECRET)

    @property
    def communities(self) -> list[str]:
        """Names, sorted."""
        return sorted({community for community, _ in self._kinds})

    def kinds(self, community: str) -> list[KindKeys]:
        """All keys of a community."""
        return [keys for (name, _), keys in sorted(self._kinds.items()) if name == community]

    def kind(self, community: str, kind: str) -> KindKeys:
        """The keys of one kind.

        Raises:
            CardKeyError: there are none yet.
        """
        keys = self._kinds.get((community, kind))
        if keys is None:
            raise CardKeyError(
                f"{self.path} has no {kind} keys for {community}; "
                f"make them with: menwei card keys new --community {community} --kind {kind}"
            )
        return keys

    def add(self, community: str, kind: str, number: int) -> KindKeys:
        """Begin version 1 of a community's keys of one kind; `number` is the key number, or the sector."""
        check_name("community", community)
        if kind not in KIND_NUMBERS:
            raise CardKeyError(f"{kind} cards have no keys; kinds with keys are {', '.join(KIND_NUMBERS)}")
        if number not in KIND_NUMBERS[kind]:
            what = "sector" if kind == "classic" else "key number"
            numbers = KIND_NUMBERS[kind]
            raise CardKeyError(f"the {what} of {kind} cards lies between {numbers[0]} and {numbers[-1]}, not {number}")
        if (community, kind) in self._kinds:
            raise CardKeyError(
                f"{community} has {kind} keys already; a new version is made by: menwei card keys rotate"
            )
        keys = KindKeys(community, kind, number, 1, None, {1: max(self._secrets)}, self._secrets)
        self._kinds[community, kind] = keys
        return keys

    def rotate(self, community: str, kind: str) -> KindKeys:
        """Make the next version current and keep the one before it as previous."""
        keys = self.kind(community, kind)
        if keys.previous:
            raise CardKeyError(
                f"version {keys.previous} is still accepted beside {keys.current}, and a door takes two at most; "
                "re-key the cards that are left, then drop it with: menwei card keys drop"
            )
        if keys.current == LAST_VERSION:
            raise CardKeyError(f"all {LAST_VERSION} versions are used; begin a community under another name")
        keys.previous, keys.current = keys.current, keys.current + 1
        keys.masters[keys.current] = max(self._secrets)
        return keys

    def drop(self, community: str, kind: str) -> int:
        """Accept the previous version no more; returns its number. Its cards can still be re-keyed and reset here."""
        keys = self.kind(community, kind)
        if not keys.previous:
            raise CardKeyError(f"{community} has only version {keys.current} of its {kind} keys; nothing to drop")
        dropped, keys.previous = keys.previous, None
        return dropped

    def door_entry(self, community: str) -> list[list]:
        """What a door of this community is provisioned with: [kind, version, number, key in hex], newest first."""
        found = self.kinds(community)
        if not found:
            raise CardKeyError(f"{self.path} knows no community {community}; it knows: {', '.join(self.communities)}")
        return [
            [keys.kind, door_version(version), keys.number, keys.read_key(version).hex()]
            for keys in found
            for version in keys.versions
        ]

    # File

    def _text(self) -> str:
        communities: dict = {}
        for (community, kind), keys in sorted(self._kinds.items()):
            communities.setdefault(community, {})[kind] = {
                "number": keys.number, "current": keys.current, "previous": keys.previous,
                "masters": {str(version): master for version, master in keys.masters.items()},
            }  # fmt: skip
        content = {
            "card_keys": _FORMAT,
            "secrets": {str(number): secret.hex() for number, secret in self._secrets.items()},
            "communities": communities,
        }
        return json.dumps(content, indent=1) + "\n"

    def save(self) -> None:
        """Replace the file whole or not at all: without it no card can be changed any more."""
        write_private(self.path, self._text())

    @classmethod
    def load(cls, path: Path) -> CardKeyFile:
        """Read a file; PermissionError if others could have read it, too, CardKeyError if it is none."""
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise PermissionError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
        keys = cls(path)
        try:
            content = json.loads(path.read_text())
            if content["card_keys"] != _FORMAT:
                raise CardKeyError(f"{path} has format {content['card_keys']}; this menwei reads format {_FORMAT}")
            for number, secret in content["secrets"].items():
                keys._secrets[int(number)] = bytes.fromhex(secret)
                if len(keys._secrets[int(number)]) != _SECRET:
                    raise CardKeyError(f"{path}: secret {number} has not {_SECRET} bytes")
            for community, kinds in content["communities"].items():
                for kind, entry in kinds.items():
                    keys._take(community, kind, entry)
        except CardKeyError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            # Only the kind of the error: its text may hold a piece of the file.
            raise CardKeyError(f"{path} is no card key file ({type(error).__name__})") from None
        return keys

    def _take(self, community: str, kind: str, entry: dict) -> None:
        keys = self.add(community, kind, entry["number"])
        keys.current, keys.previous = entry["current"], entry["previous"]
        keys.masters = {int(version): master for version, master in entry["masters"].items()}
        for version in keys.versions:
            if not (1 <= version <= LAST_VERSION and keys.known(version)):
                raise CardKeyError(f"{self.path}: the secret of version {version} of {community}'s {kind} is missing")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
