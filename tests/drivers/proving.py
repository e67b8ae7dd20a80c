"""The simulated board with cards that prove themselves: reader chip, driver, provers, in virtual time."""

import gc
from unittest import TestCase

from machine import SPI, Pin

from boards.sim import clock, pins, spibus
from boards.sim.mfrc522_chip import Mfrc522Chip
from drivers import iso14443a, mfrc522, mfrc522_start
from drivers.credential import Credential
from drivers.iso14443a import Iso14443a
from drivers.mfrc522 import Mfrc522

CS = 16
RST = 17
CALL_US = 80  # what one SPI call costs on the chip

# The drivers take these names from time at import; on the simulated board they are its own.
gc.threshold(8192)  # the models leave less room than a door has

for module in (iso14443a, mfrc522, mfrc522_start):
    module.ticks_ms = clock.ticks_ms
    module.ticks_add = clock.ticks_add
    module.ticks_diff = clock.ticks_diff


class Bench:
    """The board's wires, and a loop that only runs the one task; `modules` are the provers' that sleep."""

    def __init__(self, *modules):
        clock.setup("virtual")
        pins.forget()
        spibus.call_us = CALL_US
        self.chip = Mfrc522Chip(clock)
        spibus.attach(CS, self.chip)
        pins.on_change(RST, lambda _pin, level: self.chip.reset_pin(level))
        self.reader = Mfrc522(SPI(2, baudrate=4_000_000), Pin(CS, Pin.OUT, value=1), Pin(RST, Pin.OUT, value=0))
        self.cards = Iso14443a(self.reader, hold=True)
        self.credential = Credential()
        for known in ((iso14443a, mfrc522, mfrc522_start), modules):
            for module in known:
                module.sleep_ms = self.sleep_ms

    def close(self):
        spibus.call_us = 0

    def sleep_ms(self, delay_ms):
        """As asyncio's: until the millisecond ticks have moved on by delay_ms."""
        clock.sleep_us(delay_ms * 1000 - clock.now_us() % 1000)
        return iter((None,))

    def run(self, awaitable):
        """Await it."""
        try:
            while True:
                if hasattr(awaitable, "send"):
                    awaitable.send(None)
                else:
                    awaitable.__next__()
        except StopIteration as stop:
            return stop.value

    def start(self):
        self.run(self.cards.start())


class Proofs(TestCase):
    modules = ()

    def setUp(self):
        self.bench = Bench(*self.modules)
        self.bench.start()
        self.field = self.bench.chip.field

    def tearDown(self):
        self.bench.close()

    def find(self, times=8):
        """Look until a card is reported; its length or 0."""
        bench = self.bench
        for _ in range(times):
            found = bench.run(bench.cards.find(bench.credential.uid))
            if found > 0:
                bench.credential.show(0, found)
                return found
            clock.sleep_us(10_000)
        return 0

    def prove(self, prover):
        try:
            return self.bench.run(prover.prove(self.bench.credential))
        finally:
            self.bench.cards.lost()

    def tap(self, prover, card):
        """A card comes, proves itself and goes."""
        self.bench.cards.forget()
        self.field.put(card)
        found = self.find()
        self.assertEqual(found, len(card.uid))
        self.assertEqual(bytes(self.bench.credential.uid[:found]), card.uid)
        result = self.prove(prover)
        self.away()
        return result

    def away(self):
        self.field.remove()
        for _ in range(6):
            self.bench.run(self.bench.cards.find(self.bench.credential.uid))
            clock.sleep_us(10_000)
        self.assertEqual(self.bench.cards.present, 0)
