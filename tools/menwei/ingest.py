"""From a batch on the wire to rows on the disk.

taken = Ingest(store, keys).take("front-gate", parse_batch(payload), received_at)
if taken.ack: ...                      # stored and committed
"""

from __future__ import annotations

from dataclasses import dataclass, field

from menwei.keyfile import KeyFile
from menwei.store import Event, JournalHead, Store
from menwei.verify import Record, run
from sync.upstream import Batch


@dataclass
class Taken:
    """What came of a batch: what may be acknowledged, what is new, what is wrong."""

    ack: tuple[bytes, int, bytes] | None = None  # epoch, sequence, chain value
    events: list[Event] = field(default_factory=list)
    findings: list[tuple[str, int, str]] = field(default_factory=list)  # kind, sequence, text


class Ingest:
    """Verifies, stores, and says what may be acknowledged."""

    def __init__(self, store: Store, keys: KeyFile) -> None:
        self._store = store
        self._keys = keys

    def take(self, door: str, batch: Batch, received_at: int) -> Taken:
        """Store what is new and right of a batch, in one transaction."""
        epoch = batch.epoch.hex()
        key = self._keys.journal_key(door, batch.epoch)
        taken = Taken()
        if key is None:
            return self._refuse(
                taken, door, batch, received_at, "no key", "no start key of this journal epoch in the key file"
            )
        head = self._store.head(door, epoch) or JournalHead(0, 0, bytes(7))
        before = self._store.chain_at(door, epoch, batch.first - 1) if batch.first > 1 else bytes(7)
        if before is not None and before != batch.chain:
            return self._refuse(
                taken, door, batch, received_at, "fork", "another record stands before the batch's first"
            )
        records, problem = run(key, batch)
        if problem:
            taken.findings.append(("forged", batch.first + len(records), problem))
        if records and batch.first > head.seq + 1:
            taken.findings.append(("gap", head.seq + 1, f"the records up to {batch.first - 1} are gone"))
        fresh = []
        for record in records:
            if record.seq > head.seq:
                fresh.append(record)
            elif self._store.chain_at(door, epoch, record.seq) != record.chain:
                return self._refuse(
                    taken, door, batch, received_at, "fork", "other content than the one that is stored"
                )
        if fresh:
            head = JournalHead(fresh[-1].seq, fresh[-1].generation, fresh[-1].chain)
        taken.events = self._store.add_batch(
            door, epoch, head, [self._event(door, epoch, record) for record in fresh], taken.findings, received_at
        )
        if records:
            taken.ack = (batch.epoch, head.seq, head.chain)
        return taken

    def judge_head(self, door: str, epoch: bytes, seq: int, chain: bytes) -> list[tuple[str, str]]:
        """What is wrong with the head that a door claims, compared with what is stored: (kind, text)."""
        head = self._store.head(door, epoch.hex())
        if head is None or seq > head.seq:
            return []
        if seq < head.seq:
            return [("truncated", f"the journal ends at {seq}, but {head.seq} is stored")]
        if chain != head.chain:
            return [("fork", f"record {seq} has another chain value than the stored one")]
        return []

    def _refuse(self, taken: Taken, door: str, batch: Batch, received_at: int, kind: str, text: str) -> Taken:
        self._store.add_finding(door, kind, text, received_at, batch.epoch.hex(), batch.first)
        taken.findings.append((kind, batch.first, text))
        return taken

    @staticmethod
    def _event(door: str, epoch: str, record: Record) -> Event:
        names = (
            "seq",
            "boot",
            "time",
            "trust",
            "uncertainty",
            "kind",
            "reason",
            "detail",
            "generation",
            "chain",
            "raw",
        )
        fields = {name: getattr(record, name) for name in names}
        return Event(door=door, epoch=epoch, pseudonym=record.pseudonym.hex(), **fields)
