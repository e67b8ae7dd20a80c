"""MIFARE Classic on air, through the reader chip: authentication, memory, access bits, torn writes, copies."""

import json
import random

from boards.sim.cards import ACTIVE, HALT, IDLE, Card, with_crc
from boards.sim.classic import Classic
from reader_bench import (
    AUTHENTICATE,
    Bench,
    COMMAND,
    COM_IRQ,
    CONTROL,
    ERR,
    ERROR,
    FIFO,
    FRAMING,
    IDLE_COMMAND,
    IDLE_IRQ,
    LEVEL,
    RX,
    STATUS2,
    TIMER,
    TX,
    TX_CONTROL,
    UID4,
    UID7,
    fc,
)

DEFAULT = b"\xff" * 6
KEY_A = b"\xa0\xa1\xa2\xa3\xa4\xa5"
KEY_B = b"\xb0\xb1\xb2\xb3\xb4\xb5"
HOUSE_ACCESS = b"\x7f\x07\x88"  # data 000, trailer 011
DATA = bytes(range(0x30, 0x40))
ACK = b"\x0a"


class Reader(Bench):
    def select(self, uid=UID4, wake=b"\x26"):
        """REQA or WUPA, then SELECT of a known UID; tell whether the card is there."""
        if len(self.ask(wake, 7)) != 2:
            return False
        parts = [uid] if len(uid) == 4 else [b"\x88" + uid[:3], uid[3:]]
        for level, part in enumerate(parts):
            check = bytes((part[0] ^ part[1] ^ part[2] ^ part[3],))
            if len(self.ask(with_crc(bytes((0x93 + 2 * level, 0x70)) + part + check))) != 3:
                return False
        return True

    def authenticate(self, block, key=DEFAULT, command=0x60, uid=UID4, wait_us=30000):
        self.write(COMMAND, IDLE_COMMAND)
        self.write(COM_IRQ, 0x7F)
        self.write(LEVEL, 0x80)
        self.write(FRAMING, 0)
        self.write(FIFO, *(bytes((command, block)) + key + uid[-4:]))
        self.write(COMMAND, AUTHENTICATE)
        self.clock.us += wait_us
        return bool(self.read(STATUS2) & 8)

    def plain(self):
        self.write(COMMAND, IDLE_COMMAND)
        self.write(STATUS2, 0)

    def again(self, block, key=DEFAULT, command=0x60, uid=UID4):
        self.plain()
        if not self.select(uid, b"\x52"):  # an active card only went home
            self.assertTrue(self.select(uid, b"\x52"))
        return self.authenticate(block, key, command, uid)

    def read_block(self, block):
        """16 bytes, or a NAK in one, or nothing."""
        found = self.ask(with_crc(bytes((0x30, block))))
        if len(found) < 2:
            return found
        self.assertEqual(self.read(ERROR), 0)
        self.assertEqual(with_crc(found[:16]), found)
        return found[:16]

    def write_block(self, block, data):
        answer = self.ask(with_crc(bytes((0xA0, block))))
        if answer != ACK:
            return answer
        self.assertEqual(self.read(CONTROL) & 7, 4)
        return self.ask(with_crc(data))


