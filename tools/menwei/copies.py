"""Finds copied cards by their passage counters, when what several doors recorded comes together.

    check = CopyCheck(store, Cards(keys, [("classic", bytes.fromhex("9c599b32"))]))
    for finding in check.take(event): ...

A card of kind `classic` carries a counter that each passage moves on; the record says which value the card certainly
held afterwards. Two signs tell of a copy, in whatever order the records arrive (docs/security.md, "Copied cards"):

* the same value was reached twice: by the card and by its copy;
* a card came with a value below one that it had certainly reached before: by the order of one journal, or as far as the
  clocks of both doors tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from menwei.keyfile import KeyFile
from menwei.names import CREDENTIALS
from menwei.passed import Passed
from menwei.store import Event, Finding, Store
from storage import record
from storage.mac import Hmac, derive

_KIND = {name: number for number, name in CREDENTIALS.items()}
_PSEUDONYM = 7
_NEVER = 1 << 40


class Cards:
    """Which card stands behind a door's pseudonym, as far as the office's cards are known here."""

    def __init__(self, keys: KeyFile, cards: Iterable[tuple[str, bytes]]) -> None:
        """Take (kind, UID) of each card."""
        self._keys = keys
        self._cards = [(kind, bytes(uid)) for kind, uid in cards]
        self._doors: dict[str, tuple[tuple[bytes, ...], dict[str, str]]] = {}

    def name(self, door: str, pseudonym: str) -> str:
        """The same text for the same card at every door; of an unknown card, one that is its own at this door."""
        keys = self._secrets(door)
        known = self._doors.get(door)
        if known is None or known[0] != keys:
            known = self._doors[door] = keys, self._pseudonyms(door)
        return known[1].get(pseudonym, f"{pseudonym} at {door}")

    def renamed(self) -> Iterator[tuple[str, str]]:
        """(name of a card that was not known, its name now) for all cards and doors."""
        for door in self._keys.doors:
            for pseudonym, name in self._pseudonyms(door).items():
                yield f"{pseudonym} at {door}", name

    def _secrets(self, door: str) -> tuple[bytes, ...]:
        """The door keys whose pseudonyms a door may use: more than one while its key is rotated."""
        old = self._keys.rotation(door).old
        return self._keys.door_keys(door) + ((old,) if old else ())

    def _pseudonyms(self, door: str) -> dict[str, str]:
        names = {}
        for door_key in self._secrets(door):
            mac = Hmac(derive(door_key, b"pseudonym"))
            for kind, uid in self._cards:
                mac.update(bytes((_KIND[kind],)) + uid)
                names[mac.digest()[:_PSEUDONYM].hex()] = f"{kind} {uid.hex()}"
        return names


def _span(event: Event) -> tuple[int, int]:
    """Earliest and latest second at which it can have happened."""
    if event.trust == record.FLOOR:
        return event.time, _NEVER
    error = 1 << event.uncertainty
    return event.time - error, event.time + error


class CopyCheck:
    """Compares each new passage with what is stored of the same card."""

    def __init__(self, store: Store, cards: Cards) -> None:
        self._store = store
        self._cards = cards

    def catch_up(self) -> Iterator[tuple[str, Finding]]:
        """Compare what is stored and was not compared yet; (door, finding). Cards known by now get their names."""
        self._store.rename_cards(self._cards.renamed())
        for event in self._store.events_not_compared():
            for finding in self.take(event):
                yield event.door, finding

    def take(self, event: Event) -> Iterator[Finding]:
        """Store the counter of a new passage; what it says of a copy. Events of other kinds say nothing."""
        kind, _, counted, counter = record.shown(event.detail)
        if event.kind != record.GRANTED or kind != record.KIND_CLASSIC:
            return
        passed = Passed(
            self._cards.name(event.door, event.pseudonym), counter, bool(counted), *_span(event),
            event.door, event.epoch, event.seq,
        )  # fmt: skip
        other = self._store.add_passed(passed)
        if other:
            text = (
                f"a copy of card {passed.card} is in use: {_sign(passed, other)} "
                f"(record {passed.seq} of {passed.door}, record {other.seq} of {other.door})"
            )
            yield Finding("copy", text, event.epoch, event.seq)


def _sign(one: Passed, other: Passed) -> str:
    """What is wrong with two passages of which one contradicts the other."""
    if one.counted and other.counted and one.counter == other.counter:
        return f"its counter reached {one.counter} twice"
    same = (one.door, one.epoch) == (other.door, other.epoch)
    if not (one.seq > other.seq if same else one.earliest > other.latest):
        one, other = other, one
    return f"it came with counter {one.counter - one.counted} after it had left with {other.counter}"
