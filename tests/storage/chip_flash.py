"""A raw flash region: addresses, errors, the mark of a sector that was erased to the end."""

import os
import random
import unittest
from hashlib import sha256

from boards.sim.norflash import NorFlash, PowerCut, Region
from storage.flash import SECTOR, Flash

PATH = (os.getenv("MENWEI_TMP") or "/tmp") + "/flash.bin"
OFFSET = 8192
SECTORS = 4


class Device:
    """A block device that answers what it is told to."""

    def __init__(self, size=4096, erased=0):
        self.answers = {4: 7, 5: size, 6: erased}

    def ioctl(self, operation, argument):
        return self.answers[operation]


def marked(count):
    """A clean marker as docs/flash-formats.md says."""
    mark = bytes((0xE5, count & 255, count >> 8 & 255, count >> 16))
    return mark + sha256(b"menwei clean" + mark).digest()[:4]


class World(unittest.TestCase):
    def setUp(self):
        try:
            os.remove(PATH)
        except OSError:
            pass
        self.nor = NorFlash(PATH, OFFSET + SECTORS * SECTOR)
        self.flash = Flash(Region(self.nor, OFFSET, SECTORS * SECTOR))

    def head(self, sector, size=8):
        buf = bytearray(size)
        self.flash.read(sector * SECTOR, buf)
        return buf

    def test_bytes_lie_where_they_belong(self):
        self.assertEqual(self.flash.sectors, SECTORS)
        self.flash.program(SECTOR + 4090, b"within")
        buf = bytearray(8)
        self.nor.read(OFFSET + SECTOR + 4089, buf[:0])
        self.nor.read(OFFSET + SECTOR + 4089, buf)
        self.assertEqual(buf, b"\xffwithin\xff")
        back = bytearray(6)
        self.flash.read(SECTOR + 4090, back)
        self.assertEqual(back, b"within")

    def test_a_program_clears_bits_only(self):
        self.flash.program(100, b"\xf0\x0f")
        self.flash.program(100, b"\x3c\xff")
        back = bytearray(3)
        self.flash.read(100, back)
        self.assertEqual(back, b"\x30\x0f\xff")
        self.assertEqual(self.nor.erases, 0)

    def test_an_erase_is_one_sector(self):
        for sector in range(SECTORS):
            self.flash.program(sector * SECTOR, bytes(8))
            self.flash.program(sector * SECTOR + 4088, bytes(8))
        self.flash.erase(2)
        for sector in range(SECTORS):
            self.assertEqual(self.head(sector) == b"\xff" * 8, sector == 2)
        buf = bytearray(8)
        self.flash.read(2 * SECTOR + 4088, buf)
        self.assertEqual(buf, b"\xff" * 8)

    def test_outside_of_the_region(self):
        with self.assertRaises(OSError):
            self.flash.read(SECTORS * SECTOR, bytearray(1))
        with self.assertRaises(OSError):
            self.flash.program(SECTORS * SECTOR - 1, b"12")
        with self.assertRaises(OSError):
            self.flash.erase(SECTORS)

    def test_errors_of_the_driver_come_through(self):
        self.nor.fail_io("program", 1)
        with self.assertRaises(OSError):
            self.flash.program(0, b"x")
        self.nor.fail_io("erase", 1)
        with self.assertRaises(OSError):
            self.flash.erase(0)
        with self.assertRaises(OSError):
            Flash(Device(erased=-5)).erase(0)
        Flash(Device()).erase(0)

    def test_other_sectors_are_refused(self):
        self.assertEqual(Flash(Device()).sectors, 7)
        for size in (512, 2048, 8192):
            with self.assertRaises(OSError):
                Flash(Device(size))

    def test_clean_mark(self):
        for count in (0, 1, 255, 256, 65535, 65536, 1234567, (1 << 24) - 1):
            self.flash.erase(1)
            self.assertEqual(self.flash.clean_count(self.head(1)), -1)
            self.nor.reset_counters()
            self.flash.mark_clean(1, count)
            self.assertEqual(self.nor.programs, 1)
            self.assertEqual(self.head(1), marked(count))
            self.assertEqual(self.flash.clean_count(self.head(1, 256)), count)

    def test_no_flipped_bit_passes_for_a_clean_mark(self):
        good = marked(4711)
        for bit in range(64):
            bad = bytearray(good)
            bad[bit >> 3] ^= 1 << (bit & 7)
            self.assertEqual(self.flash.clean_count(bad), -1)
        self.assertEqual(self.flash.clean_count(bytes(8)), -1)

    def test_a_mark_that_was_cut_short_does_not_count(self):
        for how in ("prefix", "random", "none", "all"):
            for _ in range(12):
                seed = random.getrandbits(20)
                self.flash.erase(3)
                self.nor.fail_at(1, how, seed)
                with self.assertRaises(PowerCut):
                    self.flash.mark_clean(3, 4711)
                self.nor.power_on()
                head = self.head(3)
                self.assertEqual(self.flash.clean_count(head), 4711 if head == marked(4711) else -1)
                if how == "all":
                    self.assertEqual(self.flash.clean_count(head), 4711)
