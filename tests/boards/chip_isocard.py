"""The block protocol of ISO/IEC 14443-4: the scenarios of its annex B as the card sees them, and injected faults."""

import random
import unittest

from cryptolib import aes

from boards.sim.cards import ACTIVE, HALT, IDLE, with_crc
from boards.sim.isocard import (
    ATS_DESFIRE,
    ATS_FM1208,
    ATS_NTAG424,
    DAMAGE,
    DEAF,
    GARBAGE,
    LOSE,
    OVERLONG,
    RENUMBER,
    REPEAT,
    IsoCard,
)
from boards.sim.ntag424 import Ntag424
from iso_reader import Reader, levels, select, send, x
from reader_bench import LEVEL, TX, RX, Bench, ERROR, COM_IRQ, fc

UID = x("04112233445566")
PING = b"\x00\x01\x02\x03\x04"
PONG = b"pong\x90\x00"
LONG = bytes(i & 0xFF for i in range(150)) + b"\x90\x00"
REPLIES = {PING: PONG, b"long!": LONG}


def active(ats=ATS_DESFIRE, rats=b"\xe0\x50", **card):
    """Return a card that has sent its ATS."""
    made = IsoCard(UID, ats, dict(REPLIES), **card)
    made.power(True)
    assert select(made) == 0x20
    assert send(made, rats) == ats
    return made


class Activation(unittest.TestCase):
    def test_answer_to_select_of_three_cards(self):
        for ats, fsc, fwi, guard in ((ATS_NTAG424, 128, 7, 8192), (ATS_DESFIRE, 64, 8, 8192), (ATS_FM1208, 256, 9, 0)):
            card = active(ats)
            self.assertEqual((card.fsc, card.fwi, card.guard_fc), (fsc, fwi, guard))
        # No interface bytes at all: FSC 32, FWI 4, CID allowed
        card = active(b"\x01")
        self.assertEqual((card.fsc, card.fwi, card.guard_fc), (32, 4, 0))
        self.assertEqual(active(b"\x02\x05").fsc, 64)
        self.assertEqual(active(b"\x03\x48\x00").fsc, 256)

    def test_only_a_good_request_is_answered(self):
        card = IsoCard(UID, ATS_DESFIRE, REPLIES)
        card.power(True)
        select(card)
        self.assertEqual(card.answer(b"\xe0\x50\xbc\xa4", 32), 0)
        self.assertEqual(card.state, ACTIVE)
        self.assertIsNone(send(card, b"\xe0\x5f"))
        self.assertEqual(send(card, b"\xe0\x50"), ATS_DESFIRE)
        self.assertIsNone(send(card, b"\xe0\x50"))
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        card.power(True)
        select(card)
        self.assertIsNone(send(card, b"\x02" + PING))
        self.assertEqual(card.state, IDLE)
        self.assertIsNone(send(card, b"\xe0\x50"))

    def test_nothing_of_part_3_moves_an_activated_card(self):
        card = active()
        for frame, bits in ((b"\x26", 7), (b"\x52", 7), (b"\x50\x00\x57\xcd", 32), (b"\x93\x20", 16)):
            self.assertEqual(card.answer(frame, bits), 0)
            card.fail()
            self.assertEqual(card.state, ACTIVE)
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)

    def test_deselected_cards_wake_up_again(self):
        card = active()
        self.assertEqual(send(card, b"\xc2"), b"\xc2")
        self.assertEqual(card.state, HALT)
        self.assertIsNone(send(card, b"\xc2"))
        self.assertIsNone(select(card, 0x26))
        self.assertEqual(select(card), 0x20)
        self.assertEqual(send(card, b"\xe0\x50"), ATS_DESFIRE)
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)

    def test_parameter_selection(self):
        card = active()
        self.assertEqual(send(card, b"\xd0\x11\x00"), b"\xd0")
        self.assertIsNone(send(card, b"\xd0\x11\x00"))
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        card = active()
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        self.assertIsNone(send(card, b"\xd0\x11\x00"))
        card = active(pps=False)
        self.assertIsNone(send(card, b"\xd0\x11\x00"))
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        # At 212 kbit/s it does not hear this reader any more.
        card = active()
        self.assertEqual(send(card, b"\xd0\x11\x05"), b"\xd0")
        self.assertIsNone(send(card, b"\x02" + PING))
        self.assertEqual(send(active(rats=b"\xe0\x53"), b"\xd3\x01"), b"\xd3")
        self.assertIsNone(send(active(rats=b"\xe0\x53"), b"\xd0\x01"))

    def test_card_identifiers(self):
        card = active(rats=b"\xe0\x53")
        self.assertIsNone(send(card, b"\x02" + PING))
        self.assertIsNone(send(card, b"\x0a\x02" + PING))
        self.assertEqual(send(card, b"\x0a\x03" + PING), b"\x0a\x03" + PONG)
        self.assertEqual(send(card, b"\xba\x03"), b"\x0a\x03" + PONG)
        self.assertEqual(send(card, b"\xca\x03"), b"\xca\x03")
        card = active()
        self.assertEqual(send(card, b"\x0a\x00" + PING), b"\x0a\x00" + PONG)
        self.assertEqual(send(card, b"\x03" + PING), b"\x03" + PONG)
        card = active(b"\x03\x45\x00")
        self.assertIsNone(send(card, b"\x0a\x00" + PING))
        self.assertIsNone(send(active(), b"\x06\x00" + PING))


