"""What must be true after all faults: of a flash image and of upstream's database, by the documents alone.

Imports nothing of the firmware, of `storage`, `sync` or of upstream; menwei.image and menwei.cardimage were written
from docs/flash-formats.md, and the database is read with SQL.
"""

import hashlib
import hmac
import sqlite3

from menwei.cardimage import read_cards
from menwei.image import read_journal

COMMAND, CLOCK = 11, 14
LIVE, SUSPENDED, REVOKED = 0, 1, 2
PUT, SUSPEND, REVOKE = 1, 2, 3
SYNCHRONISED = 2
SLACK_S = 5  # of the door's clock, and of when somebody looked at it
RECORDED = (1, 5, 6, 7, 8)  # commands that leave a record of their own whenever they are done


def pseudonym(door_key, uid):
    """What a door calls a UID (docs/protocol.md, "Keys")."""
    purpose = hmac.digest(door_key, b"menwei/v1/pseudonym", "sha256")
    return hmac.digest(purpose, b"\x01" + bytes.fromhex(uid), "sha256")[:7]


class Intended:
    """The list as the office means it, change by change."""

    def __init__(self):
        self.cards = {}  # pseudonym: (state, from, until, group)

    def change(self, raw):
        """Take one change of 16 bytes (docs/protocol.md, "list")."""
        operation, name = raw[0], bytes(raw[1:8])
        values = int.from_bytes(raw[8:11], "little"), int.from_bytes(raw[11:14], "little"), raw[14]
        state, *known = self.cards.get(name, (None, *values))
        if operation == PUT:
            self.cards[name] = (LIVE, *values)
        elif operation == SUSPEND:
            self.cards[name] = (REVOKED if state == REVOKED else SUSPENDED, *known)
        elif operation == REVOKE:
            self.cards[name] = (REVOKED, *known)
        else:
            self.cards.pop(name, None)

    def digests(self):
        """Of what is live or suspended, and of what is revoked (docs/flash-formats.md, "Digests")."""
        found = [0, 0]
        for name, (state, start, end, group) in self.cards.items():
            entry = name[1:] + start.to_bytes(3, "little") + end.to_bytes(3, "little") + bytes((group,))
            token = hashlib.sha256(b"menwei entry" + entry + bytes((1, state))).digest()[:8]
            found[state == REVOKED] ^= int.from_bytes(token)
        return [value.to_bytes(8) for value in found]


class Database:
    """Upstream's file, while upstream does not run or while it does."""

    def __init__(self, path):
        self._path = path

    def rows(self, query, *values):
        base = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        try:
            return base.execute(query, values).fetchall()
        finally:
            base.close()

    def events(self, door):
        """(epoch, seq, raw) in the order of arrival."""
        return self.rows("SELECT epoch, seq, raw FROM events WHERE door = ? ORDER BY arrival", door)

    def count(self, table):
        return self.rows(f"SELECT count(*) FROM {table}")[0][0]

    def findings(self):
        return self.rows("SELECT kind, text, times FROM findings ORDER BY number")

    def answers(self, door):
        """(nonce, number, operation, result) of each command that was sent."""
        return self.rows(
            "SELECT nonce, command_id, operation, result FROM commands WHERE door = ? ORDER BY number", door
        )


def check_events(journal, database, door):
    """Upstream has exactly the door's records: none more, none less, none other, in order."""
    assert not journal.problems, journal.problems
    records = journal.records
    assert [record.seq for record in records] == list(range(1, journal.head + 1))
    assert all(record.verdict == "right" for record in records)
    stored = database.events(door)
    assert [seq for _, seq, _ in stored] == [record.seq for record in records]
    for (epoch, seq, raw), record in zip(stored, records, strict=True):
        assert epoch == journal.epoch.hex() and bytes(raw) == record.raw, f"record {seq} is another one upstream"
    assert not database.count("apart") and not database.count("damaged")
    assert journal.acked <= journal.head


def check_list(cards, intended):
    """The door has exactly the list that the office means."""
    wrong = [finding for finding in cards.findings if finding.wrong]
    assert not wrong, wrong
    found = sorted((card.state, card.valid_from, card.valid_until, card.group) for card in cards.cards)
    assert found == sorted(intended.cards.values())
    assert [cards.digest_live, cards.digest_tombstones] == intended.digests()


def check_commands(journal, database, door, orders):
    """None is executed twice, none that nobody sent, none after its deadline, and none is said done that was not.

    Args:
        orders: (nonce, number, operation, sent at, deadline in seconds) of each, times in seconds since 2020.
    """
    sent = {(nonce[:10], number): (operation, at + deadline) for nonce, number, operation, at, deadline in orders}
    done = [
        (record.payload[14:24], record.detail, record.reason, record) for record in journal.records
        if record.kind == COMMAND
    ]  # fmt: skip
    names = [(nonce, number) for nonce, number, *_ in done]
    assert len(names) == len(set(names)), "a command was executed twice"
    for nonce, number, operation, record in done:
        assert (nonce, number) in sent, "a command that nobody sent"
        meant, until = sent[nonce, number]
        assert meant == operation
        if record.trust == SYNCHRONISED:
            assert record.time <= until + SLACK_S, f"a command was executed {record.time - until} s too late"
    for nonce, number, operation, result in database.answers(door):
        if result == 0 and operation in RECORDED:
            assert (bytes(nonce[:10]), number) in names, "told as done, and there is no record of it"
    return len(done)


def read(image, regions, journal_key):
    """(journal, cards) of a flash image; `regions`: offset and size of `journal` and `cards`."""
    data = image.read_bytes()
    return read_journal(data, *regions["journal"], journal_key), read_cards(data, *regions["cards"])
