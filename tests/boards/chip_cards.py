"""ISO/IEC 14443-3 type A cards, from the standard's examples and from frames recorded on air."""

import random
import unittest

from boards.sim.cards import ACTIVE, HALT, IDLE, READY, Card, Field, crc_a, crc_fits, with_crc

UID4 = b"\x11\x22\x33\x44"
UID7 = b"\x04\xe2\x0b\xa1\x5c\x3d\x80"
UID10 = b"\x08\x01\x02\x03\x04\x05\x06\x07\x09\x0a"
REQA = b"\x26"
WUPA = b"\x52"
HLTA = b"\x50\x00\x57\xcd"


def select_frame(level, part):
    """Build SELECT for a 4-byte part of a UID, check bytes included."""
    bcc = part[0] ^ part[1] ^ part[2] ^ part[3]
    return with_crc(bytes((0x93 + 2 * level, 0x70)) + part + bytes((bcc,)))


def parts(uid):
    """Split a UID as the cascade does (6.5.4)."""
    if len(uid) == 4:
        return [uid]
    if len(uid) == 7:
        return [b"\x88" + uid[:3], uid[3:]]
    return [b"\x88" + uid[:3], b"\x88" + uid[3:6], uid[6:]]


def activate(card, request=WUPA):
    """Bring a card to ACTIVE; return its SAK frames."""
    assert card.answer(request, 7) == 16
    saks = []
    for level, part in enumerate(parts(card.uid)):
        assert card.answer(select_frame(level, part), 72) == 24
        saks.append(bytes(card.reply))
    return saks


class Crc(unittest.TestCase):
    def test_examples_of_the_standard(self):
        self.assertEqual(with_crc(b"\x00\x00"), b"\x00\x00\xa0\x1e")
        self.assertEqual(with_crc(b"\x12\x34"), b"\x12\x34\x26\xcf")
        self.assertEqual(with_crc(b"\x50\x00"), HLTA)
        self.assertEqual(crc_a(b"123456789", 9), 0xBF05)
        self.assertTrue(crc_fits(b"\x12\x34\x26\xcf\xff", 4))
        self.assertFalse(crc_fits(b"\x12\x34\x26\xce", 4))


class Identity(unittest.TestCase):
    def test_answer_to_request_tells_the_size(self):
        for uid, atqa in ((UID4, b"\x04\x00"), (UID7, b"\x44\x00"), (UID10, b"\x84\x00")):
            card = Card(uid)
            self.assertEqual(card.answer(REQA, 7), 16)
            self.assertEqual(bytes(card.reply), atqa)

    def test_own_answer_and_acknowledge(self):
        card = Card(UID7, atqa=b"\x44\x03", sak=0x20)
        self.assertEqual(activate(card), [b"\x04\xda\x17", b"\x20\xfc\x70"])
        self.assertEqual(card.atqa, b"\x44\x03")

    def test_impossible_uids_are_refused(self):
        for uid in (
            b"",
            b"\x01\x02\x03",
            b"\x01" * 5,
            b"\x01" * 11,
            b"\x88\x01\x02\x03",
            b"\x04\x01\x02\x88\x04\x05\x06",
        ):
            with self.assertRaises(ValueError):
                Card(uid)


