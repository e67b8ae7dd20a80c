"""NTAG 424 DNA and DESFire prove themselves to the driver on the simulated board."""

from aes_cards import NEW, OLD, UID_7, desfire, ntag
from boards.sim import clock
from boards.sim.cards import Card
from boards.sim.isocard import DAMAGE, DEAF, GARBAGE, LOSE, RENUMBER, REPEAT, IsoCard
from drivers import isodep
from drivers.credential import DESFIRE, FALSE, LOST, NTAG424, PROVEN
from drivers.ev2 import Ev2
from drivers.iso14443a import ReaderFault
from proving import Proofs

STRANGER = bytes(16)


class Aes(Proofs):
    modules = (isodep,)
    KIND = NTAG424

    def setUp(self):
        super().setUp()
        self.make = ntag if self.KIND == NTAG424 else desfire
        self.prover = Ev2(self.bench.reader, [(7, 3, NEW), (6, 3, OLD)], self.KIND)

    def passes(self, card=None, version=7):
        self.assertEqual(self.tap(self.prover, card or self.make()), PROVEN)
        self.assertEqual(self.bench.credential.version, version)


class Ntag(Aes):
    def test_both_versions(self):
        self.passes()
        self.passes(self.make(OLD), 6)

    def test_strangers(self):
        for card in (
            self.make(STRANGER),
            self.make(NEW, 2),
            IsoCard(UID_7, b"\x06\x77\x77\x71\x02\x80"),
            desfire() if self.KIND == NTAG424 else ntag(),
        ):
            self.assertEqual(self.tap(self.prover, card), FALSE)
            self.passes()

    def test_a_copied_uid_on_another_kind_of_card(self):
        self.assertTrue(self.tap(self.prover, Card(UID_7, sak=0x08)) in (FALSE, LOST))
        self.passes()

    def test_short_uids_are_not_of_this_kind(self):
        self.assertEqual(self.tap(self.prover, Card(b"\x11\x22\x33\x44")), FALSE)

    def test_left_on_the_reader(self):
        card = self.make()
        self.field.put(card)
        for _ in range(20):
            self.assertEqual(self.find(), 7)
            self.assertEqual(self.prove(self.prover), PROVEN)
            self.bench.cards.forget()
        # and it is one presence
        self.find(1)
        self.bench.cards.release()
        self.assertEqual(self.find(20), 0)

    def test_frames_of_all_sizes(self):
        for code in b"\x70\x72\x75\x78":
            card = self.make(ats=bytes((5, code, 0x77, 0x71, 0x02))) if self.KIND == DESFIRE else self.make()
            card.ats = bytes((5, code, 0x77, 0x71, 0x02))
            card.fsc = {0x70: 16, 0x72: 32, 0x75: 64, 0x78: 256}[code]
            self.passes(card)

    def test_one_frame_in_trouble(self):
        for kind in (LOSE, DEAF, DAMAGE, RENUMBER, REPEAT, GARBAGE):
            for at in range(1, 5):
                card = self.make()
                card.fault(kind, at)
                self.field.put(card)
                self.assertEqual(self.find(), 7)
                result = self.prove(self.prover)
                self.assertTrue(result != FALSE or kind in (GARBAGE, RENUMBER, REPEAT), (kind, at))
                if result != PROVEN:  # as the door does it: look again
                    self.bench.cards.forget()
                    self.assertEqual(self.find(20), 7)
                    self.assertEqual(self.prove(self.prover), PROVEN)
                self.away()

    def test_gone_at_any_moment_is_lost(self):
        proven = 0
        for delay_us in range(0, 40_000, 700):
            card = self.make()
            self.field.put(card)
            self.assertEqual(self.find(), 7)
            clock.at_us(clock.now_us() + delay_us, self.field.remove, card)
            result = self.prove(self.prover)
            self.assertTrue(result in (LOST, PROVEN))
            self.assertTrue(result == LOST or delay_us > 10_000)
            proven += result == PROVEN
            self.away()
            self.bench.cards.forget()
        self.assertTrue(proven)
        self.passes()

    def test_noise_is_lost_at_most(self):
        for noise in (1, 2, 3, 5, 9):
            for delay_us in range(0, 30_000, 2_500):
                card = self.make()
                self.field.put(card)
                self.assertEqual(self.find(), 7)
                clock.at_us(clock.now_us() + delay_us, self.damage, noise)
                self.assertTrue(self.prove(self.prover) in (LOST, PROVEN))
                self.bench.chip.noise = 0
                self.away()
        self.passes()

    def damage(self, count):
        self.bench.chip.noise = count

    def test_more_time(self):
        for count, result in ((1, PROVEN), (2, PROVEN), (3, LOST), (-1, LOST)):
            card = self.make()
            card.wtx(count, 2)
            self.assertEqual(self.tap(self.prover, card), result)
            self.passes()

    def test_slow_cards(self):
        card = self.make()
        card.busy_us = 30_000  # within the frame waiting time of either kind
        self.passes(card)

    def test_a_dead_reader(self):
        self.field.put(self.make())
        self.assertEqual(self.find(), 7)
        self.bench.chip.miso = 0xFF
        with self.assertRaises(ReaderFault):
            self.prove(self.prover)
        self.bench.chip.miso = None
        self.bench.start()
        self.away()
        self.passes()


class DesfireToo(Ntag):
    """The same, by name: what a class inherits is not collected."""

    KIND = DESFIRE

    def test_both_versions(self):
        super().test_both_versions()

    def test_strangers(self):
        super().test_strangers()

    def test_left_on_the_reader(self):
        super().test_left_on_the_reader()

    def test_one_frame_in_trouble(self):
        super().test_one_frame_in_trouble()

    def test_gone_at_any_moment_is_lost(self):
        super().test_gone_at_any_moment_is_lost()

    def test_more_time(self):
        super().test_more_time()

    def test_slow_cards(self):
        super().test_slow_cards()


class Delays(Aes):
    def test_a_card_that_was_attacked_is_not_false(self):
        card = ntag(delays=2)
        self.prover.keys = [(7, 3, STRANGER)]
        result = FALSE
        tries = 0
        while result == FALSE:
            result = self.tap(self.prover, card)
            tries += 1
            self.assertTrue(tries < 80)
        self.assertEqual(result, LOST)
        self.prover.keys = [(7, 3, NEW)]
        results = [self.tap(self.prover, card) for _ in range(4)]
        self.assertEqual(results[-1], PROVEN)
        self.assertFalse(FALSE in results)

    def test_a_year_of_taps_with_the_older_key_wears_nothing(self):
        # each begins with a failure: a success must take off more
        card = ntag(OLD)
        for _ in range(120):
            self.passes(card, 6)
