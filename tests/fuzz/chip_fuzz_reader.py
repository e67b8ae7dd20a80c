"""Generated card answers at every step of find(): at transport level, and a part of them at register level.

Each case is its own seed: `python -m tests.fuzz reader SEED 1` plays one again.
"""

import random
from unittest import TestCase

from drivers import iso14443a
from drivers.iso14443a import BUSY, COLLISION, GARBLED, NIBBLE, SEVERAL, TIMEOUT, Iso14443a, ReaderFault
from settings import COUNT, SEED


def crc(data):
    """CRC_A bit by bit, apart from the driver's."""
    value = 0x6363
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return bytes((value & 0xFF, value >> 8))


class Nobody:
    def __next__(self):
        return None


class Liar:
    """A transport: one good card, and something that spoils the answers from a step on."""

    def __init__(self):
        self.frame = bytearray(65)
        self.now = 0
        self.there = True
        self.spoil = 0  # in 256
        self.garbage = False  # MISO: the transport itself may raise
        self.prepare(b"\x9c\x59\x9b\x32")

    def prepare(self, uid):
        """Make the card of this UID the one that lies there."""
        self.uid = uid
        self.state = 0  # 0 idle, 1 ready, 2 active, 3 halt
        self.level = 0
        self.levels = []
        rest = uid
        while len(rest) > 4:
            self.levels.append(b"\x88" + rest[:3])
            rest = rest[3:]
        self.levels.append(rest)

    def field(self, on):
        self.state = 0

    def push(self, length):
        self.state = 3 if self.state == 2 else self.state

    def collision(self):
        return random.getrandbits(6) - 4

    def send(self, length, last_bits, timeout_us):
        self.request = bytes(self.frame[1 : 1 + length])
        self.bits = last_bits

    def right(self):
        """What a good card answers, None for silence."""
        request = self.request
        state = self.state
        if self.bits == 7 and len(request) == 1:
            if state == 0 or (state == 3 and request[0] == 0x52):
                self.state = 1
                self.level = 0
                return b"\x04\x00"
            self.state = 0
            return None
        if state != 1 or request[0] != 0x93 + 2 * self.level:
            self.state = 0
            return None
        part = self.levels[self.level]
        part = part + bytes((part[0] ^ part[1] ^ part[2] ^ part[3],))
        if request[1:] == b"\x20":
            return part
        if len(request) == 9 and request[:7] == bytes((request[0], 0x70)) + part and request[7:] == crc(request[:7]):
            self.level += 1
            sak = b"\x04"
            if self.level == len(self.levels):
                self.state = 2
                sak = b"\x08"
            return sak + crc(sak)
        self.state = 0
        return None

    def poll(self):
        if self.spoil and random.getrandbits(8) < 20:
            return BUSY
        answer = self.right() if self.there else None
        if random.getrandbits(8) < self.spoil:
            return self.wrong(answer or b"\x00")
        if answer is None:
            return TIMEOUT
        self.frame[1 : 1 + len(answer)] = answer
        return len(answer)

    def wrong(self, answer):
        kind = random.getrandbits(3)
        if kind == 0:
            if self.garbage:
                raise ReaderFault("garbage on MISO")
            return TIMEOUT
        if kind == 1:
            return COLLISION
        if kind == 2:
            return GARBLED
        if kind == 3:
            self.state = 0  # the field was gone for a moment
            return TIMEOUT
        data = bytearray(answer)
        if kind == 4:  # a wrong bit: check byte and CRC must notice
            at = random.getrandbits(8)
            data[at % len(data)] ^= 1 << (at >> 5)
        elif kind == 5:  # cut
            data = data[: random.getrandbits(8) % len(data)]
        elif kind == 6:  # too long
            data.extend(bytes((0x55,)) * (1 + random.getrandbits(4)))
        else:  # something else altogether
            for at in range(len(data)):
                data[at] = random.getrandbits(8)
        if not data:
            return NIBBLE
        self.frame[1 : 1 + len(data)] = data
        return len(data)


class Fuzz(TestCase):
    def setUp(self):
        self.liar = Liar()
        self.real = iso14443a.sleep_ms, iso14443a.ticks_ms
        nobody = Nobody()
        iso14443a.sleep_ms = lambda delay_ms: nobody
        iso14443a.ticks_ms = self.ticks
        self.now = 0
        self.cards = Iso14443a(self.liar)
        self.uid = bytearray(10)

    def tearDown(self):
        iso14443a.sleep_ms, iso14443a.ticks_ms = self.real

    def ticks(self):
        self.now = self.now + 9 & 0x3FFFFFFF
        return self.now

    def find(self):
        search = self.cards.find(self.uid)
        for _ in range(2000):
            try:
                search.__next__()
            except StopIteration as stop:
                return stop.value
        raise RuntimeError("find() does not end")

    def case(self, seed):
        """One case; gives the number of answers that were spoilt at most."""
        random.seed(seed)
        liar = self.liar
        liar.prepare(bytes([random.getrandbits(7) for _ in range((4, 7, 10)[random.getrandbits(4) % 3])]))
        liar.there = random.getrandbits(3) > 0
        liar.spoil = 16 << random.getrandbits(2)
        liar.garbage = random.getrandbits(2) == 0
        for _ in range(3):
            try:
                result = self.find()
            except ReaderFault:
                if not liar.garbage:
                    raise
                result = 0
            if result == SEVERAL:
                continue
            if result not in (0, 4, 7, 10):
                raise AssertionError("find() gave %r" % (result,))
            if result and bytes(self.uid[:result]) != liar.uid:
                raise AssertionError("a UID that was not presented: %r" % bytes(self.uid[:result]))
        # all is well again: nobody is there, then a good card
        liar.spoil = 0
        liar.there = False
        for _ in range(12):
            if self.cards.present == 0:
                break
            self.find()
        if self.cards.present:
            raise AssertionError("a card that has gone is still present")
        liar.there = True
        liar.prepare(b"\x04" + bytes([random.getrandbits(7) for _ in range(6)]))
        result = self.find() or self.find()
        if result != 7 or bytes(self.uid[:7]) != liar.uid:
            raise AssertionError("a good card is not read: %r" % result)
        liar.there = False
        for _ in range(8):
            self.find()

    def test_reader(self):
        print("seed", SEED, "cases", COUNT)
        seed = SEED
        try:
            for seed in range(SEED, SEED + COUNT):
                self.case(seed)
        except Exception:
            print("replay: FUZZ_SEED=%d FUZZ_COUNT=1 make fuzz" % seed)
            raise
