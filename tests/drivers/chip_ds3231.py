"""The driver of the DS3231 against the model: it reads the time or an error, never a wrong time for a right one."""

import random
import time
from unittest import TestCase

from boards.sim import i2cbus
from boards.sim.ds3231 import ADDRESS, Ds3231
from boards.sim.peripherals import I2C
from drivers import ds3231

DAY_S = 86_400
# (time, registers 0 to 6), from a calendar: 2020-01-01 was a Wednesday, number 3 of a week that begins on Monday.
KNOWN = (
    (0, b"\x00\x00\x00\x03\x01\x01\x20"),
    (59 * DAY_S + 86399, b"\x59\x59\x23\x06\x29\x02\x20"),
    (60 * DAY_S, b"\x00\x00\x00\x07\x01\x03\x20"),
    (215_654_400, b"\x00\x00\x00\x07\x01\x11\x26"),
    (0x3FFFFFFF, b"\x03\x37\x13\x06\x10\x01\x54"),
)


class World:
    def __init__(self, ppm=0):
        self.now_us = 0
        self.chip = Ds3231(self.now, ppm)
        i2cbus.attach(ADDRESS, self.chip)
        self.bus = I2C(0)

    def now(self):
        return self.now_us

    def pass_s(self, seconds):
        self.now_us += seconds * 1_000_000


