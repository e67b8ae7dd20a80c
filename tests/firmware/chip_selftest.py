"""What a self-test asks of both regions of flash and of the copies, with faults put in one by one."""

import os
from unittest import TestCase

from boards.sim import norflash
from storage import record, survey
from storage.allowlist import Allowlist
from storage.flash import Flash
from storage.journal import Journal
from storage.keys import Keys
from storage.settings import Settings

SECTORS = 24


class Regions(TestCase):
    def setUp(self):
        self.flash = {}
        self.stores = []
        for name, store in (("journal", Journal), ("cards", Allowlist)):
            chip = norflash.NorFlash(name + ".img", SECTORS * 4096)
            self.flash[name] = chip
            self.stores.append(store(Flash(norflash.Region(chip, 0, chip.size))))
        self.journal, self.cards = self.stores
        self.journal.format(b"\1\2\3\4", bytes(16))
        self.journal.mount()
        self.journal.append(record.BOOT)
        self.cards.format()
        self.cards.mount()
        for number in range(40):
            self.cards.put(bytes((number * 37 & 255, number, 1, 2, 3, 4, 5)), 0, 0xFFFFFF, 0)
        self.settle()

    def settle(self):
        for store in self.stores:
            while store.idle():
                pass

    def tearDown(self):
        for name in self.flash:
            os.remove(name + ".img")

    def look(self):
        found = [0, 0, 0, 0]
        for chip in self.flash.values():
            chip.reset_counters()
        for _ in survey.look(self.journal, self.cards, found):
            pass
        return found

    def test_in_order(self):
        found = self.look()
        self.assertTrue(found[survey.JOURNAL_SECTORS] >= 3)  # one in use, two kept erased
        self.assertEqual(found[survey.CARD_SECTORS] + found[survey.FREE_CARD_SECTORS], SECTORS)
        self.assertTrue(found[survey.CARD_SECTORS] >= 1)
        self.assertEqual(found[survey.DAMAGED], 0)

    def test_it_reads_only_and_each_header_once(self):
        self.look()
        for chip in self.flash.values():
            self.assertEqual((chip.programs, chip.erases), (0, 0))
            self.assertTrue(chip.reads <= SECTORS)
            self.assertTrue(chip.bytes_read <= 32 * SECTORS)

    def test_the_stores_go_on_as_if_nothing_had_been(self):
        self.look()
        self.journal.append(record.GRANTED, 0, b"1234567", 1)
        self.assertTrue(self.cards.find(bytes((37, 1, 1, 2, 3, 4, 5))))
        self.look()
        self.assertEqual(self.journal.head, 2)

    def damage(self, name, sector, count):
        """Clear bits of the header's own bytes behind the back of the store."""
        chip = self.flash[name]
        region = norflash.Region(chip, 0, chip.size)
        head = bytearray(32)
        region.readblocks(sector, head, 0)
        for at in range(10, 10 + count):
            head[at] = 0
        region.writeblocks(sector, head, 0)

    def test_a_damaged_header_of_the_list(self):
        used = [
            sector for sector in range(SECTORS) if self.cards._kinds[sector >> 2] >> (sector & 3) * 2 & 3 == survey.USED
        ]
        self.damage("cards", used[0], 12)
        self.assertEqual(self.look()[survey.DAMAGED], 1)

    def test_a_damaged_header_of_the_sector_that_records_go_to(self):
        self.damage("journal", self.journal._top, 12)
        self.assertEqual(self.look()[survey.DAMAGED], 1)

    def test_flash_that_cannot_be_read(self):
        class Broken:
            sectors = SECTORS

            def read(self, address, buf):
                raise OSError(5)

        self.cards._flash = Broken()
        with self.assertRaises(OSError):
            self.look()

    def test_never_many_headers_in_one_go(self):
        found = [0, 0, 0, 0]
        for chip in self.flash.values():
            chip.reset_counters()
        most = before = 0
        for _ in survey.look(self.journal, self.cards, found):
            reads = sum(each.reads for each in self.flash.values())
            most = max(most, reads - before)
            before = reads
        self.assertTrue(0 < most <= 16)


class Nvs:
    def __init__(self):
        self.blobs = {}

    def set_blob(self, key, value):
        self.blobs[key] = bytes(value)

    def get_blob(self, key, buf):
        if key not in self.blobs:
            raise OSError(2)
        buf[: len(self.blobs[key])] = self.blobs[key]
        return len(self.blobs[key])

    def commit(self):
        pass


class Copies(TestCase):
    def setUp(self):
        os.mkdir("copies")

    def tearDown(self):
        for name in os.listdir("copies"):
            os.remove("copies/" + name)
        os.rmdir("copies")

    def test_keys(self):
        nvs = Nvs()
        keys = Keys(nvs, "copies")
        self.assertEqual(keys.copies(), 0)
        keys.store(bytes(32), "secret")
        self.assertEqual(Keys(nvs, "copies").copies(), 2)
        nvs.blobs["keys"] = nvs.blobs["keys"][:-1] + b"!"
        self.assertEqual(Keys(nvs, "copies").copies(), 1)
        self.assertEqual(Keys(nvs, "copies").copies(), 1)  # nothing was mended
        os.remove("copies/keys")
        self.assertEqual(Keys(nvs, "copies").copies(), 0)

    def test_settings(self):
        store = Settings("copies")
        for whole in (1, 2):
            store.save({"open_s": whole})
            seen = Settings("copies")
            self.assertEqual(seen.load({}, dict), {"open_s": whole})
            self.assertEqual((seen.whole, seen.damaged), (whole, 0))
        with open("copies/settings.a", "r+b") as file:
            file.write(b"x")
        seen = Settings("copies")
        seen.load({}, dict)
        self.assertEqual((seen.whole, seen.damaged), (1, 1))
