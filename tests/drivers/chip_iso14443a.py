"""The protocol of one card, with frames from paper: no chip, no clock but the one of the test."""

import asyncio
import gc
import os
import random
from binascii import hexlify, unhexlify
from time import ticks_ms
from unittest import TestCase

from drivers import iso14443a
from drivers.iso14443a import BUSY, COLLISION, GARBLED, SEVERAL, TIMEOUT, Iso14443a, ReaderFault, crc_a

FUZZ_ROUNDS = 4000


class Paper:
    """A transport that compares what is sent with a script and gives the script's answers.

    A line is "what is sent > what comes back", in hex; the first may be followed by ":7" bits; the second may be the
    name of an outcome. "push 5000…" is sent without an answer, "off" and "on" are the field.
    """

    OUTCOMES = {"silence": TIMEOUT, "collision": COLLISION, "garbled": GARBLED}

    def __init__(self):
        self.frame = bytearray(65)
        self.lines = []
        self.started = 0
        self.busy = 0

    def script(self, *lines):
        if self.lines:
            raise AssertionError("not sent: " + self.lines[0])
        self.lines = list(lines)

    def next_line(self, sent):
        if not self.lines:
            raise AssertionError("nothing more was expected, sent " + sent)
        line = self.lines.pop(0)
        expected, _, answer = line.partition(" > ")
        if sent != expected:
            raise AssertionError("sent " + sent + ", expected " + line)
        return answer

    def hex(self, length):
        return hexlify(self.frame[1 : 1 + length]).decode()

    async def start(self):
        self.started += 1

    def field(self, on):
        self.next_line("on" if on else "off")

    def send(self, length, last_bits, timeout_us):
        assert timeout_us == 2500
        text = self.hex(length)
        if last_bits:
            text += ":" + str(last_bits)
        self.answer = self.next_line(text)
        self.busy = 2

    def push(self, length):
        self.next_line("push " + self.hex(length))

    def poll(self):
        if self.busy:
            self.busy -= 1
            return BUSY
        if self.answer == "dead":
            raise ReaderFault("dead")
        if self.answer in self.OUTCOMES:
            return self.OUTCOMES[self.answer]
        data = unhexlify(self.answer)
        self.frame[1 : 1 + len(data)] = data
        return len(data)


WAKE = "52:7 > "
HALT = "push 500057cd"
# A published trace of a MIFARE Classic 1K, and one of an Ultralight whose CRC the trace leaves out
READ_4 = (WAKE + "0400", "9320 > 9c599b326c", "93709c599b326c6b30 > 08b6dd")
UID_4 = unhexlify("9c599b32")
UID_7 = unhexlify("04f252b1ec0280")


def with_crc(text):
    data = unhexlify(text)
    crc = crc_a(data, 0, len(data))
    return text + hexlify(bytes((crc & 0xFF, crc >> 8))).decode()


def level(number, data, sak):
    """Anticollision and SELECT of one cascade level: 4 data bytes as hex."""
    raw = unhexlify(data)
    data += "%02x" % (raw[0] ^ raw[1] ^ raw[2] ^ raw[3])
    code = ("93", "95", "97")[number]
    return [code + "20 > " + data, with_crc(code + "70" + data) + " > " + with_crc(sak)]


def reading(uid, sak="08"):
    """All frames that read a card of this UID (hex), without HLTA."""
    lines = [WAKE + "0400"]
    number = 0
    while len(uid) > 8:
        lines += level(number, "88" + uid[:6], "04")
        uid = uid[6:]
        number += 1
    return lines + level(number, uid, sak)


def known(uid, sak="08"):
    """The frames that find the same card again."""
    return [line for line in reading(uid, sak) if "20 > " not in line]


class Clock:
    def __init__(self):
        self.now = 0
        self.waited = []

    def ticks_ms(self):
        return self.now

    def sleep_ms(self, delay_ms):
        self.waited.append(delay_ms)
        self.now += delay_ms
        return iter((None,))


