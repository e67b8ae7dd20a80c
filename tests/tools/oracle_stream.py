"""What upstream may believe of a journal that was altered on its way or in flash. Imports no code under test.

truth = Truth([slots of record 1, slots of record 2, ...])
truth.check(events, damaged)       # [(seq, raw)] each; raises AssertionError
"""


def split(payload):
    """The 24-byte header and the slots of each record of an intact batch."""
    groups = []
    for at in range(24, len(payload), 32):
        slot = payload[at : at + 32]
        if slot[0] == 0x3C:
            groups[-1] += slot
        else:
            groups.append(slot)
    return payload[:24], groups


def join(head, groups):
    """A batch with a header whose count fits."""
    slots = b"".join(groups)
    return head[:2] + bytes([len(slots) // 32]) + head[3:] + slots


def first_of(payload):
    """Number of the first record."""
    return int.from_bytes(payload[8:12], "little")


def flip(data, bit):
    """The same with one bit turned."""
    altered = bytearray(data)
    altered[bit >> 3] ^= 1 << (bit & 7)
    return bytes(altered)


def apart(one, other):
    """In how many bits two byte strings differ."""
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


class Truth:
    """Every record that the door made, in order."""

    def __init__(self, records):
        self.records = records

    def check(self, events, damaged=()):
        """Nothing false is an event, nothing is there twice, and what is damaged is not what was made."""
        numbers = [seq for seq, _ in events]
        assert len(numbers) == len(set(numbers))
        for seq, raw in events:
            assert raw == self.records[seq - 1], f"record {seq} is not the one that was made"
        for seq, raw in damaged:
            assert raw != self.records[seq - 1], f"record {seq} is called damaged and is whole"

    def complete(self, events, upto, but=()):
        """All records up to a number are events, except those."""
        missing = set(range(1, upto + 1)) - {seq for seq, _ in events}
        assert missing == set(but)
