"""Alarms that overtook the records before them (docs/protocol.md, "event/now").

    early = Early(store, keys)
    event, finding = early.take("front-gate", parse_batch(payload), received_at)    # show the event at once
    for finding in early.settle("front-gate"): ...      # when records have come in their order

Such an alarm is no event yet: it is never acknowledged, and kept apart only until its record has come in its place.
"""

from __future__ import annotations

from menwei.ingest import event_of
from menwei.keyfile import KeyFile
from menwei.store import Event, Finding, Store
from menwei.verify import Record, run
from storage import record
from sync.upstream import Batch

_SCHEMA = """
CREATE TABLE IF NOT EXISTS early (
    door TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, chain BLOB NOT NULL, raw BLOB NOT NULL,
    received_at INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0, UNIQUE (door, epoch, seq, chain)
)
"""
_MOST = 64  # of one door that wait; a door sends four of each outage


class Early:
    """Early alarms of all doors, in the store's database."""

    def __init__(self, store: Store, keys: KeyFile) -> None:
        self._store = store
        self._keys = keys
        self._db = store.database
        self._db.execute(_SCHEMA)

    def take(self, door: str, batch: Batch, received_at: int) -> tuple[Event | None, Finding | None]:
        """Verify one; return the event if it is news, or what is wrong with it, or neither."""
        epoch = batch.epoch.hex()
        key = self._keys.journal_key(door, batch.epoch)
        if key is None:
            return None, Finding("no key", f"epoch {epoch}: no start key of it in the key file", epoch)
        found = run(key, batch)
        item = found.items[0] if len(found.items) == 1 and not found.problem else None
        if not isinstance(item, Record):
            return None, self._finding(epoch, batch.first, "an alarm that came early has a wrong MAC")
        if item.kind != record.ALARM:
            return None, self._finding(epoch, item.seq, "what came early is no alarm")
        stored = self._store.chain_at(door, epoch, item.seq)
        if stored == item.chain:
            return None, None  # its record was quicker, or somebody sends an old one again
        if stored is not None:
            return None, self._finding(epoch, item.seq, "what came early is not the record that is stored")
        waiting = "SELECT count(*) FROM early WHERE door = ? AND settled = 0"
        if self._db.execute(waiting, (door,)).fetchone()[0] >= _MOST:
            return None, self._finding(epoch, item.seq, "too many alarms came early; this one is shown in its order")
        names = "door, epoch, seq, chain, raw, received_at"
        row = self._db.execute(
            f"INSERT OR IGNORE INTO early ({names}) VALUES (?, ?, ?, ?, ?, ?)",
            (door, epoch, item.seq, item.chain, item.raw, received_at),
        )
        return (event_of(door, epoch, item), None) if row.rowcount else (None, None)

    def waiting(self, door: str) -> list[tuple[str, int]]:
        """(epoch, sequence) of the early alarms whose record has not come yet."""
        query = "SELECT epoch, seq FROM early WHERE door = ? AND settled = 0 ORDER BY epoch, seq"
        return list(self._db.execute(query, (door,)))

    def settle(self, door: str) -> list[Finding]:
        """Compare with what has come in its order meanwhile; return what differs."""
        findings = []
        query = "SELECT epoch, seq, chain FROM early WHERE door = ? AND settled = 0"
        for epoch, seq, chain in self._db.execute(query, (door,)).fetchall():
            head = self._store.head(door, epoch)
            if head is None or head.seq < seq:
                continue
            self._db.execute(
                "UPDATE early SET settled = 1 WHERE door = ? AND epoch = ? AND seq = ? AND chain = ?",
                (door, epoch, seq, chain),
            )
            if self._store.chain_at(door, epoch, seq) != chain:
                findings.append(self._finding(epoch, seq, "an alarm that came early is not what came in its order"))
        return findings

    @staticmethod
    def _finding(epoch: str, seq: int, text: str) -> Finding:
        return Finding("early", f"epoch {epoch}, record {seq}: {text}", epoch, seq)
