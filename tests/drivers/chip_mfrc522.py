"""The transport on a recorded bus: what goes over SPI, and what a dead, deaf or strange chip does to it."""

import asyncio
import gc
from time import ticks_diff, ticks_ms
from unittest import TestCase

from drivers.iso14443a import BUSY, COLLISION, GARBLED, TIMEOUT, Iso14443a, ReaderFault
from drivers.mfrc522 import Mfrc522

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


class Chip:
    """Registers enough for this driver, a FIFO, and answers from a list; also the SPI and the pins that lead to it."""

    def __init__(self):
        self.registers = bytearray(64)
        self.fifo = bytearray()
        self.frames = []
        self.answers = []
        self.sent = []
        self.reset_pulses = []
        self.selected = False
        self.miso = None  # a level byte that the line is stuck at, or "mosi" for a short between the two
        self.in_reset = False
        self.starts = True
        self.irq = None
        self.error = 0
        self.last_bits = 0
        self.level = None
        self.power_up()

    def power_up(self):
        self.registers = bytearray(64)
        self.registers[0x01] = 0x20
        self.registers[0x37] = 0x92
        self.fifo = bytearray()

    def cs(self, level):
        if self.selected and level and self.frame:
            self.frames.append(bytes(self.frame))
            if len(self.frames) > 100:
                self.frames.pop(0)
        self.selected = not level
        self.frame = bytearray()

    def rst(self, level):
        self.reset_pulses.append((level, ticks_ms()))
        self.in_reset = not level
        if level:
            self.power_up()

    def write(self, data):
        assert self.selected
        self.frame.extend(data)
        if self.in_reset or not self.starts:
            return
        address = data[0] >> 1
        assert not data[0] & 0x81
        for value in data[1:]:
            self.store(address, value)

    def store(self, address, value):
        if address == 0x09:
            self.fifo.append(value)
        elif address == 0x0A:
            if value & 0x80:
                self.fifo = bytearray()
        elif address == 0x04:
            assert value == 0x7F
            self.registers[4] = 0
        else:
            self.registers[address] = value
            if address == 0x01 and value == 0x0F:
                self.power_up()
            elif address == 0x01 and value == 0x04:
                self.sent.append(bytes(self.fifo))
                self.fifo = bytearray()
            elif address == 0x0D and value & 0x80:
                assert self.registers[0x01] == 0x0C
                self.sent.append(bytes(self.fifo))
                self.fifo = bytearray()
                answer = self.answers.pop(0) if self.answers else None
                if answer is None:
                    self.registers[4] = 0x45  # TxIRq, LoAlertIRq, TimerIRq
                else:
                    self.fifo = bytearray(answer)
                    self.registers[4] = 0x64  # TxIRq, RxIRq, LoAlertIRq

    def load(self, address):
        if address == 0x09:
            if not self.fifo:
                return 0
            value = self.fifo[0]
            self.fifo = self.fifo[1:]
            return value
        if address == 0x0A:
            return len(self.fifo) if self.level is None else self.level
        if address == 0x04 and self.irq is not None:
            return self.irq
        if address == 0x06:
            return self.error
        if address == 0x0C:
            return 0x10 | self.last_bits
        return self.registers[address]

    def write_readinto(self, data, into):
        assert self.selected and len(data) == len(into)
        self.frame.extend(data)
        values = [0]
        for address in bytes(data)[:-1]:
            assert address & 0x81 == 0x80
            values.append(self.load(address >> 1 & 0x3F))
        assert data[len(data) - 1] == 0  # ends a read, table 6
        for index in range(len(into)):
            if self.miso == "mosi":
                into[index] = data[index]
            elif self.miso is not None or self.in_reset or not self.starts:
                into[index] = self.miso or 0
            else:
                into[index] = values[index]

    def counted(self):
        frames = self.frames
        self.frames = []
        return len(frames), sum([len(frame) for frame in frames])


class WithChip(TestCase):
    def setUp(self):
        self.chip = Chip()
        self.reader = Mfrc522(self.chip, self.chip.cs, self.chip.rst)

    def start(self):
        asyncio.run(self.reader.start())
        self.chip.frames = []

    def send(self, data, last_bits=0, timeout_us=2500):
        self.reader.frame[1 : 1 + len(data)] = data
        self.reader.send(len(data), last_bits, timeout_us)


