"""The protocol under asyncio, and what it leaves for the collector."""

import asyncio
import gc
from unittest import TestCase

from drivers.iso14443a import TIMEOUT, Iso14443a
from paper import UID_4


class Air:
    """A card that lies in the field or not, as fast as can be."""

    def __init__(self):
        self.frame = bytearray(65)
        self.there = False
        self.halted = False
        self.answers = {1: b"\x04\x00", 2: UID_4 + b"\x6c", 9: b"\x08\xb6\xdd"}

    def field(self, on):
        pass

    def push(self, length):
        self.halted = True

    def send(self, length, last_bits, timeout_us):
        self.length = length
        self.code = self.frame[1]

    def poll(self):
        if not self.there or (self.halted and self.code == 0x26):
            return TIMEOUT
        answer = self.answers[self.length]
        for index in range(len(answer)):
            self.frame[1 + index] = answer[index]
        return len(answer)


class Loop(TestCase):
    def test_awaited_and_without_garbage(self):
        air = Air()
        cards = Iso14443a(air)
        uid = bytearray(10)

        async def main():
            results = [0, 0, 0]
            for _ in range(3):
                results[0] = await cards.find(uid)
            air.there = True
            await cards.find(uid)
            air.there = False
            while cards.present:
                await cards.find(uid)
            gc.collect()
            before = gc.mem_alloc()
            for _ in range(20):
                results[0] |= await cards.find(uid)
            idle = gc.mem_alloc() - before
            air.there = True
            before = gc.mem_alloc()
            results[1] = await cards.find(uid)
            read = gc.mem_alloc() - before
            before = gc.mem_alloc()
            results[2] = await cards.find(uid)
            again = gc.mem_alloc() - before
            return results, idle, read, again

        results, idle, read, again = asyncio.run(main())
        print("bytes: 20 idle looks", idle, "a read", read, "the same card again", again)
        self.assertEqual(results, [0, 4, 0])
        self.assertEqual(uid[:4], UID_4)
        self.assertEqual(idle, 0)
        self.assertEqual(read, 0)
        self.assertEqual(again, 0)

    def test_cancelled_by_the_loop(self):
        air = Air()
        cards = Iso14443a(air)
        uid = bytearray(10)

        async def look():
            return await cards.find(uid)

        async def main():
            task = asyncio.create_task(look())
            await asyncio.sleep_ms(0)
            task.cancel()
            try:
                await task
                return None
            except asyncio.CancelledError:
                air.there = True
                return await cards.find(uid)

        self.assertEqual(asyncio.run(main()), 4)

    def test_other_tasks_run_meanwhile(self):
        air = Air()
        cards = Iso14443a(air)
        turns = [0]

        async def other():
            while True:
                turns[0] += 1
                await asyncio.sleep_ms(0)

        async def main():
            task = asyncio.create_task(other())
            await cards.find(bytearray(10))
            task.cancel()

        asyncio.run(main())
        self.assertTrue(turns[0] > 0)
