"""Journals made by the door's own code on flash in memory, with a clock that stands.

journal, flash = write(40)
payload = take(journal, 1)
"""

from storage import journal as journal_module
from storage import record
from storage.flash import SECTOR, Flash
from storage.journal import Journal

EPOCH, KEY = b"\x01\x80\xff\x7f", bytes(range(16))


class FakeTime:
    """time, as far as the journal uses it."""

    @staticmethod
    def ticks_ms():
        return 0

    @staticmethod
    def ticks_diff(end, start):
        return end - start


class Region:
    """A flash region in memory."""

    def __init__(self, sectors):
        self.data = bytearray(b"\xff" * SECTOR * sectors)

    def readblocks(self, number, buf, offset):
        at = number * SECTOR + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, number, buf, offset):
        at = number * SECTOR + offset
        for index, value in enumerate(buf):
            self.data[at + index] &= value

    def ioctl(self, operation, argument):
        if operation == 6:
            self.data[argument * SECTOR : argument * SECTOR + SECTOR] = b"\xff" * SECTOR
            return 0
        return SECTOR if operation == 5 else len(self.data) // SECTOR


def append(journal, number, salt=0):
    """One record that says its number; every 7th is a long one."""
    journal.stamp(1000 + number, number % 3, number % 31)
    payload = bytes((number + i) & 255 for i in range(24)) if number % 7 == 3 else b""
    fields = (record.COMMAND if payload else record.GRANTED, 1, number.to_bytes(7, "big"), number * 1000 + salt)
    if payload:
        journal.append_long(*fields, payload)
    else:
        journal.append(*fields)
    journal.idle()


def mount(region):
    """The door starts."""
    journal = Journal(Flash(region))
    journal.mount()
    return journal


def write(last, key=KEY, epoch=EPOCH, branch_at=0):
    """A journal of `last` records; from number `branch_at` on they say something else."""
    region = Region(16)
    journal = Journal(Flash(region))
    journal.format(epoch, key)
    journal = mount(region)
    for number in range(1, last + 1):
        append(journal, number, 1 if 0 < branch_at <= number else 0)
    return journal, region


def take(journal, first, slots=32):
    """The `event` payload from a record on."""
    buf = bytearray(24 + slots * 32)
    count = journal.batch(buf, first)
    return bytes(buf[: 24 + count * 32])


def stream(journal, sizes):
    """The batches of a whole journal, the sizes of which (2 to 32 slots) come round again."""
    batches = []
    first = 1
    while first <= journal.head:
        batches.append(take(journal, first, sizes[len(batches) % len(sizes)]))
        first = journal.last_in_batch + 1
    return batches


def patch_time(monkeypatch):
    """Journals on CPython need this."""
    monkeypatch.setattr(journal_module, "time", FakeTime)
