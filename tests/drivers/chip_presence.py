"""One presence for a card however long it stays, several cards, and what faults leave behind; frames from paper."""

import asyncio
from binascii import hexlify, unhexlify

from drivers.iso14443a import SEVERAL, ReaderFault
from paper import HALT, NOBODY_ELSE, OTHERS, READ_4, UID_4, WAKE, WithPaper, known, reading


class Presence(WithPaper):
    def test_a_card_that_stays_is_reported_once(self):
        for uid in ("9c599b32", "04f252b1ec0280", "0102030405060708090a"):
            self.arrive(uid)
            for _ in range(5):
                self.stays(uid)
            self.goes()

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
            self.stays()

    def test_corrupted_answers_mean_still_there(self):
        self.arrive()
        for deaf in (1, 2, 2):  # after an error one silence more is asked for
            self.assertEqual(self.find(*([WAKE + "silence"] * deaf)), 0)
            self.assertEqual(self.find(WAKE + "silence"), 0)
            self.assertEqual(self.find(*([WAKE + "garbled"] * 4)), 0)
            # it may be deaf now: the first silence does not count
            self.assertEqual(self.find(*([OTHERS + "silence"] + [OTHERS + "garbled"] * 3)), 0)
        self.assertEqual(self.cards.present, 4)

    def test_heard_in_the_request_then_lost(self):
        self.arrive()
        known_silent = [WAKE + "0400", known("9c599b32")[1].split(" > ")[0] + " > silence"]
        for _ in range(6):
            self.assertEqual(self.find(*(known_silent + [WAKE + "silence"] * 2)), 0)
            self.assertEqual(self.find(NOBODY_ELSE), 0)
        self.assertEqual(self.cards.present, 4)

    def test_another_card_instead(self):
        self.arrive()
        other = reading("11223344")
        silent = known("9c599b32")[1].split(" > ")[0] + " > silence"
        self.assertEqual(self.find(*([WAKE + "0400", silent] + other + [HALT])), 4)
        self.assertEqual(self.uid[:4], unhexlify("11223344"))
        self.assertTrue(self.cards.several)
        # the first is given three chances, because only its silence tells that it has gone
        for _ in range(2):
            self.assertEqual(self.find(NOBODY_ELSE), 0)
            self.assertEqual(self.find(*([WAKE + "0400", silent] + other + [HALT])), 0)
        self.assertEqual(self.find(NOBODY_ELSE), 0)
        self.assertFalse(self.cards.several)
        self.stays("11223344")
        # and is a new presence when it comes back
        silent = known("11223344")[1].split(" > ")[0] + " > silence"
        self.assertEqual(self.find(*([WAKE + "0400", silent] + reading("9c599b32") + [HALT])), 4)

    def test_another_card_of_another_length(self):
        self.arrive("04f252b1ec0280")
        silent = known("04f252b1ec0280")[1].split(" > ")[0] + " > silence"
        self.assertEqual(self.find(*([WAKE + "0400", silent] + reading("04f252b1") + [HALT])), 4)

    def test_the_same_card_after_all(self):
        # it missed its SELECT: read again, it is still the same presence
        self.arrive()
        silent = known("9c599b32")[1].split(" > ")[0] + " > silence"
        for _ in range(4):
            self.assertEqual(self.find(*([WAKE + "0400", silent] + reading("9c599b32") + [HALT])), 0)
            self.assertEqual(self.find(NOBODY_ELSE), 0)
        self.stays()

    def test_reported_again_when_forgotten(self):
        for uid in ("9c599b32", "04f252b1ec0280"):
            self.arrive(uid)
            for _ in range(3):
                self.stays(uid)
                self.cards.forget()
                for index in range(10):
                    self.uid[index] = 0
                self.assertEqual(self.find(*(known(uid) + [HALT])), len(uid) // 2)
                self.assertEqual(self.uid[: len(uid) // 2], unhexlify(uid))
                self.assertEqual(self.find(NOBODY_ELSE), 0)
            self.goes()
        self.cards.forget()
        self.assertEqual(self.find(WAKE + "silence"), 0)

    def test_halt_is_given_time(self):
        self.assertEqual(self.find(*(READ_4 + (HALT,))), 4)
        self.clock.now -= 20
        self.clock.waited.clear()
        self.find(NOBODY_ELSE)
        self.assertEqual(self.clock.waited[0], 5)

    def test_a_clock_that_wrapped_does_not_hold_the_loop(self):
        self.arrive()
        self.clock.now += 2**29 + 1000  # nobody asked for six days
        self.clock.waited.clear()
        self.find(*(known("9c599b32") + [HALT]))
        self.assertTrue(max(self.clock.waited) < 10)


class Held(WithPaper):
    def setUp(self):
        super().setUp()
        self.cards.hold = True

    def reads(self):
        self.assertEqual(self.find(*READ_4), 4)

    def test_released(self):
        self.reads()
        self.paper.script(HALT)
        self.cards.release()
        self.paper.script()
        self.cards.release()  # there is nothing to release now
        self.clock.waited.clear()
        self.assertEqual(self.find(NOBODY_ELSE), 0)
        self.assertEqual(self.clock.waited[0], 5)
        self.stays()

    def test_lost(self):
        self.reads()
        self.cards.lost()
        self.cards.release()
        self.assertEqual(self.find(OTHERS + "silence", OTHERS + "silence"), 0)
        self.stays()

    def test_neither_released_nor_lost(self):
        self.reads()
        self.assertEqual(self.find(*([OTHERS + "silence", OTHERS + "0400"] + reading("9c599b32")[1:] + [HALT])), 0)

    def chosen(self, *lines):
        self.paper.script(*lines)
        search = self.cards.select(self.uid, 4)
        while True:
            try:
                search.__next__()
            except StopIteration as stop:
                self.paper.script()
                return stop.value

    def test_selected(self):
        self.reads()
        self.cards.lost()
        self.assertTrue(self.chosen(WAKE + "silence", *known("9c599b32")) is True)
        self.paper.script(HALT)
        self.cards.release()
        self.assertFalse(self.chosen(WAKE + "silence"))
        self.stays_after_turn()

    def stays_after_turn(self):
        for _ in range(2):
            self.clock.now += 20
            if self.cards._turn:
                self.assertEqual(self.find(NOBODY_ELSE), 0)
            else:
                self.assertEqual(self.find(*(known("9c599b32") + [HALT])), 0)

    def test_not_selected(self):
        self.reads()
        self.cards.lost()
        silent = known("9c599b32")[1].split(" > ")[0] + " > silence"
        self.assertFalse(self.chosen(WAKE + "silence", *([WAKE + "0400", silent] * 3)))
        for answer in ("garbled", "collision", "08b6dc", "08"):
            bad = silent.replace("silence", answer)
            self.assertFalse(self.chosen(*([WAKE + "0400", bad] * 4)))
        self.assertEqual(self.cards.present, 4)


class Several(WithPaper):
    TWO = (WAKE + "0400", "9320 > collision")

    def test_resolved_bit_by_bit(self):
        # 9c = 10011100b and 1c = 00011100b differ in bit 7; the second answer has 32 - 8 bits to go
        self.assertEqual(
            self.find(
                WAKE + "0400",
                "9320 > collision:7:1c00000000",
                "93309c > 599b326c",
                READ_4[2],
                HALT,
            ),
            4,
        )
        self.assertEqual(self.uid[:4], UID_4)
        self.assertTrue(self.cards.several)

    def test_within_a_byte_and_twice(self):
        # of 9c the bits 0 to 2 are known, then of 59 the bits 0 to 3
        self.assertEqual(
            self.find(
                WAKE + "0400",
                "9320 > collision:2:98ffffffff",
                "932304:3+3 > collision:11:98f1ffffff",
                "93349c09:4+4 > 509b326c",
                READ_4[2],
                HALT,
            ),
            4,
        )
        self.assertEqual(self.uid[:4], UID_4)

    def test_nonsense_about_a_collision(self):
        for where in ("32:9c599b326c", "39:9c599b326c"):
            self.assertEqual(self.find(*([WAKE + "0400", "9320 > collision:" + where] * 4)) <= 0, True)
        # behind what is known already
        lines = [WAKE + "0400", "9320 > collision:9:9c599b326c", "93329c03:2+2 > collision:1:01"]
        self.assertEqual(self.find(*(lines * 4)), 0)
        self.assertEqual(self.cards.present, SEVERAL)

    def test_wrong_length_after_a_collision(self):
        for tail in ("599b32", "599b326c00", "garbled", "silence"):
            lines = [WAKE + "0400", "9320 > collision:7:1c00000000", "93309c > " + tail]
            self.assertEqual(self.find(*(lines * 4)), 0)

    def test_one_after_the_other_and_each_one_presence(self):
        self.assertEqual(
            self.find(WAKE + "0400", "9320 > collision:7:1c00000000", "93309c > 599b326c", READ_4[2], HALT), 4
        )
        other = reading("1c112233")
        self.assertEqual(self.find(*([OTHERS + "0400"] + other[1:] + [HALT])), 4)
        self.assertEqual(self.uid[:4], unhexlify("1c112233"))
        for _ in range(4):
            self.assertEqual(self.find(NOBODY_ELSE), 0)
            self.assertTrue(self.cards.several)
            self.assertEqual(self.find(*(known("9c599b32") + [HALT])), 0)
            self.assertEqual(self.find(*(known("1c112233") + [HALT])), 0)
        self.assertEqual(self.find(NOBODY_ELSE), 0)
        # the first one goes
        silent = known("9c599b32")[1].split(" > ")[0] + " > silence"
        for _ in range(3):
            self.assertEqual(self.find(*([WAKE + "0400", silent] + other + [HALT])), 0)
            self.assertEqual(self.find(NOBODY_ELSE), 0)
        self.assertFalse(self.cards.several)
        self.stays("1c112233")

    def test_a_fifth_card_is_one_too_many(self):
        self.arrive("11111111")
        for uid in ("22222222", "33333333", "44444444"):
            self.arrive_beside(uid)
        self.skip_to_request()
        self.assertEqual(self.find(*([OTHERS + "0400"] + reading("55555555")[1:] + [HALT])), SEVERAL)

    def arrive_beside(self, uid):
        self.skip_to_request()
        self.assertEqual(self.find(*([OTHERS + "0400"] + reading(uid)[1:] + [HALT])), 4)

    def skip_to_request(self):
        while self.cards._turn < self.cards._count:
            uid = hexlify(self.cards._cards[self.cards._turn][:4]).decode()
            self.assertEqual(self.find(*(known(uid) + [HALT])), 0)

    def test_reported_once_while_it_lasts(self):
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)
        for _ in range(3):
            self.assertEqual(self.find(*(self.TWO * 4)), 0)
        self.assertEqual(self.cards.present, SEVERAL)
        self.assertTrue(self.cards.several)

    def test_the_one_that_remains_is_read(self):
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)
        self.arrive()
        self.assertEqual(self.cards.present, 4)
        self.assertFalse(self.cards.several)

    def test_both_gone(self):
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)
        self.assertEqual(self.find(WAKE + "silence", WAKE + "silence"), 0)
        self.assertEqual(self.find(WAKE + "silence"), 0)
        self.assertEqual(self.find(WAKE + "silence", "off", "on"), 0)
        self.assertEqual(self.find(*(self.TWO * 4)), SEVERAL)

    def test_one_collision_may_be_noise(self):
        self.assertEqual(self.find(*(self.TWO + READ_4 + (HALT,))), 4)

    def test_a_select_that_collides(self):
        same = READ_4[:2] + (READ_4[2].split(" > ")[0] + " > collision",)
        self.assertEqual(self.find(*(same * 4)), SEVERAL)

    def test_at_a_deeper_level(self):
        deep = tuple(reading("04f252b1ec0280")[:3])
        self.assertEqual(self.find(*((deep + ("9520 > collision",)) * 4)), SEVERAL)
        whole = reading("04f252b1ec0280")
        # b1 = 10110001b, first differs in bit 4
        lines = deep + ("9520 > collision:4:a1", "952511:5+5 > a0ec0280df", whole[4], HALT)
        self.assertEqual(self.find(*lines), 7)
        self.assertEqual(self.uid[:7], unhexlify("04f252b1ec0280"))


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
        self.cards._turn = 0
        asyncio.run(self.cards.start())
        self.assertEqual(self.paper.started, 1)
        self.stays_after_start()

    def stays_after_start(self):
        # the field was off: it may lie in any state
        self.assertEqual(self.find(*([WAKE + "silence"] + known("9c599b32") + [HALT])), 0)

    def test_cancelled_in_the_middle(self):
        self.paper.script(WAKE + "0400", "9320 > 9c599b326c")
        search = self.cards.find(self.uid)
        for _ in range(3):
            search.__next__()
        send = self.paper.send

        def slow(*arguments):
            send(*arguments)
            self.paper.busy = 99

        self.paper.send = slow
        search.__next__()  # the request is answered, anticollision is under way
        self.paper.send = send
        self.assertEqual(self.paper.lines, [])
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