class Start(WithChip):
    def test_reset_pin_is_low_for_2_ms_and_then_driven_high(self):
        self.start()
        (low, since), (high, until) = self.chip.reset_pulses
        self.assertEqual((low, high), (0, 1))
        self.assertTrue(ticks_diff(until, since) >= 2)

    def test_without_a_reset_pin(self):
        asyncio.run(Mfrc522(self.chip, self.chip.cs, None).start())
        self.assertEqual(self.chip.reset_pulses, [])
        self.assertEqual(self.chip.registers[0x14], 0x83)

    def test_registers(self):
        self.start()
        for address, value in (
            (0x12, 0x00),
            (0x13, 0x00),
            (0x15, 0x40),
            (0x11, 0x3D),
            (0x2A, 0x80),
            (0x2B, 0xA9),
            (0x14, 0x83),
            (0x26, 0x48),
        ):
            self.assertEqual(self.chip.registers[address], value)
        self.assertEqual(self.reader.version, 0x92)

    def test_the_field_has_5_1_ms_before_the_first_request(self):
        on = []
        store = self.chip.store

        def watch(address, value):
            if address == 0x14 and value == 0x83:
                on.append(ticks_ms())
            store(address, value)

        self.chip.store = watch
        self.start()
        self.assertTrue(ticks_diff(ticks_ms(), on[0]) >= 6)

    def test_gain(self):
        for gain_db, value in ((18, 0x08), (23, 0x18), (33, 0x48), (38, 0x58), (43, 0x68), (48, 0x78)):
            asyncio.run(Mfrc522(self.chip, self.chip.cs, self.chip.rst, gain_db).start())
            self.assertEqual(self.chip.registers[0x26], value)
        for gain_db in (0, 20, 50, None):
            with self.assertRaises(ValueError):
                Mfrc522(self.chip, self.chip.cs, self.chip.rst, gain_db)

    def test_clones_are_accepted(self):
        power_up = self.chip.power_up
        for version in (0x12, 0x15, 0x82, 0x88, 0x89, 0xB2, 0x91):

            def clone(version=version):
                power_up()
                self.chip.registers[0x37] = version

            self.chip.power_up = clone
            self.start()
            self.assertEqual(self.reader.version, version)

    def test_constants_are_faults_not_data(self):
        for miso in (0x00, 0xFF, "mosi"):
            self.chip.miso = miso
            with self.assertRaises(ReaderFault):
                self.start()
        self.chip.miso = None
        self.start()

    def test_version_00_and_ff(self):
        power_up = self.chip.power_up
        for version in (0x00, 0xFF):

            def clone(version=version):
                power_up()
                self.chip.registers[0x37] = version

            self.chip.power_up = clone
            with self.assertRaises(ReaderFault):
                self.start()

    def test_held_in_reset(self):
        self.chip.starts = False
        begin = ticks_ms()
        with self.assertRaises(OSError):
            self.start()
        self.assertTrue(ticks_diff(ticks_ms(), begin) < 200)

    def test_an_oscillator_that_never_starts(self):
        power_up = self.chip.power_up

        def asleep():
            power_up()
            self.chip.registers[0x01] = 0x30

        self.chip.power_up = asleep
        begin = ticks_ms()
        with self.assertRaises(ReaderFault):
            self.start()
        self.assertTrue(60 <= ticks_diff(ticks_ms(), begin) < 300)