class Blocks(unittest.TestCase):
    def test_numbers_follow_the_card_not_the_reader(self):
        card = active()
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        self.assertEqual(send(card, b"\x03" + PING), b"\x03" + PONG)
        # Rule D: the number toggles with each I-block, whatever number that has.
        self.assertEqual(send(card, b"\x03" + PING), b"\x02" + PONG)

    def test_lost_answer_is_sent_again(self):
        card = active()
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        for _ in range(3):
            self.assertEqual(send(card, b"\xb2"), b"\x02" + PONG)
        self.assertEqual(len(card.seen), 1)

    def test_lost_command_is_acknowledged_with_the_old_number(self):
        card = active()
        self.assertEqual(send(card, b"\xb2"), b"\xa3")
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        card.fault(DEAF)
        self.assertIsNone(send(card, b"\x03" + PING))
        self.assertEqual(send(card, b"\xb3"), b"\xa2")
        self.assertEqual(send(card, b"\x03" + PING), b"\x03" + PONG)
        self.assertEqual(len(card.seen), 2)

    def test_damaged_and_malformed_frames_meet_silence(self):
        card = active()
        frame = with_crc(b"\x02" + PING)
        for i in range(len(frame) * 8):
            wrong = bytearray(frame)
            wrong[i >> 3] ^= 1 << (i & 7)
            self.assertEqual(card.answer(wrong, 8 * len(wrong)), 0)
        self.assertEqual(card.answer(frame, 8 * len(frame) - 1), 0)
        for block in (b"\x00", b"\x22", b"\x42", b"\x62", b"\x82", b"\xe2", b"\xf2\x01", b"\xa3\x00", b"\xc2\x00", b""):
            self.assertIsNone(send(card, block))
        self.assertEqual(card.seen, [])
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)

    def test_a_chained_command(self):
        card = active()
        self.assertEqual(send(card, b"\x12" + PING[:2]), b"\xa2")
        self.assertEqual(send(card, b"\xb2"), b"\xa2")
        self.assertEqual(send(card, b"\x13" + PING[2:3]), b"\xa3")
        self.assertEqual(send(card, b"\x02" + PING[3:]), b"\x02" + PONG)
        self.assertEqual(card.seen, [PING])

    def test_a_chained_answer(self):
        card = active()
        whole = b""
        answer = send(card, b"\x02long!")
        number = 0
        while answer[0] & 0x10:
            self.assertEqual(len(answer), 62)
            self.assertEqual(answer[0], 0x12 | number)
            self.assertEqual(send(card, bytes((0xB2 | number,))), answer)
            whole += answer[1:]
            number ^= 1
            answer = send(card, bytes((0xA2 | number,)))
        self.assertEqual(answer[0], 0x02 | number)
        self.assertEqual(whole + answer[1:], LONG)
        self.assertIsNone(send(card, bytes((0xA3 ^ number,))))

    def test_a_new_command_ends_a_chained_answer(self):
        card = active()
        self.assertEqual(send(card, b"\x02long!")[0], 0x12)
        self.assertEqual(send(card, b"\x13" + PING[:2]), b"\xa3")
        self.assertIsNone(send(card, b"\xa2"))
        self.assertEqual(send(card, b"\x02" + PING[2:]), b"\x02" + PONG)
        # A command that no card has room for
        for number in range(10):
            self.assertEqual(len(send(card, bytes((0x13 ^ number & 1,)) + bytes(60))), 1)
        self.assertIsNone(send(card, b"\x13" + bytes(60)))

    def test_frames_are_as_long_as_the_reader_said(self):
        for fsdi, size in enumerate((16, 24, 32, 40, 48, 64, 96, 128, 256, 256)):
            card = active(rats=bytes((0xE0, fsdi << 4)))
            answer = send(card, b"\x02long!")
            self.assertEqual(len(answer) + 2, min(size, len(LONG) + 3))
            self.assertEqual(answer[0] & 0x10, 0x10 if size < len(LONG) + 3 else 0)
        card = active(rats=b"\xe0\x57")
        self.assertEqual(len(send(card, b"\x0a\x07long!")) + 2, 64)

    def test_frames_longer_than_the_card_takes(self):
        card = active()
        card.replies[bytes(61)] = b"\x90\x00"
        self.assertEqual(send(card, b"\x02" + bytes(61)), b"\x02\x90\x00")
        self.assertIsNone(send(card, b"\x03" + bytes(62)))
        self.assertIsNone(send(card, b"\x0b\x00" + bytes(61)))
        card = active(ATS_FM1208)
        self.assertEqual(send(card, b"\x02" + bytes(253)), b"\x02\x6d\x00")
        self.assertIsNone(send(card, b"\x03" + bytes(254)))

    def test_commands_of_any_length_arrive_whole(self):
        for ats, fsc in ((ATS_DESFIRE, 64), (ATS_NTAG424, 128), (ATS_FM1208, 256)):
            card = IsoCard(UID, ats, {})
            reader = Reader(card, fsc=fsc)
            for size in (1, 13, 60, 61, 62, 125, 126, 253, 254, 255):
                command = bytes((i * 7 + size) & 0xFF for i in range(size))
                card.replies = {command: command + b"\x90\x00"}
                self.assertEqual(reader.apdu(command), command + b"\x90\x00")


