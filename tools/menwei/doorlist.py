"""What a door's list should hold: the office's changes, and what the door's own records say that became of them.

    lists = DoorList(store, "front-gate")
    lists.update()
    lists.intended.digests(), lists.intended.page(position, sectors)
    lists.expected.digests()     # without what the door reported as left out

Computed as the door does: storage/cardchange.py, docs/flash-formats.md. Uses that visitors took stand in counters, and
those are not in the digests.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from menwei.liststore import ListTables
from storage import record
from storage.entry import REVOKED, sector_of
from storage.packing import pack, token
from sync.messages import FORGET, PUT
from sync.upstream import pack_change

MAX_CARDS = 32
_SECTOR_BITS = 16


@dataclass(frozen=True)
class Card:
    """One card: its state as storage.entry numbers them, its values as pack_change takes them, its last change."""

    state: int
    values: tuple[int, int, int, int, int]
    revision: int


def unpack_change(change: bytes) -> tuple[int, bytes, tuple[int, int, int, int, int]]:
    """(operation, pseudonym, (from, until, group, key version, uses)) of the 16 bytes of a change."""
    start, until = (int.from_bytes(change[at : at + 3], "little") for at in (8, 11))
    return change[0], change[1:8], (start, until, change[14], change[15] & 3, change[15] >> 2)


def position_of(pseudonym: bytes, sectors: int) -> int:
    """Where a card stands in the order of the pages (docs/flash-formats.md, "Reconciliation")."""
    return sector_of(pseudonym, sectors) << _SECTOR_BITS | pseudonym[1] << 8 | pseudonym[2]


class CardSet:
    """Cards by pseudonym, with the digests over them, kept up to date change by change."""

    def __init__(self) -> None:
        self.cards: dict[bytes, Card] = {}
        self.sums = [0, 0]  # over live and suspended cards, over revoked ones
        self._order: list[tuple[int, bytes]] = []
        self._sectors = 0

    def _toggle(self, pseudonym: bytes, card: Card) -> None:
        entry = bytearray(16)
        pack(entry, pseudonym, *card.values)
        self.sums[card.state == REVOKED] ^= token(entry, card.state)

    def set(self, pseudonym: bytes, card: Card | None) -> None:
        """Have this card, or none."""
        old = self.cards.pop(pseudonym, None)
        if old:
            self._toggle(pseudonym, old)
        if card:
            self._toggle(pseudonym, card)
            self.cards[pseudonym] = card
        if (old is None) != (card is None):
            self._sectors = 0

    def apply(self, revision: int, change: bytes) -> None:
        """One change, with what a door makes of it (storage/cardchange.py)."""
        operation, pseudonym, values = unpack_change(change)
        old = self.cards.get(pseudonym)
        if operation == FORGET:
            self.set(pseudonym, None)
        elif operation == PUT or old is None:
            self.set(pseudonym, Card(operation - PUT, values, revision))
        else:
            self.set(pseudonym, Card(max(old.state, operation - PUT), old.values, revision))

    def counts(self) -> tuple[int, int]:
        """How many live or suspended cards there are, and how many revoked ones."""
        dead = sum(card.state == REVOKED for card in self.cards.values())
        return len(self.cards) - dead, dead

    def page(self, first: int, sectors: int) -> tuple[int, list[bytes]]:
        """The cards from a position on, as many as a page takes, and the position behind them.

        Raises:
            ValueError: more cards than a page takes stand at one position; pseudonyms are not that alike.
        """
        if self._sectors != sectors:
            self._order = sorted((position_of(name, sectors), name) for name in self.cards)
            self._sectors = sectors
        end = ((first >> _SECTOR_BITS) + 1) << _SECTOR_BITS
        begin = bisect_left(self._order, (first, b""))
        there = self._order[begin : bisect_left(self._order, (end, b""))]
        if len(there) > MAX_CARDS:
            end = there[MAX_CARDS][0]
            there = [entry for entry in there[:MAX_CARDS] if entry[0] < end]
            if not there:
                raise ValueError(f"{MAX_CARDS + 1} cards stand at position {end}: a page takes {MAX_CARDS}")
        cards = []
        for _, name in there:
            card = self.cards[name]
            cards.append(pack_change(card.state + PUT, name, *card.values))
        return end, cards


@dataclass
class Told:
    """What a door's records tell of its list, in their order."""

    office_epoch: bytes
    held: int = 0  # the revision in the last record of kind list
    dropped: dict[bytes, int] = field(default_factory=dict)  # p[1:7] of a tombstone: revision held when it went
    skipped: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)  # left out, in these revisions
    absent: dict[bytes, int] = field(default_factory=dict)  # left out by a full reconciliation at this revision
    _open: dict[bytes, int] = field(default_factory=dict)  # left out since the last record of kind list

    def take(self, kind: int, pseudonym: bytes, detail: int) -> None:
        """One record of kind list, dropped or alarm *list full*."""
        if kind == record.DROPPED:
            self.dropped[pseudonym[1:]] = self.held
        elif kind == record.ALARM:
            self._open[pseudonym] = self.held
        elif pseudonym[:4] == self.office_epoch:
            if detail == self.held:
                # The same again: the end of a full reconciliation, which tried every card anew.
                self.skipped.clear()
                self.absent = dict.fromkeys(self._open, detail)
            else:
                for name, before in self._open.items():
                    self.skipped.setdefault(name, []).append((before, detail))
            self._open.clear()
            self.held = detail

    def left_out(self) -> int:
        """How many cards found no room, as far as nothing later says otherwise."""
        return len(self.skipped.keys() | self.absent.keys() | self._open.keys())

    def skips(self, pseudonym: bytes, revision: int) -> bool:
        """Whether this change of the card was left out."""
        return (pseudonym in self._open and revision > self._open[pseudonym]) or any(
            before < revision <= upto for before, upto in self.skipped.get(pseudonym, ())
        )

    def is_gone(self, pseudonym: bytes, card: Card) -> bool:
        """Whether a tombstone gave way, and nothing was said of its card since."""
        return card.state == REVOKED and card.revision <= self.dropped.get(pseudonym[1:], -1)


