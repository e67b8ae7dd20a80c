"""Entries on the chip: one flipped bit and every torn program are seen."""

import os
import random
import unittest

from storage import entry, packing

SEED = int(os.getenv("MENWEI_SEED") or 7)


def random_entry(kind=None):
    """A random valid entry in its slot."""
    buf = bytearray(16)
    pseudonym = bytes(random.getrandbits(8) for _ in range(7))
    kind = kind or random.choice((entry.CARD, entry.LIMITED, entry.COUNTER))
    if kind == entry.COUNTER:
        packing.pack_counter(buf, pseudonym, random.randint(1, 16))
    else:
        few = random.random() < 0.3  # entries with few zeros or few ones are the hard ones
        limit = random.choice((0, entry.NO_END)) if few else random.getrandbits(24)
        granted = random.randint(1, 16) if kind == entry.LIMITED else 0
        pack = (pseudonym, random.getrandbits(24), limit, random.getrandbits(6), random.getrandbits(2), granted)
        if few:
            pack = (random.choice((b"\xff" * 7, bytes(7), pseudonym)),) + pack[1:]
        packing.pack(buf, *pack)
    return buf


def same_checked_part(a, b):
    """Whether two entries agree in all that the checks protect."""
    skip = (6, 7, 8, 9, 10, 11) if b[13] & 3 == entry.COUNTER else ()
    return all(a[i] == b[i] for i in range(14) if i not in skip) and a[14] & 127 == b[14] & 127


class Noisy(unittest.TestCase):
    def setUp(self):
        print("seed", SEED)
        random.seed(SEED)


class TestChecks(Noisy):
    def test_every_single_flip_of_the_checked_part_is_seen(self):
        for _ in range(40):
            good = random_entry()
            self.assertTrue(entry.valid(good, 0))
            for bit in range(119):
                if good[13] & 3 == entry.COUNTER and 48 <= bit < 96:
                    continue
                good[bit >> 3] ^= 1 << (bit & 7)
                self.assertFalse(entry.valid(good, 0), bit)
                good[bit >> 3] ^= 1 << (bit & 7)

    def test_no_torn_program_is_accepted(self):
        torn = bytearray(16)
        tried = 0
        for _ in range(12000):
            good = random_entry()
            density = random.getrandbits(3)
            for i in range(16):
                noise = random.getrandbits(8)
                if density < 2:
                    noise &= random.getrandbits(8) & random.getrandbits(8)
                elif density > 5:
                    noise |= random.getrandbits(8)
                torn[i] = good[i] | noise
            if density == 4:  # a prefix
                end = random.getrandbits(4)
                torn[:] = good[:end] + b"\xff" * (16 - end)
            if same_checked_part(torn, good):
                continue
            tried += 1
            self.assertFalse(entry.valid(torn, 0))
        self.assertTrue(tried > 8000)

    def test_one_missing_bit_of_a_program_is_seen(self):
        for _ in range(100):
            good = random_entry()
            for bit in range(119):
                torn = bytearray(good)
                torn[bit >> 3] |= 1 << (bit & 7)
                if torn != good and not same_checked_part(torn, good):
                    self.assertFalse(entry.valid(torn, 0))

    def test_erased_and_zeroed_slots_are_nothing(self):
        self.assertFalse(entry.valid(b"\xff" * 16, 0))
        self.assertFalse(entry.valid(bytes(16), 0))

    def test_random_bytes_are_rarely_valid(self):
        hits = 0
        for _ in range(4000):
            hits += entry.valid(bytes(random.getrandbits(8) for _ in range(16)), 0)
        self.assertTrue(hits < 20, hits)  # 1 in 64 by the CRC, less than 1 in 12 of those by the count


class TestStates(Noisy):
    def test_majority_decides_and_one_flip_changes_nothing(self):
        for kind in (entry.CARD, entry.LIMITED):
            for wanted in (entry.LIVE, entry.SUSPENDED, entry.REVOKED, entry.DEAD):
                buf = random_entry(kind)
                packing.mark(buf, wanted)
                self.assertEqual(entry.state(buf, 0), wanted)
                for bit in range(119, 128):
                    buf[bit >> 3] ^= 1 << (bit & 7)
                    self.assertEqual(entry.state(buf, 0), wanted)
                    self.assertTrue(entry.valid(buf, 0))
                    copy = bytearray(buf)
                    packing.settle(copy)
                    buf[bit >> 3] ^= 1 << (bit & 7)
                    self.assertEqual(copy, buf)

    def test_counter(self):
        for granted in range(1, 17):
            buf = bytearray(16)
            packing.pack_counter(buf, b"\1\2\3\4\5\6\7", granted)
            for left in range(granted, 0, -1):
                use = granted - left
                bits = (1 << granted) - (1 << use)
                self.assertEqual(entry.uses(buf, 0), bits)
                for bit in range(48, 96):  # one flip changes no count
                    buf[bit >> 3] ^= 1 << (bit & 7)
                    self.assertEqual(entry.uses(buf, 0), bits)
                    copy = bytearray(buf)
                    packing.settle(copy)
                    self.assertTrue(entry.valid(buf, 0))
                    buf[bit >> 3] ^= 1 << (bit & 7)
                    self.assertEqual(copy, buf)
                for bit in range(48 + 3 * use, 51 + 3 * use):
                    buf[bit >> 3] &= ~(1 << (bit & 7))
            self.assertEqual(entry.uses(buf, 0), 0)

    def test_fields(self):
        buf = bytearray(20)
        one = bytearray(16)
        packing.pack(one, b"\0\1\2\3\4\5\6", 0x123456, entry.NO_END, 63, 2, 1)
        buf[4:] = one
        seen = entry.Entry()
        seen.load(buf, 4)
        self.assertEqual(
            (seen.state, seen.valid_from, seen.valid_until, seen.group, seen.key_version, seen.limited),
            (entry.LIVE, 0x123456, entry.NO_END, 63, 2, True),
        )
        self.assertEqual(entry.Entry().state, entry.DEAD)