class Waiting(unittest.TestCase):
    def test_more_time(self):
        card = active()
        card.wtx(2, 5)
        self.assertEqual(send(card, b"\x02" + PING), b"\xf2\x05")
        self.assertEqual(send(card, b"\xb2"), b"\xf2\x05")
        self.assertIsNone(send(card, b"\xf2\x04"))
        self.assertEqual(send(card, b"\xf2\x05"), b"\xf2\x05")
        self.assertEqual(send(card, b"\xf2\x05"), b"\x02" + PONG)
        self.assertIsNone(send(card, b"\xf2\x05"))
        self.assertEqual(send(card, b"\x03" + PING), b"\x03" + PONG)

    def test_for_ever(self):
        card = active()
        card.wtx(-1, 1)
        answer = send(card, b"\x02" + PING)
        for _ in range(40):
            self.assertEqual(answer, b"\xf2\x01")
            answer = send(card, answer)
        self.assertEqual(send(card, b"\xc2"), b"\xc2")

    def test_with_a_card_identifier(self):
        card = active(rats=b"\xe0\x53")
        card.wtx(1, 9)
        self.assertEqual(send(card, b"\x0a\x03" + PING), b"\xfa\x03\x09")
        self.assertEqual(send(card, b"\xfa\x03\x09"), b"\x0a\x03" + PONG)


