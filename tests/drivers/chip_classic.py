"""MIFARE Classic cards prove themselves to the driver on the simulated board, and count."""

import random
from time import ticks_us

from boards.sim import clock
from boards.sim.classic import TEARS
from boards.sim.classic import Classic as Card
from classic_cards import NEW, OLD, SECTOR, UID_4, UID_7, block, classic_card, held
from drivers.classic import Classic
from drivers.credential import CLASSIC, FALSE, LOST, PROVEN
from drivers.iso14443a import ReaderFault
from proving import Proofs

BLOCK = 4 * SECTOR
CRYPTO1_ON = 0x08


class Counting(Proofs):
    def setUp(self):
        super().setUp()
        self.prover = Classic(self.bench.cards, [(7, SECTOR, NEW), (6, SECTOR, OLD)])

    def passes(self, card, counter, version=7, counted=True):
        """A whole tap; the card certainly holds `counter` afterwards."""
        self.assertEqual(self.tap(self.prover, card), PROVEN)
        self.finds(counter, version, counted)

    def finds(self, counter, version=7, counted=True):
        found = self.bench.credential
        self.assertEqual((found.counter, found.version, found.counted), (counter, version, counted))

    def tap(self, prover, card):
        result = super().tap(prover, card)
        # however it ended, the reader is not left deaf
        self.assertFalse(self.bench.chip.registers[0x08] & CRYPTO1_ON)
        return result


class Passage(Counting):
    def test_counts_in_two_blocks(self):
        for uid in (UID_4, UID_7):
            card = classic_card(uid=uid)
            for counter in range(11, 16):
                self.passes(card, counter)
                self.assertEqual(held(card), counter)
            # each block was written every other time, and nothing else ever
            self.assertEqual(
                [index for index in range(64) if card.writes[index]],
                [BLOCK, BLOCK + 1],
            )
            self.assertEqual((card.writes[BLOCK], card.writes[BLOCK + 1]), (2, 3))

    def test_older_version(self):
        card = classic_card(OLD, 6)
        self.passes(card, 11, 6)
        self.assertEqual(held(card, OLD, 6), 11)

    def test_other_sectors(self):
        for sector in (1, 15):
            self.prover.keys = [(7, sector, NEW)]
            card = classic_card(sector=sector)
            self.passes(card, 11)
            self.assertEqual(held(card, sector=sector), 11)

    def test_equal_counters_and_one_block(self):
        for counters, counter in (((0, 0), 1), ((0, None), 1), ((None, 5), 6), ((5, 3), 6), ((255, 3), 256)):
            card = classic_card(counters=counters)
            self.passes(card, counter)
            self.assertEqual(held(card), counter)
            self.passes(card, counter + 1)

    def test_while_keys_are_exchanged(self):
        # the blocks are still sealed by the older key, or one of them is
        card = classic_card()
        card.block(BLOCK, block(OLD, UID_4, 20, 6, 0))
        self.passes(card, 21)
        card.block(BLOCK, block(OLD, UID_4, 20, 6, 0))
        self.passes(card, 22)
        self.assertEqual(held(card), 22)

    def test_at_the_end_of_the_counter(self):
        card = classic_card(counters=(0x3FFFE, 0x3FFFD))
        self.passes(card, 0x3FFFF)
        self.passes(card, 0x3FFFF, counted=False)
        self.assertEqual(held(card), 0x3FFFF)

    def test_a_worn_block(self):
        card = classic_card(endurance=2)
        for counter in range(11, 15):
            self.passes(card, counter)
        for _ in range(3):
            self.passes(card, 14, counted=False)


