"""Read the journal straight out of a flash image, by docs/flash-formats.md alone.

    journal = read_journal(Path("flash.img"), offset, size, start_key)
    for record in journal.records:
        print(record.seq, record.kind, record.reason)

Written apart from `storage/` on purpose: it shares no code with what it checks, and it knows numbers only, no names.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 4096
SLOT = 32
SLOTS = SECTOR // SLOT
CHAIN = 7
NO_CHAIN = bytes(CHAIN)

_SINGLE, _LONG, _SECOND, _KEY = 0x55, 0x33, 0x3C, 0x0F  # first byte of a slot


@dataclass(frozen=True)
class Record:
    """One record, its fields as numbers; `raw` is one slot, or two of a long record."""

    epoch: bytes
    seq: int
    generation: int
    boot: int
    time: int
    trust: int
    uncertainty: int
    kind: int
    reason: int
    pseudonym: bytes
    detail: int
    payload: bytes
    chain: bytes
    raw: bytes


@dataclass
class Journal:
    """What a journal region holds."""

    epoch: bytes = b""
    records: list[Record] = field(default_factory=list)
    acked_slots: int = 0  # slots in groups that are marked as acknowledged
    torn: int = 0
    problems: list[str] = field(default_factory=list)


def read_journal(image: Path | bytes, offset: int, size: int, start_key: bytes) -> Journal:
    """The journal of the region at `offset` in a flash image; `start_key` is the key of generation 0."""
    data = image if isinstance(image, bytes) else image.read_bytes()
    region = data[offset : offset + size]
    if len(region) != size or size % SECTOR:
        raise ValueError(
            f"the image has {len(data)} bytes and no region of {size} bytes at {offset}; is it the right file?"
        )
    journal = Journal()
    sectors = sorted(_open_sectors(region, journal))
    if not sectors:
        journal.problems.append("no sector of the region has a journal header")
        return journal
    journal.epoch = sectors[-1][2]
    foreign = [ring for ring, _, epoch in sectors if epoch != journal.epoch]
    if foreign:
        journal.problems.append(f"sectors with ring numbers {foreign} belong to another epoch")
    reader = _Reader(journal, start_key)
    for ring, start, epoch in sectors:
        if epoch == journal.epoch:
            reader.sector(ring, region[start : start + SECTOR])
    return journal


def next_key(key: bytes) -> bytes:
    """Key of the next generation."""
    return hashlib.sha256(b"menwei next key" + key).digest()[:16]


def _open_sectors(region: bytes, journal: Journal):
    for start in range(0, len(region), SECTOR):
        head = region[start : start + SLOT]
        if head[8] == 0xFF or not any(head):
            continue  # erased and kept ready, or retired and about to be erased
        clean = head[0] == 0xE5 and _check(b"menwei clean", head[0:4], head[4:8])
        if not clean or head[8:10] != b"J\x01" or not _check(b"menwei journal", head[8:22], head[22:26]):
            journal.problems.append(f"sector {start // SECTOR} has a broken header")
            continue
        yield int.from_bytes(head[14:18], "little"), start, head[10:14]


def _check(label: bytes, content: bytes, check: bytes) -> bool:
    return hashlib.sha256(label + content).digest()[: len(check)] == check


def _prefix_of_triples(bits: int, count: int) -> int:
    for index in range(count):
        if (bits >> (3 * index) & 7).bit_count() > 1:  # most of the three are ones: not yet
            return index
    return count


class _Reader:
    """Walks the slots of one sector after another and keeps key, generation and chain value between them."""

    def __init__(self, journal: Journal, start_key: bytes) -> None:
        self._journal = journal
        self._start_key = start_key
        self._key = start_key
        self._generation = 0
        self._chain = NO_CHAIN
        self._ring: int | None = None

    def sector(self, ring: int, data: bytes) -> None:
        problems = self._journal.problems
        self._journal.acked_slots += 16 * _prefix_of_triples(int.from_bytes(data[26:29], "little"), 8)
        if self._ring is not None and ring != self._ring + 1:
            problems.append(f"ring number {ring} follows {self._ring}")
        self._first_key(ring, data[SLOT : 2 * SLOT])
        self._ring = ring
        index = 2
        while index < SLOTS:
            slot = data[index * SLOT : (index + 1) * SLOT]
            mark = slot[0]
            index += 1
            if slot == b"\xff" * SLOT or mark == _KEY:
                continue
            if mark == _LONG and index < SLOTS:
                slot += data[index * SLOT : (index + 1) * SLOT]
            if mark in (_SINGLE, _LONG) and self._record(slot):
                index += len(slot) // SLOT - 1
            else:
                self._journal.torn += 1

    def _first_key(self, ring: int, slot: bytes) -> None:
        """Slot 1 says where the chain stands; the oldest sector that is left is entered there."""
        if slot[0] != _KEY or not _check(b"menwei slot", slot[1:12], slot[12:14]):
            self._journal.problems.append(f"slot 1 of ring number {ring} is no key slot")
            return
        generation = int.from_bytes(slot[1:5], "little")
        chain = slot[5:12]
        if self._ring is None:
            for _ in range(generation):
                self._key = next_key(self._key)
            self._generation = generation
            self._chain = chain
        elif chain != self._chain:
            self._journal.problems.append(
                f"ring number {ring} starts with another chain value than the one before ended with"
            )

    def _record(self, raw: bytes) -> bool:
        """Take the record when its MAC is right with the key in use or the next one."""
        body = raw[0:25] if len(raw) == SLOT else raw[0:25] + raw[SLOT : SLOT + 25]
        if len(raw) > SLOT and raw[SLOT] != _SECOND:
            return False
        key, generation = self._key, self._generation
        if raw[4] >> 6 != generation & 3:
            key, generation = next_key(key), generation + 1
            if raw[4] >> 6 != generation & 3:
                return False
        mac = hmac.digest(key, self._chain + body, "sha256")
        if mac[0:CHAIN] != raw[25:32] or (len(raw) > SLOT and mac[CHAIN : 2 * CHAIN] != raw[57:64]):
            return False
        word = int.from_bytes(raw[7:11], "little")
        record = Record(
            epoch=self._journal.epoch,
            seq=int.from_bytes(raw[1:5], "little") & 0x3FFFFFFF,
            generation=generation,
            boot=int.from_bytes(raw[5:7], "little"),
            time=word & 0x3FFFFFFF,
            trust=word >> 30,
            uncertainty=raw[11],
            kind=raw[12],
            reason=raw[13],
            pseudonym=raw[14:21],
            detail=int.from_bytes(raw[21:25], "little"),
            payload=raw[33:57],
            chain=mac[0:CHAIN],
            raw=raw,
        )
        records = self._journal.records
        if records and record.seq != records[-1].seq + 1:
            self._journal.problems.append(f"sequence {record.seq} follows {records[-1].seq}")
        records.append(record)
        self._key, self._generation, self._chain = key, generation, record.chain
        return True
