"""Looks of the reader, to be counted in instructions by tests/bench/instructions.py. Runs on MicroPython.

    micropython instructions_door.py WHAT HOW COUNT

WHAT is `uid4`, `uid7` or `idle`: COUNT times `await cards.find(uid)`, as the reader's task does; `relay4` or `relay7`:
from such a UID to the relay, decision and record included, hashing not prepared ahead; or `sleep`, COUNT sleeps of
asyncio. HOW is `whole`, with a bus written in Python, or `lean`: pins and writes are built-in functions, as
on a chip. What comes before is done MOST times whatever COUNT is, so the difference of two runs is the looks alone.
"""

import asyncio
import gc
import sys

from drivers.iso14443a import Iso14443a
from drivers.mfrc522 import Mfrc522

MOST = 40
_CARDS = {
    "uid4": (b"\x04\x00", b"\x9c\x59\x9b\x32\x6c", b"\x08\xb6\xdd"),
    "uid7": (b"\x44\x00", b"\x88\x04\xf2\x52\x2c", b"\x04\xda\x17", b"\xb1\xec\x02\x80\xdf", b"\x00\xfe\x51"),
    "idle": (),
}
_UIDS = {4: b"\x9c\x59\x9b\x32", 7: b"\x04\xf2\x52\x04\xda\x17\xb1"}


class Bus:
    """SPI, pins and a chip whose answers are ready at once."""

    def __init__(self):
        self.answers = ()
        self.at = 0
        self.pattern = b""

    def init(self, baudrate):
        pass

    def pin(self, level):
        pass

    def write(self, data):
        if data[0] == 0x12:
            self.pattern = data

    def write_readinto(self, data, into):
        if data[0] == 0x88:
            if self.at < len(self.answers):
                into[1] = 0x64
                into[3] = len(self.answers[self.at])
            else:
                into[1] = 0x45
            into[2] = 0
            into[4] = 0x10
        elif data[0] == 0x92:
            if self.answers:
                into[1:] = self.answers[self.at]
                self.at += 1
            else:
                into[1:] = self.pattern[1:]
        else:
            into[1] = 0x92 if data[0] == 0xEE else 0


class Ram:
    """A partition whose reads and programs are built-in functions, as far as possible."""

    def __init__(self):
        self.memory = memoryview(bytearray(b"\xff" * (16 * 4096)))

    def ioctl(self, what, sector):
        if what == 4:
            return 16
        if what == 5:
            return 4096
        self.memory[sector << 12 : sector + 1 << 12] = b"\xff" * 4096
        return 0

    def readblocks(self, block, buf, at):
        at += block << 12
        buf[:] = self.memory[at : at + len(buf)]

    def writeblocks(self, block, buf, at):
        at += block << 12
        self.memory[at : at + len(buf)] = buf


def door(length):
    """A whole card path on flash in memory, with the card on its list."""
    from firmware.clock import Clock, Uptime
    from firmware.door import Door
    from firmware.passage import Passage
    from firmware.recorder import Recorder
    from drivers.lock import Lock
    from storage.allowlist import Allowlist
    from storage.flash import Flash
    from storage.journal import Journal

    journal = Journal(Flash(Ram()))
    journal.format(b"\1\2\3\4", bytes(16))
    journal.mount()
    allowlist = Allowlist(Flash(Ram()))
    allowlist.format()
    allowlist.mount()
    clock = Clock(200_000_000, 50)
    settings = {"residents": [0], "open_s": 5, "kinds": ["uid"], "group_kinds": {}}
    recorder = Recorder(journal, clock, None)
    lock = Lock(abs)
    passage = Passage(bytes(32), allowlist, recorder, clock, Uptime(), Door(30, 60, True), lock, settings)
    passage.credential.uid[:length] = _UIDS[length]
    passage.recognise(length, 0x20)
    allowlist.put(passage.pseudonym, 0, 0xFFFFFF, 0)
    while journal.idle() or allowlist.idle():
        pass
    return passage, lock


def taps(length, count):
    """From a UID to the relay, with software SHA-256."""
    passage, lock = door(length)
    gc.collect()
    gc.disable()  # one collection within some runs and not within others would be all that is counted
    for _ in range(count):
        passage.recognise(length, 0x20)
        if passage.present() or not lock.released:
            raise RuntimeError("the card was not let in")
        lock.secure()


async def main(what, how, count):
    if what[:5] == "relay":
        taps(int(what[5:]), count)
        return
    if what == "sleep":
        for _ in range(count):
            await asyncio.sleep_ms(1)
        return
    uid = bytearray(10)
    readers = []
    length = int(what[3:]) if what != "idle" else 0
    for _ in range(MOST):
        bus = Bus()
        cards = Iso14443a(Mfrc522(bus, bus.pin, bus.pin))
        await cards.start()
        await cards.find(uid)
        if how == "lean":
            cards.transport._cs = abs
            cards.transport._write = len
        bus.answers = _CARDS[what]
        readers.append(cards)
    for cards in readers[:count]:
        found = await cards.find(uid)
        if found != length:
            raise RuntimeError("%d instead of %d" % (found, length))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