class States(unittest.TestCase):
    def test_cascade_of_each_size(self):
        self.assertEqual(activate(Card(UID4)), [b"\x08\xb6\xdd"])
        self.assertEqual(activate(Card(UID7)), [b"\x04\xda\x17", b"\x00\xfe\x51"])
        card = Card(UID10)
        self.assertEqual(activate(card), [b"\x04\xda\x17", b"\x04\xda\x17", b"\x00\xfe\x51"])
        self.assertEqual(card.state, ACTIVE)

    def test_select_as_recorded(self):
        card = Card(UID7)
        card.answer(REQA, 7)
        self.assertEqual(card.answer(b"\x93\x70\x88\x04\xe2\x0b\x65\x1f\x17", 72), 24)
        self.assertEqual(bytes(card.reply), b"\x04\xda\x17")
        self.assertEqual(card.state, READY)

    def test_only_wake_up_reaches_halt(self):
        card = Card(UID4)
        activate(card, REQA)
        self.assertEqual(card.answer(HLTA, 32), 0)
        self.assertEqual(card.state, HALT)
        self.assertEqual(card.answer(REQA, 7), 0)
        self.assertEqual(card.state, HALT)
        activate(card, WUPA)
        self.assertEqual(card.state, ACTIVE)

    def test_request_to_a_ready_or_active_card_is_an_error(self):
        card = Card(UID4)
        self.assertEqual(card.answer(REQA, 7), 16)
        self.assertEqual(card.answer(REQA, 7), 0)
        self.assertEqual(card.state, IDLE)
        activate(card)
        self.assertEqual(card.answer(WUPA, 7), 0)
        self.assertEqual(card.state, IDLE)
        self.assertEqual(card.answer(WUPA, 7), 16)

    def test_a_card_from_halt_falls_back_to_halt(self):
        card = Card(UID4)
        for wrong, bits in ((b"\x93\x20", 15), (b"\x95\x20", 16), (REQA, 7), (HLTA, 32), (b"\x93\x21\x00", 17)):
            activate(card, WUPA)
            card.answer(HLTA, 32)
            self.assertEqual(card.answer(WUPA, 7), 16)
            self.assertEqual(card.answer(wrong, bits), 0)
            self.assertEqual(card.state, HALT)
        activate(card)
        card.answer(b"\x30\x00\x02\xa8", 32)
        self.assertEqual(card.state, HALT)
        card.power(False)
        activate(card, REQA)

    def test_halt_needs_its_crc(self):
        card = Card(UID4)
        for wrong, bits in ((b"\x50\x00\x57\xcc", 32), (b"\x50\x01\x57\xcd", 32), (b"\x50\x00", 16), (HLTA, 31)):
            activate(card)
            self.assertEqual(card.answer(wrong, bits), 0)
            self.assertEqual(card.state, IDLE)

    def test_select_needs_crc_check_byte_and_level(self):
        good = select_frame(0, UID4)
        for index in range(9):
            card = Card(UID4)
            card.answer(REQA, 7)
            wrong = bytearray(good)
            wrong[index] ^= 1
            self.assertEqual(card.answer(wrong, 72), 0)
            self.assertEqual(card.state, IDLE)
        card.answer(REQA, 7)
        self.assertEqual(card.answer(good, 71), 0)
        card = Card(UID7)
        activate(card)
        card.power(True)
        card.answer(REQA, 7)
        card.answer(select_frame(0, parts(UID7)[0]), 72)
        self.assertEqual(card.answer(b"\x93\x20", 16), 0)
        self.assertEqual(card.state, IDLE)

    def test_a_card_that_is_not_ready_ignores_anticollision(self):
        card = Card(UID4)
        self.assertEqual(card.answer(b"\x93\x20", 16), 0)
        self.assertEqual(card.state, IDLE)

    def test_garbage_never_breaks_the_machine(self):
        seed = random.getrandbits(30)
        print("seed", seed)
        random.seed(seed)
        card = Card(UID7)
        starts = (b"\x93", b"\x93\x70", b"\x95\x20", b"\x50\x00", b"\x26", b"\x52", b"")
        for _ in range(4000):
            frame = bytearray(starts[random.getrandbits(8) % len(starts)])
            frame += bytes(random.getrandbits(8) for _ in range(random.getrandbits(4)))
            bits = len(frame) * 8 - (random.getrandbits(3) if random.getrandbits(1) else 0)
            if bits > 0:
                answer = card.answer(frame, 7 if random.getrandbits(2) == 0 else bits)
                self.assertTrue(0 <= answer <= 40)
                self.assertTrue(IDLE <= card.state <= HALT)
        card.power(True)
        activate(card, REQA)