class Faults(unittest.TestCase):
    def test_each_at_its_place(self):
        for kind, expected in (
            (LOSE, None),
            (DEAF, None),
            (DAMAGE, b""),
            (RENUMBER, b"\x03" + PONG),
            (REPEAT, b"\x03" + PONG),
        ):
            card = active()
            card.fault(kind, at=3)
            self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
            self.assertEqual(send(card, b"\x03" + PING), b"\x03" + PONG)
            self.assertEqual(send(card, b"\x02" + PING), expected)
            self.assertEqual(send(card, b"\xb2"), b"\xa3" if kind == DEAF else b"\x02" + PONG)

    def test_silence_for_ever(self):
        card = active()
        card.fault(LOSE, at=2, times=-1)
        self.assertEqual(send(card, b"\x02" + PING), b"\x02" + PONG)
        for _ in range(5):
            self.assertIsNone(send(card, b"\xb2"))
        card.fault(LOSE, times=2)
        self.assertEqual([send(card, b"\xb2") for _ in range(3)], [None, None, b"\x02" + PONG])

    def test_answers_longer_than_announced(self):
        self.assertEqual(send(active(ignores_fsd=True), b"\x02long!"), b"\x02" + LONG)
        card = active()
        card.fault(OVERLONG)
        self.assertEqual(send(card, b"\x02long!"), b"\x02" + LONG)
        self.assertEqual(len(send(card, b"\x03long!")), 62)

    def test_an_ats_can_be_lost_or_damaged(self):
        for kind, expected in ((LOSE, None), (DAMAGE, b""), (DEAF, None)):
            card = IsoCard(UID, ATS_DESFIRE, REPLIES)
            card.power(True)
            select(card)
            card.fault(kind)
            self.assertEqual(send(card, b"\xe0\x50"), expected)
            # 5.6.1.2: answered once; only a card that did not hear it answers now
            self.assertEqual(send(card, b"\xe0\x50"), ATS_DESFIRE if kind == DEAF else None)

    def test_garbage_out_and_in(self):
        seed = random.getrandbits(30)
        print("seed", seed)
        random.seed(seed)
        card = active()
        card.fault(GARBAGE)
        self.assertTrue(len(send(card, b"\x02" + PING)) > 0)
        for _ in range(3000):
            block = bytes(random.getrandbits(8) for _ in range(random.getrandbits(6)))
            card.fault(random.getrandbits(3), at=1 + random.getrandbits(2), times=1)
            if random.getrandbits(3) == 0:
                card.wtx(random.getrandbits(1), 1 + random.getrandbits(5))
            answer = send(card, block)
            self.assertTrue(answer is None or isinstance(answer, bytes))
            if not card.protocol:
                card.power(True)
                select(card)
        card.fault(0)
        card.wtx(0)
        self.assertEqual(Reader(card).apdu(PING), PONG)


