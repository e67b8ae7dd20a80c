"""The journal against an upstream that was written from the documents alone."""

import gc
import sys
import unittest

from journal_world import EPOCH, KEY, Bench
from storage import record


class Functions(unittest.TestCase):
    def test_an_append_is_one_program_and_no_erase(self):
        bench = Bench(16)
        for i in range(1200):
            bench.idle()
            bench.nor.reset_counters()
            bench.append(record.GRANTED, 0, b"1234567", i)
            self.assertEqual((bench.nor.programs, bench.nor.erases), (1, 0))
            self.assertEqual(bench.nor.reads, 1)  # the read-back
        bench.check()

    def test_the_ring_goes_round_several_times(self):
        bench = Bench(5)
        for i in range(40):
            bench.some(60, i * 60)
            bench.send()
            bench.idle()
            if i % 7 == 2:
                bench.reboot()
        bench.check()
        self.assertEqual(bench.upstream.last(), 2400)
        self.assertEqual(bench.journal.failures, 0)
        self.assertEqual(bench.journal.torn, 0)

    def test_it_goes_round_without_ever_being_idle(self):
        bench = Bench(5)
        for i in range(30):
            bench.some(60, i * 60)
            bench.send()
            if i % 7 == 2:
                bench.reboot()
        bench.check()

    def test_programs_and_erases_per_event(self):
        bench = Bench(16)
        bench.idle()
        bench.nor.reset_counters()
        events = 3600
        for i in range(events):
            bench.append(record.GRANTED, 0, b"1234567", i)
            bench.idle()
            if i % 40 == 39:
                bench.send()
            if i % 200 == 199:
                bench.time.now_ms += 1_000_000
        bench.idle()
        print("programs per event", bench.nor.programs / events, "erases per event", bench.nor.erases / events)
        self.assertTrue(bench.nor.programs / events <= 1.15)
        self.assertTrue(bench.nor.erases / events <= 0.01)

    def test_capacity_of_512_kb(self):
        bench = Bench(128)
        journal = bench.journal
        bench.idle()
        for i in range(15100):
            journal.append(record.GRANTED, 0, b"1234567", i)
            while journal.idle():
                pass
        bench.nor.reset_counters()
        bench.reboot()
        print("mount of a full journal: reads", bench.nor.reads, "bytes", bench.nor.bytes_read)
        self.assertTrue(bench.nor.reads <= 300)
        self.assertTrue(bench.nor.bytes_read <= 32768)
        self.assertEqual(bench.journal.head, 15100)
        bench.journal.batch(bench.buf, 1)
        self.assertEqual(record.get30(bench.buf, 8), 1)
        self.assertTrue(bench.journal.fill() >= 90)

    def test_gap_is_counted_per_class(self):
        bench = Bench(6)
        bench.upstream.keep = (record.GAP,)
        for i in range(1500):
            kind = (record.GRANTED, record.REFUSED, record.OPENED)[i % 3]
            reason = record.EXPIRED if i % 3 else 0
            bench.journal.append(kind, reason, None, i)
            bench.idle()
        bench.send()
        bench.idle()
        bench.send()
        self.assertEqual(len(bench.upstream.gaps), 1)
        first, last = bench.upstream.gaps[0]
        self.assertEqual(first, 1)
        given = [gap for gap in bench.upstream.kept if gap[1] == record.GIVEN_UP]
        shed = [gap for gap in bench.upstream.kept if gap[1] == record.NOT_STORED]
        expected = 1
        for gap in given:
            self.assertEqual(record.get30(gap[4], 0), expected)
            expected = record.get30(gap[4], 4) + 1
            counts = [record.get30(gap[4], at) for at in (8, 12, 16)]
            self.assertEqual(sum(counts), gap[3])
            self.assertEqual(sum(counts), expected - record.get30(gap[4], 0))
            self.assertTrue(counts[0] > 20 or gap is not given[0])
        self.assertEqual(expected, last + 1)
        counted = sum(gap[3] for gap in shed)
        self.assertTrue(counted > 50)
        for gap in shed:
            counts = [record.get30(gap[4], at) for at in (8, 12, 16)]
            self.assertEqual((sum(counts), counts[2]), (gap[3], 0))
        # What came, what was given up and what was only counted is all there was (gap records are not events).
        self.assertEqual(bench.journal.head - len(given) - len(shed) + counted, 1500)
        self.assertEqual(bench.journal.fill(), 0)

    def fill_with(self, bench, kind, reason, times):
        for i in range(times):
            bench.journal.append(kind, reason, b"1234567", i)
            bench.idle()

    def test_the_last_quarter_is_kept_for_what_counts(self):
        """However many junk cards, and however many known ones that are refused: grants are not given up for them."""
        bench = Bench(13)
        bench.upstream.keep = (record.GAP,)
        self.fill_with(bench, record.GRANTED, 0, 200)
        self.fill_with(bench, record.REFUSED, record.UNKNOWN, 3000)
        self.assertTrue(75 < bench.journal.fill() <= 90)
        self.fill_with(bench, record.REFUSED, record.EXPIRED, 3000)
        self.assertTrue(90 < bench.journal.fill() <= 100)
        self.fill_with(bench, record.GRANTED, 0, 60)
        bench.send()
        self.assertEqual(bench.upstream.gaps, [])
        # Upstream took them: the rest of what was only counted is told.
        bench.idle()
        bench.send()
        gaps = bench.upstream.kept
        counts = [sum(record.get30(gap[4], at) for gap in gaps) for at in (8, 12, 16)]
        stored = bench.journal.head - 260 - len(gaps)
        self.assertEqual((sum(counts) + stored, counts[2]), (6000, 0))
        self.assertTrue(counts[0] > 1500 and counts[1] > 2500)

    def test_acknowledgements_that_are_not_ours(self):
        bench = Bench()
        bench.some(100)
        bench.send(1)
        bench.send(ack=False)
        chain = bytearray(7)
        journal = bench.journal
        acked = journal.acked
        self.assertTrue(journal.chain_of(acked + 10, chain))
        self.assertFalse(journal.ack(b"\0\0\0\0", acked + 10, chain))
        self.assertFalse(journal.ack(EPOCH, acked + 11, chain))
        self.assertFalse(journal.ack(EPOCH, acked - 1, chain))
        self.assertFalse(journal.ack(EPOCH, journal.head + 1, chain))
        self.assertFalse(journal.ack(EPOCH, 0, bytes(7)))
        for bit in range(56):
            forged = bytearray(chain)
            forged[bit >> 3] ^= 1 << (bit & 7)
            self.assertFalse(journal.ack(EPOCH, acked + 10, forged))
        self.assertFalse(journal.ack(EPOCH, acked + 10, chain[:6] + b"xy"))
        self.assertEqual(journal.acked, acked)
        self.assertTrue(journal.ack(EPOCH, acked + 10, chain))
        self.assertTrue(journal.ack(memoryview(EPOCH), acked + 10, chain))
        self.assertEqual(journal.acked, acked + 10)
        # One that comes late does not take the cursor back.
        self.assertTrue(journal.chain_of(acked, chain))
        self.assertFalse(journal.ack(EPOCH, acked, chain))
        self.assertEqual(journal.acked, acked + 10)
        self.assertFalse(journal.chain_of(journal.head + 1, chain))
        self.assertFalse(journal.chain_of(0, chain))
        bench.check()

    def test_the_cursor_survives_coarsely_and_never_runs_ahead(self):
        bench = Bench()
        for i in range(50):
            bench.some(13, 13 * i)
            bench.send()
            exact = bench.journal.acked
            bench.some(i % 30, i)
            bench.idle()
            bench.reboot()
            self.assertTrue(exact - 64 < bench.journal.acked <= exact)
        bench.check()

    def test_keys_move_and_are_wiped(self):
        bench = Bench(8)
        for i in range(300):
            bench.some(1, i)
            if i in (40, 41, 90):
                bench.time.now_ms += 900_000
            bench.idle()
        key = KEY
        alive = []
        for generation in range(40):
            if bench.holds(key):
                alive.append(generation)
            key = record.next_key(key)
        self.assertEqual(len(alive), 1)
        self.assertTrue(alive[0] >= 300 // 32 + 2)
        bench.reboot()
        bench.check()

    def test_keys_left_by_a_busy_door_are_wiped_after_a_restart(self):
        bench = Bench(8)
        bench.idle()
        bench.some(300)  # through all erased sectors without idle
        bench.reboot()
        bench.idle()
        key = KEY
        alive = 0
        for _ in range(40):
            alive += bench.holds(key)
            key = record.next_key(key)
        self.assertEqual(alive, 1)
        bench.some(10)
        bench.check()

    def test_the_floor_rises_with_held_records_and_outlives_many(self):
        bench = Bench()
        journal = bench.journal
        for second in range(0, 4000, 10):
            journal.stamp(200_000_000 + second, record.HELD, 3)
            journal.append(record.GRANTED)
        bench.reboot()
        self.assertEqual(bench.journal.last_time_s, 200_000_000 + 3980 - 8)
        bench.journal.stamp(200_005_000, record.FLOOR, 31)
        bench.journal.append(record.GRANTED)
        bench.journal.append(record.GRANTED)
        bench.reboot()
        self.assertEqual(bench.journal.last_time_s, 200_005_000)

    def test_stamp_and_boot(self):
        bench = Bench()
        journal = bench.journal
        journal.stamp(200_000_000, record.SYNCHRONISED, 1)
        journal.append(record.BOOT)
        journal.stamp(300_000_000, record.HELD, 5)
        journal.append(record.BOOT)
        boot = journal.boot
        bench.reboot()
        journal = bench.journal
        # The second latest lower bound of all: one record alone, which a flipped bit may have changed, proves nothing.
        self.assertEqual(journal.last_time_s, 200_000_000 - 2)
        self.assertEqual(journal.boot, boot + 1)
        journal.batch(bench.buf, 2)
        self.assertEqual(bench.buf[24 + record.TIME + 3] >> 6, record.HELD)
        self.assertEqual(record.get30(bench.buf, 24 + record.TIME), 300_000_000)
        self.assertEqual(bench.buf[24 + record.UNCERTAINTY], 5)

    def test_not_formatted(self):
        bench = Bench()
        for sector in range(6):
            bench.nor.erase(sector)
        with self.assertRaises(OSError):
            bench.reboot()

    def test_formatting_again_begins_a_new_epoch(self):
        bench = Bench()
        bench.some(200)
        bench.journal.format(b"next", KEY)
        bench.journal.append(record.BOOT)
        bench.reboot()
        self.assertEqual((bench.journal.epoch, bench.journal.head), (b"next", 1))

    def test_small_buffers(self):
        bench = Bench()
        bench.some(30)
        small = bytearray(24 + 32)
        self.assertEqual(bench.journal.batch(small, 1), 1)
        self.assertEqual(bench.journal.batch(small, 4), 0)  # a long record does not fit
        self.assertEqual(bench.journal.batch(small, 31), 0)


class Memory(unittest.TestCase):
    def test_what_a_start_needs_can_be_dropped(self):
        bench = Bench()
        bench.some(40)
        bench.reboot()
        gc.collect()
        before = gc.mem_alloc()
        del sys.modules["storage.recovery"]
        delattr(sys.modules["storage"], "recovery")
        gc.collect()
        freed = before - gc.mem_alloc()
        __import__("storage.recovery")
        gc.collect()
        loaded = gc.mem_alloc() - before + freed
        print("storage.recovery takes", loaded, "bytes,", freed, "are free once it is dropped")
        self.assertTrue(loaded > 2000)
        self.assertTrue(freed * 20 > loaded * 19)
        bench.some(40)
        bench.check()