class Anticollision(unittest.TestCase):
    def test_every_number_of_valid_bits(self):
        card = Card(UID4)
        whole = UID4 + bytes((0x11 ^ 0x22 ^ 0x33 ^ 0x44,))
        value = int.from_bytes(whole, "little")
        for known in range(40):
            frame = bytearray(7)
            frame[0] = 0x93
            frame[1] = (2 + known // 8) << 4 | known % 8
            frame[2:] = (value & ((1 << known) - 1)).to_bytes(5, "little")
            card.power(True)
            card.answer(REQA, 7)
            self.assertEqual(card.answer(frame, 16 + known), 40 - known)
            self.assertEqual(card.offset, known % 8)
            self.assertEqual(int.from_bytes(card.reply, "little") >> card.offset, value >> known)
            self.assertEqual(card.state, READY)
            # One wrong bit anywhere means another card.
            for index in range(known):
                frame[2 + index // 8] ^= 1 << (index % 8)
                card.power(True)
                card.answer(REQA, 7)
                self.assertEqual(card.answer(frame, 16 + known), 0)
                self.assertEqual(card.state, IDLE)
                frame[2 + index // 8] ^= 1 << (index % 8)

    def test_impossible_numbers_of_valid_bits(self):
        card = Card(UID4)
        for valid in (0x00, 0x10, 0x17, 0x28, 0x2F, 0x68, 0x71, 0x80, 0xFF):
            for bits in (16, 24, 56, 72):
                card.power(True)
                card.answer(REQA, 7)
                self.assertEqual(card.answer(bytes((0x93, valid)) + UID4 + b"\x44\x00\x00", bits), 0)
                self.assertEqual(card.state, IDLE)


class Reader:
    """What the field asks of the chip."""

    now_us = 0
    cuts = 0

    def settle(self):
        return self.now_us

    def cut(self, now_us):
        self.cuts += 1


class FieldOfCards(unittest.TestCase):
    def setUp(self):
        self.reader = Reader()
        self.field = Field(self.reader)

    def answer(self, frame, bits, at_us, gain=4, parity=None):
        return self.field.answer(frame, bits, at_us, gain, parity)

    def test_a_card_needs_five_milliseconds(self):
        self.field.put(Card(UID4))
        self.assertEqual(self.answer(REQA, 7, 9000), 0)
        self.field.switch(True, 10000)
        self.assertEqual(self.answer(REQA, 7, 14999), 0)
        self.assertEqual(self.answer(REQA, 7, 15000), 16)

    def test_a_card_put_later_counts_from_then(self):
        self.field.switch(True, 0)
        self.reader.now_us = 20000
        self.field.put(Card(UID4, powerup_us=1000))
        self.assertEqual(self.answer(REQA, 7, 20999), 0)
        self.assertEqual(self.answer(REQA, 7, 21000), 16)

    def test_the_field_makes_and_ends_the_state(self):
        card = Card(UID4)
        self.field.put(card)
        self.field.switch(True, 0)
        self.answer(REQA, 7, 6000)
        self.assertEqual(card.state, READY)
        self.field.switch(False, 7000)
        self.assertEqual(card.state, IDLE)
        self.assertEqual(self.answer(REQA, 7, 20000), 0)

    def test_a_weak_card_needs_gain(self):
        self.field.switch(True, 0)
        self.field.put(Card(UID4, min_gain=6))
        self.assertEqual(self.answer(REQA, 7, 9000, gain=5), 0)
        self.assertEqual(self.answer(REQA, 7, 9000, gain=6), 16)

    def test_wrong_parity_is_an_error(self):
        card = Card(UID4)
        self.field.switch(True, 0)
        self.field.put(card)
        # 0x93 has four ones, 0x20 has one: the parity bits are 1 and 0.
        for parity, heard in ((0b01, 40), (None, 40), (0b00, 0), (0b11, 0), (-1, 0)):
            self.answer(REQA, 7, 9000)
            self.assertEqual(self.answer(b"\x93\x20", 16, 9000, parity=parity), heard)
            self.assertEqual(card.state, READY if heard else IDLE)
            card.power(True)

    def test_removing(self):
        first, second = Card(UID4), Card(UID7)
        self.field.put(first)
        self.field.put(second)
        self.field.put(second)
        self.assertEqual(self.field.cards, [first, second])
        self.field.remove(first)
        self.assertEqual(self.field.cards, [second])
        self.field.remove()
        self.assertEqual(self.field.cards, [])
        self.assertEqual(self.reader.cuts, 2)

    def test_two_cards_collide_at_the_first_bit_that_differs(self):
        self.field.switch(True, 0)
        self.field.put(Card(b"\x11\x22\x33\x44"))
        self.field.put(Card(b"\x11\x62\x33\x44"))
        self.assertEqual(self.answer(REQA, 7, 9000), 16)
        self.assertEqual(self.field.collision, -1)
        self.assertEqual(self.answer(b"\x93\x20", 16, 9000), 40)
        self.assertEqual(self.field.collision, 14)
        self.assertEqual(self.answer(b"\x93\x37\x11\x62", 31, 9000), 25)
        # Bits 0 to 14 are given, bit 14 with the second card's value: the first one drops out.
        self.assertEqual(self.field.collision, -1)
        self.assertEqual(self.field.offset, 7)
        self.assertEqual([card.state for card in self.field.cards], [IDLE, READY])

    def test_two_sizes_collide_in_the_answer_to_request(self):
        self.field.switch(True, 0)
        self.field.put(Card(UID4))
        self.field.put(Card(UID7))
        self.assertEqual(self.answer(REQA, 7, 9000), 16)
        self.assertEqual(self.field.collision, 6)
        self.assertEqual(bytes(self.field.reply), b"\x44\x00")