class WithPaper(TestCase):
    def setUp(self):
        self.clock = Clock()
        self.real = iso14443a.sleep_ms, iso14443a.ticks_ms
        iso14443a.sleep_ms = self.clock.sleep_ms
        iso14443a.ticks_ms = self.clock.ticks_ms
        self.paper = Paper()
        self.cards = Iso14443a(self.paper)
        self.uid = bytearray(10)

    def tearDown(self):
        iso14443a.sleep_ms, iso14443a.ticks_ms = self.real

    def find(self, *lines):
        """One find() that must exchange exactly these lines."""
        self.paper.script(*lines)
        search = self.cards.find(self.uid)
        while True:
            try:
                search.__next__()
            except StopIteration as stop:
                self.paper.script()
                self.clock.now += 20
                return stop.value

    def arrive(self, uid="9c599b32", sak="08"):
        self.assertEqual(self.find(*(reading(uid, sak) + [HALT])), len(uid) // 2)


class Crc(TestCase):
    def test_vectors_of_the_standard(self):
        # ISO/IEC 14443-3 annex B, then frames of every trace: HLTA, SAK 08, 04, 20 and 00
        for data, crc in (
            ("0000", "a01e"),
            ("1234", "26cf"),
            ("5000", "57cd"),
            ("08", "b6dd"),
            ("04", "da17"),
            ("20", "fc70"),
            ("00", "fe51"),
            # SELECT frames of published traces
            ("93709c599b326c", "6b30"),
            ("93708804cfffbc", "7fbb"),
        ):
            raw = unhexlify(data)
            value = crc_a(raw, 0, len(raw))
            self.assertEqual(hexlify(bytes((value & 0xFF, value >> 8))).decode(), crc)
            whole = raw + unhexlify(crc)
            self.assertEqual(crc_a(whole, 0, len(whole)), 0)

    def test_window(self):
        self.assertEqual(crc_a(b"\xaa\x12\x34\xbb", 1, 3), 0xCF26)
        self.assertEqual(crc_a(b"", 0, 0), 0x6363)

    def test_matches_bit_by_bit(self):
        seed = ticks_ms()
        print("seed", seed)
        random.seed(seed)
        for _ in range(200):
            data = os.urandom(random.randrange(20))
            crc = 0x6363
            for byte in data:
                crc ^= byte
                for _ in range(8):
                    crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
            self.assertEqual(crc_a(data, 0, len(data)), crc)


class Reading(WithPaper):
    def test_4_bytes_from_a_trace(self):
        self.assertEqual(self.find(*(READ_4 + (HALT,))), 4)
        self.assertEqual(self.uid[:4], UID_4)
        self.assertEqual(self.cards.sak, 0x08)
        self.assertEqual(self.cards.atqa, 0x0004)

    def test_7_bytes(self):
        self.assertTrue("9320 > 8804f2522c" in reading("04f252b1ec0280"))
        self.assertTrue("9520 > b1ec0280df" in reading("04f252b1ec0280"))
        self.arrive("04f252b1ec0280", "00")
        self.assertEqual(self.uid[:7], UID_7)
        self.assertEqual(self.cards.sak, 0)

    def test_10_bytes(self):
        self.arrive("0102030405060708090a", "20")
        self.assertEqual(self.uid, unhexlify("0102030405060708090a"))
        self.assertEqual(self.cards.sak, 0x20)

    def test_10_bytes_with_a_tag_in_the_last_level(self):
        # CT is not forbidden as the seventh byte of a triple UID
        self.arrive("01020304050688aabbcc", "20")

    def test_nobody(self):
        self.assertEqual(self.find(WAKE + "silence"), 0)
        # the air time of a request, then the rest of the chip's timer
        self.assertEqual(self.clock.waited, [1, 2, 2])

    def test_no_frame_is_polled_without_giving_the_loop_away(self):
        self.arrive("0102030405060708090a", "20")
        self.assertEqual(len(self.clock.waited), 7 * 3)

    def test_cut_uid_is_never_taken_for_a_whole_one(self):
        # the tag, but a SAK that says complete
        lines = level(0, "8804f252", "08")
        tries = [WAKE + "4400"] + lines
        self.assertEqual(self.find(*(tries * 4)), 0)
        # and the other way round
        lines = level(0, "9c599b32", "04")
        tries = [WAKE + "4400"] + lines
        self.assertEqual(self.find(*(tries * 4)), 0)
        # a fourth level does not exist
        lines = reading("0102030405060708090a", "04")
        self.assertEqual(self.find(*(lines * 4)), 0)

    def test_wrong_check_byte(self):
        bad = (WAKE + "0400", "9320 > 9c599b326d")
        self.assertEqual(self.find(*(bad + READ_4 + (HALT,))), 4)

    def test_wrong_crc(self):
        bad = READ_4[:2] + ("93709c599b326c6b30 > 08b6dc",)
        self.assertEqual(self.find(*(bad + READ_4 + (HALT,))), 4)

    def test_wrong_lengths(self):
        for bad in (
            (WAKE + "04",),
            (WAKE + "040000",),
            (WAKE + "0400", "9320 > 9c599b32"),
            (WAKE + "0400", "9320 > 9c599b326c55"),
            READ_4[:2] + ("93709c599b326c6b30 > 08b6",),
            READ_4[:2] + ("93709c599b326c6b30 > 08",),
            READ_4[:2] + ("93709c599b326c6b30 > 08b6dd00",),
            (WAKE + "garbled",),
            (WAKE + "0400", "9320 > garbled"),
            READ_4[:2] + ("93709c599b326c6b30 > garbled",),
            (WAKE + "0400", "9320 > silence"),
            READ_4[:2] + ("93709c599b326c6b30 > silence",),
        ):
            self.assertEqual(self.find(*(bad * 4)), 0)
            self.assertEqual(self.cards.present, 0)

    def test_a_card_left_deaf_by_an_error_is_asked_once_more(self):
        # after an error in READY the next request only resets the card, ISO/IEC 14443-3 6.3
        self.assertEqual(
            self.find(*((WAKE + "0400", "9320 > garbled", WAKE + "silence") + READ_4 + (HALT,))),
            4,
        )

    def test_and_in_the_next_find_too(self):
        self.assertEqual(self.find(*((WAKE + "0400", "9320 > garbled") * 4)), 0)
        self.assertEqual(self.find(*((WAKE + "silence",) + READ_4 + (HALT,))), 4)

    def test_different_atqa_at_once_are_an_answer(self):
        self.assertEqual(self.find(*((WAKE + "collision",) + READ_4[1:] + (HALT,))), 4)


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


class Fuzz(WithPaper):
    def test_random_answers(self):
        seed = ticks_ms()
        print("seed", seed)
        random.seed(seed)
        cards = self.cards
        frame = self.paper.frame
        transport = Noise(frame)
        cards._transport = transport
        uid = self.uid
        reported = 0
        for _ in range(FUZZ_ROUNDS):
            transport.chain = bytearray()
            self.clock.waited.clear()
            transport.good = random.randrange(4)
            search = cards.find(uid)
            result = None
            while result is None:
                try:
                    search.__next__()
                except StopIteration as stop:
                    result = stop.value
            self.assertTrue(result in (0, 4, 7, 10, SEVERAL))
            if result > 0:
                reported += 1
                self.assertEqual(bytes(uid[:result]), bytes(transport.chain[-result:]))
        self.assertTrue(reported > 20)
        # it still reads
        transport = self.paper
        cards._transport = transport
        cards.present = 0
        cards._unsure = False
        self.arrive()


class Noise:
    """Answers at random, sometimes rightly. `chain` holds the UID bytes of right answers in order."""

    def __init__(self, frame):
        self.frame = frame
        self.chain = bytearray()
        self.good = 0

    def field(self, on):
        pass

    def push(self, length):
        pass

    def send(self, length, last_bits, timeout_us):
        self.request = bytes(self.frame[1 : 1 + length])

    def poll(self):
        request = self.request
        frame = self.frame
        if random.randrange(8) == 0:
            return (BUSY, TIMEOUT, COLLISION, GARBLED)[random.randrange(4)]
        right = self.good > 0 and random.randrange(12) != 0
        if not right:
            length = random.randrange(1, 65)
            frame[1 : 1 + length] = os.urandom(length)
            if random.randrange(2):
                length = (2, 5, 3)[random.randrange(3)]
            return length
        if len(request) == 1:
            frame[1:3] = b"\x04\x00"
            self.chain = bytearray()
            return 2
        if len(request) == 2:
            data = bytearray(os.urandom(4))
            if random.randrange(2):
                data[0] = 0x88
            frame[1:5] = data
            frame[5] = data[0] ^ data[1] ^ data[2] ^ data[3]
            return 5
        more = request[2] == 0x88 and request[0] != 0x97
        self.chain.extend(request[3:6] if more else request[2:6])
        data = bytes((0x04 if more else 0x20,))
        crc = crc_a(data, 0, 1)
        frame[1:4] = data + bytes((crc & 0xFF, crc >> 8))
        return 3


class Air:
    """A card that lies in the field or not, as fast as can be."""

    def __init__(self):
        self.frame = bytearray(65)
        self.there = False
        self.answers = {1: b"\x04\x00", 2: UID_4 + b"\x6c", 9: b"\x08\xb6\xdd"}

    def field(self, on):
        pass

    def push(self, length):
        pass

    def send(self, length, last_bits, timeout_us):
        self.length = length

    def poll(self):
        if not self.there:
            return TIMEOUT
        answer = self.answers[self.length]
        for index in range(len(answer)):
            self.frame[1 + index] = answer[index]
        return len(answer)


class Loop(TestCase):
    def test_awaited_and_without_garbage(self):
        air = Air()
        cards = Iso14443a(air)
        uid = bytearray(10)

        async def main():
            results = [0, 0, 0]
            for _ in range(3):
                results[0] = await cards.find(uid)
            air.there = True
            await cards.find(uid)
            cards.present = 0
            air.there = False
            gc.collect()
            before = gc.mem_alloc()
            for _ in range(20):
                results[0] |= await cards.find(uid)
            idle = gc.mem_alloc() - before
            air.there = True
            before = gc.mem_alloc()
            results[1] = await cards.find(uid)
            read = gc.mem_alloc() - before
            before = gc.mem_alloc()
            results[2] = await cards.find(uid)
            again = gc.mem_alloc() - before
            return results, idle, read, again

        results, idle, read, again = asyncio.run(main())
        print("bytes: 20 idle looks", idle, "a read", read, "the same card again", again)
        self.assertEqual(results, [0, 4, 0])
        self.assertEqual(uid[:4], UID_4)
        self.assertEqual(idle, 0)
        self.assertEqual(read, 0)
        self.assertEqual(again, 0)

    def test_cancelled_by_the_loop(self):
        air = Air()
        cards = Iso14443a(air)
        uid = bytearray(10)

        async def look():
            return await cards.find(uid)

        async def main():
            task = asyncio.create_task(look())
            await asyncio.sleep_ms(0)
            task.cancel()
            try:
                await task
                return None
            except asyncio.CancelledError:
                air.there = True
                return await cards.find(uid)

        self.assertEqual(asyncio.run(main()), 4)

    def test_other_tasks_run_meanwhile(self):
        air = Air()
        cards = Iso14443a(air)
        turns = [0]

        async def other():
            while True:
                turns[0] += 1
                await asyncio.sleep_ms(0)

        async def main():
            task = asyncio.create_task(other())
            await cards.find(bytearray(10))
            task.cancel()

        asyncio.run(main())
        self.assertTrue(turns[0] > 0)
