"""Fields, codes, classes and key slots of the journal."""

import random
import unittest
from hashlib import sha256

from storage import record

CODES = (record.SINGLE, record.LONG, record.SECOND, record.KEY)


def ones(value):
    count = 0
    while value:
        count += value & 1
        value >>= 1
    return count


class Fields(unittest.TestCase):
    def test_thirty_bits_and_two(self):
        buf = bytearray(6)
        for value in (0, 1, 255, 256, 65535, 65536, (1 << 24) - 1, 1 << 24, 0x2BCDEF01, (1 << 30) - 1):
            for top in range(4):
                record.put30(buf, 1, value, top)
                self.assertEqual(int.from_bytes(buf[1:5], "little"), value | top << 30)
                self.assertEqual((buf[0], buf[5]), (0, 0))
                self.assertEqual(record.get30(buf, 1), value)
                self.assertEqual(buf[4] >> 6, top)

    def test_fields_fill_a_record(self):
        places = (record.SEQ, record.BOOT_NUMBER, record.TIME, record.UNCERTAINTY, record.KIND, record.REASON)
        self.assertEqual(places, (1, 5, 7, 11, 12, 13))
        self.assertEqual((record.PSEUDONYM, record.DETAIL, record.MAC), (14, 21, 25))


class Codes(unittest.TestCase):
    def test_any_two_differ_in_four_bits(self):
        for one in CODES + (0, 255):
            for other in CODES + (0, 255):
                self.assertTrue(one == other or ones(one ^ other) >= 4)

    def test_one_flipped_bit_is_forgiven_and_no_more(self):
        for value in range(256):
            near = [code for code in CODES if ones(code ^ value) <= 1]
            self.assertEqual(record.code(value), near[0] if near else 0)
            self.assertTrue(len(near) < 2)
        self.assertEqual((record.code(0), record.code(255)), (0, 0))


class Classes(unittest.TestCase):
    def test_by_kind(self):
        for kind in (record.ALARM, record.ALARM_ENDED, record.PASSED, record.COMMAND, record.RELEASED, record.GAP):
            self.assertEqual(record.class_of(kind, 1), 2)
        self.assertEqual(record.class_of(record.GRANTED, record.OK), 2)
        for kind in (record.BOOT, record.NOT_PASSED, record.LIST, record.CLOCK, record.REPEATED):
            self.assertEqual(record.class_of(kind, 1), 1)
        for reason in range(2, 12):
            self.assertEqual(record.class_of(record.REFUSED, reason), 1)
        self.assertEqual(record.class_of(record.REFUSED, record.UNKNOWN), record.LOW)

    def test_a_forced_door_is_never_left_out(self):
        self.assertEqual(record.class_of(record.OPENED, record.CAUSE_NONE), 2)
        self.assertEqual(record.class_of(record.OPENED, record.CAUSE_EXIT), record.LOW)
        self.assertEqual(record.class_of(record.CLOSED, record.CAUSE_EXIT), record.LOW)

    def test_kinds_of_a_later_version_are_kept(self):
        for kind in range(22, 256):
            self.assertEqual(record.class_of(kind, 0), 2)


class Generations(unittest.TestCase):
    def test_the_next_one_and_one_damaged_record(self):
        buf = bytearray(40)
        for generation in range(2, 40):
            for step, turned in ((0, 0), (1, 1), (3, -1), (2, 0)):
                buf[8 + record.SEQ + 3] = (generation + step & 3) << 6 | 0x2A
                self.assertEqual(record.turned(generation, buf, 8), generation + turned)

    def test_keys_move(self):
        key = bytes(range(16))
        self.assertEqual(record.next_key(key), sha256(b"menwei next key" + key).digest()[:16])


class KeySlots(unittest.TestCase):
    def setUp(self):
        self.buf = bytearray(b"\xff" * 48)
        record.put_key(self.buf, 8, 0x2BCDEF01, b"chained", b"sixteen octets: ")

    def test_layout(self):
        body = (0x2BCDEF01).to_bytes(4, "little") + b"chained"
        slot = b"\x0f" + body + sha256(b"menwei slot" + body).digest()[:2] + b"sixteen octets: "
        slot += sha256(b"menwei key" + slot[1:]).digest()[:2]
        self.assertEqual(self.buf, b"\xff" * 8 + slot + b"\xff" * 8)
        self.assertTrue(record.key_sound(self.buf, 8))
        self.assertTrue(record.key_alive(self.buf, 8))

    def test_wiped(self):
        self.buf[22:40] = bytes(18)
        self.assertTrue(record.key_sound(self.buf, 8))
        self.assertFalse(record.key_alive(self.buf, 8))

    def test_flipped_bits(self):
        for bit in range(256):
            self.buf[8 + (bit >> 3)] ^= 1 << (bit & 7)
            self.assertEqual(record.key_sound(self.buf, 8), bit < 8 or bit >= 14 * 8)
            self.assertEqual(record.key_alive(self.buf, 8), bit < 8)
            self.buf[8 + (bit >> 3)] ^= 1 << (bit & 7)

    def test_a_wipe_that_was_cut_short_leaves_no_key_that_counts(self):
        for _ in range(200):
            buf = self.buf[:]
            for i in range(22, 40):
                buf[i] &= random.getrandbits(8)
            self.assertEqual(record.key_alive(buf, 8), buf == self.buf)