class Conversion(TestCase):
    def test_known_dates(self):
        for time_s, registers in KNOWN:
            if time_s < 0x3FFFFFFF:
                self.assertEqual(ds3231.encode(time_s), registers)
                self.assertEqual(ds3231.decode(registers), time_s)

    def test_the_host_s_calendar_agrees(self):
        for _ in range(300):
            time_s = random.getrandbits(30)
            year, month, day, hour, minute, second, weekday = time.gmtime(time_s + 1577836800)[:7]
            fields = (second, minute, hour, weekday + 1, day, month, year - 2000)
            registers = bytes(int(str(field), 16) for field in fields)
            self.assertEqual(ds3231.encode(time_s), registers)
            self.assertEqual(ds3231.decode(registers), time_s)

    def test_what_is_no_time(self):
        good = ds3231.encode(215_654_400)
        for place, byte in (
            (0, 0x60), (0, 0x0A), (0, 0x80), (1, 0x60), (1, 0xA0), (2, 0x24), (2, 0x52), (3, 0), (3, 1), (4, 0),
            (4, 0x31), (5, 0), (5, 0x13), (5, 0x91), (6, 0x19), (6, 0x00), (6, 0x55), (6, 0x9A), (6, 0xFF),
        ):  # fmt: skip
            bad = bytearray(good)
            bad[place] = byte
            with self.assertRaises(OSError):
                ds3231.decode(bad)
        for registers in (b"\x00\x00\x00\x06\x29\x02\x25", b"\x00\x00\x00\x01\x01\x01\x00", bytes(7), b"\xff" * 7):
            with self.assertRaises(OSError):
                ds3231.decode(registers)

    def test_most_flipped_bits_of_a_date_do_not_fit_the_day_of_the_week(self):
        """Not those that move it by whole weeks. A time that is read is read twice besides, below."""
        taken = 0
        for _ in range(50):
            good = ds3231.encode(random.getrandbits(30))
            for bit in range(3 * 8, 7 * 8):
                bad = bytearray(good)
                bad[bit >> 3] ^= 1 << (bit & 7)
                try:
                    ds3231.decode(bad)
                    taken += 1
                except OSError:
                    pass
        self.assertTrue(taken < 50 * 32 // 20, taken)


class Chip(TestCase):
    def test_set_and_read(self):
        world = World()
        ds3231.write(world.bus, 215_654_400)
        world.pass_s(3 * DAY_S + 7)
        self.assertEqual(ds3231.read(world.bus), 215_654_400 + 3 * DAY_S + 7)

    def test_a_new_chip_says_that_it_has_no_time(self):
        world = World()
        with self.assertRaises(OSError):
            ds3231.read(world.bus)

    def test_its_crystal_is_off_by_no_more_than_the_data_sheet_says(self):
        for ppm in (-2, 2):
            world = World(ppm)
            ds3231.write(world.bus, 215_654_400)
            world.pass_s(300 * DAY_S)
            error_s = ds3231.read(world.bus) - 215_654_400 - 300 * DAY_S
            self.assertTrue(abs(error_s - ppm * 300 * DAY_S // 1_000_000) <= 1, error_s)

    def test_the_battery_carries_it_over_a_power_cut_and_without_one_it_has_stopped(self):
        world = World()
        ds3231.write(world.bus, 215_654_400)
        kept = world.chip.state()
        for battery in (True, False):
            kept["battery"] = battery
            other = World()
            other.pass_s(1000)
            other.chip.load(kept, 1000 * 1_000_000)
            if battery:
                self.assertEqual(ds3231.read(other.bus), 215_654_400 + 1000)
            else:
                with self.assertRaises(OSError):
                    ds3231.read(other.bus)
                ds3231.write(other.bus, 215_700_000)  # set again it runs
                self.assertEqual(ds3231.read(other.bus), 215_700_000)

    def test_a_stopped_oscillator_and_an_absent_chip(self):
        world = World()
        ds3231.write(world.bus, 215_654_400)
        world.chip.fault("osf")
        with self.assertRaises(OSError):
            ds3231.read(world.bus)
        world.chip.fault("absent")
        for action in (lambda: ds3231.read(world.bus), lambda: ds3231.write(world.bus, 215_654_400)):
            with self.assertRaises(OSError):
                action()
        world.chip.fault("back")
        ds3231.write(world.bus, 215_654_400)
        self.assertEqual(ds3231.read(world.bus), 215_654_400)

    def test_a_bit_that_flips_on_the_bus_is_noticed(self):
        """In one of the two readings; the one after is right again."""
        for case in range(2 * 7 * 8):
            register, bit, right = case % 7, case // 7 % 8, case // 56
            if right < 2:
                world = World()
                ds3231.write(world.bus, 215_654_400 + 7 * 3600 + 754)
                world.chip.fault("flip %d %d %d" % (register, 1 << bit, right))
                try:
                    taken_s = ds3231.read(world.bus)
                except OSError:
                    taken_s = 0
                # The lowest bit of the seconds may pass as the second that went by in between.
                slack_s = right if taken_s else 0
                self.assertTrue(0 <= taken_s - (taken_s and 215_654_400 + 7 * 3600 + 754) <= slack_s, (case, taken_s))
                self.assertEqual(ds3231.read(world.bus), 215_654_400 + 7 * 3600 + 754)

    def test_a_write_that_is_cut_short_reads_as_what_it_is_or_not_at_all(self):
        """Registers of two times in one: firmware/settime.py says that the chip is set only when all is written."""
        world = World()
        ds3231.write(world.bus, 215_654_400)
        world.bus.writeto_mem(ADDRESS, 0, ds3231.encode(531_187_200)[:3])
        self.assertTrue(ds3231.read(world.bus) < 215_654_400 + DAY_S)

    def test_new_years_eve_and_leap_days(self):
        for start_s, days in ((215_654_400, 61), (59 * DAY_S - 5, 1), (0, 12_400)):
            world = World()
            ds3231.write(world.bus, start_s)
            world.pass_s(days * DAY_S + 10)
            self.assertEqual(ds3231.read(world.bus), start_s + days * DAY_S + 10)

    def test_2054_is_the_end(self):
        world = World()
        ds3231.write(world.bus, 0x3FFFFFFF - 2 * DAY_S)
        world.pass_s(3 * DAY_S)
        with self.assertRaises(OSError):
            ds3231.read(world.bus)

    def test_the_driver_leaves_the_aging_offset_alone(self):
        world = World()
        world.bus.writeto_mem(ADDRESS, 0x10, b"\xf6")  # 10 steps quicker: 1 ppm
        ds3231.write(world.bus, 215_654_400)
        self.assertEqual(world.bus.readfrom_mem(ADDRESS, 0x10, 1), b"\xf6")
        world.pass_s(100 * DAY_S)
        self.assertTrue(7 <= ds3231.read(world.bus) - 215_654_400 - 100 * DAY_S <= 9)