class DoorList:
    """One door's list as the office intends it, and as the door should have it."""

    def __init__(self, store: ListTables, door: str, office_epoch: bytes) -> None:
        self._store = store
        self._door = door
        self._arrival = 0
        self._revision = 0
        self.told = Told(office_epoch)
        self.intended = CardSet()  # without tombstones that gave way
        self.expected = self.intended

    def update(self) -> None:
        """Take in what has come since."""
        exceptions = False
        for arrival, kind, pseudonym, detail, *_ in self._store.list_records(self._door, self._arrival):
            self._arrival = arrival
            self.told.take(kind, bytes.fromhex(pseudonym), detail)
            exceptions |= kind != record.LIST
        if exceptions or self.expected is not self.intended or self.told.left_out():
            self._revision = 0
            self.intended = self.expected = CardSet()
        changes = self._store.changes(self._door, self._revision)
        self._replay(self.intended, changes, False)
        if self.told.left_out():
            self.expected = CardSet()
            self._replay(self.expected, changes, True)
        if changes:
            self._revision = changes[-1][0]

    def _replay(self, cards: CardSet, changes: list[tuple[int, bytes]], less: bool) -> None:
        told = self.told
        for revision, change in changes:
            name = change[1:8]
            if name in cards.cards and (told.dropped or less):
                self._give_way(cards, name, revision, less)
            if not (less and told.skips(name, revision)):
                cards.apply(revision, change)
        for name in list(cards.cards) if told.dropped or less else ():
            self._give_way(cards, name, self._store.revision(self._door) + 1, less)

    def _give_way(self, cards: CardSet, name: bytes, revision: int, less: bool) -> None:
        """Take a card away that was gone from the door before `revision`."""
        card, told = cards.cards[name], self.told
        gone = told.is_gone(name, card) and told.dropped[name[1:]] < revision
        if gone or (less and card.revision <= told.absent.get(name, -1) < revision):
            cards.set(name, None)
