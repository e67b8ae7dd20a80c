"""What is acknowledged and older than the site's limit is erased; nothing else ever is."""

import random
import unittest

from boards.sim.norflash import PowerCut
from journal_world import KEY, Bench, take_over
from oracle_journal import Truth, Upstream
from storage import record

DAY_S = 86400
START_S = 200_000_000


class Retention(unittest.TestCase):
    def setUp(self):
        self.now_s = START_S
        self.trust = record.SYNCHRONISED

    def days(self, bench, days, a_day, keep_days=30, send=True):
        """So many days with so many records each, idle work after each record."""
        for _ in range(days):
            for _ in range(a_day):
                bench.journal.stamp(self.now_s, self.trust, 3)
                bench.append(record.GRANTED, 0, None, self.now_s - START_S)
                self.now_s += DAY_S // a_day
                bench.time.now_ms += 1_000_000
                self.idle(bench, keep_days)
            if send:
                bench.send()
                self.idle(bench, keep_days)

    def idle(self, bench, keep_days):
        for _ in range(200):
            if not bench.journal.idle(self.now_s - keep_days * DAY_S):
                return
        raise ValueError("idle() does not come to an end")

    def oldest_s(self, bench):
        """Time of the oldest record that is left, since the start."""
        self.assertTrue(bench.journal.batch(bench.buf, 1) > 0)
        return record.get30(bench.buf, 24 + record.DETAIL)

    def age_days(self, bench):
        return (self.now_s - START_S - self.oldest_s(bench)) / DAY_S

    def test_a_busy_door_keeps_its_days(self):
        bench = Bench(40)
        self.days(bench, 80, 20)
        self.assertTrue(30 <= self.age_days(bench) <= 30 + 8)  # a sector takes six days
        bench.reboot()
        self.assertTrue(30 <= self.age_days(bench) <= 30 + 8)
        self.days(bench, 10, 20)
        bench.check()
        self.assertEqual(bench.journal.failures, 0)

    def test_a_door_that_is_hardly_used(self):
        bench = Bench(6)
        self.days(bench, 400, 1)
        self.assertTrue(30 <= self.age_days(bench) <= 62)
        bench.reboot()
        self.assertTrue(bench.journal.last_time_s > self.now_s - 3 * DAY_S)
        self.days(bench, 50, 1)
        self.assertTrue(30 <= self.age_days(bench) <= 62)
        bench.check()

    def test_not_before_it_is_acknowledged(self):
        bench = Bench(40)
        self.days(bench, 80, 20, send=False)
        self.assertEqual(self.oldest_s(bench), 0)
        bench.send()
        self.idle(bench, 30)
        self.days(bench, 2, 20)
        self.assertTrue(30 <= self.age_days(bench) <= 38)
        bench.check()

    def test_not_without_a_limit_or_a_time(self):
        bench = Bench(40)
        self.days(bench, 80, 20, keep_days=3000)
        self.assertEqual(self.oldest_s(bench), 0)
        bench = Bench(40)
        self.now_s = START_S
        self.trust = record.FLOOR
        self.days(bench, 80, 20)
        self.assertEqual(self.oldest_s(bench), 0)

    def test_records_of_today_behind_old_ones_stay(self):
        """After a power cut the clock stands at its floor, for all the door knows ages ago."""
        bench = Bench(40)
        self.days(bench, 1, 20)
        self.trust = record.FLOOR
        self.days(bench, 1, 110)
        self.trust = record.SYNCHRONISED
        self.now_s += 100 * DAY_S
        self.days(bench, 1, 20)
        self.assertEqual(self.oldest_s(bench), 0)

    def test_a_flipped_bit_in_the_key_of_a_sector_that_was_only_opened(self):
        bench = Bench(6)
        self.days(bench, 2, 5)
        while bench.journal._tail == bench.journal._top:
            self.now_s += 40 * DAY_S
            self.idle(bench, 30)
        self.idle(bench, 30)
        self.assertEqual(bench.journal._slot, 2)
        top = bench.journal._top
        bench.save()
        truth, upstream = bench.truth, bench.upstream
        for bit in range(256):
            bench.restore()
            bench.truth = take_over(Truth(), truth)
            bench.upstream = take_over(Upstream(KEY), upstream)
            bench.flip((top << 12 | 32) + (bit >> 3), 1 << (bit & 7))
            for _ in range(2):
                bench.reboot()
                self.assertFalse(bench.journal.key_lost)
                self.days(bench, 1, 2)
            bench.reboot()
            bench.check()

    def test_a_worn_oldest_sector_is_left_behind(self):
        bench = Bench(8)
        self.days(bench, 20, 20)
        sector = bench.journal._tail
        tried = []
        erase = bench.journal._flash.erase

        def worn(number):
            if number == sector:
                tried.append(number)
                raise OSError(5)
            erase(number)

        bench.journal._flash.erase = worn
        self.now_s += 100 * DAY_S
        for _ in range(600):
            bench.journal.idle(self.now_s - 30 * DAY_S)
        self.assertTrue(len(tried) <= 2, len(tried))
        self.assertTrue(bench.journal.oldest() > 1)
        self.days(bench, 3, 20)
        bench.check()

    def test_a_door_that_fell_silent_keeps_its_last_records(self):
        bench = Bench(6)
        self.days(bench, 3, 50)
        boot = bench.journal.boot
        for _ in range(20):
            self.now_s += 30 * DAY_S
            bench.time.now_ms += 1_000_000
            bench.send()  # what the saved cursor does not tell
            self.idle(bench, 30)
            bench.reboot()
            boot += 1
            self.assertTrue(bench.journal.last_time_s > START_S)
            if bench.journal.boot != 1:  # a number that no record carries yet is given again
                self.assertTrue(bench.journal.boot <= boot)
            boot = bench.journal.boot
            self.assertFalse(bench.journal.key_lost)
        self.days(bench, 1, 2)
        bench.check()

    def test_a_record_a_month_leaves_more_than_the_last_one(self):
        """The clock goes on from the second latest."""
        bench = Bench(6)
        self.days(bench, 3, 50)
        for number in range(12):
            self.now_s += 40 * DAY_S
            before_s = self.now_s
            self.days(bench, 1, 1)
            self.idle(bench, 30)
            bench.reboot()
            self.assertTrue(bench.journal.head - bench.journal.oldest() >= 3)
            self.assertTrue(bench.journal.last_time_s > (before_s - 42 * DAY_S if number else START_S))
        bench.check()

    def test_power_goes_at_every_operation(self):
        bench = Bench(6)
        self.days(bench, 150, 1)
        bench.save()
        truth, upstream, now_s = bench.truth, bench.upstream, self.now_s
        points = 0
        for how in ("prefix", "random", "half", "preprogram", "none", "all"):
            cut = 0
            finished = False
            while not finished:
                cut += 1
                bench.restore()
                bench.truth = take_over(Truth(), truth)
                bench.upstream = take_over(Upstream(KEY), upstream)
                self.now_s = now_s
                bench.reboot()
                bench.nor.fail_at(cut, how, cut + random.getrandbits(10))
                try:
                    self.days(bench, 70, 1)
                    finished = True
                    bench.nor.power_on()
                except PowerCut:
                    points += 1
                    bench.reboot()
                    self.assertFalse(bench.journal.key_lost)
                    self.assertTrue(bench.journal.last_time_s > START_S)
                bench.check()
                self.days(bench, 3, 1)
                bench.check()
        print(points, "points")
        self.assertTrue(points > 500)
