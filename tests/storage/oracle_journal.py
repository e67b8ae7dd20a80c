"""What an upstream must see of a journal, written from docs/flash-formats.md and docs/protocol.md only.

Imports nothing of the code under test; runs on MicroPython and CPython.
"""

from hashlib import sha256


def hmac(key, message):
    key = bytes(key) + bytes(64 - len(key))
    inner = sha256(bytes(b ^ 0x36 for b in key) + message).digest()
    return sha256(bytes(b ^ 0x5C for b in key) + inner).digest()


def digest(before, kind, reason, pseudonym, detail, payload):
    """All contents up to this record in 4 bytes, so that thousands go into a chip's heap."""
    return sha256(repr((before, kind, reason, bytes(pseudonym), detail, payload)).encode()).digest()[:4]


def number(data, at, bits=30):
    return int.from_bytes(data[at : at + 4], "little") & ((1 << bits) - 1)


class Upstream:
    """Keeps every record it was ever given; complains about anything that must not be."""

    def __init__(self, key):
        self.key = bytes(key)
        self.generation = 0
        self.epoch = None
        self.chain = bytes(7)
        self.first = 0  # number before the oldest chain value that is kept
        self.content = bytes(4)  # running digest of all records
        self.chains = bytearray()
        self.boot = 0
        self.gaps = []  # (first, last) that never came
        self.keep = ()  # kinds of records to keep as they are
        self.kept = []

    def _key_at(self, generation):
        while self.generation < generation:
            self.key = sha256(b"menwei next key" + self.key).digest()[:16]
            self.generation += 1
        return self.key

    def last(self):
        return self.first + len(self.chains) // 7

    def chain_after(self, seq):
        """Chain value of a record that came; None if it is too old to be known."""
        if seq == 0:
            return bytes(7)
        if seq <= self.first:
            return None
        at = 7 * (seq - self.first - 1)
        return bytes(self.chains[at : at + 7])

    def store(self, seq, content):
        """A record came that was not here before: (kind, reason, pseudonym, detail, payload)."""
        self.content = digest(self.content, *content)
        if content[0] in self.keep:
            self.kept.append(content)

    def _tag(self, generation, message):
        return hmac(self._key_at(generation), message)

    def take(self, data):
        """Take one `event` payload in; returns (seq, chain) to acknowledge."""
        slots = data[2]
        if data[0] != 1 or data[1] or data[3] or data[23] or not 1 <= slots <= 32 or len(data) != 24 + 32 * slots:
            raise ValueError("malformed batch")
        if self.epoch is None:
            self.epoch = bytes(data[4:8])
        if self.epoch != bytes(data[4:8]):
            raise ValueError("another epoch")
        seq = number(data, 8)
        generation = number(data, 12)
        chain = bytes(data[16:23])
        if seq <= self.last():
            if self.chain_after(seq - 1) not in (None, chain):
                raise ValueError(f"fork before {seq}")
        elif seq == self.last() + 1:
            if chain != self.chain:
                raise ValueError(f"broken chain before {seq}")
        else:
            self.gaps.append((self.last() + 1, seq - 1))
            self.first = seq - 1
            self.chains = bytearray()
        at = 24
        first = True
        while at < len(data):
            slot = bytes(data[at : at + 32])
            at += 32
            message = slot[:25]
            tag = slot[25:]
            payload = None
            if slot[0] == 0x33:
                second = bytes(data[at : at + 32])
                at += 32
                if second[0] != 0x3C:
                    raise ValueError("half a long record")
                message += second[:25]
                tag += second[25:]
                payload = second[1:25]
            elif slot[0] != 0x55:
                raise ValueError(f"not a record: {slot[0]}")
            if number(slot, 1) != seq:
                raise ValueError(f"sequence {number(slot, 1)} where {seq} belongs")
            step = ((slot[4] >> 6) - generation) & 3
            if (first and step) or step > 1:
                raise ValueError(f"key generation leaps at {seq}")
            generation += step
            first = False
            if seq <= self.last():
                if self.chain_after(seq) not in (None, tag[:7]):
                    raise ValueError(f"fork at {seq}")
            else:
                if self._tag(generation, chain + message)[: len(tag)] != tag:
                    raise ValueError(f"wrong MAC at {seq}")
                content = (slot[12], slot[13], slot[14:21], number(slot, 21), payload)
                self.store(seq, content)
                boot = slot[5] | slot[6] << 8
                if boot < self.boot:
                    raise ValueError(f"boot number goes back at {seq}")
                self.boot = boot
                if len(self.chains) >= 7 * 800:
                    self.chains = self.chains[7 * 400 :]
                    self.first += 400
                self.chains += tag[:7]
                self.chain = tag[:7]
            chain = tag[:7]
            seq += 1
        return seq - 1, chain


class Truth:
    """What was appended, in order, and whether the append returned."""

    def __init__(self):
        self.count = 0  # appends that returned
        self.content = bytes(4)  # their running digest
        self.asked = None  # the digest with the one that was cut short

    def ask(self, *content):
        """An append begins."""
        self.asked = digest(self.content, *content)

    def returned(self):
        """It returned."""
        self.count += 1
        self.content = self.asked
        self.asked = None

    def check(self, upstream):
        """Everything that returned is upstream, once and in order; what did not return may be, in its place."""
        if upstream.gaps:
            raise ValueError(f"gaps: {upstream.gaps}")
        if self.asked is not None and upstream.content == self.asked:
            self.returned()
        self.asked = None
        if upstream.last() != self.count:
            raise ValueError(f"{upstream.last()} records came, {self.count} were made")
        if upstream.content != self.content:
            raise ValueError("another record came than was made")


