"""The model of the DS3231, register by register, as its data sheet describes the chip; no driver of ours is used."""

from unittest import TestCase

from boards.sim import i2cbus
from boards.sim.ds3231 import ADDRESS, Ds3231
from boards.sim.peripherals import I2C


class Registers(TestCase):
    def setUp(self):
        self.now_us = 0
        self.chip = Ds3231(lambda: self.now_us)
        i2cbus.attach(ADDRESS, self.chip)
        self.bus = I2C(0)

    def tearDown(self):
        del i2cbus.devices[ADDRESS]

    def read(self, register, count=1):
        return self.bus.readfrom_mem(ADDRESS, register, count)

    def write(self, register, data):
        self.bus.writeto_mem(ADDRESS, register, data)

    def after(self, data, seconds):
        """What registers 0 to 6 show some seconds after they were written."""
        self.write(0, data)
        self.now_us += seconds * 1_000_000
        return self.read(0, 7)

    def test_power_on(self):
        """Stop flag set, 32 kHz on, alarms and square wave as in the table of the control register; 2000-01-01."""
        self.assertEqual(self.read(0x0E, 2), b"\x1c\x88")
        self.assertEqual(self.read(0, 7), b"\x00\x00\x00\x01\x01\x01\x00")

    def test_it_is_found_at_its_address(self):
        self.assertEqual(self.bus.scan(), [0x68])
        self.chip.fault("absent")
        with self.assertRaises(OSError):
            self.read(0)

    def test_the_stop_flag_is_cleared_by_a_zero_and_never_set_by_a_one(self):
        self.write(0x0F, b"\x08")
        self.assertEqual(self.read(0x0F), b"\x08")
        self.write(0x0F, b"\x88")
        self.assertEqual(self.read(0x0F), b"\x08")

    def test_bits_that_are_not_there_read_as_zero_and_the_temperature_cannot_be_written(self):
        self.write(0, b"\xff\xff\xff\xff\xff\xff\xff")
        self.assertEqual(self.read(0, 7), b"\x7f\x7f\x7f\x07\x3f\x9f\xff")
        self.write(0x11, b"\x7f\xc0")
        self.assertEqual(self.read(0x11, 2), b"\x19\x00")

    def test_carries(self):
        for before, seconds, after in (
            (b"\x58\x59\x23\x03\x31\x12\x26", 2, b"\x00\x00\x00\x04\x01\x01\x27"),
            (b"\x59\x59\x23\x07\x28\x02\x27", 1, b"\x00\x00\x00\x01\x01\x03\x27"),
            (b"\x59\x59\x23\x07\x28\x02\x28", 1, b"\x00\x00\x00\x01\x29\x02\x28"),
            (b"\x09\x09\x09\x01\x09\x09\x29", 1, b"\x10\x09\x09\x01\x09\x09\x29"),
            (b"\x00\x00\x19\x01\x30\x04\x30", 3600 * 5, b"\x00\x00\x00\x02\x01\x05\x30"),
            (b"\x00\x00\x00\x01\x01\x01\x28", 366 * 86400, b"\x00\x00\x00\x03\x01\x01\x29"),
            (b"\x59\x59\x23\x04\x31\x12\x99", 1, b"\x00\x00\x00\x05\x01\x81\x00"),  # the century bit
        ):
            self.assertEqual(self.after(before, seconds), after)

    def test_writing_the_seconds_begins_a_second(self):
        self.now_us += 700_000
        self.write(0, b"\x00")
        self.now_us += 999_000
        self.assertEqual(self.read(0), b"\x00")
        self.now_us += 2_000
        self.assertEqual(self.read(0), b"\x01")

    def test_a_fast_crystal_and_the_aging_offset_that_slows_it(self):
        self.chip.fault("ppm 2")
        self.write(0, bytes(3))
        self.now_us += 500_000 * 1_000_000 + 1
        self.assertEqual(self.read(0, 3), b"\x21\x53\x18")  # 500,001 s after midnight
        self.write(0x10, b"\x14")  # 20 steps of 0.1 ppm
        self.write(0, bytes(3))
        self.now_us += 500_000 * 1_000_000 + 1
        self.assertEqual(self.read(0, 3), b"\x20\x53\x18")

    def test_reading_goes_round(self):
        self.assertEqual(len(self.read(0x12, 3)), 3)
        self.assertEqual(self.read(0x12, 2)[1], self.read(0)[0])

    def test_a_stopped_oscillator_on_the_battery(self):
        """EOSC: it stops when the supply goes, and says so."""
        self.write(0x0E, b"\x9c")
        self.write(0x0F, b"\x00")
        kept = self.chip.state()
        self.chip.load(kept, 10_000_000)
        self.assertEqual(self.read(0x0F)[0] & 0x80, 0x80)
