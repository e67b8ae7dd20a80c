"""Partitions and NVS of the simulated chip: what is committed survives every cut, what is not does not."""

import os
import unittest

import board
import esp32
from boards.sim import clock, world
from boards.sim.norflash import NorFlash, PowerCut
from esp32 import NVS, Partition

FLASH = [("nvs", 0x1000, 0x3000), ("factory", 0x4000, 0x4000), ("ota_1", 0x8000, 0x1000), ("cards", 0x9000, 0x2000)]
SIZE = 0xB000
NOT_FOUND = -0x1102
HOWS = ("prefix", "random", "half", "preprogram", "none", "all")


def errno_of(operation, *arguments):
    try:
        operation(*arguments)
    except OSError as error:
        return error.errno
    return None


def new_flash():
    path = os.getenv("MENWEI_TMP") + "/esp32.bin"
    try:
        os.remove(path)
    except OSError:
        pass
    world.flash = NorFlash(path, SIZE)


def power_cycle():
    world.flash.power_off()
    world.flash.power_on()


def another_process():
    world.flash.close()
    world.flash = NorFlash(os.getenv("MENWEI_TMP") + "/esp32.bin", SIZE, create=False)


def blob(nvs, key):
    """The bytes of a key, None if there is none."""
    buf = bytearray(2000)
    try:
        return bytes(buf[: nvs.get_blob(key, buf)])
    except OSError as error:
        if error.errno == NOT_FOUND:
            return None
        raise


