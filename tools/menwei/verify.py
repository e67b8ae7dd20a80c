"""Verify the records of a batch: MAC, chain, sequence and key generation (docs/flash-formats.md, docs/protocol.md).

    found = run(start_key, parse_batch(payload), [(chain, generation)])    # of the stored record before the batch
    for item in found.items:                # what may be stored, in order; the last one is a Record
        print(item.seq, item.text if isinstance(item, Damaged) else names.kind(item.kind))
    if found.problem: ...                   # what is wrong behind the last item

The door made each MAC over the true chain value, which it has in memory; only after a start it takes the value that
stands in its flash. So behind a record whose MAC is wrong there are several ways to go on: over the MAC that stands
there (the content was altered), or over the one that it should have (the MAC was). A later record says which.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from menwei.keychain import key_of
from storage import record as layout

SLOT = 32
_MOST_WAYS = 8  # behind wrong records
# A header's generation is a hint: damaged records lead the door that counts it astray by so much at most.
_HINTS = (-2, 2)
_FLIPPED_MAC = "one bit of its MAC is flipped"


class Problem(NamedTuple):
    """What is wrong with a record: one of changed, missing, reordered, repeated, half record, no record."""

    kind: str
    seq: int
    text: str


@dataclass(frozen=True)
class Record:
    """One verified record; `raw` is 32 bytes, or 64 of a long one."""

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
    chain: bytes
    raw: bytes

    @property
    def payload(self) -> bytes:
        """The 24 bytes of a long record's second half, or nothing."""
        return self.raw[SLOT + 1 : SLOT + layout.MAC]


@dataclass(frozen=True)
class Damaged:
    """A record whose MAC is wrong, while a later one is right. Nothing that it says is to be believed.

    `chain` and `generation` are those that the next record follows. `linked` tells whether it is certain that what
    comes behind it belongs to the same journal: its MAC is right when one bit is turned back, or the next record was
    made over the MAC that it should have.
    """

    seq: int
    raw: bytes
    kind: str  # as in Problem
    text: str
    chain: bytes
    generation: int
    linked: bool


@dataclass
class Run:
    """What a batch holds; `start` is the chain value that its first right record goes back to."""

    items: list[Record | Damaged]
    start: bytes | None
    problem: Problem | None


class _Way(NamedTuple):
    """A chain value that may be the one before the next record, and how it came about."""

    chain: bytes
    generation: int  # of the record before; the next one's is not lower
    start: bytes
    linked: bool = True  # see Damaged
    sure: bool = True  # one of the ways that are known to be, and not only if a later record says so
    damaged: tuple[Damaged, ...] = ()


def run(start_key: bytes, batch, known: Iterable[tuple[bytes, int]] = ()) -> Run:
    """Verify a batch (sync.upstream.Batch).

    Args:
        start_key: the journal key of generation 0 that was given to this door for this epoch.
        known: (chain value, key generation) of records that are stored under the number before the batch's first.
            What the header says is tried as well.
    """
    ways = [_Way(chain, generation, chain) for chain, generation in known]
    if all(way.chain != batch.chain for way in ways):
        ways += [_Way(batch.chain, batch.generation + hint, batch.chain) for hint in _HINTS]
    found = Run([], None, None)
    groups, rest = _groups(batch)
    numbers = [layout.get30(raw, layout.SEQ) for raw in groups]
    for index, raw in enumerate(groups):
        seq = batch.first + index
        for way in ways:
            generation, tag = _seal(start_key, way, raw)
            if numbers[index] == seq and hmac.compare_digest(tag, _mac(raw)):
                found.items += [*way.damaged, _record(raw, seq, generation)]
                found.start = way.start if found.start is None else found.start
                found.problem = None
                ways = [_Way(raw[layout.MAC : SLOT], generation, way.start)]
                break
        else:
            problem = _name(seq, index, numbers)
            ways = _behind(start_key, ways, raw, problem)
            if ways[0].linked and found.problem is None:
                problem = Problem("changed", seq, ways[0].damaged[-1].text)
            found.problem = found.problem or problem
    found.problem = found.problem or rest
    return found


