"""The MFRC522 model on air: when what comes, what is heard and what is not."""

import random

from boards.sim.cards import ACTIVE, IDLE, READY, Card, with_crc
from reader_bench import (
    AUTHENTICATE,
    Bench,
    COLL,
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
    LO,
    MF_RX,
    MODE,
    RECEIVE,
    RF_CFG,
    RX,
    RX_MODE,
    RX_SEL,
    STATUS2,
    TIMER,
    TRANSCEIVE,
    TRANSMIT,
    TX,
    TX_ASK,
    TX_CONTROL,
    TX_MODE,
    UID4,
    UID7,
    VERSION,
    fc,
)


class AirTime(Bench):
    def exchange_us(self, data, last_bits=0):
        self.send(data, last_bits)
        start = self.clock.us
        while not self.read(COM_IRQ) & (RX | TIMER):
            self.clock.us += 1
        self.assertEqual(self.read(COM_IRQ) & TIMER, 0)
        return self.clock.us - start

    def test_a_whole_identification(self):
        self.prepare(Card(UID4))
        # 8 + 19 bit periods and 1204/fc; a recorded WUPA/ATQA took 4484/fc, its end stamped before the last half bit.
        request_us = self.exchange_us(b"\x26", 7)
        self.assertEqual(request_us, 344)
        self.assertTrue(0 < fc(27 * 128 + 1204) - fc(4484) < 15)
        self.assertEqual(self.exchange_us(b"\x93\x20"), 703)
        self.assertEqual(self.exchange_us(with_crc(b"\x93\x70" + UID4 + b"\x44")), 1128)

    def test_answer_begins_where_recorders_see_it(self):
        """2228/fc from the start of REQA or WUPA, whatever its last bit."""
        for request in (b"\x26", b"\x52"):
            self.setUp()
            self.prepare(Card(UID4))
            self.send(request, 7)
            self.clock.us += fc(2228) - 1
            self.assertEqual(self.read(STATUS2) & 7, 5)
            self.clock.us += 1
            self.assertEqual(self.read(STATUS2) & 7, 6)

    def test_bytes_arrive_one_after_the_other(self):
        self.prepare(Card(UID4))
        self.ask(b"\x26", 7)
        self.send(b"\x93\x20")
        for count in range(5):
            at_us = fc(19 * 128 + 1204 + (1 + 9 * (count + 1)) * 128)
            self.clock.us += at_us - 1 - (self.clock.us - self.chip._out_us)
            self.assertEqual(self.read(LEVEL), count)
            self.clock.us += 1
            self.assertEqual(self.read(LEVEL), count + 1)
        self.assertEqual(self.read(COM_IRQ) & RX, RX)

    def test_modem_states(self):
        self.prepare(Card(UID4))
        self.assertEqual(self.read(STATUS2) & 7, 0)
        self.write(COMMAND, TRANSCEIVE)
        self.assertEqual(self.read(STATUS2) & 7, 1)
        self.send(b"\x26", 7)
        seen = []
        for _ in range(400):
            state = self.read(STATUS2) & 7
            if not seen or seen[-1] != state:
                seen.append(state)
            self.clock.us += 1
        self.assertEqual(seen, [3, 4, 5, 6, 1])

    def test_a_card_is_silent_for_five_milliseconds(self):
        self.write(TX_ASK, 0x40)
        self.write(TX_CONTROL, 0x83)
        self.chip.field.put(Card(UID4))
        self.clock.us += 4500
        self.assertEqual(self.ask(b"\x26", 7, wait_us=499), b"")
        self.assertEqual(self.ask(b"\x26", 7, wait_us=400), b"")
        self.clock.us = 5000
        self.assertEqual(self.ask(b"\x26", 7, wait_us=400), b"\x04\x00")


