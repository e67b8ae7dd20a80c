"""What a door's list needs while its door key is rotated: each card under the name that the new key gives it.

    cover = Cover.of(store, keys, "front-gate", [("ntag424", uid), ("uid", uid)])
    cover.changes        # to be appended to the list; none: all that can be brought over is
    cover.unknown        # names that nobody can translate

Worked out anew each time from the list, the key file and the cards, so that nothing is lost if it is broken off. The
door looks a card up under its new name first: what stands there counts, so a card is never missing meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from menwei.epoch import UNIX_2020
from menwei.keyfile import KeyFile
from menwei.names import CREDENTIALS
from menwei.store import Store
from storage.mac import Hmac, derive
from sync import messages

_ALL = 1 << 30
_PSEUDONYM = 7
_GONE = -1
_LIVE, _REVOKED = 0, messages.REVOKE - messages.PUT


@dataclass
class _Entry:
    """What the list says of one name: state, or `_GONE`; bytes 8 to 15 of the change; first and last revision."""

    state: int
    values: bytes
    first: int
    last: int

    @property
    def limited(self) -> bool:
        return bool(self.values[7] >> 2)

    def ended(self, now: float) -> bool:
        return int.from_bytes(self.values[3:6], "little") * 60 <= now - UNIX_2020


@dataclass
class Cover:
    """How far the list of one door is; names in hex.

    Args:
        changes: what is to be appended to the list.
        done, cards: how many names of the old key have their new one, of how many.
        unknown: names of cards that are let in, of which nobody knows what stands behind them: they block the end.
        limited: names of cards with a number of uses, which a new name would begin anew: they block it until they end.
        lost: names of cancelled cards that nobody can translate: unknown afterwards, and so refused without an alert.
        old: names made with the old key that stand in the list.
    """

    changes: list[bytes] = field(default_factory=list)
    done: int = 0
    cards: int = 0
    unknown: list[str] = field(default_factory=list)
    limited: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    old: list[bytes] = field(default_factory=list)

    @classmethod
    def of(
        cls, store: Store, keys: KeyFile, door: str, cards: Iterable[tuple[str, bytes]], now: float | None = None
    ) -> Cover:
        """From the list as it is intended.

        Args:
            cards: (kind, UID); a UID is looked for under every kind, as doors do.
            now: Unix time.

        Raises:
            ValueError: the key of this door is not being rotated, or the door does not use the new one yet.
        """
        rotation = keys.rotation(door)
        if rotation.old is None:
            raise ValueError(f"{door} does not use a new key yet: menwei rekey start")
        entries = _fold(store.changes(door, 0, _ALL))
        names = translation(rotation.old, keys.door_key(door), (uid for _, uid in cards))
        cover = cls()
        now = time.time() if now is None else now
        for name, entry in entries.items():
            if name in names:
                cover._take(name, entry, names[name], entries.get(names[name]), now)
            elif entry.first <= rotation.revision and entry.state != _GONE:
                cover._take_unknown(name, entry, now)
        return cover

    def _take(self, name: bytes, entry: _Entry, new: bytes, there: _Entry | None, now: float) -> None:
        """A card that is known, and what stands under its new name."""
        ahead = there is not None and there.last > entry.last
        if entry.state == _GONE:
            if there and there.state != _GONE and not ahead:
                self.changes.append(_change(messages.FORGET, new, there.values))
            return
        self.old.append(name)
        if there and there.state == _GONE and ahead:
            self.changes.append(_change(messages.FORGET, name, entry.values))
            return
        self.cards += 1
        if ahead:
            self.done += 1
        elif entry.limited and entry.state != _REVOKED:
            if not entry.ended(now):
                self.limited.append(name.hex())
        else:
            self.changes.append(_change(messages.PUT + entry.state, new, entry.values))

    def _take_unknown(self, name: bytes, entry: _Entry, now: float) -> None:
        self.old.append(name)
        self.cards += 1
        (self.lost if entry.state == _REVOKED or entry.ended(now) else self.unknown).append(name.hex())

    @property
    def blocked(self) -> bool:
        """Whether cards would be shut out if the door dropped its old key now."""
        return bool(self.changes or self.unknown or self.limited)


def translation(old_key: bytes, new_key: bytes, uids: Iterable[bytes]) -> dict[bytes, bytes]:
    """The new name by the old one, of each UID as each kind."""
    old, new = (Hmac(derive(key, b"pseudonym")) for key in (old_key, new_key))
    found = {}
    for uid in uids:
        for kind in CREDENTIALS:
            words = []
            for mac in (old, new):
                mac.update(bytes((kind,)) + uid)
                words.append(mac.digest()[:_PSEUDONYM])
            found[words[0]] = words[1]
    return found


def _fold(changes: list[tuple[int, bytes]]) -> dict[bytes, _Entry]:
    """What a door makes of them (docs/protocol.md, "list"): suspending and revoking keep values and never go back."""
    entries: dict[bytes, _Entry] = {}
    for revision, change in changes:
        operation, name, values = change[0], change[1:8], change[8:]
        known = entries.get(name)
        first = known.first if known else revision
        state = _GONE if operation == messages.FORGET else operation - messages.PUT
        if known and known.state != _GONE and state > _LIVE:
            state, values = max(known.state, state), known.values
        entries[name] = _Entry(state, values, first, revision)
    return entries


def _change(operation: int, name: bytes, values: bytes) -> bytes:
    return bytes((operation,)) + name + values
