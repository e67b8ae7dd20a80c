"""The journal against an upstream that was written from the documents alone, with power cuts at every flash operation."""

import os
import random
import unittest

from boards.sim.norflash import NorFlash, PowerCut, Region
from oracle_journal import Truth, Upstream
from storage import journal as journal_module
from storage import record
from storage.flash import Flash
from storage.journal import Journal

PATH = (os.getenv("MENWEI_TMP") or "/tmp") + "/journal.bin"
KEY = b"sixteen octets: "
EPOCH = b"\x01\x80\xff\x7f"


class FakeTime:
    """time, as far as the journal uses it, without waiting."""

    def __init__(self):
        self.now_ms = (1 << 30) - 60_000  # wraps soon

    def ticks_ms(self):
        return self.now_ms & (1 << 30) - 1

    def ticks_diff(self, end, start):
        return ((end - start + (1 << 29)) & (1 << 30) - 1) - (1 << 29)


class Bench:
    """A journal on a small flash, an upstream, and the truth."""

    def __init__(self, sectors=6):
        try:
            os.remove(PATH)
        except OSError:
            pass
        self.size = sectors * 4096
        self.nor = NorFlash(PATH, self.size)
        self.time = journal_module.time = FakeTime()
        self.truth = Truth()
        self.upstream = Upstream(KEY)
        self.buf = bytearray(24 + 32 * 32)
        self.journal = Journal(Flash(Region(self.nor, 0, self.size)))
        self.journal.format(EPOCH, KEY)

    def reboot(self):
        self.nor.power_on()
        self.journal = Journal(Flash(Region(self.nor, 0, self.size)))
        self.journal.mount()

    def append(self, kind, reason=0, pseudonym=None, detail=0, payload=None):
        self.truth.ask(kind, reason, pseudonym or bytes(7), detail, payload)
        if payload is None:
            seq = self.journal.append(kind, reason, pseudonym, detail)
        else:
            seq = self.journal.append_long(kind, reason, pseudonym, detail, payload)
        self.truth.returned()
        return seq

    def some(self, count, number=0):
        """Records of all sorts, of the classes that are always stored."""
        for i in range(number, number + count):
            if i % 11 == 3:
                self.append(record.COMMAND, 1, None, i, bytes((i + j) & 255 for j in range(24)))
            else:
                self.append(record.GRANTED, i % 5, bytes((i & 255, 1, 2, 3, 4, 5, i >> 8)), i)

    def idle(self):
        for _ in range(200):
            if not self.journal.idle():
                return
        raise ValueError("idle() does not come to an end")

    def send(self, batches=1000, ack=True):
        """Upload from the cursor on."""
        first = self.journal.acked + 1
        while batches and first <= self.journal.head:
            batches -= 1
            slots = self.journal.batch(self.buf, first)
            if not slots:
                raise ValueError("nothing to send from %d on, head %d" % (first, self.journal.head))
            seq, chain = self.upstream.take(self.buf[: 24 + 32 * slots])
            if seq != self.journal.last_in_batch:
                raise ValueError("last_in_batch")
            if ack and not self.journal.ack(EPOCH, seq, chain):
                raise ValueError("acknowledgement of %d refused" % seq)
            first = seq + 1

    def check(self):
        self.send()
        self.truth.check(self.upstream)

    def save(self):
        """Keep the image in a file."""
        page = bytearray(256)
        with open(PATH + ".saved", "wb") as file:
            for address in range(0, self.size, 256):
                self.nor.read(address, page)
                file.write(page)

    def restore(self):
        self.nor.close()
        page = bytearray(256)
        with open(PATH + ".saved", "rb") as source, open(PATH, "wb") as target:
            while source.readinto(page):
                target.write(page)
        self.nor = NorFlash(PATH, self.size)

    def holds(self, needle):
        """Whether these bytes stand anywhere in the flash."""
        data = bytearray(4096)
        for sector in range(self.size // 4096):
            self.nor.read(4096 * sector, data)
            if needle in data:
                return True
        return False


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
        for i in range(700):
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
            self.assertEqual([record.get30(gap[4], at) for at in (8, 12, 16)], [gap[3], 0, 0])
        # What came, what was given up and what was only counted is all there was (gap records are not events).
        self.assertEqual(bench.journal.head - len(given) - len(shed) + counted, 700)
        self.assertEqual(bench.journal.fill(), 0)

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
        self.assertFalse(journal.chain_of(journal.head + 1, chain))
        self.assertFalse(journal.chain_of(0, chain))
        bench.check()

    def test_the_cursor_survives_coarsely_and_never_runs_ahead(self):
        bench = Bench()
        for i in range(50):
            bench.some(13, 13 * i)
            bench.send()
            bench.idle()
            exact = bench.journal.acked
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

    def test_stamp_and_boot(self):
        bench = Bench()
        journal = bench.journal
        journal.stamp(200_000_000, record.SYNCHRONISED, 1)
        journal.append(record.BOOT)
        journal.stamp(300_000_000, record.HELD, 5)
        journal.append(record.BOOT)
        self.assertEqual(journal.last_time_s, 200_000_000)
        boot = journal.boot
        bench.reboot()
        journal = bench.journal
        self.assertEqual(journal.last_time_s, 200_000_000)
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
                bench.truth = self.copy(Truth(), truth)
                bench.upstream = self.copy(Upstream(KEY), received)
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

    def copy(self, target, source):
        for name, value in source.__dict__.items():
            setattr(target, name, value[:] if isinstance(value, (list, bytearray)) else value)
        return target

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
