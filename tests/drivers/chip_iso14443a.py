"""The protocol of one card, with frames from paper: no chip, no clock but the one of the test."""

import os
import random
from binascii import hexlify, unhexlify
from time import ticks_ms
from unittest import TestCase

from drivers.iso14443a import crc_a
from paper import HALT, READ_4, UID_4, UID_7, WAKE, WithPaper, level, reading


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

    def test_an_answer_that_is_ready_needs_no_round_of_the_loop(self):
        """But a request is not looked at before the loop was given away: most of them nobody answers."""
        self.find(*(reading("0102030405060708090a", "20") + [HALT]))
        self.assertEqual(self.clock.waited, [1, 2, 2])

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