class Authentication(Reader):
    def test_both_keys_and_both_sizes_of_uid(self):
        for uid in (UID4, UID7):
            self.setUp()
            card = self.prepare(Classic(uid))
            card.keys(3, KEY_A, KEY_B, HOUSE_ACCESS)
            for command, key in ((0x60, KEY_A), (0x61, KEY_B)):
                self.assertTrue(self.again(12, key, command, uid))
                self.assertEqual(self.read(COM_IRQ) & (IDLE_IRQ | TX | RX | TIMER | ERR), IDLE_IRQ)
                self.assertEqual(self.read(COMMAND) & 0x0F, IDLE_COMMAND)
                self.assertEqual(self.read(LEVEL, ERROR), [0, 0])
                self.assertEqual(self.read_block(12), bytes(16))

    def test_it_takes_its_time(self):
        """Frames of 4, 4, 8 and 4 bytes, two answer delays and the reader's guard time."""
        self.prepare(Classic(UID4))
        self.assertTrue(self.select())
        self.authenticate(4, wait_us=0)
        start = self.clock.us
        while not self.read(COM_IRQ) & IDLE_IRQ:
            self.clock.us += 1
        expected = fc((37 + 37 + 73 + 37) * 128 + 2 * 1204 + 1172)
        self.assertTrue(abs(self.clock.us - start - expected) <= 2)

    def test_a_wrong_key_is_met_with_silence(self):
        card = self.prepare(Classic(UID4))
        self.select()
        for key, uid in ((KEY_A, UID4), (DEFAULT, UID7), (b"\xff\xff\xff\xff\xff\xfe", UID4)):
            self.assertTrue(self.again(4))
            self.plain()
            self.ask(b"\x52", 7)
            self.assertTrue(self.select(wake=b"\x52"))
            self.assertFalse(self.authenticate(4, key, uid=uid))
            self.assertEqual(self.read(COM_IRQ) & (IDLE_IRQ | TIMER), TIMER)
            self.assertEqual(self.read(COMMAND) & 0x0F, AUTHENTICATE)
            self.assertEqual(card.state, IDLE)
            self.plain()
            self.assertFalse(self.authenticate(4))  # the right key, but the card was not selected again
        self.assertTrue(self.again(4))

    def test_a_woken_card_falls_back_to_halt(self):
        card = self.prepare(Classic(UID4))
        self.select()
        self.ask(with_crc(b"\x50\x00"))
        self.assertEqual(card.state, HALT)
        self.assertTrue(self.select(wake=b"\x52"))
        self.assertFalse(self.authenticate(4, KEY_A))
        self.plain()
        self.assertEqual(card.state, HALT)
        self.assertFalse(self.select())
        self.assertTrue(self.select(wake=b"\x52"))

    def test_nested(self):
        card = self.prepare(Classic(UID4))
        card.keys(2, KEY_A, KEY_B, HOUSE_ACCESS)
        card.block(9, DATA)
        self.select()
        self.assertTrue(self.authenticate(4))
        self.assertTrue(self.authenticate(8, KEY_B, 0x61))
        self.assertEqual(self.read_block(9), DATA)
        self.assertTrue(self.authenticate(8, KEY_A))
        self.assertEqual(self.read_block(9), DATA)
        # With a wrong key it is mostly the reader that gives up: it cannot make sense of the encrypted nonce.
        self.assertFalse(self.authenticate(4, KEY_A))

    def test_a_damaged_nonce_is_a_protocol_error(self):
        self.prepare(Classic(UID4))
        self.select()
        self.chip.noise = 1
        self.assertFalse(self.authenticate(4))
        self.assertEqual(self.read(ERROR) & 1, 1)
        self.assertEqual(self.read(COM_IRQ) & ERR, ERR)
        self.plain()
        self.assertTrue(self.again(4))

    def test_plain_and_encrypted_do_not_mix(self):
        # Known nonces: one encrypted request in 64 happens to be a right one, and a card answers it.
        random.seed(1)
        card = self.prepare(Classic(UID4, seed=1))
        self.select()
        self.assertTrue(self.authenticate(4))
        self.plain()
        # A plain frame to a card in a session: garbage, whether its parity happens to fit or not.
        self.assertNotEqual(len(self.ask(with_crc(b"\x30\x04"))), 18)
        self.assertEqual(card.state, IDLE)
        self.assertTrue(self.again(4))
        card.power(True)
        # An encrypted request to a card without a session.
        self.assertEqual(self.ask(b"\x26", 7), b"")
        self.assertEqual(self.ask(b"\x52", 7), b"")
        self.plain()
        self.assertTrue(self.select())

    def test_halt_ends_a_session(self):
        card = self.prepare(Classic(UID4))
        self.select()
        self.authenticate(4)
        self.ask(with_crc(b"\x50\x00"))
        self.assertEqual(card.state, HALT)
        self.plain()
        self.assertTrue(self.select(wake=b"\x52"))
        self.assertTrue(self.authenticate(4))

    def test_what_is_on_air_is_not_what_is_said(self):
        heard = []

        class Sniffed(Classic):
            def receive(self, frame, bits, parity=None):
                heard.append(bytes(frame[: bits >> 3]))
                return super().receive(frame, bits, parity)

        self.prepare(Sniffed(UID4))
        self.select()
        self.authenticate(4)
        self.assertEqual(self.write_block(4, DATA), ACK)
        self.assertEqual(len(heard[-1]), 18)
        self.assertNotEqual(heard[-1], with_crc(DATA))
        self.assertNotEqual(heard[-2], with_crc(b"\xa0\x04"))


