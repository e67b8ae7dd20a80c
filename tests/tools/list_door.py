"""A door made of messages that keeps a list: the words of docs/protocol.md over tests/storage/oracle_allowlist.py.

door = ListDoor(broker.port, site, name, keys...)
door.oracle.cards, door.held, door.under_way
"""

import hmac
from hashlib import sha256

from fake_door import FakeDoor

from tests.storage.oracle_allowlist import REVOKED, Oracle

SECTORS = 4
END = SECTORS << 16
OPERATIONS = (None, "put", "suspend", "revoke", "forget")


def sector_of(name, sectors=SECTORS):
    return (name[0] << 8 | name[1]) * sectors >> 16


def position(name):
    return sector_of(name) << 16 | name[1] << 8 | name[2]


def mac(key, data):
    return hmac.digest(key, bytes(data), sha256)[:16]


class ListDoor(FakeDoor):
    """Takes deltas and pages; `watch` is called after each change with the oracle."""

    def __init__(self, *words):
        super().__init__(*words)
        self.oracle = Oracle()
        self.under_way = None  # office epoch, revision, position
        self.watch = lambda: None
        self.lose = lambda kind: False  # whether a message never arrives
        self.cut = lambda: False  # whether power goes inside a page
        self.room = 1000
        self.pages = 0
        self.received = 0
        self.refused = []
        self.counted = True
        self.sent = 0  # records

    def _list_key(self):
        return hmac.digest(self.key, b"menwei/v1/list", "sha256")

    async def _list_message(self, data):
        self.received += len(data)
        if self.lose("list"):
            return
        await (self._page(data) if data[1] == 2 else self._changes(data))
        await self.state()

    def _cards(self, data, at):
        for index in range(int.from_bytes(data[2:4], "little")):
            raw = data[at + 16 * index : at + 16 * index + 16]
            start, until = int.from_bytes(raw[8:11], "little"), int.from_bytes(raw[11:14], "little")
            yield raw[0], raw[1:8], (start, until, raw[14], raw[15] & 3, raw[15] >> 2)

    async def _changes(self, data):
        assert data[-16:] == mac(self._list_key(), data[:-16])
        assert int.from_bytes(data[2:4], "little") <= 32
        assert len(data) <= 640
        epoch = data[4:8]
        first, last = int.from_bytes(data[8:12], "little"), int.from_bytes(data[12:16], "little")
        reaches = first == self.list[1] and (not self.list[1] or epoch == self.list[0])
        if not (self.under_way[:2] == (epoch, first) if self.under_way else reaches):
            self.refused.append(("delta", first, last))
            return
        for operation, name, values in self._cards(data, 16):
            if name not in self.oracle.cards and operation != 4 and len(self.oracle.cards) >= self.room:
                self._leave_out(name)
                continue
            self.oracle.apply((OPERATIONS[operation], name, *values))
        self.watch()
        if reaches:
            self.list = [epoch, last]
            self._note_list()
        if self.under_way:
            self.under_way = (epoch, last, self.under_way[2])

    async def _page(self, data):
        if data[-16:] != mac(self._list_key(), data[:-16] + self.nonce):
            self.refused.append("of another session")
            return
        assert int.from_bytes(data[2:4], "little") <= 32
        epoch = data[4:8]
        revision, first, last = (int.from_bytes(data[at : at + 4], "little") for at in (8, 12, 16))
        before = self.under_way
        done = before[2] if before and before[:2] == (epoch, revision) else 0
        if first > done or (epoch == self.list[0] and revision < self.list[1]):
            self.refused.append(("page", first, last))
            return
        assert 0 <= first < last <= END and first >> 16 == (last - 1) >> 16
        if last <= done:
            return
        self.pages += 1
        self.under_way = (epoch, revision, done)
        page = [(operation - 1, name, *values) for operation, name, values in self._cards(data, 20)]
        assert all(first <= position(card[1]) < last for card in page)
        if self.cut():
            # Some of it was done.
            some = page[: len(page) // 2]
            names = {card[1] for card in some}
            self.oracle.reconcile(some, names.__contains__)
            self.watch()
            return
        self.oracle.reconcile(page, lambda name: first <= position(name) < last)
        self.watch()
        if last == END:
            self.list, self.under_way = [epoch, revision], None
            self._note_list()
        else:
            self.under_way = (epoch, revision, last)

    def _note_list(self):
        self.record(13, pseudonym=self.list[0] + bytes(3), detail=self.list[1], time=200_000_000)

    def _leave_out(self, name):
        self.record(8, reason=12, pseudonym=name, time=200_000_000)

    async def state(self, **other):
        live = sum(card[0] != REVOKED for card in self.oracle.cards.values())
        members = {
            "cards": [live, len(self.oracle.cards) - live, 254 * SECTORS],
            "digests": [digest.hex() for digest in self.oracle.digests()] if self.counted else [],
        }
        if self.under_way:
            members["page"] = [self.under_way[0].hex(), *self.under_way[1:]]
        await super().state(**members | other)
        if self.sent < self.journal.head and not self.lose("event"):
            first, self.sent = self.sent + 1, self.journal.head
            for start in range(first, self.sent + 1, 32):
                await self.send_batch(start, min(start + 31, self.sent))
