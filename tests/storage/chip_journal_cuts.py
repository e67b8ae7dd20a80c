"""Power cuts at every flash operation of a journal, and again while it starts."""

import random
import unittest

from boards.sim.norflash import PowerCut, Region
from journal_world import KEY, Bench
from oracle_journal import Truth, Upstream
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
