"""The journal on flash that fails to program, to erase, or to keep a bit."""

import os
import random
import unittest

from boards.sim.norflash import NorFlash
from journal_world import KEY, PATH, Bench
from oracle_journal import Upstream
from storage import record

SEED = int(os.getenv("MENWEI_SEED") or 20200101)


class Failures(unittest.TestCase):
    def test_a_failed_program_goes_to_another_sector(self):
        bench = Bench(8)
        bench.idle()
        for i in range(60):
            bench.some(4, 4 * i)
            bench.nor.fail_io("program", 1 + i % 3)
            bench.some(1, i)
            bench.idle()
            bench.send()
            if i % 5 == 0:
                bench.reboot()
        bench.check()

    def test_two_failed_programs_are_an_error_and_the_next_append_works(self):
        bench = Bench(8)
        bench.some(10)
        bench.idle()
        for sector in range(8):
            bench.nor.bad_sector(sector)
        for _ in range(3):
            with self.assertRaises(OSError):
                bench.journal.append(record.GRANTED)
        for sector in range(8):
            bench.nor.bad_sector(sector, False)
        bench.some(10)
        bench.reboot()
        bench.some(10)
        bench.check()

    def test_a_program_that_silently_fails_is_seen(self):
        bench = Bench(8)
        bench.some(10)
        flash = bench.journal._flash
        program = flash.program
        flash.program = lambda address, buf: None
        with self.assertRaises(OSError):
            bench.journal.append(record.GRANTED)
        flash.program = program
        bench.some(10)
        bench.check()

    def test_worn_sectors_are_left_out(self):
        bench = Bench(8)
        bench.nor.bad_sector(2)
        bench.nor.bad_sector(5)
        for i in range(60):
            bench.some(40, 40 * i)
            bench.send()
            bench.idle()
            if i % 7 == 3:
                bench.reboot()
        bench.check()

    def test_sectors_that_wear_out_with_records_in_them(self):
        bench = Bench(10)
        for i in range(90):
            bench.some(20, 20 * i)
            bench.send()
            bench.idle()
            if i == 20:
                bench.nor.bad_sector(1)
            if i == 30:
                bench.nor.bad_sector(bench.journal._top)
            if i % 7 == 3:
                bench.reboot()
        bench.check()


class Flips(unittest.TestCase):
    """One flipped bit anywhere: the door starts, appends, and nothing false comes upstream."""

    def flip(self, bench, address, mask):
        byte = bytearray(1)
        bench.nor.close()
        with open(PATH, "r+b") as file:
            file.seek(address)
            file.readinto(byte)
            byte[0] ^= mask
            file.seek(address)
            file.write(byte)
        bench.nor = NorFlash(PATH, bench.size)

    def survives(self, bench, address, mask):
        """Returns how many records of the truth came."""
        self.flip(bench, address, mask)
        bench.reboot()
        bench.append(record.BOOT)
        bench.idle()
        seen = 0
        first = 1
        while first <= bench.journal.head:
            slots = bench.journal.batch(bench.buf, first)
            if not slots:
                break
            upstream = Upstream(KEY)
            try:
                upstream.take(bench.buf[: 24 + 32 * slots])
                seen += bench.journal.last_in_batch - first + 1
            except ValueError:
                pass  # upstream names it
            first = bench.journal.last_in_batch + 1
        return seen

    def test_a_flipped_bit_stops_neither_start_nor_appends(self):
        bench = Bench(5)
        bench.idle()
        bench.some(250)
        bench.idle()
        bench.save()
        head = bench.journal.head
        random.seed(SEED)
        print("seed", SEED)
        # All of the newest sector's header and first slots, and places anywhere.
        top = bench.journal._top << 12
        places = list(range(top, top + 96)) + list(range(96))
        end = top + (bench.journal._slot << 5)
        places += list(range(end - 96, end + 64))
        places += [random.getrandbits(20) % bench.size for _ in range(250)]
        heads = {}
        for address in places:
            bench.restore()
            mask = 1 << random.getrandbits(3)
            try:
                seen = self.survives(bench, address, mask)
            except Exception:
                print("address", address, "mask", mask)
                raise
            # A bit costs the last record at most, and upstream can tell: what it accepts is in its place.
            lost = head + 1 - bench.journal.head
            heads[lost] = heads.get(lost, 0) + 1
            self.assertTrue(seen > head - 140)
        print("records taken back by a flipped bit", heads)
        self.assertTrue(max(heads) <= 1)


class Losses(unittest.TestCase):
    def test_the_same_sector_is_given_up_twice(self):
        bench = Bench(6)
        bench.upstream.keep = (record.GAP,)
        number = 0
        given = 0
        while given < 2:
            # Nobody takes the records, until the oldest sector is given up.
            before = bench.journal._given
            while bench.journal._given == before:
                bench.journal.append(record.GRANTED, 0, None, number)
                number += 1
                bench.journal.idle()
            sector = bench.journal._given
            given += 1
            bench.idle()
            bench.send()
            # Round until the newest sector is the one that was given up.
            while bench.journal._top != sector:
                bench.journal.append(record.GRANTED, 0, None, number)
                number += 1
                bench.idle()
                bench.send()
        bench.idle()
        bench.send()
        gaps = [gap for gap in bench.upstream.kept if gap[1] == record.GIVEN_UP]
        self.assertEqual(len(gaps), 2)
        self.assertEqual(sum(gap[3] for gap in gaps), sum(last - first + 1 for first, last in bench.upstream.gaps))
        self.assertEqual(bench.journal.head, number + 2)