class Answers(Bench):
    def test_each_size_of_uid(self):
        self.prepare(Card(UID4))
        self.activate()
        self.chip.field.remove()
        self.chip.field.put(Card(UID7))
        self.clock.us += 5100
        self.assertEqual(self.ask(b"\x26", 7), b"\x44\x00")
        self.assertEqual(self.ask(b"\x93\x20"), b"\x88\x04\xe2\x0b\x65")
        self.assertEqual(self.ask(b"\x93\x70\x88\x04\xe2\x0b\x65\x1f\x17"), b"\x04\xda\x17")
        self.assertEqual(self.ask(b"\x95\x20")[:4], UID7[3:])

    def test_crc_in_the_chip(self):
        card = self.prepare(Card(UID4))
        self.ask(b"\x26", 7)
        self.ask(b"\x93\x20")
        self.write(TX_MODE, 0x80)
        self.write(RX_MODE, 0x80)
        self.assertEqual(self.ask(b"\x93\x70" + UID4 + b"\x44"), b"\x08")
        self.assertEqual(self.read(ERROR), 0)
        self.assertEqual(card.state, ACTIVE)
        self.ask(b"\x50\x00")
        self.ask(b"\x52", 7)
        # ATQA and UID carry no CRC.
        self.assertEqual(self.read(ERROR), 0x04)
        self.assertEqual(self.read(COM_IRQ) & (RX | ERR), RX | ERR)
        self.write(TX_MODE, 0)
        self.assertEqual(self.ask(b"\x93\x20"), b"\x11\x22\x33")
        self.assertEqual(self.read(ERROR), 0x04)

    def test_bit_oriented_frames(self):
        self.prepare(Card(UID4))
        for known in (3, 8, 13):
            bits = int.from_bytes(UID4, "little")
            given = bytes((0x93, (2 + known // 8) << 4 | known % 8)) + (bits & ((1 << known) - 1)).to_bytes(
                (known + 7) // 8, "little"
            )
            self.ask(b"\x52", 7)
            found = self.ask(given, known % 8, known % 8)
            expected = bytearray((UID4 + b"\x44")[known // 8 :])
            expected[0] &= 0xFF << known % 8 & 0xFF
            self.assertEqual(found, expected)
            self.assertEqual(self.read(ERROR, CONTROL), [0, 0x10])
            self.ask(b"\x26", 7)

    def test_wrong_alignment_is_a_parity_error(self):
        self.prepare(Card(UID4))
        self.ask(b"\x26", 7)
        found = self.ask(b"\x93\x23\x01", 3, 0)
        self.assertEqual(self.read(ERROR), 0x02)
        self.assertEqual(int.from_bytes(found, "little"), int.from_bytes(UID4 + b"\x44", "little") >> 3)
        self.assertEqual(self.read(CONTROL) & 7, 5)

    def test_four_bits(self):
        class Ack(Card):
            bits = 4

            def application(self, frame, bits):
                self.reply = b"\x0a"
                return self.bits

        card = self.prepare(Ack(UID4))
        self.activate()
        self.assertEqual(self.ask(b"\xa0\x04\x00\x00"), b"\x0a")
        self.assertEqual(self.read(CONTROL) & 7, 4)
        card.bits = 3
        self.assertEqual(len(self.ask(b"\xa0\x04\x00\x00")), 1)
        self.write(RX_MODE, 0x08)
        self.assertEqual(self.ask(b"\xa0\x04\x00\x00"), b"")
        self.assertEqual(self.read(COM_IRQ) & RX, 0)

    def test_ninety_two_bytes(self):
        class Long(Card):
            def application(self, frame, bits):
                self.reply = bytes(range(92))
                return 92 * 8

        self.prepare(Long(UID4))
        self.activate()
        self.assertEqual(self.ask(b"\x00\x00"), bytes(range(64)))
        self.send(b"\x00\x00")
        self.clock.us += 20000
        self.assertEqual(self.read(ERROR), 0x10)
        # A host that keeps up gets all of it.
        self.send(b"\x00\x00")
        found = b""
        for _ in range(100):
            self.clock.us += 100
            found += self.fifo()
        self.assertEqual(found, bytes(range(92)))
        self.assertEqual(self.read(ERROR), 0)

    def test_collision(self):
        self.prepare(Card(b"\x11\x22\x33\x44"))
        self.chip.field.put(Card(b"\x11\x62\x33\x44"))
        self.clock.us += 5100
        for after, expected in ((0x80, b"\x11\x62\x33\x44\x44"), (0x00, b"\x11\x22\x00\x00\x00")):
            self.write(COLL, after)
            self.assertEqual(self.ask(b"\x52", 7), b"\x04\x00")
            self.assertEqual(self.read(COLL), after | 0x20)
            found = self.ask(b"\x93\x20")
            self.assertEqual(self.read(ERROR, COLL), [0x08, after | 15])
            self.assertEqual(found, expected)
            self.ask(b"\x52", 7)

    def test_collision_positions_the_register_cannot_tell(self):
        for other, coll in ((b"\x10\x22\x33\x44", 1), (b"\x11\x22\x33\xc4", 0), (b"\x91\x22\x33\x44", 8)):
            self.setUp()
            self.prepare(Card(UID4))
            self.chip.field.put(Card(other))
            self.clock.us += 5100
            self.ask(b"\x52", 7)
            self.ask(b"\x93\x20")
            self.assertEqual(self.read(COLL), 0x80 | coll)

    def test_a_damaged_answer(self):
        card = self.prepare(Card(UID4))
        self.chip.noise = 1
        self.ask(b"\x26", 7)
        self.assertEqual(self.read(ERROR), 0x02)
        self.assertEqual(self.read(COM_IRQ) & (RX | ERR), RX | ERR)
        self.assertEqual(card.state, READY)
        self.assertEqual(self.ask(b"\x93\x20"), UID4 + b"\x44")
        self.assertEqual(self.read(ERROR), 0)

    def test_a_card_taken_away_while_it_speaks(self):
        self.prepare(Card(UID4))
        self.ask(b"\x26", 7)
        self.send(b"\x93\x20")
        self.clock.us += fc(19 * 128 + 1204 + (1 + 9 + 5) * 128 + 64)
        self.chip.field.remove()
        self.clock.us += 1000
        self.assertEqual(self.fifo(), b"\x11\x02")
        self.assertEqual(self.read(CONTROL) & 7, 5)
        self.assertEqual(self.ask(b"\x26", 7), b"")

    def test_a_card_taken_away_before_it_speaks(self):
        self.prepare(Card(UID4))
        self.send(b"\x26", 7)
        self.clock.us += 100
        self.chip.field.remove()
        self.clock.us += 30000
        self.assertEqual(self.read(COM_IRQ), TX | LO | TIMER)

    def test_transmit_then_receive(self):
        self.prepare(Card(UID4))
        self.write(COM_IRQ, 0x7F)
        self.write(FRAMING, 7)
        self.write(FIFO, 0x26)
        self.write(COMMAND, TRANSMIT)
        self.clock.us += 76
        self.assertEqual(self.read(COM_IRQ) & (TX | IDLE_IRQ), TX | IDLE_IRQ)
        self.assertEqual(self.read(COMMAND), IDLE_COMMAND)
        self.write(COM_IRQ, 0x7F)
        self.write(COMMAND, RECEIVE)
        self.clock.us += 1000
        self.assertEqual(self.fifo(), b"\x04\x00")
        self.assertEqual(self.read(COM_IRQ) & (RX | IDLE_IRQ), RX | IDLE_IRQ)
        self.assertEqual(self.read(COMMAND), IDLE_COMMAND)

    def test_multiple_reception(self):
        """The command goes on, and ErrorReg follows each answer in the FIFO."""
        self.prepare(Card(UID4))
        self.write(RX_MODE, 0x04)
        self.assertEqual(self.ask(b"\x26", 7, wait_us=1000), b"\x04\x00\x00")
        self.assertEqual(self.read(STATUS2) & 7, 5)
        self.chip.noise = 1
        self.assertEqual(self.ask(b"\x93\x20", wait_us=2000)[5:], b"\x02")
        self.ask(b"\x52", 7)
        self.write(COM_IRQ, 0x7F)
        self.write(FRAMING, 7)
        self.write(FIFO, 0x52)
        self.write(COMMAND, TRANSMIT)
        self.clock.us += 76
        self.write(COMMAND, RECEIVE)
        self.clock.us += 1000
        self.assertEqual(self.fifo(), b"\x04\x00\x00")
        self.assertEqual(self.read(COMMAND), RECEIVE)
        self.write(COMMAND, IDLE_COMMAND)
        self.write(RX_MODE, 0x00)
        self.assertEqual(self.read(STATUS2) & 7, 0)

    def test_idle_ends_an_exchange(self):
        card = self.prepare(Card(UID4))
        self.send(b"\x26", 7)
        self.clock.us += 40
        self.write(COMMAND, IDLE_COMMAND)
        self.clock.us += 1000
        self.assertEqual(card.state, IDLE)
        self.send(b"\x26", 7)
        self.clock.us += 100
        self.write(COMMAND, IDLE_COMMAND)
        self.clock.us += 1000
        self.assertEqual(card.state, READY)
        self.assertEqual(self.read(LEVEL), 0)


class Deaf(Bench):
    """Everything that makes a reader hear nothing although it answers on the bus."""

    def heard(self):
        self.chip.field.remove()
        self.chip.field.put(Card(UID4, min_gain=4))
        self.clock.us += 5100
        return self.ask(b"\x26", 7) == b"\x04\x00"

    def test_settings(self):
        self.prepare()
        self.assertTrue(self.heard())
        for register, wrong, right in (
            (TX_CONTROL, 0x80, 0x83),  # antenna off
            (TX_ASK, 0x00, 0x40),  # no 100 % modulation
            (RF_CFG, 0x38, 0x48),  # gain
            (RX_SEL, 0x8A, 0x84),  # the receiver wakes up too late
            (TX_MODE, 0x10, 0x00),  # 212 kbit/s
            (RX_MODE, 0x10, 0x00),
        ):
            self.write(register, wrong)
            self.assertFalse(self.heard())
            self.write(register, right)
            self.assertTrue(self.heard())

    def test_receiver_off(self):
        self.prepare(Card(UID4))
        self.write(FIFO, 0x26)
        self.write(COMMAND, 0x20 | TRANSCEIVE)
        self.write(FRAMING, 0x87)
        self.clock.us += 1000
        self.assertEqual(self.read(LEVEL), 0)

    def test_broken_antenna(self):
        self.prepare()
        self.chip.deaf = True
        self.assertFalse(self.heard())
        self.assertEqual(self.read(VERSION, TX_CONTROL), [0x92, 0x83])
        self.chip.deaf = False
        self.assertTrue(self.heard())

    def test_stale_crypto_bit(self):
        self.prepare()
        self.chip.registers[STATUS2] |= 0x08
        self.assertFalse(self.heard())
        self.assertEqual(self.read(STATUS2) & 8, 8)
        self.write(STATUS2, 0)
        self.assertTrue(self.heard())

    def test_parity_off(self):
        card = self.prepare(Card(UID4))
        self.ask(b"\x26", 7)
        self.write(MF_RX, 0x10)
        self.assertEqual(self.ask(b"\x93\x20"), b"")
        self.assertEqual(card.state, IDLE)

    def test_antenna_off_and_waiting_for_a_field(self):
        self.prepare(Card(UID4, powerup_us=0))
        self.write(TX_CONTROL, 0x80)
        self.write(MODE, 0x3D)
        self.send(b"\x26", 7)
        self.clock.us += 100000
        self.assertEqual(self.read(COM_IRQ) & (TX | TIMER), 0)
        self.assertEqual(self.read(STATUS2) & 7, 2)
        self.write(TX_CONTROL, 0x83)
        self.clock.us += 1000
        self.assertEqual(self.fifo(), b"\x04\x00")

    def test_antenna_off_and_sending_all_the_same(self):
        self.prepare(Card(UID4))
        self.write(TX_CONTROL, 0x80)
        self.write(MODE, 0x1D)
        self.send(b"\x26", 7)
        self.clock.us += 30000
        self.assertEqual(self.read(COM_IRQ) & (TX | TIMER | RX), TX | TIMER)


class Authentication(Bench):
    ARGUMENTS = b"\x60\x08" + b"\xff" * 6 + UID4

    def start(self):
        self.write(COMMAND, IDLE_COMMAND)
        self.write(COM_IRQ, 0x7F)
        self.write(LEVEL, 0x80)
        self.write(FIFO, *self.ARGUMENTS)
        self.write(COMMAND, AUTHENTICATE)

    def test_without_a_crypto1_card_only_the_timer_ends(self):
        card = self.prepare(Card(UID4))
        self.activate()
        self.start()
        self.write(FIFO, 1)
        self.assertEqual(self.read(ERROR, LEVEL), [0x80, 0])
        self.clock.us += fc(37 * 128) + 25024
        self.assertEqual(self.read(COM_IRQ) & (TX | RX | IDLE_IRQ | TIMER), 0)
        self.clock.us += 1
        self.assertEqual(self.read(COM_IRQ) & (TX | RX | IDLE_IRQ | TIMER), TIMER)
        self.assertEqual(self.read(COMMAND) & 0x0F, AUTHENTICATE)
        self.assertEqual(self.read(STATUS2) & 8, 0)
        self.assertEqual(card.state, IDLE)

    def test_starts_with_the_twelfth_byte(self):
        self.prepare()
        self.write(COMMAND, AUTHENTICATE)
        self.write(FIFO, *self.ARGUMENTS[:11])
        self.assertEqual(self.read(LEVEL, STATUS2), [11, 0])
        self.write(FIFO, self.ARGUMENTS[11])
        self.assertEqual(self.read(LEVEL, STATUS2), [0, 3])


class AnyBytes(Bench):
    def test_no_bytes_on_the_bus_break_the_chip(self):
        seed = random.getrandbits(30)
        print("seed", seed)
        random.seed(seed)
        cards = [Card(UID4, powerup_us=0), Card(UID7, powerup_us=0)]
        frames = (b"\x26", b"\x52", b"\x93\x20", b"\x93\x70\x11\x22\x33\x44\x44", b"")
        for _ in range(6000):
            kind = random.getrandbits(4)
            if kind < 4:
                self.write(random.getrandbits(6), *(random.getrandbits(8) for _ in range(random.getrandbits(2))))
            elif kind < 6:
                self.read(*(random.getrandbits(6) for _ in range(1 + random.getrandbits(2))))
            elif kind < 12:
                data = frames[random.getrandbits(8) % len(frames)] + bytes(random.getrandbits(2))
                self.write(TX_ASK, 0x40)
                self.write(TX_CONTROL, 0x83)
                self.send(data, random.getrandbits(3), random.getrandbits(3))
            elif kind == 12:
                self.chip.field.put(cards[random.getrandbits(1)])
            elif kind == 13:
                self.chip.field.remove(cards[random.getrandbits(1)])
            elif random.getrandbits(3) == 0:
                self.chip.reset_pin(random.getrandbits(1))
            self.clock.us += random.getrandbits(random.getrandbits(4))
            self.assertTrue(self.read(LEVEL) <= 64)
        # Whatever happened, the usual start brings it back.
        self.chip.field.remove()
        self.chip.reset_pin(0)
        self.chip.reset_pin(1)
        self.clock.us += 1000
        self.prepare(Card(UID4))
        self.activate()
