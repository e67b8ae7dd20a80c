"""Looks of the reader, to be counted in instructions by tests/bench/instructions.py. Runs on MicroPython.

    micropython instructions_door.py WHAT HOW COUNT

WHAT is `uid4`, `uid7` or `idle`: COUNT times `await cards.find(uid)`, as the reader's task does; or `sleep`, COUNT
sleeps of asyncio. HOW is `whole`, with a bus written in Python, or `lean`: pins and writes are built-in functions, as
on a chip. What comes before is done MOST times whatever COUNT is, so the difference of two runs is the looks alone.
"""

import asyncio
import sys

from drivers.iso14443a import Iso14443a
from drivers.mfrc522 import Mfrc522

MOST = 40
_CARDS = {
    "uid4": (b"\x04\x00", b"\x9c\x59\x9b\x32\x6c", b"\x08\xb6\xdd"),
    "uid7": (b"\x44\x00", b"\x88\x04\xf2\x52\x2c", b"\x04\xda\x17", b"\xb1\xec\x02\x80\xdf", b"\x00\xfe\x51"),
    "idle": (),
}


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


async def main(what, how, count):
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
