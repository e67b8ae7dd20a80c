"""What fails in the field, each fault put into the simulated chip, and the way back: see docs/reader.md."""

import asyncio
import gc

from boards.sim import clock, pins
from boards.sim.cards import ACTIVE, HALT, Card
from chip_reader import UIDS, Bench
from drivers.health import Health
from drivers.iso14443a import Iso14443a, ReaderFault
from drivers.mfrc522 import Mfrc522
from machine import SPI, Pin
from virtual_board import CS, RST
from unittest import TestCase

POWER = 18


class Cable:
    """SPI over a long cable: above a certain clock bits are lost."""

    def __init__(self, limit):
        self.spi = SPI(2, baudrate=1_000_000)
        self.limit = limit
        self.baudrate = 0

    def init(self, baudrate):
        self.baudrate = baudrate
        self.spi.init(baudrate=baudrate)

    def write(self, data):
        self.spi.write(data)

    def write_readinto(self, data, into):
        self.spi.write_readinto(data, into)
        if self.baudrate > self.limit:
            for index in range(len(into)):
                into[index] = into[index] >> 1


class OnTheBoard(TestCase):
    def setUp(self):
        self.bench = Bench()
        self.health = Health(self.bench.cards)
        self.bench.start()
        self.chip = self.bench.chip

    def tearDown(self):
        self.bench.close()

    def check(self):
        return self.bench.run(self.health.check())

    def recover(self):
        return self.bench.run(self.health.recover())

    def reads(self):
        """A card that is put there now is read."""
        for uid in UIDS[:2]:
            self.chip.field.put(Card(uid))
            self.assertEqual(sum(self.bench.finds(6)), len(uid))
            self.chip.field.remove()
            self.bench.finds(6)
        self.assertEqual(self.check(), 0)


class Healthy(OnTheBoard):
    def test_a_card_does_not_notice(self):
        card = Card(UIDS[1])
        self.chip.field.put(card)
        self.bench.cards.hold = True
        self.assertEqual(sum(self.bench.finds(3)), 7)
        self.assertEqual(self.bench.run(self.bench.cards.select(self.bench.uid, 7)), True)
        self.assertEqual(card.state, ACTIVE)
        since = self.chip.field._since[0]
        for _ in range(20):
            self.assertEqual(self.check(), 0)
            clock.sleep_us(1_000_000)
        self.assertEqual(card.state, ACTIVE)
        self.assertEqual(self.chip.field._since[0], since)
        self.assertEqual(list(self.health.recoveries), [0] * 5)

    def test_right_behind_a_halt_that_is_on_its_way(self):
        card = Card(UIDS[0])
        self.chip.field.put(card)
        while not self.bench.run(self.bench.cards.find(self.bench.uid)):
            clock.sleep_us(10_000)
        self.assertEqual(self.check(), 0)
        clock.sleep_us(10_000)
        self.chip.settle()
        self.assertEqual(card.state, HALT)
        self.assertEqual(sum(self.bench.finds(6)), 0)

    def test_few_bus_cycles(self):
        selects, count = self.chip.cs_cycles, self.chip.bytes
        self.check()
        print("a check: selects", self.chip.cs_cycles - selects, "bytes", self.chip.bytes - count)
        self.assertTrue(self.chip.cs_cycles - selects <= 2)
        self.assertTrue(self.chip.bytes - count <= 12)

    def test_no_garbage(self):
        # the simulated bus makes some, so the chip here is a constant
        class Still:
            power = None

            def healthy(self):
                return True

        looked = Health(Still())
        results = [9, 0]

        async def main():
            await looked.check()
            gc.collect()
            before = gc.mem_alloc()
            for _ in range(20):
                results[0] = await looked.check()
            results[1] = gc.mem_alloc() - before

        asyncio.run(main())
        self.assertEqual(results, [0, 0])


