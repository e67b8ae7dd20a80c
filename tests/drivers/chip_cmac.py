"""AES-CMAC and what derives keys by it, with public vectors."""

import os
import random
from binascii import unhexlify
from time import ticks_us
from unittest import TestCase

import vectors
from cryptolib import aes
from drivers.cmac import Cmac
from drivers.ev2session import session_keys
from exchanges import hexed


def plain_cmac(key, message):
    """RFC 4493 with large numbers, as it is written there."""
    ecb = aes(key, 1)

    def encrypt(number):
        return int.from_bytes(ecb.encrypt(number.to_bytes(16, "big")), "big")

    def doubled(number):
        number <<= 1
        return number ^ (1 << 128 | 0x87) if number >> 128 else number

    mask = doubled(encrypt(0))
    if not message or len(message) & 15:
        mask = doubled(mask)
        message += b"\x80" + bytes(-(len(message) + 1) % 16)
    state = 0
    for begin in range(0, len(message), 16):
        block = int.from_bytes(message[begin : begin + 16], "big")
        if begin + 16 == len(message):
            block ^= mask
        state = encrypt(state ^ block)
    return state.to_bytes(16, "big")


class Tags(TestCase):
    def test_rfc_4493(self):
        cmac = Cmac(unhexlify(vectors.CMAC_KEY))
        message = unhexlify(vectors.CMAC_MESSAGE)
        for length, tag in vectors.CMAC:
            self.assertEqual(hexed(cmac.tag(message, length)), tag)
            self.assertEqual(hexed(cmac.tag(message[:length], length)), tag)

    def test_an10922(self):
        for key, message, tag in vectors.DIVERSIFIED:
            message = unhexlify(message)
            self.assertEqual(hexed(Cmac(unhexlify(key)).tag(message, len(message), 32)), tag)
        self.assertEqual(hexed(Cmac(unhexlify(key)).tag(message, len(message))), vectors.DIVERSIFIED_WRONG)

    def test_an10922_of_full_length_is_not_padded(self):
        key = os.urandom(16)
        message = os.urandom(32)
        self.assertEqual(Cmac(key).tag(message, 32, 32), plain_cmac(key, message))

    def test_like_plain_arithmetic(self):
        seed = ticks_us()
        print("seed", seed)
        random.seed(seed)
        for _ in range(150):
            key = os.urandom(16)
            message = os.urandom(random.randrange(50))
            cmac = Cmac(key)
            for _ in range(2):
                self.assertEqual(cmac.tag(message, len(message)), plain_cmac(key, message))


class SessionKeys(TestCase):
    def test_an12196(self):
        keys = session_keys(bytes(16), unhexlify(vectors.EV2_RANDOM), unhexlify(vectors.EV2_RANDOM_CARD))
        self.assertEqual(tuple(hexed(key) for key in keys), vectors.EV2_SESSION)

    def test_an12343(self):
        keys = session_keys(bytes(16), *(unhexlify(text) for text in vectors.SESSION_RANDOM))
        self.assertEqual(tuple(hexed(key) for key in keys), vectors.SESSION)
