"""What a read costs: chip selects and bytes on the bus, and memory."""

import asyncio
import gc
from unittest import TestCase

from drivers.iso14443a import Iso14443a
from drivers.mfrc522 import Mfrc522
from recorded_bus import WithChip

CARDS = {
    4: (b"\x04\x00", b"\x9c\x59\x9b\x32\x6c", b"\x08\xb6\xdd"),
    7: (b"\x44\x00", b"\x88\x04\xf2\x52\x2c", b"\x04\xda\x17", b"\xb1\xec\x02\x80\xdf", b"\x00\xfe\x51"),
    10: (
        b"\x84\x00",
        b"\x88\x01\x02\x03\x88",
        b"\x04\xda\x17",
        b"\x88\x04\x05\x06\x8f",
        b"\x04\xda\x17",
        b"\x07\x08\x09\x0a\x0c",
        b"\x20\xfc\x70",
    ),
}
UIDS = {
    4: b"\x9c\x59\x9b\x32",
    7: b"\x04\xf2\x52\xb1\xec\x02\x80",
    10: b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a",
}


class Cost(WithChip):
    """Chip selects and bytes with the answer ready at the first status read, as public drivers are counted."""

    def cost(self, length):
        self.start()
        cards = Iso14443a(self.reader)
        uid = bytearray(10)
        asyncio.run(self.finds(cards, uid, 1))
        self.chip.answers = list(CARDS[length])
        self.chip.counted()
        self.assertEqual(asyncio.run(self.finds(cards, uid, 1)), length)
        self.assertEqual(bytes(uid[:length]), UIDS[length])
        self.assertEqual(self.chip.sent[-1], b"\x50\x00\x57\xcd")
        selects, count = self.chip.counted()
        print("uid", length, "selects", selects, "bytes", count, "with HLTA")
        return selects, count

    async def finds(self, cards, uid, times):
        for _ in range(times):
            result = await cards.find(uid)
        return result

    def test_4_bytes(self):
        selects, count = self.cost(4)
        self.assertTrue(selects <= 28 and count <= 84)

    def test_7_bytes(self):
        selects, count = self.cost(7)
        self.assertTrue(selects <= 46 and count <= 140)

    def test_10_bytes(self):
        selects, count = self.cost(10)
        self.assertTrue(selects <= 64 and count <= 196)

    def test_idle(self):
        self.start()
        cards = Iso14443a(self.reader)
        uid = bytearray(10)
        asyncio.run(self.finds(cards, uid, 1))
        self.chip.counted()
        asyncio.run(self.finds(cards, uid, 1))
        selects, count = self.chip.counted()
        print("idle selects", selects, "bytes", count, "and 5 bytes for each further look at the status")
        self.assertTrue(selects + 2 <= 10)  # on air it takes one to three looks


class StillBus:
    """A bus and a card that leave no garbage, so that what is left is the driver's."""

    def __init__(self):
        self.there = False
        self.tx = bytearray(1)
        self.sent = self.code = 0
        self.halted = False
        self.answers = {2: b"\x04\x00", 3: b"\x9c\x59\x9b\x32\x6c", 10: b"\x08\xb6\xdd"}

    def init(self, baudrate):
        pass

    def pin(self, level):
        pass

    def write(self, data):
        if data[0] == 0x12:
            self.sent = len(data)
            self.code = data[1]
            if self.code == 0x50:
                self.halted = True

    def write_readinto(self, data, into):
        if data[0] == 0x88:
            there = self.there and not (self.halted and self.code == 0x26)
            into[1] = 0x64 if there else 0x45
            into[2] = 0
            into[3] = len(self.answers[self.sent]) if there else 0
            into[4] = 0x10
        else:
            answer = self.answers[self.sent]
            for index in range(len(answer)):
                into[index + 1] = answer[index]


class Garbage(TestCase):
    def test_none_on_the_way_of_a_tap(self):
        bus = StillBus()
        reader = Mfrc522(bus, bus.pin, bus.pin)
        cards = Iso14443a(reader)
        uid = bytearray(10)

        async def main():
            bus.there = True
            await cards.find(uid)
            bus.there = False
            for _ in range(4):
                await cards.find(uid)
            gc.collect()
            before = gc.mem_alloc()
            for _ in range(20):
                await cards.find(uid)
            idle = gc.mem_alloc() - before
            bus.there = True
            before = gc.mem_alloc()
            length = await cards.find(uid)
            read = gc.mem_alloc() - before
            before = gc.mem_alloc()
            for _ in range(20):
                length += await cards.find(uid)
            return length, idle, read, gc.mem_alloc() - before

        length, idle, read, stays = asyncio.run(main())
        print("bytes: 20 idle looks", idle, "a read", read, "20 looks at a card that stays", stays)
        self.assertEqual(length, 4)
        self.assertEqual((idle, read, stays), (0, 0, 0))
