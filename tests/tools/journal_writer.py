"""A journal region written by hand from docs/flash-formats.md, as the oracle of the reader: it shares no code with it.

writer = Writer(epoch, key)
writer.record(kind=2, reason=0, pseudonym=b"1234567")
region = writer.region(4)
"""

import hashlib
import hmac

SINGLE, LONG, SECOND, KEY = 0x55, 0x33, 0x3C, 0x0F


def _little(value, count):
    return value.to_bytes(count, "little")


def _sha(data, count):
    return hashlib.sha256(data).digest()[:count]


class Writer:
    """Fills sectors of 128 slots one after the other."""

    def __init__(self, epoch, key, records_per_key=32, first_sector=0, wipe=True):
        self.epoch, self.key, self.generation = epoch, key, 0
        self.chain = bytes(7)
        self.head = 0
        self.sectors = []
        self.first_sector = first_sector
        self.records_per_key = records_per_key
        self.wipe = wipe
        self.live = None  # sector and slot of the key in use
        self.made = 0
        self.slots = []  # every record's slots in order, as they go upstream
        self._open()

    def _open(self):
        ring = len(self.sectors)
        clean = b"\xe5" + _little(1, 3)
        header = b"J\x01" + self.epoch + _little(ring, 4) + _little(self.head + 1, 4)
        head = clean + _sha(b"menwei clean" + clean, 4) + header + _sha(b"menwei journal" + header, 4)
        self.sectors.append([head.ljust(32, b"\xff")])
        if self.made:
            self._move()
        self._key_slot()

    def _move(self):
        self.key = _sha(b"menwei next key" + self.key, 16)
        self.generation += 1

    def _key_slot(self):
        if self.live and self.wipe:
            sector, index = self.live
            slots = self.sectors[sector]
            slots[index] = slots[index][:14] + bytes(18)
        body = _little(self.generation, 4) + self.chain
        slot = bytes([KEY]) + body + _sha(b"menwei slot" + body, 2)
        slot += self.key
        self.live = len(self.sectors) - 1, len(self.sectors[-1])
        self.sectors[-1].append(slot + _sha(b"menwei key" + slot[1:30], 2))
        self.made = 0

    def raw(self, slot):
        """Any slot, for what should not be there."""
        self.sectors[-1].append(slot)

    def record(self, kind, reason=0, pseudonym=bytes(7), detail=0, time=1000, trust=2, payload=None):
        slots = 1 if payload is None else 2
        if len(self.sectors[-1]) + slots + 1 > 128:
            self._open()
        elif self.made >= self.records_per_key:
            self._move()
            self._key_slot()
        self.head += 1
        body = bytes([SINGLE if payload is None else LONG])
        body += _little(self.head | (self.generation & 3) << 30, 4) + _little(1, 2) + _little(time | trust << 30, 4)
        body += bytes([0, kind, reason]) + pseudonym + _little(detail, 4)
        second = b"" if payload is None else bytes([SECOND]) + payload
        tag = hmac.digest(self.key, self.chain + body + second, "sha256")
        self.chain = tag[:7]
        record = body + tag[:7]
        if payload is not None:
            record += second + tag[7:14]
        for start in range(0, len(record), 32):
            self.sectors[-1].append(record[start : start + 32])
        self.slots.append(record)
        self.made += 1
        return record

    def region(self, count, acked=0):
        """The region of `count` sectors; the first `acked` groups of 16 slots of the first sector are acknowledged."""
        blank = b"\xff" * 4096
        placed = [blank] * count
        for number, slots in enumerate(self.sectors):
            data = bytearray(b"".join(slots).ljust(4096, b"\xff"))
            if not number:
                data[26:29] = _little(0xFFFFFF << 3 * acked & 0xFFFFFF, 3)
            placed[(self.first_sector + number) % count] = bytes(data)
        return b"".join(placed)
