"""A card whose counter goes back is found in the journal itself, however long ago it was here, across restarts."""

from unittest import TestCase

from journal_world import Bench
from storage import record
from storage.copywatch import CopyWatch

CARD = b"\x11\x22\x33\x44\x55\x66\x77"
OTHER = b"\x11\x22\x33\x44\x55\x66\x78"


class Copies(TestCase):
    def setUp(self):
        self.bench = Bench(sectors=6)
        self.watch = CopyWatch(self.bench.journal)

    def passes(self, counter, counted=True, card=CARD, kind=record.KIND_CLASSIC, what=record.GRANTED):
        """A passage after which the card certainly holds `counter`."""
        self.bench.append(what, 0, card, record.evidence(5, kind, 1, counted, counter))

    def found(self):
        """Look at everything; the counters of those that came with one too low."""
        rolled_back = []
        for _ in range(5000):
            if not self.watch.look():
                return rolled_back
            if self.watch.rolled_back:
                rolled_back.append((bytes(self.watch.pseudonym), self.watch.evidence >> 12))
        self.fail("it does not come to an end")

    def test_a_card_that_counts_on_is_no_copy(self):
        for counter in (1, 2, 3, 9, 100_000):
            self.passes(counter)
            self.assertEqual(self.found(), [])

    def test_the_second_passage_shows_a_copy(self):
        self.passes(10)
        self.assertEqual(self.found(), [])
        self.passes(10)  # came with 9, though it left with 10
        self.assertEqual(self.found(), [(CARD, 10)])

    def test_a_passage_that_could_not_count_is_no_copy(self):
        self.passes(10)
        self.passes(10, counted=False)
        self.passes(10, counted=False)
        self.passes(11)
        self.assertEqual(self.found(), [])
        self.passes(10, counted=False)
        self.assertEqual(self.found(), [(CARD, 10)])

    def test_others_between_do_not_matter(self):
        self.passes(10)
        self.passes(3, card=OTHER)
        self.passes(1, kind=record.KIND_UID)
        self.passes(1, what=record.REFUSED)
        self.bench.some(20)
        self.passes(11)
        self.assertEqual(self.found(), [])

    def test_several_that_passed_before_anybody_looked(self):
        self.passes(10)
        self.passes(20, card=OTHER)
        self.passes(10)
        self.passes(20, card=OTHER)
        self.assertEqual(self.found(), [(CARD, 10), (OTHER, 20)])

    def test_far_back_in_other_sectors_and_after_a_restart(self):
        self.passes(50)
        self.bench.some(280, 1000)
        self.bench.idle()
        self.bench.reboot()
        self.watch = CopyWatch(self.bench.journal)
        self.assertEqual(self.found(), [])
        self.passes(40)
        self.assertEqual(self.found(), [(CARD, 40)])

    def test_followed_from_sector_to_sector_round_the_ring(self):
        counter = 1
        for round_number in range(14):
            self.bench.some(70, round_number * 70)
            journal = self.bench.journal
            journal.ack(journal.epoch, journal.head, bytes(journal.chain))
            self.bench.idle()
            counter += 1
            self.passes(counter)
            self.assertEqual(self.found(), [], round_number)
        self.passes(counter)
        self.assertEqual(self.found(), [(CARD, counter)])

    def test_what_the_journal_has_forgotten_is_upstreams(self):
        self.passes(50)
        for number in range(9):
            self.bench.some(100, number * 100)
            journal = self.bench.journal
            journal.ack(journal.epoch, journal.head, bytes(journal.chain))
            self.bench.idle()
        self.passes(40)
        self.assertEqual(self.found(), [])

    def test_the_step_is_one_page(self):
        self.passes(50)
        self.bench.some(300)
        self.bench.idle()
        self.found()
        self.passes(51)
        counter = self.bench.nor.reads
        steps = 0
        while self.watch.look():
            steps += 1
        self.assertTrue(steps >= 36, steps)
        self.assertTrue(self.bench.nor.reads - counter <= steps + 8, (self.bench.nor.reads - counter, steps))
