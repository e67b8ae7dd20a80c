"""The transport on a recorded bus: what goes over SPI, and what a dead, deaf or strange chip does to it."""

import asyncio
from time import ticks_diff, ticks_ms

from drivers.iso14443a import BUSY, COLLISION, GARBLED, NIBBLE, TIMEOUT, ReaderFault
from drivers.mfrc522 import Mfrc522
from recorded_bus import WithChip


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
        for last_bits in range(1, 8):
            for answer in (b"\x0a", b"\x0a\x05"):
                self.chip.answers = [answer]
                self.chip.last_bits = last_bits
                self.send(b"\x52", 7)
                nibble = last_bits == 4 and len(answer) == 1
                self.assertEqual(self.reader.poll(), NIBBLE if nibble else GARBLED)
                self.assertEqual(self.reader.rx_last_bits, last_bits)
                self.assertEqual(self.reader.frame[1], 0x0A)

    def test_where_two_cards_differ(self):
        self.chip.error = 0x08
        for register, bits in ((0x01, 0), (0x08, 7), (0x1F, 30), (0x00, 31), (0x20, -1), (0x23, -1), (0x85, 4)):
            self.chip.registers[0x0E] = register
            self.chip.answers = [b"\x9c\x59\x9b\x32\x6c"]
            self.send(b"\x93\x20", 0)
            self.assertEqual(self.reader.poll(), COLLISION)
            self.assertEqual(self.reader.collision(), bits)
            if bits >= 0:
                self.assertEqual(bytes(self.reader.frame[1:6]), b"\x9c\x59\x9b\x32\x6c")

    def test_an_answer_that_begins_within_a_byte(self):
        self.chip.answers = [b"\x18\x59\x9b\x32\x6c"]
        self.send(b"\x93\x23\x04", 0x33)
        self.assertEqual(self.chip.registers[0x0D], 0xB3)
        self.assertEqual(self.reader.poll(), 5)

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
