"""Power cuts at every flash operation of a journal, and again while it starts."""

import random
import unittest

from boards.sim.norflash import PowerCut, Region
from journal_world import EPOCH, KEY, Bench, take_over
from oracle_journal import Truth, Upstream
from storage import record
from storage.flash import Flash
from storage.journal import Journal


class PowerCuts(unittest.TestCase):
    def work(self, bench, number):
        """Appends, idle pieces, uploads and key moves; about as many operations as calls."""
        for i in range(14):
            bench.some(1 + i % 3, number + 3 * i)
            if i % 3 == 1:
                bench.send(1)
            if i % 5 == 4:
                bench.time.now_ms += 900_000
            if i % 4 == 2:
                bench.idle()
        bench.idle()

    def run_from(self, fill, sent):
        """Cut at every operation of work(), from a journal that holds `fill` records."""
        cuts = 0
        bench = Bench(5)
        for i in range(0, fill, 20):
            bench.some(min(20, fill - i), i)
            bench.send()
            bench.idle()
        bench.some(sent, fill)
        bench.save()
        truth = bench.truth
        received = bench.upstream
        for how in ("prefix", "random", "half", "preprogram", "none", "all"):
            cut = 1
            while True:
                seed = random.getrandbits(20)
                bench.restore()
                bench.truth = take_over(Truth(), truth)
                bench.upstream = take_over(Upstream(KEY), received)
                try:
                    bench.reboot()
                    bench.nor.fail_at(cut, how, seed)
                    self.work(bench, 7)
                    bench.nor.power_on()
                    break
                except PowerCut:
                    pass
                try:
                    # Power goes again while it starts.
                    if cut % 2:
                        try:
                            bench.nor.power_on()
                            bench.nor.fail_at(1 + cut % 3, how, seed + 1)
                            bench.journal = Journal(Flash(Region(bench.nor, 0, bench.size)))
                            bench.journal.mount()
                            bench.idle()
                        except PowerCut:
                            pass
                    bench.reboot()
                    bench.check()
                    self.work(bench, 9)
                    bench.check()
                    bench.reboot()
                    bench.check()
                except Exception:
                    print("fill", fill, "sent", sent, "how", how, "cut", cut, "seed", seed)
                    raise
                cut += 1
                cuts += 1
        print("fill", fill, "sent", sent, "cuts", cuts)
        self.assertTrue(cuts > 150)

    def test_from_the_beginning(self):
        self.run_from(0, 0)

    def test_around_a_key_move(self):
        self.run_from(20, 5)

    def test_around_a_new_sector(self):
        self.run_from(80, 10)

    def test_around_the_wrap(self):
        self.run_from(515, 10)

    def test_with_a_lot_to_send(self):
        self.run_from(420, 120)

    def test_a_sector_that_is_being_retired_is_not_taken_in(self):
        """A new sector whose first program was cut short, and then the program that was to retire it, too."""
        bench = Bench(7)
        bench.some(125)
        while bench.journal._slot < 128:
            bench.some(1)
        bench.send()
        bench.idle()
        bench.save()
        for seed in range(200):
            bench.restore()
            journal = Journal(Flash(Region(bench.nor, 0, bench.size)))
            journal.mount()
            last = journal.head
            bench.time.now_ms += 900_000
            try:
                bench.nor.fail_at(1, ("prefix", "random")[seed & 1], seed)
                while journal.idle():
                    pass
            except PowerCut:
                pass
            try:
                bench.nor.power_on()
                bench.nor.fail_at(1, ("prefix", "random")[seed >> 1 & 1], seed + 1000)
                journal = Journal(Flash(Region(bench.nor, 0, bench.size)))
                journal.mount()
            except PowerCut:
                pass
            for _ in range(3):
                bench.reboot()
                self.assertFalse(bench.journal.key_lost)
                self.assertEqual(bench.journal.head, last)
                for detail in range(3):
                    last = bench.journal.append(record.GRANTED, 0, None, detail)

    def test_a_sector_in_which_a_program_was_begun_is_erased_first(self):
        bench = Bench(7)
        bench.some(110)
        while bench.journal._slot < 128:
            bench.some(1)
        bench.idle()
        bench.save()
        for seed in range(40):
            bench.restore()
            bench.reboot()
            head = bench.journal.head
            bench.nor.fail_at(1, ("prefix", "random")[seed & 1], seed)
            with self.assertRaises(PowerCut):
                bench.journal.append(record.GRANTED, 0, b"1234567", seed)
            bench.reboot()
            for detail in range(3):
                bench.journal.append(record.REFUSED, 1, None, detail)
            self.assertEqual((bench.journal.head, bench.journal.failures), (head + 3, 0))

    def test_a_half_erased_sector_is_none_in_use(self):
        """Its header may be the last to go: what is left behind it must not be sent."""
        for seed in range(10):
            bench = Bench(5)
            # Nobody takes the records, until the oldest sector is given up.
            while bench.journal._given < 0:
                bench.journal.append(record.GRANTED)
                bench.journal.idle()
            sector = bench.journal._given

            def erase(number):
                raise PowerCut()

            bench.nor.erase = erase
            try:
                bench.idle()
                self.fail("no erase")
            except PowerCut:
                pass
            random.seed(seed)
            byte = bytearray(1)
            for _ in range(50):
                address = (sector << 12) + 128 + random.getrandbits(11)
                bench.nor.read(address, byte)
                bench.flip(address, ~byte[0] & random.getrandbits(8))  # ones only
            bench.reboot()
            bench.send()
            ((first, last),) = bench.upstream.gaps
            self.assertEqual((first, last + 1), (1, bench.journal.oldest()))
            self.assertEqual(bench.upstream.last(), bench.journal.head)

    def test_a_format_that_was_cut_short_is_no_journal(self):
        """Commissioning starts again; a journal with a key that nobody knows would stay for good."""
        for seed in range(60):
            bench = Bench(4)
            try:
                bench.nor.fail_at(4 * 3 + 1, ("random", "prefix", "none")[seed % 3], seed)
                bench.journal.format(EPOCH, KEY)
            except PowerCut:
                pass
            try:
                bench.reboot()
            except OSError as error:
                self.assertTrue(error.errno in (2, 5))  # nothing there, or nothing that can be read
                bench.journal.format(EPOCH, KEY)
            self.assertFalse(bench.journal.key_lost)
            bench.some(3)
            bench.check()
