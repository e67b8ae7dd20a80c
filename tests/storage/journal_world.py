"""A journal on a simulated flash chip with an upstream and the truth beside it; shared by the chip_journal tests."""

import os

from boards.sim.norflash import NorFlash, Region
from oracle_journal import Truth, Upstream
from storage import journal as journal_module
from storage import record
from storage.flash import Flash
from storage.journal import Journal

FOLDER = os.getenv("MENWEI_TMP") or "/tmp"
PATH = FOLDER + "/journal.bin"
KEY = b"sixteen octets: "
EPOCH = b"\x01\x80\xff\x7f"


class FakeTime:
    """time, as far as the journal uses it, without waiting."""

    def __init__(self):
        self.now_ms = (1 << 30) - 60_000  # wraps soon

    def ticks_ms(self):
        return self.now_ms & (1 << 30) - 1

    def ticks_diff(self, end, start):
        return ((end - start + (1 << 29)) & (1 << 30) - 1) - (1 << 29)


def take_over(target, source):
    """Give one Truth or Upstream all that another knows; return it."""
    for name, value in source.__dict__.items():
        setattr(target, name, value[:] if isinstance(value, (list, bytearray)) else value)
    return target


class Bench:
    """A journal on a small flash, an upstream, and the truth."""

    def __init__(self, sectors=6):
        if "journal.bin" in os.listdir(FOLDER):
            os.remove(PATH)
        self.size = sectors * 4096
        self.nor = NorFlash(PATH, self.size)
        self.time = journal_module.time = FakeTime()
        self.truth = Truth()
        self.upstream = Upstream(KEY)
        self.buf = bytearray(24 + 32 * 32)
        self.journal = Journal(Flash(Region(self.nor, 0, self.size)))
        self.journal.format(EPOCH, KEY)

    def reboot(self):
        self.nor.power_on()
        self.journal = Journal(Flash(Region(self.nor, 0, self.size)))
        self.journal.mount()

    def append(self, kind, reason=0, pseudonym=None, detail=0, payload=None):
        self.truth.ask(kind, reason, pseudonym or bytes(7), detail, payload)
        if payload is None:
            seq = self.journal.append(kind, reason, pseudonym, detail)
        else:
            seq = self.journal.append_long(kind, reason, pseudonym, detail, payload)
        self.truth.returned()
        return seq

    def some(self, count, number=0):
        """Records of all sorts, of the classes that are always stored."""
        for i in range(number, number + count):
            if i % 11 == 3:
                self.append(record.COMMAND, 1, None, i, bytes((i + j) & 255 for j in range(24)))
            else:
                self.append(record.GRANTED, i % 5, bytes((i & 255, 1, 2, 3, 4, 5, i >> 8)), i)

    def idle(self):
        for _ in range(200):
            if not self.journal.idle():
                return
        raise ValueError("idle() does not come to an end")

    def send(self, batches=1000, ack=True):
        """Upload from the cursor on."""
        first = self.journal.acked + 1
        while batches and first <= self.journal.head:
            batches -= 1
            slots = self.journal.batch(self.buf, first)
            if not slots:
                raise ValueError(f"nothing to send from {first} on, head {self.journal.head}")
            seq, chain = self.upstream.take(self.buf[: 24 + 32 * slots])
            if seq != self.journal.last_in_batch:
                raise ValueError("last_in_batch")
            if ack and not self.journal.ack(EPOCH, seq, chain):
                raise ValueError(f"acknowledgement of {seq} refused")
            first = seq + 1

    def check(self):
        self.send()
        self.truth.check(self.upstream)

    def save(self):
        """Keep the image in a file."""
        page = bytearray(256)
        with open(PATH + ".saved", "wb") as file:
            for address in range(0, self.size, 256):
                self.nor.read(address, page)
                file.write(page)

    def restore(self):
        self.nor.close()
        page = bytearray(256)
        with open(PATH + ".saved", "rb") as source, open(PATH, "wb") as target:
            while source.readinto(page):
                target.write(page)
        self.nor = NorFlash(PATH, self.size)

    def flip(self, address, mask):
        """Flip bits of one byte past all rules."""
        byte = bytearray(1)
        self.nor.close()
        with open(PATH, "r+b") as file:
            file.seek(address)
            file.readinto(byte)
            byte[0] ^= mask
            file.seek(address)
            file.write(byte)
        self.nor = NorFlash(PATH, self.size)

    def holds(self, needle):
        """Whether these bytes stand anywhere in the flash."""
        data = bytearray(4096)
        for sector in range(self.size // 4096):
            self.nor.read(4096 * sector, data)
            if needle in data:
                return True
        return False