class Recoveries(OnTheBoard):
    def test_every_register_that_was_lost(self):
        for address, value in (
            (0x08, 0x08),  # MFCrypto1On left set: version and FIFO are well, no card answers
            (0x14, 0x80),  # antenna off
            (0x14, 0x81),
            (0x14, 0x82),
            (0x26, 0x78),  # gain
            (0x2A, 0x00),  # timer
            (0x2B, 0x00),
            (0x15, 0x00),  # 100 % modulation
            (0x01, 0x20),  # receiver off
            (0x37, 0x00),  # version
            (0x37, 0xFF),
        ):
            self.chip.registers[address] = value
            self.chip._update_field(clock.now_us())
            self.assertEqual(self.check(), 1)
            self.reads()
        self.assertEqual(list(self.health.recoveries), [0, 11, 0, 0, 0])

    def test_encryption_left_on_makes_it_deaf(self):
        self.chip.registers[0x08] = 0x08
        self.chip.field.put(Card(UIDS[0]))
        self.assertEqual(sum(self.bench.finds(4)), 0)
        self.assertEqual(self.check(), 1)
        self.assertEqual(sum(self.bench.finds(4)), 4)

    def test_a_brown_out(self):
        self.chip.reset_pin(0)
        self.chip.reset_pin(1)
        clock.sleep_us(1000)
        self.assertEqual(self.check(), 1)
        self.reads()

    def test_found_by_a_search(self):
        self.chip.reset_pin(0)
        self.chip.reset_pin(1)
        with self.assertRaises(ReaderFault):
            self.bench.finds(2)
        self.assertEqual(self.recover(), 1)
        self.reads()

    def test_a_chip_that_hangs_with_its_registers_well(self):
        """It can be written and read, and sends and times nothing, until the reset that it needs."""
        for hang, stage in (("soft", 1), ("hard", 2)):
            self.chip.hang = hang
            with self.assertRaises(ReaderFault):
                self.bench.finds(2)
            self.assertEqual(self.check(), 0)
            self.assertEqual(self.recover(), stage)
            self.reads()
        self.assertEqual(list(self.health.recoveries), [0, 1, 1, 0, 0])
        self.chip.hang = "ever"
        with self.assertRaises(ReaderFault):
            self.recover()
        self.assertEqual(list(self.health.recoveries), [1, 1, 1, 0, 0])

    def test_held_in_reset(self):
        self.chip.reset_pin(0)  # the wire floated: no command reaches the chip
        self.assertEqual(self.check(), 2)
        self.assertEqual(list(self.health.recoveries), [0, 0, 1, 0, 0])
        self.reads()

    def test_a_stuck_line(self):
        for miso in (0x00, 0xFF, 0x5A):
            before = self.health.recoveries[0]
            self.chip.miso = miso
            for _ in range(2):
                try:
                    self.check()
                    said = ""
                except ReaderFault as error:
                    said = str(error)
                self.assertTrue("reader deaf" in said)
            self.assertEqual(self.health.recoveries[0], before + 2)
            self.chip.miso = None
            self.assertTrue(self.check() in (0, 1, 2, 3))
            self.reads()

    def test_a_chip_that_needs_its_supply_switched(self):
        # latched up: answers zeros until its supply goes away
        self.bench.reader.power = Pin(POWER, Pin.OUT, value=1)

        def supply(_pin, level):
            if not level:
                self.chip.miso = None
                self.chip.reset_pin(0)

        pins.on_change(POWER, supply)
        self.chip.miso = 0x00
        self.assertEqual(self.check(), 4)
        self.assertEqual(list(self.health.recoveries), [0, 0, 0, 0, 1])
        self.assertEqual(pins.level(POWER), 1)
        self.reads()

    def test_counters_stop_at_the_end(self):
        self.health.recoveries[1] = 0xFFFF
        self.chip.registers[0x08] = 0x08
        self.assertEqual(self.check(), 1)
        self.assertEqual(self.health.recoveries[1], 0xFFFF)

    def test_a_card_that_lies_there_is_the_same_presence(self):
        self.chip.field.put(Card(UIDS[1]))
        self.assertEqual(sum(self.bench.finds(3)), 7)
        self.chip.registers[0x08] = 0x08
        self.assertEqual(self.check(), 1)
        self.assertEqual(sum(self.bench.finds(8)), 0)
        self.assertEqual(self.bench.cards.present, 7)


class Cables(TestCase):
    def setUp(self):
        self.bench = Bench()

    def tearDown(self):
        self.bench.close()

    def reader(self, limit, **options):
        cable = Cable(limit)
        reader = Mfrc522(cable, Pin(CS, Pin.OUT, value=1), Pin(RST, Pin.OUT, value=0), **options)
        self.bench.cards = Iso14443a(reader)
        return cable, reader

    def test_a_fast_clock_that_the_cable_does_not_carry(self):
        for limit, wanted, used in (
            (1_000_000, 4_000_000, 1_000_000),
            (4_000_000, 4_000_000, 4_000_000),
            (4_000_000, 10_000_000, 1_000_000),
            (500_000, 500_000, 500_000),
        ):
            cable, reader = self.reader(limit, baudrate=wanted)
            self.bench.start()
            self.assertEqual((reader.baudrate, cable.baudrate), (used, used))
            self.bench.chip.field.put(Card(UIDS[1]))
            self.assertEqual(sum(self.bench.finds(4)), 7)
            self.bench.chip.field.remove()

    def test_a_cable_that_gets_worse(self):
        cable, reader = self.reader(4_000_000)
        self.bench.start()
        looked = Health(self.bench.cards)
        cable.limit = 2_000_000
        self.assertEqual(self.bench.run(looked.check()), 3)
        self.assertEqual(reader.baudrate, 1_000_000)
        self.bench.chip.field.put(Card(UIDS[1]))
        self.assertEqual(sum(self.bench.finds(4)), 7)
