"""The closer look at a reader chip that a self-test takes, with faults put in one by one."""

from unittest import TestCase

from boards.sim import clock, mfrc522_faults, pins, spibus
from boards.sim.mfrc522_chip import Mfrc522Chip
from drivers.mfrc522 import Mfrc522
from drivers.mfrc522_probe import probe
from machine import SPI, Pin

CALL_US = 80


class Reader(TestCase):
    def setUp(self):
        clock.setup("virtual")
        pins.forget()
        spibus.call_us = 0
        self.chip = Mfrc522Chip(clock)
        spibus.attach(16, self.chip)
        self.chip.reset_pin(0)
        self.chip.reset_pin(1)
        clock.sleep_us(10_000)
        self.reader = Mfrc522(SPI(2, baudrate=4_000_000), Pin(16, Pin.OUT, value=1), None)
        self.write(0x26, 0x48)  # RFCfgReg: 33 dB
        self.reader.field(True)

    def write(self, register, value):
        self.chip.select()
        self.chip.exchange(register << 1)
        self.chip.exchange(value)
        self.chip.deselect()

    def test_a_chip_in_order(self):
        self.assertEqual(probe(self.reader), (0x92, 2, 33, True))

    def test_another_gain(self):
        self.write(0x26, 0x78)
        self.assertEqual(probe(self.reader)[2], 48)

    def test_an_output_that_is_off(self):
        self.write(0x14, 0x81)
        self.assertEqual(probe(self.reader)[1], 1)
        self.reader.field(False)
        self.assertEqual(probe(self.reader)[1], 0)

    def test_a_clone_is_named(self):
        mfrc522_faults.inject(self.chip, "version", "B2")
        version, outputs, _, written = probe(self.reader)
        self.assertEqual((version, outputs, written), (0xB2, 2, True))

    def test_a_dead_line(self):
        for level in (0x00, 0xFF):
            self.chip.miso = level
            version, _, _, written = probe(self.reader)
            self.assertEqual(version, level)
            self.assertFalse(written)

    def test_no_exchange_is_disturbed(self):
        before = bytes(self.chip.registers)
        fifo = self.chip.registers[0x0A]
        probe(self.reader)
        after = bytearray(self.chip.registers)
        after[0x0B] = before[0x0B]  # WaterLevelReg
        self.assertEqual(bytes(after), before)
        self.assertEqual(self.chip.registers[0x0A], fifo)

    def test_it_takes_a_millisecond(self):
        spibus.call_us = CALL_US
        began_us = clock.now_us()
        selects = self.chip.cs_cycles
        probe(self.reader)
        self.assertTrue(self.chip.cs_cycles - selects <= 11)
        self.assertTrue(clock.now_us() - began_us < 2000)