class Exchange(WithChip):
    def setUp(self):
        super().setUp()
        self.start()

    def test_frames_on_the_bus(self):
        self.chip.answers = [b"\x04\x00"]
        self.send(b"\x52", 7)
        self.assertEqual(self.reader.poll(), 2)
        self.assertEqual(bytes(self.reader.frame[1:3]), b"\x04\x00")
        self.assertEqual(
            self.chip.frames,
            [
                b"\x58\x00",  # reload 100 ticks of 25 us: 2.5 ms
                b"\x5a\x64",
                b"\x1a\x07",  # BitFraming has changed
                b"\x08\x7f",
                b"\x14\x80",
                b"\x12\x52",
                b"\x02\x0c",
                b"\x1a\x87",
                b"\x88\x8c\x94\x98\x00",
                b"\x92\x92\x00",
            ],
        )
        self.chip.frames = []
        self.chip.answers = [b"\x04\x00"]
        self.send(b"\x52", 7)
        self.assertEqual(self.reader.poll(), 2)
        self.assertEqual(len(self.chip.frames), 7)

    def test_timeout_stops_the_receiver(self):
        self.send(b"\x52", 7)
        self.assertEqual(self.reader.poll(), TIMEOUT)
        self.assertEqual(self.chip.frames[-1], b"\x02\x00")

    def test_timeouts(self):
        for timeout_us, reload in ((2500, 100), (25000, 1000), (5_000_000, 0xFFFF)):
            self.send(b"\x52", 7, timeout_us)
            self.assertEqual(self.chip.registers[0x2C] << 8 | self.chip.registers[0x2D], reload)

    def test_longest_frame_both_ways(self):
        data = bytes(range(64))
        self.chip.answers = [bytes(reversed(data))]
        self.send(data)
        self.assertEqual(self.reader.poll(), 64)
        self.assertEqual(self.chip.sent, [data])
        self.assertEqual(bytes(self.reader.frame[1:]), bytes(reversed(data)))

    def test_every_length(self):
        for length in range(1, 65):
            data = bytes([length ^ index for index in range(length)])
            self.chip.answers = [data]
            self.send(data)
            self.assertEqual(self.reader.poll(), length)
            self.assertEqual(bytes(self.reader.frame[1 : 1 + length]), data)

    def test_errors(self):
        for error, outcome in (
            (0x08, COLLISION),
            (0x09, COLLISION),
            (0x01, GARBLED),
            (0x02, GARBLED),
            (0x10, GARBLED),
            (0x80, GARBLED),
            (0x20, 2),  # reserved
        ):
            self.chip.error = error
            self.chip.answers = [b"\x04\x00"]
            self.send(b"\x52", 7)
            self.assertEqual(self.reader.poll(), outcome)

    def test_left_over_bytes_do_not_reach_the_next_frame(self):
        self.chip.error = 0x02
        self.chip.answers = [b"\x04\x00\x55\x66", b"\x04\x00"]
        self.send(b"\x52", 7)
        self.assertEqual(self.reader.poll(), GARBLED)
        self.chip.error = 0
        self.send(b"\x52", 7)
        self.assertEqual(self.chip.sent[-1], b"\x52")
        self.assertEqual(self.reader.poll(), 2)

    def test_an_incomplete_last_byte(self):
        self.chip.answers = [b"\x0a"]
        self.chip.last_bits = 4
        self.send(b"\x52", 7)
        self.assertEqual(self.reader.poll(), GARBLED)
        self.assertEqual(self.reader.rx_last_bits, 4)
        self.assertEqual(self.reader.frame[1], 0x0A)

    def test_levels_that_cannot_be(self):
        for level in (0, 65, 127, 0xFF):
            self.chip.level = level
            self.chip.answers = [b"\x04\x00"]
            self.send(b"\x52", 7)
            self.assertEqual(self.reader.poll(), GARBLED)

    def test_line_goes_high(self):
        self.send(b"\x52", 7)
        self.chip.miso = 0xFF
        with self.assertRaises(ReaderFault):
            self.reader.poll()

    def until_done(self):
        begin = ticks_ms()
        outcome = BUSY
        while outcome == BUSY:
            outcome = self.reader.poll()
            self.assertTrue(ticks_diff(ticks_ms(), begin) < 1000)
        return outcome

    def test_line_goes_low(self):
        self.send(b"\x52", 7)
        self.chip.miso = 0x00
        self.assertEqual(self.reader.poll(), BUSY)
        with self.assertRaises(ReaderFault):
            self.until_done()

    def test_a_chip_that_was_reset_behind_our_back(self):
        self.send(b"\x52", 7)
        self.chip.irq = 0x04  # its timer does not run: neither answer nor timeout
        with self.assertRaises(ReaderFault):
            self.until_done()

    def test_an_answer_that_began_and_never_ended(self):
        self.send(b"\x52", 7)
        self.chip.irq = 0x46  # ErrIRq: the first bits have stopped the timer
        self.assertEqual(self.until_done(), GARBLED)
        self.assertEqual(self.chip.frames[-1], b"\x02\x00")


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
        self.sent = 0
        self.answers = {2: b"\x04\x00", 3: b"\x9c\x59\x9b\x32\x6c", 10: b"\x08\xb6\xdd"}

    def pin(self, level):
        pass

    def write(self, data):
        if data[0] == 0x12:
            self.sent = len(data)

    def write_readinto(self, data, into):
        if data[0] == 0x88:
            into[1] = 0x64 if self.there else 0x45
            into[2] = 0
            into[3] = len(self.answers[self.sent]) if self.there else 0
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
