"""Read the allowlist straight out of a flash image, by docs/flash-formats.md alone.

    cards = read_cards(Path("flash.img").read_bytes(), offset, size)
    print(len(cards.live), cards.digest_live.hex(), cards.findings)

Written apart from `storage/` on purpose: it shares no code with what it checks. Pseudonyms stay inside: a `Card` has
none, and what it is compared by is not shown.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from menwei.rawflash import (
    SECTOR,
    Finding,
    blank,
    clean_count,
    flips,
    happened,
    little,
    sealed,
    sectors,
    torn_triple,
    worn,
)

LIVE, SUSPENDED, REVOKED, DEAD = range(4)
STATES = ("live", "suspended", "revoked")
NO_END = 0xFFFFFF
SLOT = 16
SLOTS = 254  # of a sector; two more are its header
_PAGES = 16
_CARD, _LIMITED, _COUNTER = 1, 2, 3
_SPARE_SECTORS = 4


@dataclass(frozen=True)
class Card:
    """An entry that counts. Times are minutes since 2020, `uses_left` is None without a limit."""

    state: int
    valid_from: int
    valid_until: int
    group: int
    key_version: int
    uses_left: int | None
    sector: int
    slot: int


@dataclass(frozen=True)
class TableSector:
    """A physical sector that holds logical sector `logical`."""

    number: int
    logical: int
    generation: int
    used: int
    overflow: int  # a bit for each full page that lookups go past


@dataclass
class Cards:
    """What a cards region holds."""

    slots: int = 0
    used: int = 0
    cards: list[Card] = field(default_factory=list)
    superseded: int = 0  # entries that are marked dead, or that stand behind the one that counts
    torn: int = 0
    counters: int = 0  # use counters that belong to a card
    disagreeing: int = 0  # triples and headers in which bits disagree
    digest_live: bytes = bytes(8)
    digest_tombstones: bytes = bytes(8)
    office_epoch: int = 0
    revision: int = 0
    reconciling: tuple[int, int, int] | None = None  # office epoch, revision, position that it has come to
    table: list[TableSector] = field(default_factory=list)
    erased: int = 0  # sectors that are ready
    waiting: int = 0  # sectors that must be erased before use
    erases: dict[int, int] = field(default_factory=dict)  # by sector, where its marker is right
    findings: list[Finding] = field(default_factory=list)

    def in_state(self, state: int) -> int:
        """How many cards are in a state."""
        return sum(card.state == state for card in self.cards)

    def groups(self, now_min: int) -> dict[int, Counter]:
        """By group: how many are `live`, `suspended`, `revoked`; of the live ones, `past` a minute or with `no_end`."""
        found: dict[int, Counter] = defaultdict(Counter)
        for card in self.cards:
            group = found[card.group]
            group[STATES[card.state]] += 1
            if card.state == LIVE:
                group["no_end"] += card.valid_until == NO_END
                group["past"] += card.valid_until != NO_END and card.valid_until <= now_min
        return dict(sorted(found.items()))


def read_cards(image: bytes, offset: int, size: int) -> Cards:
    """The allowlist in the region at `offset`.

    Raises:
        ValueError: the region is not there, or its headers speak of a region of another size.
    """
    region = image[offset : offset + size]
    if len(region) != size or size % SECTOR or size // SECTOR <= _SPARE_SECTORS:
        raise ValueError(f"no cards region of {size:,} bytes at {offset:#x}: it needs 5 whole sectors or more")
    return _Reader(region).read()


@dataclass(frozen=True)
class _Header:
    kind: int
    logical: int
    generation: int
    sound: bool  # or with a bit put right


class _Reader:
    def __init__(self, region: bytes) -> None:
        self._region = region
        self._logicals = len(region) // SECTOR - _SPARE_SECTORS
        self._cards = Cards(slots=SLOTS * self._logicals)

    def read(self) -> Cards:
        cards = self._cards
        tables: dict[int, list[tuple[bool, int, int]]] = defaultdict(
            list
        )  # by logical sector: (sound, generation, number)
        revisions: list[tuple[int, bool, int]] = []
        damaged: list[tuple[int, bytes]] = []
        for number, data in sectors(self._region):
            erases = clean_count(data)
            if erases is not None:
                cards.erases[number] = erases
            header = self._header(number, data)
            if header and erases is None:
                self._note("damaged header", "its clean marker is wrong, but it counts", sector=number)
            if header and header.kind == 0x52:
                revisions.append((header.generation, header.sound, number))
            elif header and not happened(data[22], 0):
                tables[header.logical].append((header.sound, header.generation, number))
            elif erases is not None and blank(data[8:]):
                cards.erased += 1
            else:
                cards.waiting += 1
                if not header and not blank(data[8:22]) and any(data[:32]):
                    damaged.append((number, data))
        for logical, found in sorted(tables.items()):
            self._pick(logical, sorted(found))
        self._judge_damaged(damaged, missing=self._logicals - len(tables))
        self._revision([number for *_, number in sorted(revisions)])
        cards.findings += worn("cards", cards.erases)
        return cards

    def _note(self, what: str, text: str, **more) -> None:
        self._cards.findings.append(Finding("cards", what, text, **more))

    # Headers

    def _header(self, number: int, data: bytes) -> _Header | None:
        head = data[8:22]
        if blank(head):
            return None
        right = next((way for way in (head, *flips(head)) if sealed(b"menwei cards", way[:10], way[10:14])), None)
        if right is None:
            return None
        logicals, logical = little(right[8:10]), little(right[2:4])
        if right[1] != 1 or right[0] not in (0x43, 0x52):
            self._note("foreign header", f"format {right[1]} is unknown to this tool; use a newer one", sector=number)
            return None
        if logicals != self._logicals:
            raise ValueError(
                f"cards: sector {number} belongs to a region of {logicals + _SPARE_SECTORS} sectors, and this one has"
                f" {self._logicals + _SPARE_SECTORS}; read exactly the region, or name the right --board"
            )
        if logical >= logicals:
            return None
        if right != head:
            self._cards.disagreeing += 1
            self._note(
                "damaged header", "one bit is flipped; it counts, and the door rewrites the sector", sector=number
            )
        return _Header(right[0], logical, little(right[4:8]), right == head)

    def _pick(self, logical: int, found: list[tuple[bool, int, int]]) -> None:
        """Of several sectors for one logical sector the highest generation with a sound header counts."""
        _, generation, number = found[-1]
        for _, other, sector in found[:-1]:
            self._cards.waiting += 1
            if other == generation:
                self._note(
                    "two headers", f"logical sector {logical} stands in two sectors of one generation", sector=sector
                )
        self._sector(number, logical, generation)

    def _judge_damaged(self, damaged: list[tuple[int, bytes]], missing: int) -> None:
        """A rewrite that power cut short has no header yet; the old sector still stands then."""
        for number, data in damaged:
            whole = sum(_valid(data[at : at + SLOT]) for at in range(2 * SLOT, SECTOR, SLOT))
            if missing and whole > 1:
                text = f"{whole} entries stand behind it, and the door does not see them; send the list again"
                self._note("damaged header", text, sector=number)
            else:
                self._note(
                    "torn header", "a rewrite was cut short; the door erases it when idle", sector=number, wrong=False
                )

    # Entries

    def _sector(self, number: int, logical: int, generation: int) -> None:
        cards = self._cards
        data = self._region[number * SECTOR : (number + 1) * SECTOR]
        triples = little(data[26:32])
        # One zero of the three is enough here: to read on for nothing is harmless.
        overflow = sum((triples >> 3 * page & 7 != 7) << page for page in range(_PAGES))
        cards.disagreeing += sum(torn_triple(triples, page) for page in range(_PAGES))
        by_key: dict[bytes, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        used = 0
        for slot in range(2, SECTOR // SLOT):
            entry = data[slot * SLOT : (slot + 1) * SLOT]
            if blank(entry):
                continue
            used += 1
            if not _valid(entry):
                cards.torn += 1
                text = "its checks are wrong: a change was cut short, or it was damaged; it does not count"
                self._note("torn entry", text, sector=number, slot=slot, wrong=False)
                continue
            bits = entry[14] >> 7 | entry[15] << 1
            cards.disagreeing += sum(torn_triple(bits, index) for index in range(3))
            if _state(entry) == DEAD:
                cards.superseded += entry[13] & 3 != _COUNTER
            else:
                by_key[entry[:6]][slot >> 4].append(slot)
        for key, by_page in by_key.items():
            order = [slot for page in _probe(key, overflow) for slot in by_page.get(page, [])]
            copies = sum(data[slot * SLOT + 13] & 3 != _COUNTER for slots in by_page.values() for slot in slots)
            cards.superseded += copies - self._card(number, data, order)
        cards.used += used
        cards.table.append(TableSector(number, logical, generation, used, overflow))

    def _card(self, number: int, data: bytes, order: list[int]) -> bool:
        """Take the first card in probe order, if there is one."""
        cards = self._cards
        counter = None
        for slot in order:
            entry = data[slot * SLOT : (slot + 1) * SLOT]
            if entry[13] & 3 == _COUNTER:
                counter = entry
                continue
            limited = entry[13] & 3 == _LIMITED
            cards.counters += limited and counter is not None
            state = _state(entry)
            uses = None
            if limited:
                uses = _uses(counter) if counter else 0
            cards.cards.append(
                Card(
                    state=state,
                    valid_from=little(entry[6:9]),
                    valid_until=little(entry[9:12]),
                    group=entry[12] & 63,
                    key_version=entry[12] >> 6,
                    uses_left=uses,
                    sector=number,
                    slot=slot,
                )
            )
            token = hashlib.sha256(b"menwei entry" + entry[:13] + bytes([entry[13] & 3, state])).digest()[:8]
            if state == REVOKED:
                cards.digest_tombstones = _xor(cards.digest_tombstones, token)
            else:
                cards.digest_live = _xor(cards.digest_live, token)
            return True
        return False

    # Revisions

    def _revision(self, found: list[int]) -> None:
        """The last revision, and the last slot if it is one of progress, of the newest sector that has one."""
        cards = self._cards
        cards.waiting += max(0, len(found) - 2)
        newest = revision = None
        for place, number in enumerate(reversed(found)):
            data = self._region[number * SECTOR : (number + 1) * SECTOR]
            slots = [data[at : at + SLOT] for at in range(2 * SLOT, SECTOR, SLOT)]
            written = [slot for slot in slots if not blank(slot)]
            valid = [slot for slot in written if _revision_kind(slot) is not None]
            if place == 0 and written and written[-1:] != valid[-1:]:
                text = "the newest revision slot is torn or damaged: the one before counts"
                self._note("torn revision", text, sector=number, slot=1 + len(written), wrong=False)
            newest = newest or (valid[-1] if valid else None)
            revision = revision or next((slot for slot in reversed(valid) if _revision_kind(slot) == 0), None)
        if newest and _revision_kind(newest) == 1:
            cards.reconciling = little(newest[:4]), little(newest[4:8]) & 0x3FFFFFFF, little(newest[8:12])
        if revision:
            cards.office_epoch, cards.revision = little(revision[:4]), little(revision[4:8])
        elif found:
            self._note("no revision", "no revision slot is whole; the office sends the whole list", sector=found[-1])


def _revision_kind(slot: bytes) -> int | None:
    """0 revision, 1 progress of a reconciliation; None if the slot is not valid."""
    kind = slot[7] >> 6
    checked = 12 if kind == 1 else 8
    return kind if kind < 2 and sealed(b"menwei revision", slot[:checked], slot[checked:]) else None


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _probe(key: bytes, overflow: int):
    """Pages in the order in which a lookup of p[1:7] reads them, as far as it reads on."""
    page = 2 + (key[1] << 8 | key[2]) % SLOTS >> 4
    for _ in range(_PAGES):
        yield page
        if not overflow >> page & 1:
            return
        page = (page + ((key[3] & 7) << 1 | 1)) % _PAGES


def _valid(entry: bytes) -> bool:
    """Whether the two checks over the 106 constant bits are right."""
    content = bytearray(entry[:13])
    kind = entry[13] & 3
    if kind == _COUNTER:
        content[6:12] = b"\xff" * 6  # cleared in place, use by use
    bits = [byte >> bit & 1 for byte in content for bit in range(8)] + [kind & 1, kind >> 1]
    if kind == 0 or entry[14] & 127 != bits.count(0):
        return False
    register = 0
    for bit in bits:
        register = register >> 1 ^ (0x30 if (register ^ bit) & 1 else 0)
    return register == entry[13] >> 2


def _state(entry: bytes) -> int:
    bits = entry[14] >> 7 | entry[15] << 1
    return next((state for state in (DEAD, REVOKED, SUSPENDED) if happened(bits, state - 1)), LIVE)


def _uses(counter: bytes) -> int:
    return sum(not happened(little(counter[6:12]), index) for index in range(16))