class Memory(Reader):
    def test_without_a_session_nothing(self):
        card = self.prepare(Classic(UID4))
        self.select()
        self.assertEqual(self.read_block(4), b"\x04")
        self.assertEqual(card.state, IDLE)

    def test_write_and_read(self):
        card = self.prepare(Classic(UID4))
        self.select()
        self.authenticate(4)
        self.assertEqual(self.write_block(5, DATA), ACK)
        self.assertEqual(self.read_block(5), DATA)
        self.assertEqual(card.block(5), DATA)
        self.assertEqual((card.writes[5], card.writes[4]), (1, 0))
        # Another sector needs its own authentication.
        self.assertEqual(self.read_block(8), b"\x04")
        self.assertEqual(card.state, IDLE)

    def test_programming_takes_time(self):
        self.prepare(Classic(UID4, program_us=3000))
        self.select()
        self.authenticate(4)
        self.ask(with_crc(b"\xa0\x04"))
        self.send(with_crc(DATA))
        start = self.clock.us
        while not self.read(COM_IRQ) & RX:
            self.clock.us += 1
        self.assertTrue(abs(self.clock.us - start - fc((1 + 18 * 9 + 1 + 4) * 128 + 1204) - 3000) <= 3)

    def test_damaged_data_is_refused(self):
        card = self.prepare(Classic(UID4))
        self.select()
        self.authenticate(4)
        self.assertEqual(self.ask(with_crc(b"\xa0\x04")), ACK)
        self.assertEqual(self.ask(DATA + b"\x00\x00"), b"\x05")
        self.assertEqual(card.block(4), bytes(16))
        self.assertEqual(card.state, IDLE)

    def test_trailer_keeps_its_keys(self):
        card = self.prepare(Classic(UID4))
        card.keys(1, KEY_A, KEY_B, HOUSE_ACCESS)
        self.select()
        self.authenticate(4, KEY_A)
        self.assertEqual(self.read_block(7), bytes(6) + HOUSE_ACCESS + b"\x69" + bytes(6))
        self.assertEqual(self.write_block(7, DEFAULT + b"\xff\x07\x80\x69" + DEFAULT), b"\x04")
        self.assertTrue(self.again(4, KEY_B, 0x61))
        self.assertEqual(self.write_block(7, DEFAULT + HOUSE_ACCESS + b"\x69" + KEY_B), ACK)
        self.assertFalse(self.again(4, KEY_A))
        self.assertTrue(self.again(4))

    def test_transport_configuration_shows_key_b_which_opens_nothing(self):
        self.prepare(Classic(UID4))
        self.select()
        self.authenticate(4)
        self.assertEqual(self.read_block(7), bytes(6) + b"\xff\x07\x80\x69" + DEFAULT)
        self.assertTrue(self.again(4, command=0x61))
        self.assertEqual(self.read_block(4), b"\x04")

    def test_every_condition_of_a_data_block(self):
        """Read and write by key A and key B, as the data sheet's table 8 has them; the trailer stays 011."""
        table = {
            (0, 0, 0): ("AB", "AB"),
            (0, 1, 0): ("AB", ""),
            (1, 0, 0): ("AB", "B"),
            (1, 1, 0): ("AB", "B"),
            (0, 0, 1): ("AB", ""),
            (0, 1, 1): ("B", "B"),
            (1, 0, 1): ("B", ""),
            (1, 1, 1): ("", ""),
        }
        card = self.prepare(Classic(UID4))
        self.select()
        for (c1, c2, c3), (readers, writers) in table.items():
            for group in range(3):
                first, second, third = c1 << group, 8 | c2 << group, 8 | c3 << group
                access = bytes(((second ^ 15) << 4 | first ^ 15, first << 4 | third ^ 15, third << 4 | second))
                card.keys(1, KEY_A, KEY_B, access)
                for name, command, key in (("A", 0x60, KEY_A), ("B", 0x61, KEY_B)):
                    self.assertTrue(self.again(4, key, command))
                    self.assertEqual(len(self.read_block(4 + group)), 16 if name in readers else 1)
                    self.assertTrue(self.again(4, key, command))
                    self.assertEqual(self.write_block(4 + group, DATA), ACK if name in writers else b"\x04")

    def test_damaged_access_bits_block_the_sector(self):
        card = self.prepare(Classic(UID4))
        for access in (b"\xfe\x07\x80", b"\x7f\x07\x80", b"\xff\x0f\x80"):
            card.keys(1, DEFAULT, DEFAULT, access)
            self.select()
            self.assertTrue(self.again(4))
            self.assertEqual(self.read_block(4), b"\x04")
            self.assertTrue(self.again(8))
            self.assertEqual(self.read_block(8), bytes(16))

    def test_four_kilobytes(self):
        card = self.prepare(Classic(UID4, 4))
        card.block(200, DATA)
        self.select()
        self.assertTrue(self.authenticate(207))
        self.assertEqual(self.read_block(200), DATA)
        self.assertEqual(self.read_block(207), bytes(6) + b"\xff\x07\x80\x69" + DEFAULT)
        self.assertEqual(self.write_block(192, DATA), ACK)
        self.assertEqual(self.read_block(191), b"\x04")

    def test_a_worn_block_keeps_what_it_has(self):
        card = self.prepare(Classic(UID4, endurance=2))
        self.select()
        self.authenticate(4)
        for value in (1, 2, 3):
            self.assertEqual(self.write_block(4, bytes((value,)) * 16), ACK)
        self.assertEqual(card.block(4), b"\x02" * 16)
        self.assertEqual(card.writes[4], 3)