GAP, GIVEN_UP, NOT_STORED = 15, 1, 2


def lowest(kind, reason):
    """Whether a record may be counted instead of stored: unknown cards, leaf opened (not forced) and closed."""
    return (kind, reason) == (3, 1) or (kind == 6 and reason) or kind == 7


class Database(Upstream):
    """An upstream that keeps all records by number."""

    tags = {}  # right MACs, for all that have the same key

    def __init__(self, key):
        super().__init__(key)
        self.rows = {}

    def _tag(self, generation, message):
        # The same records come again after each cut.
        tags = self.tags
        if (generation, message) not in tags:
            if len(tags) >= 1000:
                tags.clear()
            tags[(generation, message)] = super()._tag(generation, message)
        return tags[(generation, message)]

    def store(self, seq, content):
        if seq in self.rows:
            raise ValueError(f"{seq} came twice")
        self.rows[seq] = content

    def copy(self):
        return copied(self, Database(self.key))


class Ledger:
    """What the door's software was told: numbers of appends that returned, and what became of the others."""

    def __init__(self):
        self.rows = {}  # number: (kind, reason, pseudonym, detail, payload)
        self.head = 0  # newest number that an append returned
        self.counted = 0  # appends that returned without a record of their own, because the ring was crowded
        self.asked = None  # the append that has not returned
        self.perhaps = {}  # number: content of appends that power cut short, as far as they are there
        self.own = set()  # numbers of gap records, which nobody asked for

    def copy(self):
        return copied(self, Ledger())

    def ask(self, *content):
        """An append begins."""
        self.asked = content

    def returned(self, seq):
        """It returned this number."""
        if seq <= self.head:
            if not lowest(*self.asked[:2]):
                raise ValueError(f"a record of kind {self.asked[0]} was not stored")
            self.counted += 1
        else:
            self.own.update(range(self.head + 1, seq))
            self.rows[seq] = self.asked
            self.head = seq
        self.asked = None

    def restarted(self, head):
        """The door started and says that this is its newest number."""
        if head < self.head:
            raise ValueError(f"record {self.head} is lost, the newest is {head}")
        for seq in range(self.head + 1, head + 1):
            self.perhaps[seq] = self.asked
        if self.asked and lowest(*self.asked[:2]):
            self.counted += 1  # the report of it may be there
        self.head = head
        self.asked = None

    def idle(self, head):
        """Idle work was done: it makes gap records only."""
        self.own.update(range(self.head + 1, head + 1))
        self.head = head

    def check(self, database, sure):
        """All that returned is there, once and in its place, and nothing that was not asked for.

        Args:
            sure: records newer than this number must be there however full the ring was.
        """
        came = database.rows
        counted = self.counted
        late = []
        missing = set()
        for first, last in database.gaps:
            missing.update(range(first, last + 1))
        for seq in range(1, self.head + 1):
            row = came.get(seq)
            if row is None:
                if seq not in missing:
                    raise ValueError(f"{seq} did not come and no gap tells")
                if seq > sure:
                    raise ValueError(f"{seq} was given up, all after {sure} have room")
            elif seq in self.rows:
                if row[0] == GAP and lowest(*self.rows[seq][:2]):
                    counted += 1  # it was only counted, and the head that was returned is the report's
                elif row != self.rows[seq]:
                    raise ValueError(f"{seq} came as {row}, appended was {self.rows[seq]}")
            elif row[0] == GAP:
                if seq not in self.own and seq not in self.perhaps:
                    raise ValueError(f"{seq}: a gap record where none can be")
            elif seq not in self.perhaps or row != self.perhaps[seq] or row in late:
                raise ValueError(f"{seq} came as {row}, which nobody appended")
            else:
                late.append(row)
        if max(came or (0,)) > self.head:
            raise ValueError(f"{max(came)} came, the newest is {self.head}")
        self._check_gaps(came.values(), missing, counted)

    def _check_gaps(self, rows, missing, counted):
        """What gap records say is true."""
        told = stored = 0
        for kind, reason, _, detail, payload in rows:
            if kind == GAP:
                classes = [number(payload, at) for at in (8, 12, 16)]
                if sum(classes) != detail or not detail:
                    raise ValueError(f"gap of {detail} with classes {classes}")
                if reason == GIVEN_UP:
                    first, last = number(payload, 0), number(payload, 4)
                    if last - first + 1 != detail:
                        raise ValueError(f"gap of {detail} from {first} to {last}")
                    told = max(told, last)
                else:
                    if classes[0] != detail:
                        raise ValueError("a record that is not of the lowest class was only counted")
                    stored += detail
        if stored > counted:
            raise ValueError(f"{stored} records were only counted, gap records say; {counted} were")
        self.told = told
        self.untold = max(missing) if missing and max(missing) > told else 0


def copied(source, target):
    """Copy all that an object has, one level deep."""
    for name, value in source.__dict__.items():
        if isinstance(value, (list, dict, set)):
            value = value.copy()
        elif isinstance(value, bytearray):
            value = value[:]
        setattr(target, name, value)
    return target


def keys_until(key, generation):
    """Return the journal keys of generations 0 to this one."""
    keys = [bytes(key)]
    while len(keys) <= generation:
        keys.append(sha256(b"menwei next key" + keys[-1]).digest()[:16])
    return keys
