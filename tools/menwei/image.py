"""Read the journal straight out of a flash image, by docs/flash-formats.md alone, and judge every record in it.

    journal = read_journal(Path("flash.img"), offset, size, start_key)
    for record in journal.records:
        print(record.seq, record.kind, record.reason)
    for finding in journal.findings: ...        # changed, missing, reordered, foreign epoch, torn, …

Written apart from `storage/` on purpose: it shares no code with what it checks, and it knows numbers only, no names.

A record's seal covers its own bytes and the seal of the record with the number before. So each record is judged by
itself, wherever that other one stands: one altered record does not make all after it doubtful. Without the start key
the keys that still lie in the image serve. That shows damage; a forger who has the image has them, too.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from menwei.journalscan import (
    CHAIN,
    GROUP,
    LIVE,
    SLOTS,
    WIPED,
    JournalSector,
    KeySlot,
    Record,
    Scan,
    is_key_slot,
    scan_journal,
)
from menwei.rawflash import Finding

NO_CHAIN = bytes(CHAIN)
# A busy door moves its key some 200 times a day: fifty years. It bounds what a damaged number can ask for.
_MOST_GENERATIONS = 4_000_000
_STRIDE = 1024  # every so many keys one is kept

RIGHT, WRONG, TORN = "right", "wrong", "torn"
UNCHECKED = "unchecked"  # no key reaches it
LOOSE = "loose"  # the record before is missing, without which nobody can tell


@dataclass
class Journal:
    """What a journal region holds; `records` are those that are right, or that no key reaches."""

    scan: Scan
    records: list[Record] = field(default_factory=list)
    acked: int = 0  # highest acknowledged number
    first: int = 0
    head: int = 0
    torn: int = 0  # slots that a power cut made worthless
    checked: int = 0  # records whose seal is right
    loose: int = 0
    key_fits: bool | None = None  # the start key; None without one, or if nothing tells

    @property
    def epoch(self) -> bytes:
        """Four bytes; none if there is no journal."""
        return self.scan.epoch

    @property
    def findings(self) -> list[Finding]:
        """Everything that stands out."""
        return self.scan.findings

    @property
    def problems(self) -> list[str]:
        """What is wrong, in sentences."""
        return [str(finding) for finding in self.findings if finding.wrong]

    @property
    def live_keys(self) -> list[KeySlot]:
        """Key slots whose key was not wiped."""
        return [slot for slot in self.scan.keys if slot.state == LIVE]


def read_journal(image: Path | bytes, offset: int, size: int, start_key: bytes | None = None) -> Journal:
    """The journal of the region at `offset` in a flash image; `start_key` is the key of generation 0."""
    data = image if isinstance(image, bytes) else image.read_bytes()
    region = data[offset : offset + size]
    if len(region) != size:
        raise ValueError(
            f"the image has {len(data)} bytes and no region of {size} bytes at {offset}; is it the right file?"
        )
    journal = Journal(scan_journal(region))
    if journal.scan.sectors:
        _Judge(journal, _Keys(start_key, journal.live_keys)).all()
    return journal


def next_key(key: bytes) -> bytes:
    """Key of the next generation."""
    return hashlib.sha256(b"menwei next key" + key).digest()[:16]


class _Keys:
    """Key by generation, from the start key or from the oldest one before it that lies in the image."""

    def __init__(self, start_key: bytes | None, live: list[KeySlot]) -> None:
        self._known = {slot.generation: slot.key for slot in live} if start_key is None else {0: start_key}
        self.from_start = start_key is not None

    def of(self, generation: int) -> bytes | None:
        """The key of a generation; None if there is no way to it."""
        if generation in self._known:
            return self._known[generation]
        known = sorted(self._known)
        index = bisect_right(known, generation) - 1
        if index < 0 or generation - known[index] > _MOST_GENERATIONS:
            return None
        key = self._known[known[index]]
        for step in range(known[index] + 1, generation + 1):
            key = next_key(key)
            if step == generation or step % _STRIDE == 0:
                self._known[step] = key
        return key


class _Judge:
    """Numbers, seals and keys of one journal."""

    def __init__(self, journal: Journal, keys: _Keys) -> None:
        self._journal = journal
        self._scan = journal.scan
        self._keys = keys
        self._all = journal.scan.records
        self._by_number: dict[int, list[Record]] = defaultdict(list)
        self._true_seal: dict[int, bytes] = {}  # of records whose own bytes do not carry it
        self._missing: list[tuple[int, int]] = []
        self._first_behind: dict[tuple[int, int], int] = {}  # first record by its key slot

    def all(self) -> None:
        for record in self._all:
            self._by_number[record.stated].append(record)
        self._seals()
        self._numbers()
        self._end()
        self._acknowledged()
        self._key_slots()
        self._verdicts()

    def _note(self, what: str, text: str, record: Record, **more) -> None:
        self._scan.note(what, text, sector=record.sector, slot=record.slot, seq=record.seq, **more)

    # Seals

    def _seals(self) -> None:
        before: Record | None = None
        for record in self._all:
            self._seal(record, before)
            before = record
        if self._keys.from_start:
            judged = [record for record in self._all if record.verdict != UNCHECKED]
            same = [self._keys.of(slot.generation) == slot.key for slot in self._journal.live_keys]
            if any(record.verdict == RIGHT for record in judged) or any(same):
                self._journal.key_fits = True
            elif same or len(judged) > 1:  # a single one may be torn
                self._journal.key_fits = False

    def _seal(self, record: Record, before: Record | None) -> None:
        """Try every chain value that the record may have been made with."""
        generation = _generation(record, before)
        record.generation = generation
        key = self._keys.of(generation) if record.whole else None
        if key is None:
            record.verdict = UNCHECKED if record.whole else WRONG
            return
        chains = [self._true_seal[id(before)]] if id(before) in self._true_seal else []
        chains += [] if before is None else [before.chain]
        chains += [other.chain for other in self._by_number.get(record.stated - 1, ())]
        chains += [record.key_slot.chain] if record.key_slot else []
        chains += [NO_CHAIN] if record.stated == 1 else []
        for chain in dict.fromkeys(chains):
            if hmac.digest(key, chain + record.body, "sha256")[: len(record.mac)] == record.mac:
                record.verdict = RIGHT
                return
        record.verdict = WRONG
        if chains:
            # If only its seal was altered, the next record was still made with the right one.
            self._true_seal[id(record)] = hmac.digest(key, chains[0] + record.body, "sha256")[:CHAIN]

    # Numbers

    def _numbers(self) -> None:
        """Which number each record has, and which are missing: a record's own number may be what was altered."""
        due: int | None = None
        after = {id(a): b for a, b in zip(self._all, self._all[1:], strict=False)}
        for sector in self._scan.sectors:
            if sector.first is not None:
                due = self._sector_begins(sector, due)
            for record in sector.records:
                if due is None:
                    due = record.stated
                if _left_behind(record, after.get(id(record)), due):
                    record.verdict, record.seq = TORN, due
                    text = "its append was cut short, and the flash did not take the zeros over it"
                    self._note("torn", text, record, wrong=False)
                    continue
                record.seq = self._number(record, after.get(id(record)), due)
                if record.seq < due:
                    self._out_of_order(record)
                else:
                    if record.seq > due:
                        self._miss(due, record.seq - 1, record)
                    due = record.seq + 1
        for first, last in self._missing:
            place = next((record for record in self._all if record.seq > last), None)
            text = "not in the ring" if place is None else f"sequence {place.seq} stands in the place"
            where = {} if place is None else {"sector": place.sector, "slot": place.slot}
            self._scan.note("missing", text, seq=first, last=last, **where)
        self._journal.head = (due or 1) - 1
        start = self._scan.sectors[0]
        self._journal.first = start.first if start.first is not None else min((r.seq for r in self._all), default=1)

    def _sector_begins(self, sector: JournalSector, due: int | None) -> int:
        """The number that is due at the beginning of a sector, by its header and the records before it."""
        inside = [sector.first <= record.stated < sector.first + SLOTS for record in sector.records]
        if 2 * sum(inside) < len(inside):
            text = f"it says that its records begin with {sector.first}, but they do not"
            self._scan.note("damaged header", text, sector=sector.number)
            return sector.records[0].stated if due is None else due
        if due is not None and sector.first > due:
            self._miss(due, sector.first - 1, None)
        return sector.first if due is None else max(due, sector.first)

    def _number(self, record: Record, after: Record | None, due: int) -> int:
        stated = record.stated
        if stated == due or record.verdict == RIGHT:
            return stated
        if after is None or after.stated == due + 1:
            return due  # the last one may be torn, its number, too
        follows = after.stated == stated + 1
        near = after.verdict != RIGHT and abs(stated - due) < SLOTS
        return stated if follows or near else due

    def _miss(self, first: int, last: int, record: Record | None) -> None:
        self._missing.append((first, last))
        if record is not None and record.verdict == WRONG:
            record.verdict = LOOSE

    def _out_of_order(self, record: Record) -> None:
        for index, (first, last) in enumerate(self._missing):
            if first <= record.seq <= last:
                parts = [(first, record.seq - 1), (record.seq + 1, last)]
                self._missing[index : index + 1] = [part for part in parts if part[0] <= part[1]]
                self._note("reordered", "it stands behind later ones", record)
                return
        self._note("repeated", "a record with this number stands before it", record)

    # What a power cut leaves at the end

    def _end(self) -> None:
        newest = self._scan.sectors[-1]
        last = self._all[-1] if self._all else None
        if last in newest.records and last.verdict in (WRONG, LOOSE) and self._journal.key_fits is not False:
            last.verdict = TORN
            text = "the last record's seal is wrong: its append was cut short, or it was altered; a start discards it"
            self._note("torn", text, last, wrong=False)
            self._journal.head -= 1
        used = [r.slot for r in newest.records if r.verdict != TORN] + [k.slot for k in newest.keys]
        end = max(used, default=0)
        for sector in self._scan.sectors:
            for slot, raw in sector.junk.items():
                is_key = slot == 1 or is_key_slot(raw)
                if is_key and not (sector is newest and slot > end) and not self._torn_key(sector, slot):
                    self._scan.note("damaged key slot", "its check is wrong", sector=sector.number, slot=slot)
                else:
                    self._journal.torn += 1
                    text = "a program was cut short, or what stood here was destroyed"
                    self._scan.note("torn", text, sector=sector.number, slot=slot, wrong=False)
        self._journal.torn += self._scan.voids + sum(len(r.raw) // 32 for r in self._all if r.verdict == TORN)

    def _torn_key(self, sector: JournalSector, slot: int) -> bool:
        """Whether a program was cut short that should have made a key slot: then only zeros of it are lacking."""
        order = {found.number: place for place, found in enumerate(self._scan.sectors)}
        before = after = None
        for record in self._all:
            if (order[record.sector], record.slot) > (order[sector.number], slot):
                after = record
                break
            before = record if record.verdict == RIGHT else before
        if before is None or after is None or after.verdict != RIGHT:
            return False
        content = after.generation.to_bytes(4, "little") + before.chain
        content += hashlib.sha256(b"menwei slot" + content).digest()[:2]
        return not any(~was & bits for was, bits in zip(sector.junk[slot][1:14], content, strict=True))

    def _acknowledged(self) -> None:
        journal = self._journal
        journal.acked = journal.first - 1
        for sector in self._scan.sectors:
            done = [r.seq for r in sector.records if r.slot < GROUP * sector.groups and r.verdict != TORN]
            journal.acked = max([journal.acked, *done])
            if sector.groups < 8:
                break

    # Keys

    def _key_slots(self) -> None:
        slots = self._scan.keys
        for record in reversed(self._all):
            if record.key_slot:
                self._first_behind[record.key_slot.sector, record.key_slot.slot] = record.seq
        newest = max((place for place, slot in enumerate(slots) if slot.state == LIVE), default=-1)
        recent = {sector.number for sector in self._scan.sectors[-3:]}
        before: KeySlot | None = None
        for place, slot in enumerate(slots):
            where = {"sector": slot.sector, "slot": slot.slot, "seq": self._record_after(slot)}
            if slot.state != WIPED and place < newest:
                # The oldest is wiped first.
                due = all(other.state == LIVE for other in slots[place + 1 : newest]) and slot.sector in recent
                text = "it lies" if slot.state == LIVE else "a part of it lies"
                text += " beside newer ones; the door wipes it when idle" if due else " there long after its time"
                self._scan.note("key not wiped", text, **where, wrong=not due)
            expected = self._keys.of(slot.generation) if self._keys.from_start and slot.state == LIVE else None
            if expected is not None and expected != slot.key and self._journal.key_fits is not False:
                text = "its key does not follow from the start key: the door lost its own, or somebody put it there"
                self._scan.note("foreign key", text, **where)
            if before and slot.generation - before.generation not in (0, 1) and not self._lost_between(before, slot):
                text = f"generation {slot.generation} follows {before.generation}"
                self._scan.note("damaged key slot", text, **where)
            before = slot
        self._chains()

    def _lost_between(self, before: KeySlot, slot: KeySlot) -> bool:
        """Whether a key slot between these two may be one of those that are damaged or missing."""
        order = {sector.number: place for place, sector in enumerate(self._scan.sectors)}
        start, end = (order[before.sector], before.slot), (order[slot.sector], slot.slot)
        junk = ((place, at) for place, sector in enumerate(self._scan.sectors) for at in sector.junk)
        if any(start < place < end for place in junk):
            return True
        end = self._record_after(slot)
        if end is None:
            return False
        start = self._record_after(before)
        start = end - 1 if start is None else start
        return any(start <= last < end for _, last in self._missing)

    def _record_after(self, slot: KeySlot) -> int | None:
        return self._first_behind.get((slot.sector, slot.slot))

    def _chains(self) -> None:
        """The chain value in a key slot is the seal of the record before: seen without any key."""
        for before, record in zip(self._all, self._all[1:], strict=False):
            slot = record.key_slot
            if slot is None or not record.behind_key or record.seq != before.seq + 1 or slot.chain == before.chain:
                continue
            if before.verdict == UNCHECKED:
                self._note("changed", "its seal is not the chain value in the key slot behind it", before)
                before.verdict = WRONG
            elif before.verdict == RIGHT:
                text = "its chain value is not the seal of the record before it"
                self._scan.note("damaged key slot", text, sector=slot.sector, slot=slot.slot, seq=record.seq)

    # Verdicts

    def _verdicts(self) -> None:
        journal = self._journal
        named = {(finding.sector, finding.slot) for finding in self._scan.findings if finding.what == "changed"}
        if journal.key_fits is False:
            text = "no record's seal is right with this start key: it is not the key of this door, or not of this epoch"
            self._scan.note("wrong key", text, seq=journal.first, last=journal.head)
        for record in self._all:
            if record.verdict == WRONG and journal.key_fits is not False and (record.sector, record.slot) not in named:
                text = "its seal is wrong" if record.whole else "its second half is gone"
                if record.stated != record.seq:
                    text += f", and it calls itself {record.stated}"
                self._note("changed", text, record)
        journal.records = [record for record in self._all if record.verdict in (RIGHT, UNCHECKED)]
        journal.checked = sum(record.verdict == RIGHT for record in self._all)
        journal.loose = sum(record.verdict == LOOSE for record in self._all)


def _left_behind(record: Record, after: Record | None, due: int) -> bool:
    """Whether the next record has the number that is due here: then this one never counted."""
    if after is None or after.stated != due or record.verdict == RIGHT:
        return False
    return record.stated == due or (record.verdict == WRONG and after.verdict == RIGHT)


def _generation(record: Record, before: Record | None) -> int:
    """The key generation of a record, by the last key slot (or record) before it and the two bits in the record."""
    base = record.key_slot.generation if record.key_slot else 0
    if before is not None and before.verdict == RIGHT:
        base = max(base, before.generation)
    turn = ((record.raw[4] >> 6) - base) & 3
    return max(0, base + (turn if turn < 3 else -1))