def _behind(start_key: bytes, ways: list[_Way], raw: bytes, problem: Problem) -> list[_Way]:
    """The ways to go on behind a record whose MAC is wrong on all of `ways`; the certain ones first."""
    behind: list[_Way] = []
    for way in ways:

        def add(chain: bytes, generation: int, linked: bool, text: str = "", way: _Way = way) -> None:
            kind = "changed" if text else problem.kind
            damaged = Damaged(problem.seq, raw, kind, text or problem.text, chain, generation, linked)
            behind.append(_Way(chain, generation, way.start, linked, bool(text), (*way.damaged, damaged)))

        generation, tag = _seal(start_key, way, raw)
        stands = raw[layout.MAC : SLOT]
        # First the MAC that stands there, for it is tried behind any damage.
        if tag and way.sure and _ones(tag, _mac(raw)) == 1:
            add(stands, generation, True, _FLIPPED_MAC)
            add(tag[:7], generation, True, _FLIPPED_MAC)
            continue
        turned = _turn_back(start_key, way, raw, problem.seq) if way.sure else None
        if turned:
            add(stands, turned[0], True, turned[1])
            continue
        add(stands, way.generation, False)
        if tag and problem.kind == "changed":
            add(tag[:7], generation, way.linked)
    different: dict[tuple, _Way] = {}
    for way in sorted(behind, key=lambda way: not way.linked):
        different.setdefault((way.chain, way.generation, way.start), way)
    return list(different.values())[:_MOST_WAYS]


def _turn_back(start_key: bytes, way: _Way, raw: bytes, seq: int) -> tuple[int, str] | None:
    """Key generation and a sentence, if the MAC is right as soon as one bit of the content is turned back."""
    altered = bytearray(raw)
    for at in range(len(raw)):
        for bit in range(8 if at % SLOT < layout.MAC else 0):
            altered[at] ^= 1 << bit
            if layout.get30(altered, layout.SEQ) == seq:
                generation, tag = _seal(start_key, way, altered)
                if hmac.compare_digest(tag, _mac(raw)):
                    return generation, f"bit {bit} of byte {at} is flipped"
            altered[at] ^= 1 << bit
    return None


def _seal(start_key: bytes, way: _Way, raw: bytes) -> tuple[int, bytes]:
    """The key generation that a record's two bits mean on this way, and the MAC that it should have, if there is one.

    Two bits are enough: every generation signs at least one record.
    """
    generation = way.generation + ((raw[layout.SEQ + 3] >> 6) - way.generation & 3)
    try:
        key = key_of(start_key, generation)
    except ValueError:
        return generation, b""
    content = way.chain + raw[: layout.MAC] + raw[SLOT : SLOT + layout.MAC]
    return generation, hmac.digest(key, content, "sha256")[: len(_mac(raw))]


def _mac(raw: bytes) -> bytes:
    return bytes(raw[layout.MAC : SLOT] + raw[SLOT + layout.MAC :])


def _ones(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).bit_count()


def _name(seq: int, index: int, numbers: list[int]) -> Problem:
    """What is wrong with a record whose MAC is, by the numbers in the batch."""
    stands = numbers[index]
    if stands == seq:
        return Problem("changed", seq, "wrong MAC, it was altered or does not follow the one before")
    if stands < seq:
        return Problem("repeated", seq, f"{stands} stands in its place")
    if seq in numbers[index + 1 :]:
        return Problem("reordered", seq, f"{stands} stands in its place, and it comes later")
    return Problem("missing", seq, f"{seq} to {stands - 1} are missing: {stands} stands in its place")


def _record(raw: bytes, seq: int, generation: int) -> Record:
    return Record(
        seq=seq,
        generation=generation,
        boot=raw[layout.BOOT_NUMBER] | raw[layout.BOOT_NUMBER + 1] << 8,
        time=layout.get30(raw, layout.TIME),
        trust=raw[layout.TIME + 3] >> 6,
        uncertainty=raw[layout.UNCERTAINTY],
        kind=raw[layout.KIND],
        reason=raw[layout.REASON],
        pseudonym=raw[layout.PSEUDONYM : layout.PSEUDONYM + 7],
        detail=layout.get30(raw, layout.DETAIL),
        chain=raw[layout.MAC : SLOT],
        raw=raw,
    )


def _groups(batch) -> tuple[list[bytes], Problem | None]:
    """The slots of each record up to the first that is none, and what that one is."""
    groups: list[bytes] = []
    index = 0
    while index < batch.count:
        seq = batch.first + len(groups)
        raw = batch.slot(index)
        held = layout.code(raw[0])
        if held == layout.LONG:
            second = batch.slot(index + 1) if index + 1 < batch.count else b"\xff"
            if second == b"\xff" or layout.code(second[0]) in (layout.SINGLE, layout.LONG, layout.KEY):
                return groups, Problem("half record", seq, "the second half is missing")
            raw += second
        elif held == layout.SECOND:
            return groups, Problem("half record", seq, "the first half is missing")
        elif held != layout.SINGLE:
            return groups, Problem("no record", seq, f"slot {index} does not hold a record")
        groups.append(raw)
        index += len(raw) // SLOT
    return groups, None
