"""NOR flash in a file: bits only clear, erases set, time is charged, power goes in the middle of an operation."""

import gc
import os
import unittest

from boards.sim import clock
from boards.sim.norflash import NorFlash, PowerCut, Region

SIZE = 4 * 4096
HOWS = ("prefix", "random", "half", "preprogram", "none", "all")


def scratch(name):
    return os.getenv("MENWEI_TMP") + "/" + name


def flash_of(name="flash.bin", size=SIZE):
    try:
        os.remove(scratch(name))
    except OSError:
        pass
    return NorFlash(scratch(name), size)


def ones(data):
    return sum(bin(byte).count("1") for byte in data)


def pattern(length, start=1):
    """Bytes that look random, by a rule of this file."""
    value = start
    data = bytearray(length)
    for i in range(length):
        value = value * 1103 % 65521
        data[i] = value & 255
    return data


def errno_of(operation, *arguments):
    """The number of the OSError that it raises, None if it raises none."""
    try:
        operation(*arguments)
    except OSError as error:
        return error.errno
    return None


class Noise:
    """Random numbers of this file, so that a failure can be repeated."""

    def __init__(self, seed):
        self.value = seed

    def below(self, limit):
        self.value = (self.value * 16807) % 2147483647
        return self.value % limit


class Bits(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.flash = flash_of()

    def tearDown(self):
        self.flash.close()

    def content(self, addr, length):
        data = bytearray(length)
        self.flash.read(addr, data)
        return data

    def test_new_flash_is_blank(self):
        self.assertEqual(os.stat(scratch("flash.bin"))[6], SIZE)
        self.assertTrue(self.content(0, SIZE) == b"\xff" * SIZE)

    def test_programming_only_clears(self):
        self.flash.program(100, b"\x0f\xf0")
        self.flash.program(100, b"\xfa\xaf")
        self.assertEqual(self.content(99, 4), b"\xff\x0a\xa0\xff")

    def test_against_a_model_in_memory(self):
        """Random programs of all sizes and erases, beside a bytearray with the same rules."""
        noise = Noise(20260101)
        model = bytearray(b"\xff" * SIZE)
        for step in range(600):
            if noise.below(12) == 0:
                sector = noise.below(SIZE // 4096)
                self.flash.erase(sector)
                model[sector * 4096 : (sector + 1) * 4096] = b"\xff" * 4096
            else:
                length = (0, 1, 3, 8, 9, 16, 32, 64, 255, 256, 257, 700)[noise.below(12)]
                addr = noise.below(SIZE - length)
                data = pattern(length, 1 + noise.below(60000))
                for i in range(length):
                    model[addr + i] &= data[i]
                self.flash.program(addr, data if step & 1 else memoryview(data))
            if step % 50 == 49:
                self.assertTrue(self.content(0, SIZE) == model)  # assertEqual would print both

    def test_a_killed_process_keeps_what_was_programmed(self):
        self.flash.program(5, b"menwei")
        with open(scratch("flash.bin"), "rb") as file:  # not closed before: nothing may wait in a buffer
            self.assertEqual(file.read(16)[5:11], b"menwei")

    def test_bounds(self):
        for addr, length in ((-1, 1), (SIZE, 1), (SIZE - 3, 4)):
            for operation in (self.flash.read, self.flash.program):
                self.assertEqual(errno_of(operation, addr, bytearray(length)), 22)
        for sector in (-1, SIZE // 4096):
            self.assertEqual(errno_of(self.flash.erase, sector), 22)
        self.assertEqual(self.flash.programs + self.flash.erases + self.flash.reads, 0)

    def test_opening(self):
        with self.assertRaises(OSError):
            NorFlash(scratch("missing.bin"), SIZE, create=False)
        with self.assertRaises(ValueError):
            NorFlash(scratch("flash.bin"), 2 * SIZE)
        with self.assertRaises(ValueError):
            NorFlash(scratch("odd.bin"), 5000)
        self.flash.program(0, b"\x12")
        again = NorFlash(scratch("flash.bin"), SIZE, create=False)
        data = bytearray(1)
        again.read(0, data)
        again.close()
        self.assertEqual(data, b"\x12")

    def test_counters_and_time(self):
        start = clock.now_us()
        self.flash.read(0, bytearray(100))
        self.assertEqual(clock.now_us() - start, 20 + 10)
        start = clock.now_us()
        self.flash.program(250, bytes(6))  # one page
        self.flash.program(250, bytes(7))  # touches the next
        self.assertEqual(clock.now_us() - start, 3 * 700)
        start = clock.now_us()
        self.flash.erase(2)
        self.assertEqual(clock.now_us() - start, 45000)
        flash = self.flash
        self.assertEqual(
            (flash.reads, flash.bytes_read, flash.programs, flash.bytes_programmed, flash.erases), (1, 100, 2, 13, 1)
        )
        self.assertEqual(list(flash.erase_counts), [0, 0, 1, 0])
        flash.reset_counters()
        self.assertEqual((flash.reads, flash.bytes_read, flash.programs, flash.bytes_programmed), (0, 0, 0, 0))

    def test_events_of_the_world_happen_during_an_erase(self):
        seen = []
        clock.at_us(clock.now_us() + 30000, lambda: seen.append(clock.now_us()))
        start = clock.now_us()
        self.flash.erase(0)
        self.assertEqual(seen, [start + 30000])

    def test_appending_and_clearing_a_triple_allocate_nothing(self):
        record = pattern(32)
        data = bytearray(32)
        clear = b"\xf8"
        self.flash.program(0, record)
        self.flash.read(0, data)
        gc.collect()
        before = gc.mem_alloc()
        self.flash.program(4096, record)
        self.flash.program(4096, clear)
        self.flash.read(4096, data)
        self.assertEqual(gc.mem_alloc() - before, 0)


class Cuts(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.flash = flash_of("cuts.bin", 4 * 4096)

    def tearDown(self):
        self.flash.close()

    def content(self, addr, length):
        data = bytearray(length)
        self.flash.read(addr, data)
        return data

    def torn(self, how, seed, addr, data):
        self.flash.erase(0)
        self.flash.erase(1)
        self.flash.fail_at(1, how, seed)
        with self.assertRaises(PowerCut):
            self.flash.program(addr, data)
        self.flash.power_on()
        return self.content(addr, len(data))

    def test_nothing_works_without_power(self):
        self.flash.fail_at(1, "none")
        with self.assertRaises(PowerCut):
            self.flash.program(0, b"\0")
        for operation in (
            lambda: self.flash.read(0, bytearray(1)),
            lambda: self.flash.program(0, b"\0"),
            lambda: self.flash.erase(0),
        ):
            with self.assertRaises(PowerCut):
                operation()
        self.flash.power_on()
        self.assertEqual(self.content(0, 1), b"\xff")
        self.flash.power_off()
        with self.assertRaises(PowerCut):
            self.flash.read(0, bytearray(1))

    def test_a_cut_is_not_an_error_to_be_caught(self):
        self.assertFalse(issubclass(PowerCut, Exception))

    def test_the_nth_operation(self):
        self.flash.fail_at(3, "all")
        self.flash.program(0, b"\1")
        self.flash.read(0, bytearray(1))  # a read does not count
        self.flash.erase(1)
        with self.assertRaises(PowerCut):
            self.flash.program(1, b"\2")
        self.flash.power_on()
        self.assertEqual(self.content(0, 2), b"\1\2")
        self.flash.fail_at(1, "all")
        self.flash.power_on()  # forgets the plan
        self.flash.program(2, b"\3")
        with self.assertRaises(ValueError):
            self.flash.fail_at(1, "badly")

    def test_a_prefix_ends_inside_a_byte_too(self):
        data = bytes(40)
        inside = set()
        for seed in range(60):
            content = self.torn("prefix", seed, 230, data)  # across a page
            whole = 0
            while whole < 40 and content[whole] == 0:
                whole += 1
            if whole < 40:
                self.assertIn(content[whole], (0xFF, 0xFE, 0xFC, 0xF8, 0xF0, 0xE0, 0xC0, 0x80))
                self.assertEqual(content[whole + 1 :], b"\xff" * (39 - whole))
                inside.add(content[whole])
        self.assertTrue(len(inside) > 4)

    def test_a_random_program_is_between_old_and_new(self):
        data = pattern(64)
        left = set()
        for seed in range(40):
            content = self.torn("random", seed, 0, data)
            for old, new in zip(content, data):
                self.assertEqual(old & new, new)
            left.add(ones(content) - ones(data))
        self.assertTrue(min(left) < 48 and max(left) > 128, left)
        self.assertTrue(len(left) > 20)

    def test_of_several_pages_one_is_torn(self):
        for seed in range(30):
            content = self.torn("random", seed, 0, bytes(1024))
            state = [content[i : i + 256] for i in range(0, 1024, 256)]
            untouched = [page == b"\xff" * 256 for page in state]
            done = [page == bytes(256) for page in state]
            torn = [i for i in range(4) if not untouched[i] and not done[i]]
            self.assertTrue(len(torn) <= 1)
            self.assertEqual(sorted(done, reverse=True), done)
            self.assertEqual(sorted(untouched), untouched)

    def test_the_seed_decides(self):
        data = pattern(64)
        first = self.torn("random", 7, 0, data)
        self.assertEqual(self.torn("random", 7, 0, data), first)
        self.assertNotEqual(self.torn("random", 8, 0, data), first)

    def test_a_half_erased_sector(self):
        left = set()
        for seed in range(16):
            self.flash.erase(1)
            self.flash.program(4096, bytes(4096))
            self.flash.fail_at(1, "half", seed)
            with self.assertRaises(PowerCut):
                self.flash.erase(1)
            self.flash.power_on()
            left.add(ones(self.content(4096, 4096)))
        self.assertTrue(min(left) < 8192 and max(left) > 28672 and max(left) < 32768, left)
        self.assertEqual(self.content(8192, 16), b"\xff" * 16)

    def test_an_erase_cut_while_it_programs_to_zeros(self):
        data = pattern(4096)
        self.flash.program(0, data)
        self.flash.fail_at(1, "preprogram", 3)
        with self.assertRaises(PowerCut):
            self.flash.erase(0)
        self.flash.power_on()
        content = self.content(0, 4096)
        for now, before in zip(content, data):
            self.assertEqual(now & before, now)
        self.assertTrue(0 < ones(content) < ones(data))

    def test_erase_none_and_all(self):
        self.flash.program(0, b"\0")
        for how, expected in (("none", b"\0"), ("all", b"\xff")):
            self.flash.fail_at(1, how)
            with self.assertRaises(PowerCut):
                self.flash.erase(0)
            self.flash.power_on()
            self.assertEqual(self.content(0, 1), expected)

    def test_every_kind_fits_every_operation(self):
        for how in HOWS:
            self.assertEqual(len(self.torn(how, 1, 3, bytes(9))), 9)
            self.flash.fail_at(1, how, 1)
            with self.assertRaises(PowerCut):
                self.flash.erase(0)
            self.flash.power_on()

    def test_failing_operations(self):
        self.flash.fail_io("program", 2)
        self.flash.program(0, b"\1")
        self.flash.erase(1)  # does not count
        self.assertEqual(errno_of(lambda: self.flash.program(1, b"\2")), 5)
        self.assertEqual(self.content(0, 2), b"\1\xff")
        self.flash.program(1, b"\2")  # once only
        self.flash.fail_io("erase")
        self.assertEqual(errno_of(lambda: self.flash.erase(0)), 5)
        self.assertEqual(self.content(0, 2), b"\1\2")
        with self.assertRaises(ValueError):
            self.flash.fail_io("read")

    def test_bad_sector(self):
        self.flash.bad_sector(1)
        for operation in (lambda: self.flash.erase(1), lambda: self.flash.program(4090, bytes(7))):
            self.assertEqual(errno_of(operation), 5)
        self.assertEqual(self.content(4090, 7), b"\xff" * 7)
        self.flash.program(4090, bytes(6))  # ends before it
        self.flash.bad_sector(1, False)
        self.flash.erase(1)


class BlockDevice(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.flash = flash_of("region.bin")
        self.region = Region(self.flash, 4096, 2 * 4096)

    def tearDown(self):
        self.flash.close()

    def test_with_offset_programs_without_it_erases(self):
        self.region.writeblocks(1, b"\x0f", 10)
        self.region.writeblocks(1, b"\xf3", 10)
        data = bytearray(2)
        self.flash.read(2 * 4096 + 10, data)
        self.assertEqual(data, b"\x03\xff")
        self.region.writeblocks(1, pattern(4096))
        content = bytearray(4096)
        self.region.readblocks(1, content)
        self.assertEqual(content, pattern(4096))
        self.region.readblocks(1, data, 100)
        self.assertEqual(data, pattern(4096)[100:102])
        self.assertEqual(self.flash.erases, 1)

    def test_ioctl(self):
        self.assertEqual(self.region.ioctl(4, 0), 2)
        self.assertEqual(self.region.ioctl(5, 0), 4096)
        self.region.writeblocks(1, b"\0", 0)
        self.assertEqual(self.region.ioctl(6, 1), 0)
        data = bytearray(1)
        self.region.readblocks(1, data, 0)
        self.assertEqual(data, b"\xff")
        self.assertIsNone(self.region.ioctl(99, 0))

    def test_bounds(self):
        for operation in (
            lambda: self.region.readblocks(2, bytearray(1), 0),
            lambda: self.region.readblocks(1, bytearray(2), 4095),
            lambda: self.region.readblocks(-1, bytearray(1), 0),
            lambda: self.region.readblocks(0, bytearray(1), -1),
            lambda: self.region.writeblocks(2, b"\0", 0),
            lambda: self.region.writeblocks(1, bytes(8192)),
            lambda: self.region.writeblocks(0, bytes(100)),
            lambda: self.region.ioctl(6, 2),
            lambda: self.region.ioctl(6, -1),
        ):
            self.assertEqual(errno_of(operation), 22)
        with self.assertRaises(ValueError):
            Region(self.flash, 4096, SIZE)
        with self.assertRaises(ValueError):
            Region(self.flash, 100, 4096)

    def test_littlefs_lives_on_it(self):
        import vfs

        vfs.VfsLfs2.mkfs(self.region)
        volume = vfs.VfsLfs2(self.region)
        with volume.open("a.txt", "w") as file:
            file.write("door")
        again = vfs.VfsLfs2(self.region)
        with again.open("a.txt", "r") as file:
            self.assertEqual(file.read(), "door")
