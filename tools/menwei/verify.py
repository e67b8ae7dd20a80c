"""Verify the records of a batch: MAC, chain, sequence and key generation (docs/flash-formats.md).

    records, problem = run(start_key, parse_batch(payload))
    # problem is None, or says what is wrong with the record after the last one in `records`

A record counts only if every record before it in the batch was right: the chain value goes from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from storage import record as layout
from storage.mac import Hmac, same

SLOT = 32
# A busy door moves its key some 200 times a day: fifty years. It bounds the work that a forged header can ask for.
MOST_GENERATIONS = 4_000_000
_STRIDE = 1024


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


@lru_cache(maxsize=4096)
def _milestone(start_key: bytes, number: int) -> bytes:
    key = start_key if number == 0 else _milestone(start_key, number - 1)
    for _ in range(_STRIDE if number else 0):
        key = layout.next_key(key)
    return key


@lru_cache(maxsize=4096)
def key_of(start_key: bytes, generation: int) -> bytes:
    """Return the journal key of a generation, 16 bytes.

    Raises:
        ValueError: further than any door gets.
    """
    if not 0 <= generation <= MOST_GENERATIONS:
        raise ValueError(f"key generation {generation} cannot be")
    for number in range(generation // _STRIDE + 1):  # bottom up: recursion stays flat
        key = _milestone(start_key, number)
    for _ in range(generation % _STRIDE):
        key = layout.next_key(key)
    return key


def run(start_key: bytes, batch) -> tuple[list[Record], str | None]:
    """Verify a batch (sync.upstream.Batch) from its first record on.

    Args:
        start_key: the journal key of generation 0 that was given to this door for this epoch.

    Returns:
        The records that are right, and None or a sentence about the one at which they end.
    """
    records: list[Record] = []
    chain, generation, seq = batch.chain, batch.generation, batch.first
    index = 0
    while index < batch.count:
        raw = batch.slot(index)
        halves = 2 if raw[0] == layout.LONG else 1
        if halves == 2:
            if index + 1 == batch.count or batch.slot(index + 1)[0] != layout.SECOND:
                return records, f"record {seq}: the second half is missing"
            raw += batch.slot(index + 1)
        elif raw[0] != layout.SINGLE:
            return records, f"record {seq}: slot {index} does not hold a record"
        if layout.get30(raw, layout.SEQ) != seq:
            return records, f"record {seq}: {layout.get30(raw, layout.SEQ)} stands in its place"
        generation = layout.turned(generation, raw, 0)
        try:
            mac = Hmac(key_of(start_key, generation))
        except ValueError as error:
            return records, f"record {seq}: {error}"
        mac.update(chain)
        for half in range(halves):
            mac.update(raw[SLOT * half : SLOT * half + layout.MAC])
        digest = mac.digest()
        right = all(same(digest[7 * half : 7 * half + 7], raw, SLOT * half + layout.MAC) for half in range(halves))
        if not right:
            return records, f"record {seq}: wrong MAC, it was altered or does not follow the one before"
        chain = digest[:7]
        records.append(
            Record(
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
                chain=chain,
                raw=raw,
            )
        )
        seq += 1
        index += halves
    return records, None
