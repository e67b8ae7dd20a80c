"""From a batch on the wire to rows on the disk: what of it belongs where, and what may be acknowledged.

    taken = Ingest(store, keys).take("front-gate", parse_batch(payload), received_at)
    if taken.ack: ...                      # stored and committed

The rules stand in docs/protocol.md, "What upstream makes of a batch".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from menwei.keyfile import KeyFile
from menwei.store import Event, Finding, JournalHead, Rows, Store, Wreck
from menwei.verify import Damaged, Problem, Record, Run, run
from sync.upstream import Batch

_AGAIN_S = 15  # a door repeats itself after 20 s or more (sync/link.py); what comes sooner the network has doubled
_LATE_S = 10  # by which a state may come too late: what was stored before that is no news to the door
_MOST_CLAIMS = 64  # of one journal; beyond that somebody is playing, and they are forgotten
_FIELDS = ("seq", "boot", "time", "trust", "uncertainty", "kind", "reason", "detail", "generation", "chain", "raw")


@dataclass
class Taken:
    """What came of a batch: what may be acknowledged (epoch, sequence, chain value), and what is new."""

    ack: tuple[bytes, int, bytes] | None = None
    rows: Rows = field(default_factory=Rows)


class Ingest:
    """Verifies, stores, and says what may be acknowledged."""

    def __init__(self, store: Store, keys: KeyFile) -> None:
        self._store = store
        self._keys = keys
        self._claims: dict[tuple[str, str], dict[tuple, int]] = {}
        self._gone: dict[tuple[str, str], int] = {}

    def forget_claims(self) -> None:
        """A batch may have been lost on the way: what was claimed once must be claimed twice again."""
        self._claims.clear()

    def take(self, door: str, batch: Batch, received_at: int) -> Taken:
        """Store what is new and right of a batch, in one transaction."""
        epoch = batch.epoch.hex()
        key = self._keys.journal_key(door, batch.epoch)
        if key is None:
            rows = Rows(findings=[Finding("no key", f"epoch {epoch}: no start key of it in the key file", epoch)])
            return Taken(None, self._store.add_batch(door, epoch, rows, received_at))
        before = batch.first - 1
        places = self._store.places(door, epoch, before) if before else [(bytes(7), 0, False)]
        found = run(key, batch, [(chain, generation) for chain, generation, _ in places])
        sorting = _Sorting(self._store, door, batch, found, places)
        taken = Taken()
        if not self._must_wait(door, epoch, sorting, received_at) and sorting.items:
            last = sorting.items[-1]
            taken.ack = (batch.epoch, last.seq, last.chain)
        rows = sorting.rows()
        if rows.head:
            self._claims.pop((door, epoch), None)
        taken.rows = self._store.add_batch(door, epoch, rows, received_at)
        return taken

    def _must_wait(self, door: str, epoch: str, sorting: _Sorting, now: int) -> bool:
        """Cut off what is only a claim until the door makes it again. True if the whole batch is."""
        first = sorting.gap
        if first and self._gone.get((door, epoch), 0) < first - 1 and not self._again(door, epoch, first, b"", now):
            sorting.leave()
            return True
        for index, item in enumerate(sorting.items):
            if isinstance(item, Damaged) and not item.linked and item.seq > sorting.same:
                if not self._again(door, epoch, item.seq, item.raw, now):
                    sorting.cut(index)
                break
        return False

    def _again(self, door: str, epoch: str, seq: int, raw: bytes, now: int) -> bool:
        claims = self._claims.setdefault((door, epoch), {})
        if (seq, raw) in claims:
            return now - claims[seq, raw] >= _AGAIN_S
        if len(claims) >= _MOST_CLAIMS:
            claims.clear()
        claims[seq, raw] = now
        return False

    def judge_state(
        self, door: str, epoch: bytes, seq: int, chain: bytes, gone: int, sent_at: float | None
    ) -> list[Finding]:
        """What is wrong with the head that a door's authentic state claims, compared with what is stored.

        Args:
            gone: the door will not send what comes before and including this number: acknowledged, or given up.
            sent_at: when the door said it, by our clock; None: nobody knows, the broker kept it.
        """
        name = epoch.hex()
        self._gone[door, name] = gone
        if self._keys.journal_key(door, epoch) is None:
            return [Finding("no key", f"epoch {name}: no start key of it in the key file", name)]
        head = self._store.head(door, name)
        # What the broker kept may be older than what has come since.
        if head is None or sent_at is None or seq > head.seq:
            return []
        if seq < head.seq:
            # What came a moment before the state, or after it, may have overtaken it on its way.
            since = self._store.received_after(door, name, seq)
            if since is None or since > sent_at - _LATE_S:
                return []
            text = f"epoch {name}, record {head.seq}: it is stored here, but the door's journal ends at {seq}"
            return [Finding("truncated", text, name, head.seq)]
        if chain != head.chain:
            text = f"epoch {name}, record {seq}: the door's newest record is another one than the stored one"
            return [Finding("fork", text, name, seq)]
        return []


class _Sorting:
    """Where the items of one batch belong.

    `same` is the last number under which the very same record is stored; `gap` the batch's first number if it would
    leave a hole behind the journal's head, or 0.
    """

    def __init__(
        self, store: Store, door: str, batch: Batch, found: Run, places: list[tuple[bytes, int, bool]]
    ) -> None:
        self._store, self._door, self._batch, self._found, self._places = store, door, batch, found, places
        self._epoch = batch.epoch.hex()
        self.items = found.items
        self._head = store.head(door, self._epoch) or JournalHead(0, 0, bytes(7))
        records = [item for item in self.items if isinstance(item, Record)]
        chains = {item.seq: store.chain_at(door, self._epoch, item.seq) for item in records}
        self.same = max((item.seq for item in records if chains[item.seq] == item.chain), default=0)
        # A chain value stands for all records up to it, so nothing differs before `same`.
        other = [item.seq for item in records if item.seq > self.same and chains[item.seq] is not None]
        self._other = min(other, default=0)
        main = [chain for chain, _, apart in places if not apart]
        self._on_branch = any(apart and chain == found.start for chain, _, apart in places)
        goes_on = bool(self.same) or found.start in main or self._is_flip(main)
        beyond = bool(records) and not places and not self.same and batch.first > self._head.seq + 1
        self.gap = batch.first if beyond and not store.is_forked(door, self._epoch) else 0
        self._main = goes_on or bool(self.gap)
        # What follows a stored record fills a gap behind it, however much has come since.
        self._fills = goes_on

    def _is_flip(self, main: list[bytes]) -> bool:
        # A door whose newest record but one is damaged takes the newest back at its start, and goes on from the
        # damaged one.
        start = int.from_bytes(self._found.start or bytes(7))
        return any((int.from_bytes(chain) ^ start).bit_count() == 1 for chain in main)

    def leave(self) -> None:
        """Leave it all for now: without the record before it nobody can say what is wrong with it."""
        self.items = []
        self.gap = 0
        self._found.problem = None

    def cut(self, index: int) -> None:
        """Leave off the items from this one on, for now; what is wrong with it is named."""
        item = self.items[index]
        if isinstance(item, Damaged):
            self._found.problem = Problem(item.kind, item.seq, item.text)
        while index and isinstance(self.items[index - 1], Damaged):
            index -= 1
        self.items = self.items[:index]
        if not index:
            self.gap = 0

    def rows(self) -> Rows:
        """All that is to be written, findings included."""
        rows = Rows()
        wrecks: list[Damaged] = []
        for item in self.items:
            if isinstance(item, Damaged):
                wrecks.append(item)
                continue
            beyond = item.seq > self._head.seq or self._fills
            main = item.seq <= self.same or (self._main and not self._other and beyond)
            (rows.events if main else rows.apart).append(self._event(item))
            for wreck in wrecks:
                self._add_wreck(rows, wreck, not main)
            wrecks = []
        newest = rows.events[-1:]
        if newest and newest[0].seq > self._head.seq:
            rows.head = JournalHead(newest[0].seq, newest[0].generation, newest[0].chain)
        self._judge(rows)
        return rows

    def _add_wreck(self, rows: Rows, wreck: Damaged, apart: bool) -> None:
        rows.findings.append(self._finding("damaged", wreck.seq, wreck.text))
        # If it came whole before, there is nothing in its bytes that is not known.
        whole = any(chain == wreck.chain for chain, _, _ in self._store.places(self._door, self._epoch, wreck.seq))
        if not whole:
            rows.damaged.append(Wreck(wreck.seq, wreck.raw, wreck.chain, wreck.generation, apart))

    def _judge(self, rows: Rows) -> None:
        first = self._batch.first
        if self.gap:
            text = f"the records {self._head.seq + 1} to {first - 1} are gone"
            rows.findings.insert(0, self._finding("gap", self._head.seq + 1, text))
        if rows.apart and not self._on_branch:
            seq = self._other or rows.apart[0].seq
            text = "another right record is stored under this number" if self._other else "it follows nothing stored"
            rows.findings.append(self._finding("fork", seq, f"{text}; it and what follows are kept apart"))
        known = [chain for chain, _, _ in self._places]
        if self.items and known and self._batch.chain not in known and not rows.apart:
            text = "the batch says another chain value of it than is stored"
            rows.findings.append(self._finding("changed", first - 1, text))
        elif self.items and isinstance(self.items[0], Record) and self.items[0].generation != self._batch.generation:
            text = f"it was made with key generation {self.items[0].generation}, not {self._batch.generation}"
            rows.findings.append(self._finding("changed", first, text))
        problem = self._found.problem
        if problem and not self._found.items and not self._places:
            text = "nothing in this batch can be verified, and the record before it is not stored"
            problem = Problem("unverified", first, text)
        if problem:
            rows.findings.append(self._finding(*problem))

    def _finding(self, kind: str, seq: int, text: str) -> Finding:
        return Finding(kind, f"epoch {self._epoch}, record {seq}: {text}", self._epoch, seq)

    def _event(self, record: Record) -> Event:
        return event_of(self._door, self._epoch, record)


def event_of(door: str, epoch: str, record: Record) -> Event:
    """A verified record as the event that is stored."""
    fields = {name: getattr(record, name) for name in _FIELDS}
    return Event(door=door, epoch=epoch, pseudonym=record.pseudonym.hex(), **fields)
