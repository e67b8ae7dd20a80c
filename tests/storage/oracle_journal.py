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
                if hmac(self._key_at(generation), chain + message)[: len(tag)] != tag:
                    raise ValueError(f"wrong MAC at {seq}")
                content = (slot[12], slot[13], slot[14:21], number(slot, 21), payload)
                self.content = digest(self.content, *content)
                if slot[12] in self.keep:
                    self.kept.append(content)
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