class Torn(Reader):
    OLD = b"\x0f" * 16

    def tear(self, how):
        self.setUp()
        card = self.prepare(Classic(UID4))
        card.block(4, self.OLD)
        card.tear(how)
        self.select()
        self.authenticate(4)
        self.assertEqual(self.write_block(4, DATA), b"")
        self.assertEqual(card.torn, 1)
        self.plain()
        return card

    def test_each_kind(self):
        for how, left in (("old", self.OLD), ("new", DATA), ("erased", bytes(16))):
            card = self.tear(how)
            self.assertEqual(card.block(4), left)
            self.select()
            self.authenticate(4)
            self.assertEqual(self.write_block(4, DATA), ACK)
        mixed = set()
        for _ in range(8):
            mixed.add(self.tear("mix").block(4))
        self.assertTrue(len(mixed) > 4)
        for data in mixed:
            for i in range(16):
                self.assertEqual(data[i] & ~(self.OLD[i] | DATA[i]) & 0xFF, 0)

    def test_taken_away_while_it_programs(self):
        left = set()
        for _ in range(40):
            self.setUp()
            card = self.prepare(Classic(UID4))
            card.block(4, self.OLD)
            self.select()
            self.authenticate(4)
            self.ask(with_crc(b"\xa0\x04"))
            self.send(with_crc(DATA))
            self.clock.us += fc(163 * 128) + 2000
            self.chip.field.remove(card)
            self.assertEqual(card.torn, 1)
            left.add(card.block(4))
        self.assertTrue(self.OLD in left and DATA in left and len(left) > 3)

    def test_field_switched_off_while_it_programs(self):
        card = self.prepare(Classic(UID4))
        self.select()
        self.authenticate(4)
        self.ask(with_crc(b"\xa0\x04"))
        self.send(with_crc(DATA))
        self.clock.us += fc(163 * 128) + 3900
        self.write(TX_CONTROL, 0x80)
        self.assertEqual(card.torn, 1)

    def test_programmed_in_time(self):
        card = self.prepare(Classic(UID4))
        self.select()
        self.authenticate(4)
        self.assertEqual(self.write_block(4, DATA), ACK)
        self.chip.field.remove(card)
        self.assertEqual((card.torn, card.block(4)), (0, DATA))