class WithFlash(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.board_flash = board.FLASH
        board.FLASH = FLASH
        new_flash()

    def tearDown(self):
        board.FLASH = self.board_flash
        world.flash.close()


class Partitions(WithFlash):
    def test_find(self):
        self.assertEqual([p.info()[4] for p in Partition.find(Partition.TYPE_DATA)], ["nvs", "cards"])
        self.assertEqual([p.info()[4] for p in Partition.find()], ["factory", "ota_1"])  # applications, as on the chip
        self.assertEqual(Partition.find(label="cards"), [])
        self.assertEqual(Partition.find(Partition.TYPE_DATA, label="missing"), [])
        self.assertEqual([p.info()[4] for p in Partition.find(Partition.TYPE_DATA, subtype=2)], ["nvs"])

    def test_info(self):
        cards = Partition("cards")
        self.assertEqual(cards.info(), (1, 6, 0x9000, 0x2000, "cards", False))
        self.assertEqual(Partition("ota_1").info()[:2], (0, 0x11))
        self.assertEqual(Partition(Partition.RUNNING).info()[4], "factory")
        self.assertEqual(errno_of(Partition, "missing"), 2)

    def test_a_partition_is_its_part_of_the_flash(self):
        cards = Partition.find(Partition.TYPE_DATA, label="cards")[0]
        self.assertEqual(cards.ioctl(4, 0), 2)
        cards.writeblocks(1, b"\x5a", 7)
        data = bytearray(1)
        world.flash.read(0x9000 + 4096 + 7, data)
        self.assertEqual(data, b"\x5a")

    def test_the_real_board_has_what_the_firmware_asks_for(self):
        end = 0
        for label, offset, size in self.board_flash:
            self.assertTrue(offset >= end and not size % 4096, label)
            end = offset + size
        self.assertTrue(end <= board.FLASH_SIZE)
        labels = [entry[0] for entry in self.board_flash]
        for label in ("nvs", "cards", "journal", "vfs"):
            self.assertIn(label, labels)

    def test_heap_info(self):
        for capabilities in (esp32.HEAP_DATA, esp32.HEAP_EXEC):
            heaps = esp32.idf_heap_info(capabilities)
            self.assertEqual(len(heaps[0]), 4)
            self.assertTrue(all(heap[2] <= heap[1] <= heap[0] for heap in heaps))


class KeyValues(WithFlash):
    def test_committed_survives_and_uncommitted_does_not(self):
        nvs = NVS("menwei")
        nvs.set_i32("boots", -5)
        nvs.set_blob("key", b"\0\xff secret")
        nvs.commit()
        nvs.set_i32("boots", 6)
        nvs.set_blob("later", b"x")
        self.assertEqual(nvs.get_i32("boots"), 6)
        for restart in (power_cycle, another_process):
            restart()
            nvs = NVS("menwei")
            self.assertEqual(nvs.get_i32("boots"), -5)
            self.assertEqual(blob(nvs, "key"), b"\0\xff secret")
            self.assertIsNone(blob(nvs, "later"))

    def test_missing(self):
        nvs = NVS("menwei")
        for operation in (nvs.get_i32, nvs.erase_key):
            self.assertEqual(errno_of(operation, "nothing"), NOT_FOUND)
        self.assertEqual(errno_of(nvs.get_blob, "nothing", bytearray(1)), NOT_FOUND)
        nvs.set_i32("number", 1)
        self.assertEqual(errno_of(nvs.get_blob, "number", bytearray(9)), NOT_FOUND)  # of another type
        nvs.commit()

    def test_erase_key(self):
        nvs = NVS("menwei")
        nvs.set_blob("key", b"1")
        nvs.commit()
        nvs.erase_key("key")
        self.assertIsNone(blob(nvs, "key"))
        self.assertEqual(errno_of(nvs.erase_key, "key"), NOT_FOUND)
        power_cycle()
        nvs = NVS("menwei")
        self.assertEqual(blob(nvs, "key"), b"1")  # was not committed
        nvs.erase_key("key")
        nvs.commit()
        power_cycle()
        self.assertIsNone(blob(NVS("menwei"), "key"))

    def test_namespaces(self):
        one, two = NVS("one"), NVS("two")
        one.set_i32("n", 1)
        two.set_i32("n", 2)
        one.commit()
        two.commit()
        power_cycle()
        self.assertEqual((NVS("one").get_i32("n"), NVS("two").get_i32("n")), (1, 2))

    def test_limits_of_the_idf(self):
        nvs = NVS("menwei")
        nvs.set_i32("k" * 15, 1)
        self.assertEqual(errno_of(nvs.set_i32, "k" * 16, 1), -0x1109)
        self.assertEqual(errno_of(nvs.get_i32, "k" * 16), -0x1109)
        self.assertEqual(errno_of(nvs.set_blob, "", b""), -0x1106)
        for namespace in ("", "n" * 16):
            self.assertEqual(errno_of(NVS, namespace), -0x1106)
        for value in (1 << 31, -(1 << 31) - 1):
            with self.assertRaises(OverflowError):
                nvs.set_i32("n", value)
        for value in ((1 << 31) - 1, -(1 << 31)):
            nvs.set_i32("n", value)
            self.assertEqual(nvs.get_i32("n"), value)
        nvs.set_blob("b", bytes(1984))
        self.assertEqual(errno_of(nvs.set_blob, "b", bytes(1985)), -0x110E)
        self.assertEqual(errno_of(nvs.get_blob, "b", bytearray(1983)), -0x110C)
        buf = bytearray(b"\xff" * 2000)
        self.assertEqual(nvs.get_blob("b", buf), 1984)
        self.assertEqual(bytes(buf[1984:]), b"\xff" * 16)
        nvs.set_blob("empty", b"")
        nvs.commit()
        self.assertEqual(blob(nvs, "empty"), b"")

    def test_no_room(self):
        nvs = NVS("menwei")
        for key in ("a", "b"):
            nvs.set_blob(key, bytes(1900))
            nvs.commit()
        nvs.set_blob("c", bytes(1900))
        self.assertEqual(errno_of(nvs.commit), -0x1105)
        power_cycle()
        nvs = NVS("menwei")
        self.assertEqual((len(blob(nvs, "a")), len(blob(nvs, "b")), blob(nvs, "c")), (1900, 1900, None))

    def test_many_commits_spread_over_two_sectors(self):
        nvs = NVS("menwei")
        nvs.set_blob("constant", b"stays")
        for number in range(1000):
            nvs.set_i32("n", number)
            nvs.commit()
            if number % 20 == 0:
                power_cycle()
                nvs = NVS("menwei")
                self.assertEqual(nvs.get_i32("n"), number)
        self.assertTrue(4 < world.flash.erases < 20, world.flash.erases)
        self.assertEqual(list(world.flash.erase_counts[3:]), [0] * 8)
        another_process()
        nvs = NVS("menwei")
        self.assertEqual((nvs.get_i32("n"), blob(nvs, "constant")), (999, b"stays"))

    def test_a_failing_flash_loses_nothing(self):
        nvs = NVS("menwei")
        nvs.set_i32("n", 1)
        nvs.commit()
        nvs.set_i32("n", 2)
        world.flash.fail_io("program")
        self.assertEqual(errno_of(nvs.commit), 5)
        nvs.commit()  # what was set is still waiting
        power_cycle()
        self.assertEqual(NVS("menwei").get_i32("n"), 2)

    def test_power_cut_at_every_operation(self):
        """Old or new, never a mixture; once commit has returned, new."""
        cuts = 0
        for how in HOWS:
            new_flash()
            committed = 0
            nvs = NVS("menwei")
            for number in range(1, 160):
                size = 8 if number % 5 else 700  # now and then the log has to move
                nvs.set_i32("n", number)
                nvs.set_blob("b", bytes([number & 255]) * size)
                world.flash.fail_at(1 + number % 3, how, number)
                try:
                    nvs.commit()
                    committed = number
                except PowerCut:
                    cuts += 1
                power_cycle()
                nvs = NVS("menwei")
                found = nvs.get_i32("n") if committed else number_or_none(nvs)
                self.assertIn(found, (committed or None, number), how)
                if found is not None:
                    self.assertEqual(blob(nvs, "b"), bytes([found & 255]) * (8 if found % 5 else 700))
                    committed = found
            world.flash.close()
        new_flash()
        self.assertTrue(cuts > 300, cuts)

    def test_bits_that_a_cut_left_behind_a_blank_header(self):
        nvs = NVS("menwei")
        nvs.set_i32("n", 1)
        nvs.commit()
        data = bytearray(256)
        world.flash.read(0x1000, data)
        end = max(i for i in range(256) if data[i] != 0xFF) + 1
        world.flash.program(0x1000 + end + 12, b"\0")
        power_cycle()
        nvs = NVS("menwei")
        nvs.set_i32("n", 2)
        nvs.commit()
        power_cycle()
        self.assertEqual(NVS("menwei").get_i32("n"), 2)

    def test_noise_is_an_empty_store(self):
        nvs = NVS("menwei")
        nvs.set_i32("n", 1)
        nvs.commit()
        for sector in (1, 2):
            world.flash.program(sector * 4096, bytes(range(256)) * 4)
        power_cycle()
        nvs = NVS("menwei")
        self.assertEqual(errno_of(nvs.get_i32, "n"), NOT_FOUND)
        nvs.set_i32("n", 3)
        nvs.commit()
        power_cycle()
        self.assertEqual(NVS("menwei").get_i32("n"), 3)


def number_or_none(nvs):
    try:
        return nvs.get_i32("n")
    except OSError:
        return None
