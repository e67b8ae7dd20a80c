"""Anticollision with several cards, bit by bit, by a loop that knows only CollReg (ISO/IEC 14443-3 6.5.3)."""

import random

from boards.sim.cards import Card, with_crc
from reader_bench import Bench, COLL, ERROR


class Several(Bench):
    def level(self, code):
        """Resolve one cascade level, taking the cards with a 1 where two differ; return its 5 bytes and the SAK."""
        known = 0  # bits that are given
        found = 0
        for _ in range(33):
            whole, rest = known >> 3, known & 7
            given = bytes((code, 0x20 + (whole << 4) + rest)) + found.to_bytes((known + 7) >> 3, "little")
            # The reader completes the byte that it has begun; CollPos counts from that byte's first bit.
            answer = self.ask(given, rest, rest)
            self.assertTrue(answer)
            heard = int.from_bytes(answer, "little") << 8 * whole
            errors, coll = self.read(ERROR, COLL)
            self.assertEqual(errors & ~0x08, 0)
            if not errors & 0x08:
                found |= heard
                part = found.to_bytes(5, "little")
                self.assertEqual(part[0] ^ part[1] ^ part[2] ^ part[3], part[4])
                sak = self.ask(with_crc(bytes((code, 0x70)) + part))
                self.assertEqual(with_crc(sak[:1]), sak)
                return part[:4], sak[0]
            self.assertEqual(coll & 0x20, 0)
            position = 8 * whole + ((coll & 0x1F) or 32)
            self.assertTrue(position > known)
            found = (found | heard) & ((1 << position - 1) - 1) | 1 << position - 1
            known = position
        self.fail("no end")

    def uid(self):
        """Select one card and return its UID; None when nobody answers a REQA."""
        if not self.ask(b"\x26", 7):
            return None
        uid = b""
        for code in (0x93, 0x95, 0x97):
            part, sak = self.level(code)
            if not sak & 4:
                return uid + part
            self.assertEqual(part[0], 0x88)
            uid += part[1:]
        self.fail("a fourth level")

    def resolves(self, *uids):
        self.setUp()
        self.prepare()
        for uid in uids:
            self.chip.field.put(Card(uid))
        self.clock.us += 5100
        for after in (0x00, 0x80):
            self.write(COLL, after)
            found = []
            while True:
                uid = self.uid()
                if uid is None:
                    break
                found.append(uid)
                self.ask(with_crc(b"\x50\x00"))
            self.assertEqual(sorted(found), sorted(uids))
            self.chip.field.switch(False, self.clock.us)
            self.chip.field.switch(True, self.clock.us)
            self.clock.us += 5100

    def test_first_bit(self):
        self.resolves(b"\x10\x22\x33\x44", b"\x11\x22\x33\x44")

    def test_last_bit(self):
        self.resolves(b"\x11\x22\x33\x44", b"\x11\x22\x33\xc4")

    def test_last_bit_of_each_byte(self):
        self.resolves(b"\x11\x22\x33\x44", b"\x91\x22\x33\x44")
        self.resolves(b"\x11\x22\x33\x44", b"\x11\xa2\x33\x44")
        self.resolves(b"\x11\x22\x33\x44", b"\x11\x22\xb3\x44")

    def test_every_bit_of_a_level(self):
        base = int.from_bytes(b"\x11\x22\x33\x44", "little")
        for bit in range(32):
            other = (base ^ 1 << bit).to_bytes(4, "little")
            self.resolves(b"\x11\x22\x33\x44", other)

    def test_a_later_level(self):
        self.resolves(b"\x04\x11\x22\x33\x44\x55\x66", b"\x04\x11\x22\x33\x44\x55\xe6")
        self.resolves(b"\x04\x11\x22\x33\x44\x55\x66", b"\x04\x11\x22\x32\x44\x55\x66")
        self.resolves(b"\x04\x11\x22\x33\x44\x55\x66\x77\x01\x02", b"\x04\x11\x22\x33\x44\x55\x66\x77\x01\x82")

    def test_sizes_of_uid(self):
        self.resolves(b"\x11\x22\x33\x44", b"\x04\x11\x22\x33\x44\x55\x66")
        self.resolves(b"\x11\x22\x33\x44", b"\x04\x11\x22\x33\x44\x55\x66", b"\x04\x11\x22\x33\x44\x55\x66\x77\x01\x02")

    def test_three_and_four_that_differ_again_and_again(self):
        self.resolves(b"\x10\x22\x33\x44", b"\x11\x22\x33\x44", b"\x13\x22\x33\x44")
        self.resolves(b"\x11\x22\x33\x44", b"\x11\x22\x33\xc4", b"\x11\x22\x33\x84", b"\x11\xa2\x33\x44")

    def test_any(self):
        seed = random.getrandbits(30)
        print("seed", seed)
        random.seed(seed)
        for _ in range(30):
            uids = set()
            while len(uids) < 4:
                uid = bytearray(random.getrandbits(8) & 0x33 for _ in range((4, 4, 7, 10)[random.getrandbits(2)]))
                uids.add(bytes(uid))
            self.resolves(*uids)

    def test_collision_counted_from_the_first_bit_received(self):
        """The other reading of the data sheet."""
        for aligned, position in ((True, 8), (False, 5)):
            self.setUp()
            self.prepare(Card(b"\x11\x22\x33\x44"))
            self.chip.field.put(Card(b"\x91\x22\x33\x44"))
            self.chip.coll_aligned = aligned
            self.clock.us += 5100
            self.ask(b"\x26", 7)
            self.ask(b"\x93\x23\x01", 3, 3)
            self.assertEqual(self.read(COLL) & 0x3F, position)
