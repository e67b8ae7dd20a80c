"""One presence for a card however long it stays, several cards, and what faults leave behind; frames from paper."""

import asyncio
from binascii import unhexlify

from drivers.iso14443a import SEVERAL, ReaderFault
from paper import HALT, READ_4, WAKE, WithPaper, known, reading


class Presence(WithPaper):
    def test_a_card_that_stays_is_reported_once(self):
        for uid in ("9c599b32", "04f252b1ec0280", "0102030405060708090a"):
            self.cards.present = 0
            self.arrive(uid)
            for _ in range(5):
                self.assertEqual(self.find(*(known(uid) + [HALT])), 0)

    def test_gone_after_three_clean_timeouts_and_back(self):
        self.arrive()
        self.assertEqual(self.find(WAKE + "silence"), 0)
        self.assertEqual(self.find(WAKE + "silence"), 0)
        self.assertEqual(self.cards.present, 4)
        self.assertEqual(self.find(WAKE + "silence", "off", "on"), 0)
        self.assertEqual(self.cards.present, 0)
        self.assertEqual(self.clock.waited[-1], 6)
        self.arrive()

    def test_the_card_gets_time_after_the_field_is_on(self):
        self.arrive()
        for _ in range(2):
            self.find(WAKE + "silence")
        self.find(WAKE + "silence", "off", "on")
        self.clock.now -= 20  # asked at once
        self.clock.waited.clear()
        self.find(WAKE + "silence")
        self.assertEqual(self.clock.waited[0], 7)

    def test_two_timeouts_are_not_gone(self):
        self.arrive()
        for _ in range(4):
            self.assertEqual(self.find(WAKE + "silence"), 0)
            self.assertEqual(self.find(WAKE + "silence"), 0)
            self.assertEqual(self.find(*(known("9c599b32") + [HALT])), 0)

    def test_corrupted_answers_mean_still_there(self):
        self.arrive()
        for deaf in (1, 2, 2):  # after an error one silence more is asked for
            self.assertEqual(self.find(*([WAKE + "silence"] * deaf)), 0)
            self.assertEqual(self.find(WAKE + "silence"), 0)
            self.assertEqual(self.find(*([WAKE + "garbled"] * 4)), 0)
            # it may be deaf now: the first silence does not count
            self.assertEqual(self.find(*([WAKE + "silence"] + [WAKE + "garbled"] * 3)), 0)
        self.assertEqual(self.cards.present, 4)

    def test_heard_in_the_request_then_lost(self):
        self.arrive()
        known_silent = [WAKE + "0400", known("9c599b32")[1].split(" > ")[0] + " > silence"]
        for _ in range(6):
            self.assertEqual(self.find(*(known_silent + [WAKE + "silence"] * 2)), 0)
        self.assertEqual(self.cards.present, 4)

    def test_another_card_instead(self):
        self.arrive()
        other = reading("11223344")
        silent = known("9c599b32")[1].split(" > ")[0] + " > silence"
        self.assertEqual(self.find(*([WAKE + "0400", silent] + other + [HALT])), 4)
        self.assertEqual(self.uid[:4], unhexlify("11223344"))
        self.assertEqual(self.find(*(known("11223344") + [HALT])), 0)

    def test_another_card_of_another_length(self):
        self.arrive("04f252b1ec0280")
        silent = known("04f252b1ec0280")[1].split(" > ")[0] + " > silence"
        self.assertEqual(self.find(*([WAKE + "0400", silent] + reading("04f252b1") + [HALT])), 4)

    def test_the_same_card_after_all(self):
        # it missed its SELECT: read again, it is still the same presence
        self.arrive()
        silent = known("9c599b32")[1].split(" > ")[0] + " > silence"
        self.assertEqual(self.find(*([WAKE + "0400", silent] + reading("9c599b32") + [HALT])), 0)

    def test_halt_is_given_time(self):
        self.arrive()
        self.clock.now -= 20
        self.clock.waited.clear()
        self.find(*(known("9c599b32") + [HALT]))
        self.assertEqual(self.clock.waited[0], 5)

    def test_a_clock_that_wrapped_does_not_hold_the_loop(self):
        self.arrive()
        self.clock.now += 2**29 + 1000  # nobody asked for six days
        self.clock.waited.clear()
        self.find(*(known("9c599b32") + [HALT]))
        self.assertTrue(max(self.clock.waited) < 10)


class Several(WithPaper):
    TWO = (WAKE + "0400", "9320 > collision")

    def test_reported_once_while_it_lasts(self):
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)
        for _ in range(3):
            self.assertEqual(self.find(*(self.TWO * 4)), 0)
        self.assertEqual(self.cards.present, SEVERAL)

    def test_the_one_that_remains_is_read(self):
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)
        self.arrive()

    def test_both_gone(self):
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)
        self.assertEqual(self.find(WAKE + "silence", WAKE + "silence"), 0)
        self.assertEqual(self.find(WAKE + "silence"), 0)
        self.assertEqual(self.find(WAKE + "silence", "off", "on"), 0)
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)

    def test_one_collision_may_be_noise(self):
        self.assertEqual(self.find(*(self.TWO + READ_4 + (HALT,))), 4)

    def test_two_cards_with_one_uid(self):
        same = READ_4[:2] + (READ_4[2].split(" > ")[0] + " > collision",)
        self.assertEqual(self.find(*(same * 4)), SEVERAL)

    def test_at_a_deeper_level(self):
        deep = tuple(reading("04f252b1ec0280")[:3]) + ("9520 > collision",)
        self.assertEqual(self.find(*(deep * 4)), SEVERAL)


class Faults(WithPaper):
    def test_a_fault_leaves_find_and_the_next_one_begins_anew(self):
        with self.assertRaises(ReaderFault):
            self.find(WAKE + "0400", "9320 > dead")
        with self.assertRaises(OSError):
            self.find(WAKE + "dead")
        self.arrive()

    def test_a_card_that_lies_there_is_not_reported_again_after_a_fault(self):
        self.arrive()
        with self.assertRaises(ReaderFault):
            self.find(WAKE + "dead")
        asyncio.run(self.cards.start())
        self.assertEqual(self.paper.started, 1)
        self.assertEqual(self.find(*(known("9c599b32") + [HALT])), 0)

    def test_cancelled_in_the_middle(self):
        self.paper.script(WAKE + "0400", "9320 > 9c599b326c")
        search = self.cards.find(self.uid)
        for _ in range(4):
            search.__next__()
        # the card is in READY: deaf once
        self.assertEqual(self.find(*((WAKE + "silence",) + READ_4 + (HALT,))), 4)

    def test_cancelled_while_the_field_is_off(self):
        self.arrive()
        for _ in range(2):
            self.find(WAKE + "silence")
        self.paper.script(WAKE + "silence", "off")
        search = self.cards.find(self.uid)
        for _ in range(4):
            search.__next__()
        self.assertEqual(self.find("on"), 0)
        self.arrive()
