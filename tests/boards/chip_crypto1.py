"""The cipher of MIFARE Classic against a recorded authentication, and its two ends against each other."""

import unittest

from boards.sim.cards import odd_parity
from boards.sim.crypto1 import Crypto1, successor

# Recorded on air between a reader and a card; the example of proxmark3's test of mfkey64.
UID = b"\x9c\x59\x9b\x32"
KEY = b"\xff\xff\xff\xff\xff\xff"
NT = b"\x82\xa4\x16\x6c"
NR_ENCRYPTED = b"\xa1\xe4\x58\xce"
AR_ENCRYPTED = b"\x6e\xea\x41\xe0"
AT_ENCRYPTED = b"\x5c\xad\xf4\x39"


def number(data):
    return int.from_bytes(data, "little")


class Vector(unittest.TestCase):
    def cipher(self, key=KEY):
        cipher = Crypto1(key)
        cipher.stream(number(UID) ^ number(NT), 32)
        cipher.stream(number(NR_ENCRYPTED), 32, True)
        return cipher

    def test_the_recorded_answers(self):
        cipher = self.cipher()
        self.assertEqual(number(AR_ENCRYPTED) ^ cipher.stream(0, 32), successor(number(NT), 64))
        self.assertEqual(number(AT_ENCRYPTED) ^ cipher.stream(0, 32), successor(number(NT), 96))

    def test_another_key_does_not_fit(self):
        for bit in range(48):
            key = (number(KEY) ^ 1 << bit).to_bytes(6, "little")
            cipher = self.cipher(key)
            self.assertNotEqual(number(AR_ENCRYPTED) ^ cipher.stream(0, 32), successor(number(NT), 64))

    def test_both_ends_stay_together(self):
        ends = Crypto1(b"\xa0\xa1\xa2\xa3\xa4\xa5"), Crypto1(b"\xa0\xa1\xa2\xa3\xa4\xa5")
        frame = bytearray(b"\x30\x04\x26\xee")
        parity = ends[0].cover(frame, 32, odd_parity(frame, 4))
        self.assertNotEqual(frame, b"\x30\x04\x26\xee")
        parity = ends[1].cover(frame, 32, parity)
        self.assertEqual(frame, b"\x30\x04\x26\xee")
        self.assertEqual(parity, odd_parity(frame, 4))
        nibble = bytearray(b"\x0a")
        ends[1].cover(nibble, 4, 0)
        ends[0].cover(nibble, 4, 0)
        self.assertEqual(nibble, b"\x0a")
        self.assertEqual(ends[0].stream(0, 30), ends[1].stream(0, 30))


class Parity(unittest.TestCase):
    def test_odd(self):
        self.assertEqual(odd_parity(b"\x00\x01\x03\x07\xff\x80", 6), 0b010101)

    def test_the_generator_is_short(self):
        """Sixteen bits of state: after 65535 steps it begins anew."""
        nonce = successor(number(b"\x01\x20\x01\x45"), 32)
        self.assertNotEqual(successor(nonce, 32768), nonce)
        self.assertEqual(successor(nonce, 65535), nonce)
