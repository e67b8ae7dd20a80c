"""HMAC against the vectors of RFC 4231, keys by purpose, checks."""

import gc
import random
import unittest
from binascii import hexlify, unhexlify
from hashlib import sha256

from storage.mac import Hmac, check, derive, same, seal, sealed

# RFC 4231, 4.2 to 4.5: key, data, HMAC-SHA-256.
VECTORS = (
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
)


def plain(key, message):
    """RFC 2104 as it stands there."""
    key = key + bytes(64 - len(key))
    inner = sha256(bytes(b ^ 0x36 for b in key) + message).digest()
    return sha256(bytes(b ^ 0x5C for b in key) + inner).digest()


class Vectors(unittest.TestCase):
    def test_rfc_4231(self):
        for key, data, tag in VECTORS:
            mac = Hmac(key)
            mac.update(data)
            self.assertEqual(hexlify(mac.digest()).decode(), tag)

    def test_in_pieces_prepared_or_not_and_again(self):
        key, data, tag = VECTORS[1]
        mac = Hmac(key)
        for turn in range(6):
            if turn & 1:
                mac.prepare()
                mac.prepare()
            for i in range(len(data)):
                mac.update(data[i : i + 1])
                if turn == 2:
                    mac.prepare()
            self.assertEqual(mac.digest(), unhexlify(tag))

    def test_any_key_and_length(self):
        seed = random.getrandbits(24)
        print("seed", seed)
        random.seed(seed)
        for _ in range(150):
            key = bytes(random.getrandbits(8) for _ in range(random.randint(0, 64)))
            data = bytes(random.getrandbits(8) for _ in range(random.randint(0, 200)))
            mac = Hmac(bytearray(key))
            mac.update(memoryview(data))
            self.assertEqual(mac.digest(), plain(key, data))

    def test_empty_message(self):
        self.assertEqual(Hmac(b"k").digest(), plain(b"k", b""))

    def test_a_long_key_is_refused(self):
        Hmac(bytes(64))
        with self.assertRaises(ValueError):
            Hmac(bytes(65))

    def test_a_prepared_mac_allocates_two_digests_only(self):
        mac = Hmac(bytes(16))
        data = bytearray(32)
        mac.prepare()
        gc.collect()
        before = gc.mem_alloc()
        mac.update(data)
        mac.digest()
        self.assertTrue(gc.mem_alloc() - before <= 192)  # two bytes objects of 32, their headers, on 64 bits


class Derivation(unittest.TestCase):
    def test_keys_by_purpose(self):
        key = bytes(range(32))
        for purpose in (b"pseudonym", b"event-ack", b"list", b"cmd", b"approve", b"state", b"result"):
            self.assertEqual(derive(key, purpose), plain(key, b"menwei/v1/" + purpose))

    def test_one_of_them_in_full(self):
        self.assertEqual(
            hexlify(derive(bytes(range(32)), b"pseudonym")),
            b"887eb12e284f3bdb37c51c567aa906568113ae2b286aaec81394dac19a981710",
        )


class Comparison(unittest.TestCase):
    def test_same(self):
        buf = b"..0123456789"
        self.assertTrue(same(b"0123456789", buf, 2))
        self.assertTrue(same(memoryview(b"0123"), bytearray(buf), 2))
        self.assertFalse(same(b"0123456789", buf, 1))
        self.assertFalse(same(b"0123456789.", buf, 2))  # it does not stand there whole
        for bit in range(80):
            wrong = bytearray(b"0123456789")
            wrong[bit >> 3] ^= 1 << (bit & 7)
            self.assertFalse(same(wrong, buf, 2))


class Checks(unittest.TestCase):
    def test_seal(self):
        buf = bytearray(b"..content????..")
        seal(b"purpose", buf, 2, 9, 4)
        self.assertEqual(buf[9:13], sha256(b"purposecontent").digest()[:4])
        self.assertEqual(buf[:9] + buf[13:], b"..content..")
        self.assertEqual(check(b"purpose", buf, 2, 9, 16), sha256(b"purposecontent").digest()[:16])
        self.assertTrue(sealed(b"purpose", buf, 2, 9, 4))
        self.assertFalse(sealed(b"purposes", buf, 2, 9, 4))
        for bit in range(16, 104):
            buf[bit >> 3] ^= 1 << (bit & 7)
            self.assertFalse(sealed(b"purpose", buf, 2, 9, 4))
            buf[bit >> 3] ^= 1 << (bit & 7)