class Copies(Reader):
    def original(self):
        card = Classic(UID4)
        card.keys(1, KEY_A, KEY_B, HOUSE_ACCESS)
        card.block(4, DATA)
        return card

    def test_what_a_kiosk_makes(self):
        self.prepare(self.original().uid_copy())
        self.assertTrue(self.select())
        self.assertFalse(self.authenticate(4, KEY_A))
        self.assertTrue(self.again(4))
        self.assertEqual(self.read_block(4), bytes(16))
        self.assertTrue(self.again(0))
        self.assertEqual(self.read_block(0), UID4 + b"\x44\x08\x04\x00" + bytes(8))

    def test_a_full_copy(self):
        original = self.original()
        copy = original.copy(full=True, magic="cuid")
        self.prepare(copy)
        self.select()
        self.assertTrue(self.authenticate(4, KEY_A))
        self.assertEqual(self.read_block(4), DATA)
        self.assertEqual(self.write_block(4, bytes(16)), ACK)
        self.assertEqual(original.block(4), DATA)

    def test_block_zero(self):
        for magic, answer in ((None, b"\x04"), ("cuid", ACK)):
            self.setUp()
            self.prepare(Classic(UID4, magic=magic))
            self.select()
            self.authenticate(0)
            self.assertEqual(self.write_block(0, DATA), answer)

    def test_gen1a(self):
        for magic in ("gen1a", "cuid", None):
            self.setUp()
            card = self.original().copy(full=True, magic=magic)
            self.prepare(card)
            self.select()
            self.ask(with_crc(b"\x50\x00"))
            answer = self.ask(b"\x40", 7)
            self.assertEqual(answer, ACK if magic == "gen1a" else b"")
            if not answer:
                self.assertEqual(self.ask(b"\x43"), b"")
                continue
            self.assertEqual(self.read(CONTROL) & 7, 4)
            self.assertEqual(self.ask(b"\x43"), ACK)
            self.assertEqual(self.read_block(7), KEY_A + HOUSE_ACCESS + b"\x69" + KEY_B)
            self.assertEqual(self.write_block(0, DATA), ACK)
            self.assertEqual(card.block(0), DATA)
            self.ask(with_crc(b"\x50\x00"))
            self.assertEqual(card.state, HALT)
            self.assertTrue(self.select(wake=b"\x52"))
            self.assertEqual(self.read_block(4), b"\x04")


class Kept(Reader):
    def test_through_json_and_back(self):
        card = self.prepare(Classic(UID7, 4, "cuid", endurance=5))
        card.keys(35, KEY_A, KEY_B, HOUSE_ACCESS)
        self.select(UID7)
        self.authenticate(130, uid=UID7)
        self.assertEqual(self.write_block(130, DATA), ACK)
        again = Classic.from_dict(json.loads(json.dumps(card.to_dict())))
        self.assertTrue(again.memory == card.memory)
        self.assertEqual((again.writes[130], again.uid, again.endurance, again.magic), (1, UID7, 5, "cuid"))
        self.assertTrue(again.to_dict() == card.to_dict())
        self.assertEqual(again.sak, 0x18)

    def test_a_card_that_is_a_uid(self):
        card = Card.from_dict({"kind": "uid", "uid": "04112233445566", "sak": 0x20})
        self.assertEqual((card.uid, card.sak), (b"\x04\x11\x22\x33\x44\x55\x66", 0x20))
        self.assertEqual(card.to_dict(), Card.from_dict(card.to_dict()).to_dict())

    def test_nonces_differ_and_follow_the_seed(self):
        def nonces(seed):
            card = Classic(UID4, seed=seed)
            card.power(True)
            found = []
            for _ in range(6):
                card.state = ACTIVE
                card._quit()
                self.assertEqual(card.answer(with_crc(b"\x60\x04"), 32), 32)
                found.append(bytes(card.reply))
            return found

        self.assertEqual(len(set(nonces(7))), 6)
