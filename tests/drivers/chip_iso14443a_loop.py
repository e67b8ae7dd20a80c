"""The protocol under asyncio, what it leaves for the collector, and answers at random."""

import asyncio
import gc
import os
import random
from time import ticks_ms
from unittest import TestCase

from drivers.iso14443a import BUSY, COLLISION, GARBLED, SEVERAL, TIMEOUT, Iso14443a, crc_a
from paper import UID_4, WithPaper

FUZZ_ROUNDS = 4000


class Noise:
    """Answers at random, sometimes rightly. `chain` holds the UID bytes of right answers in order."""

    def __init__(self, frame):
        self.frame = frame
        self.chain = bytearray()
        self.good = 0

    def field(self, on):
        pass

    def push(self, length):
        pass

    def send(self, length, last_bits, timeout_us):
        self.request = bytes(self.frame[1 : 1 + length])

    def poll(self):
        request = self.request
        frame = self.frame
        if random.randrange(8) == 0:
            return (BUSY, TIMEOUT, COLLISION, GARBLED)[random.randrange(4)]
        right = self.good > 0 and random.randrange(12) != 0
        if not right:
            length = random.randrange(1, 65)
            frame[1 : 1 + length] = os.urandom(length)
            if random.randrange(2):
                length = (2, 5, 3)[random.randrange(3)]
            return length
        if len(request) == 1:
            frame[1:3] = b"\x04\x00"
            self.chain = bytearray()
            return 2
        if len(request) == 2:
            data = bytearray(os.urandom(4))
            if random.randrange(2):
                data[0] = 0x88
            frame[1:5] = data
            frame[5] = data[0] ^ data[1] ^ data[2] ^ data[3]
            return 5
        more = request[2] == 0x88 and request[0] != 0x97
        self.chain.extend(request[3:6] if more else request[2:6])
        data = bytes((0x04 if more else 0x20,))
        crc = crc_a(data, 0, 1)
        frame[1:4] = data + bytes((crc & 0xFF, crc >> 8))
        return 3


class Fuzz(WithPaper):
    def test_random_answers(self):
        seed = ticks_ms()
        print("seed", seed)
        random.seed(seed)
        cards = self.cards
        frame = self.paper.frame
        transport = Noise(frame)
        cards.transport = transport
        uid = self.uid
        reported = 0
        for _ in range(FUZZ_ROUNDS):
            transport.chain = bytearray()
            self.clock.waited.clear()
            transport.good = random.randrange(4)
            search = cards.find(uid)
            result = None
            while result is None:
                try:
                    search.__next__()
                except StopIteration as stop:
                    result = stop.value
            self.assertTrue(result in (0, 4, 7, 10, SEVERAL))
            if result > 0:
                reported += 1
                self.assertEqual(bytes(uid[:result]), bytes(transport.chain[-result:]))
        self.assertTrue(reported > 20)
        # it still reads
        transport = self.paper
        cards.transport = transport
        cards.present = 0
        cards._unsure = False
        self.arrive()


class Air:
    """A card that lies in the field or not, as fast as can be."""

    def __init__(self):
        self.frame = bytearray(65)
        self.there = False
        self.answers = {1: b"\x04\x00", 2: UID_4 + b"\x6c", 9: b"\x08\xb6\xdd"}

    def field(self, on):
        pass

    def push(self, length):
        pass

    def send(self, length, last_bits, timeout_us):
        self.length = length

    def poll(self):
        if not self.there:
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
            cards.present = 0
            air.there = False
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