class OnAir(Bench):
    def start(self, **card):
        made = IsoCard(b"\x11\x22\x33\x44", ATS_DESFIRE, dict(REPLIES), **card)
        self.prepare(made)
        self.activate()
        self.assertEqual(self.ask(with_crc(b"\xe0\x50"))[:-2], ATS_DESFIRE)
        return made

    def test_a_command_takes_its_time(self):
        card = self.start()
        card.durations[PING[1]] = 25300
        frame = with_crc(b"\x02" + PING)
        answer = with_crc(b"\x02" + PONG)
        air = fc((1 + 9 * len(frame)) * 128 + 1204)
        self.send(frame)
        self.clock.us += air + 25300
        self.assertEqual(self.read(LEVEL), 0)
        self.clock.us += fc((1 + 9 * len(answer)) * 128) + 20
        self.assertEqual(self.fifo(), answer)
        # The next command has no exception: no delay
        self.assertEqual(self.ask(with_crc(b"\x03long!"), wait_us=7000)[:1], b"\x13")

    def test_a_busy_card_is_deaf(self):
        card = self.start(busy_us=100000)
        self.assertEqual(self.ask(with_crc(b"\x02" + PING), wait_us=77300), b"")
        self.assertEqual(self.ask(with_crc(b"\xb2"), wait_us=10000), b"")
        self.clock.us += 20000
        self.assertEqual(self.ask(with_crc(b"\xb2")), with_crc(b"\x02" + PONG))
        self.assertEqual(len(card.seen), 1)

    def test_the_guard_time_after_the_ats(self):
        card = IsoCard(b"\x11\x22\x33\x44", ATS_DESFIRE, dict(REPLIES))
        for pause, heard in ((590, False), (625, True)):
            self.chip.field.remove()
            self.prepare(card)
            self.activate()
            air = fc((1 + 9 * 4) * 128 + 1204 + (1 + 9 * 8) * 128)
            self.ask(with_crc(b"\xe0\x50"), wait_us=air + pause)
            self.assertEqual(bool(self.ask(with_crc(b"\x02" + PING))), heard)

    def test_an_ntag_proves_itself_through_the_chip(self):
        uid = x("04958CAA5C5E80")
        card = self.prepare(Ntag424(uid))
        start_us = self.clock.us
        self.air(b"\x52", 7)
        for level, part in enumerate(levels(uid)):
            found = self.air(bytes((0x93 + 2 * level, 0x20)))
            self.assertEqual(found[:4], part)
            self.air(with_crc(bytes((0x93 + 2 * level, 0x70)) + found))
        # The reader's figures for a 7-byte UID: two cascade levels, 4 exchanges after the first
        self.assertTrue(4300 < self.clock.us - start_us < 4800)
        self.assertEqual(self.air(with_crc(b"\xe0\x50"))[:-2], ATS_NTAG424)
        self.clock.us += 605
        start_us = self.clock.us
        self.assertEqual(self.air(with_crc(b"\x02" + x("00A4040C07D276000085010100"))), with_crc(b"\x02\x90\x00"))
        challenge = self.air(with_crc(b"\x03" + x("9071000002000000")))
        self.assertEqual(len(challenge), 21)
        rnd_b = aes(bytes(16), 2, bytes(16)).decrypt(challenge[1:17])
        rnd_a = bytes(range(16))
        proof = aes(bytes(16), 2, bytes(16)).encrypt(rnd_a + rnd_b[1:] + rnd_b[:1])
        answer = self.air(with_crc(b"\x02" + x("90AF000020") + proof + b"\x00"))
        self.assertEqual(answer[33:35], x("9100"))
        plain = aes(bytes(16), 2, bytes(16)).decrypt(answer[1:33])
        self.assertEqual(plain[4:20], rnd_a[1:] + rnd_a[:1])
        self.assertEqual(card.session.identifier, plain[:4])
        print("NTAG 424 select and EV2First on air", self.clock.us - start_us, "us")
        self.assertTrue(11500 < self.clock.us - start_us < 13000)

    def air(self, frame, last_bits=0):
        """Exchange a frame, looking every 20 us; return the answer, after the guard before the next request."""
        self.send(frame, last_bits)
        for _ in range(600):
            if self.read(COM_IRQ) & RX:
                break
            self.clock.us += 20
        self.clock.us += 87
        return self.fifo()

    def test_a_long_frame_overflows_the_fifo(self):
        self.start(ignores_fsd=True)
        self.write(COM_IRQ, 0x7F)
        self.ask(with_crc(b"\x02long!"), wait_us=30000)
        self.assertEqual(self.read(COM_IRQ) & (TX | RX), TX | RX)
        self.assertTrue(self.read(ERROR) & 0x10)  # BufferOvfl