class Strangers(Counting):
    def false(self, card):
        self.assertEqual(self.tap(self.prover, card), FALSE)
        self.assertEqual(sum(card.writes), 0)
        self.passes(classic_card(), 11)

    def test_other_keys(self):
        self.false(Card(UID_4))
        self.false(Card(UID_7))
        self.false(classic_card(bytes(16)))
        self.false(classic_card(sector=4))
        # the keys of another card
        card = classic_card()
        card.uid = b"\x9c\x59\x9b\x33"
        card._levels = [card.uid + bytes((0x9C ^ 0x59 ^ 0x9B ^ 0x33,))]
        self.false(card)

    def test_who_has_gone_before_the_end_is_not_false(self):
        results = set()
        for delay_us in range(0, 140_000, 3_000):
            self.bench.cards.forget()
            card = classic_card(bytes(16))
            self.field.put(card)
            self.assertEqual(self.find(), 4)
            clock.at_us(clock.now_us() + delay_us, self.field.remove, card)
            result = self.prove(self.prover)
            self.assertEqual(result, FALSE if self.field.cards else LOST)
            results.add(result)
            clock.sleep_us(140_000)
            self.away()
        self.assertEqual(results, {FALSE, LOST})

    def test_without_a_valid_counter(self):
        """The key is right (it can be found out), the MAC is not."""
        other = b"\x9c\x59\x9b\x33"
        for first, second in (
            (bytes(16), bytes(16)),
            (b"\xff" * 16, b"\xff" * 16),
            (block(NEW, UID_4, 5, 7, 1), block(NEW, UID_4, 5, 7, 0)),  # each in the other's place
            (block(NEW, other, 5, 7, 0), block(NEW, other, 4, 7, 1)),
            (block(bytes(16), UID_4, 5, 7, 0), block(bytes(16), UID_4, 4, 7, 1)),
            (block(NEW, UID_4, 5, 6, 0), block(NEW, UID_4, 5, 8, 1)),  # another version, an unknown one
            (block(NEW, UID_4, 5, 7, 0, 4), bytes(16)),  # of another sector
        ):
            card = classic_card()
            card.block(BLOCK, first)
            card.block(BLOCK + 1, second)
            self.false(card)

    def test_any_flipped_bit_of_a_block(self):
        for index in range(0, 128, 5):
            card = classic_card(counters=(10, None))
            data = bytearray(card.block(BLOCK))
            data[index >> 3] ^= 1 << (index & 7)
            card.block(BLOCK, data)
            self.assertEqual(self.tap(self.prover, card), FALSE)

    def test_a_full_copy_is_seen_by_its_counter(self):
        card = classic_card()
        copy = card.copy(True)
        self.passes(card, 11)
        self.passes(card, 12)
        self.passes(copy, 11)  # lower than before: who keeps the counters raises the alarm

    def test_long_uids_are_not_of_this_kind(self):
        self.bench.credential.show(CLASSIC, 10)
        self.assertEqual(self.bench.run(self.prover.prove(self.bench.credential)), FALSE)


class Torn(Counting):
    def test_every_way_and_moment(self):
        """Gone at each moment of a passage: LOST or PROVEN, and the next passage counts on from what was recorded."""
        seen = set()
        seed = ticks_us()
        print("seed", seed)
        random.seed(seed)
        card = classic_card(seed=1)
        recorded = 10
        whole = 0
        for delay_us in range(0, 46_000, 400):
            self.bench.cards.forget()
            self.field.put(card)
            self.assertEqual(self.find(), 4)
            clock.at_us(clock.now_us() + delay_us, self.field.remove, card)
            result = self.prove(self.prover)
            found = self.bench.credential
            self.assertTrue(result in (LOST, PROVEN))
            seen.add((result, found.counted))
            if result == PROVEN:
                self.assertTrue(found.counter >= recorded)
                self.assertTrue(held(card) >= found.counter)
                recorded = found.counter
            self.away()
            self.assertTrue(held(card) >= recorded)
            # and the next passage is a whole one
            before = held(card)
            self.passes(card, before + 1)
            recorded = before + 1
            whole += 1
        self.assertEqual(seen, {(LOST, False), (PROVEN, False), (PROVEN, True)})
        print("whole passages", whole, "torn programmings", card.torn)
        self.assertTrue(card.torn > 5)

    def test_each_kind_of_tear(self):
        for how in TEARS:
            for _ in range(4):
                card = classic_card()
                card.tear(how)
                self.passes(card, 10, counted=False)
                now = held(card)
                self.assertTrue(now in (10, 11))
                self.passes(card, now + 1)

    def test_noise(self):
        lost = 0
        for noise in (1, 2, 4):
            for delay_us in range(0, 50_000, 1_500):
                card = classic_card()
                self.bench.cards.forget()
                self.field.put(card)
                self.assertEqual(self.find(), 4)
                clock.at_us(clock.now_us() + delay_us, self.damage, noise)
                result = self.prove(self.prover)
                self.bench.chip.noise = 0
                self.assertTrue(result in (LOST, PROVEN))
                lost += result == LOST
                self.away()
                self.passes(card, held(card) + 1)
        self.assertTrue(lost)

    def damage(self, count):
        self.bench.chip.noise = count

    def test_a_dead_reader(self):
        for delay_us in (0, 5_000, 12_000, 20_000):
            self.bench.cards.forget()
            self.field.put(classic_card())
            self.assertEqual(self.find(), 4)
            clock.at_us(clock.now_us() + delay_us, self.cut)
            with self.assertRaises(ReaderFault):
                self.prove(self.prover)
            self.bench.chip.miso = None
            self.bench.start()
            self.away()
            self.passes(classic_card(), 11)

    def cut(self):
        self.bench.chip.miso = 0xFF

    def test_cancelled(self):
        card = classic_card()
        for waits in range(1, 40, 3):
            self.bench.cards.forget()
            self.field.put(card)
            self.assertEqual(self.find(), 4)
            proof = self.prover.prove(self.bench.credential)
            try:
                for _ in range(waits):
                    proof.send(None)
            except StopIteration:
                pass
            proof.close()
            self.bench.cards.lost()
            self.assertFalse(self.bench.chip.registers[0x08] & CRYPTO1_ON)
            self.away()
            self.passes(card, held(card) + 1)

    def test_left_on_the_reader(self):
        card = classic_card()
        self.field.put(card)
        for counter in range(11, 20):
            self.assertEqual(self.find(), 4)
            self.assertEqual(self.prove(self.prover), PROVEN)
            self.finds(counter)
            self.bench.cards.forget()
