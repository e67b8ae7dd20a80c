"""What fails in the field: each fault shows on the bus or on air as it is reported, and goes away as it should."""

from boards.sim import mfrc522_faults as faults
from boards.sim.cards import Card, with_crc
from reader_bench import (
    CALC_CRC,
    COMMAND,
    COM_IRQ,
    CRC_H,
    DIV_IRQ,
    ERROR,
    FIFO,
    LEVEL,
    RF_CFG,
    RX,
    SOFT_RESET,
    STATUS1,
    STATUS2,
    TIMER,
    TX_CONTROL,
    UID4,
    VERSION,
    Bench,
)


class Faults(Bench):
    def heard(self):
        self.chip.field.remove()
        self.prepare(Card(UID4))
        return self.ask(b"\x26", 7) == b"\x04\x00"

    def inject(self, name, value=None):
        faults.inject(self.chip, name, value)

    def reset_by_pin(self):
        self.chip.reset_pin(0)
        self.clock.us += 2000
        self.chip.reset_pin(1)
        self.clock.us += 1000

    def reset_softly(self):
        self.write(COMMAND, SOFT_RESET)
        self.clock.us += 1000

    def cycle_power(self):
        self.chip.power(False)
        self.clock.us += 2000
        self.chip.power(True)
        self.clock.us += 1000

    def test_each_hang_ends_with_its_remedy_and_not_before(self):
        remedies = (("soft", self.reset_softly), ("hard", self.reset_by_pin), ("power", self.cycle_power))
        for index, (until, _) in enumerate(remedies):
            self.setUp()
            self.assertTrue(self.heard())
            self.inject("hang", until)
            for i, (_, remedy) in enumerate(remedies):
                self.assertFalse(self.heard())
                remedy()
                if i == index:
                    break
            self.assertTrue(self.heard())
            self.assertEqual(faults.kept(self.chip), {})
        self.inject("hang", "ever")
        for _, remedy in remedies:
            remedy()
            self.assertFalse(self.heard())
        self.inject("hang")
        self.assertTrue(self.heard())

    def test_a_chip_that_hangs_answers_on_the_bus_or_not(self):
        self.prepare(Card(UID4))
        self.inject("hang", "hard")
        self.write(FIFO, 1, 2, 3)
        self.assertEqual(self.read(VERSION, LEVEL, FIFO), [0x92, 3, 1])
        self.send(b"\x26", 7)
        self.clock.us += 100000
        self.assertEqual(self.read(COM_IRQ) & (RX | TIMER), 0)
        self.inject("mute", "1")
        self.assertEqual(self.read(VERSION, LEVEL, FIFO), [0, 0, 0])
        self.reset_by_pin()
        self.assertEqual(self.read(VERSION), 0x92)

    def test_a_stuck_line(self):
        for value in (0x00, 0xFF):
            self.inject("miso", "%02X" % value)
            self.assertEqual(self.read(VERSION, COM_IRQ), [value, value])
        self.inject("miso")
        self.assertEqual(self.read(VERSION), 0x92)

    def test_reset_wire_broken(self):
        self.inject("rst_low", "1")
        self.assertEqual(self.read(VERSION), 0)
        self.reset_by_pin()
        self.assertEqual(self.read(VERSION), 0)
        self.inject("rst_low")
        self.clock.us += 1000
        self.assertTrue(self.heard())

    def test_crypto_and_antenna(self):
        self.assertTrue(self.heard())
        self.inject("crypto")
        self.assertFalse(self.heard())
        self.assertEqual(self.read(VERSION, STATUS2), [0x92, self.read(STATUS2)])
        self.write(STATUS2, 0)
        self.assertTrue(self.heard())
        self.inject("antenna")
        self.assertEqual(self.read(TX_CONTROL), 0x80)
        self.assertNotEqual(len(self.ask(b"\x52", 7)), 2)
        self.assertTrue(self.heard())

    def test_registers_lost(self):
        self.assertTrue(self.heard())
        self.inject("registers")
        self.clock.us += 1000
        self.assertEqual(self.read(VERSION, TX_CONTROL), [0x92, 0x80])
        self.assertNotEqual(len(self.ask(b"\x52", 7)), 2)
        self.assertTrue(self.heard())

    def test_clones(self):
        for version in (0x12, 0x15, 0x82, 0x88, 0x89, 0xB2):
            self.inject("version", "%02x" % version)
            self.assertEqual(self.read(VERSION), version)
            self.reset_by_pin()
            self.assertEqual(self.read(VERSION), version)
            self.assertTrue(self.heard())

    def test_crc_coprocessor(self):
        self.inject("crc_hang", "1")
        self.write(LEVEL, 0x80)
        self.write(FIFO, 1, 2)
        self.write(COMMAND, CALC_CRC)
        self.clock.us += 100000
        self.assertEqual(self.read(DIV_IRQ, CRC_H, STATUS1)[0] & 4, 0)
        self.assertEqual(self.read(STATUS1) & 0x20, 0)
        self.inject("crc_hang")
        self.write(FIFO, 1)
        self.assertEqual(self.read(DIV_IRQ) & 4, 4)

    def test_too_much_gain(self):
        self.prepare(Card(UID4))
        self.inject("gain_limit", "5")
        for gain, least, most in ((0x58, 0, 0), (0x78, 10, 39)):
            self.write(RF_CFG, gain)
            damaged = 0
            for _ in range(40):
                self.ask(b"\x52", 7)
                self.assertEqual(self.read(ERROR), 0)
                self.ask(b"\x93\x20")
                damaged += self.read(ERROR) != 0
                self.ask(with_crc(b"\x50\x00"))
            self.assertTrue(least <= damaged <= most)

    def test_noise(self):
        self.prepare(Card(UID4))
        self.inject("noise", "2")
        for expected in (2, 2, 0):
            self.ask(b"\x52", 7)
            self.assertEqual(self.read(ERROR), expected)
            self.ask(b"\x52", 7)

    def test_a_bus_that_is_too_fast(self):
        class Bus:
            baudrate = 4000000

        self.chip.bus = Bus
        self.inject("baud_limit", "1000000")
        wrong = sum(self.read(VERSION) != 0x92 for _ in range(100))
        self.assertTrue(20 < wrong < 90)
        Bus.baudrate = 1000000
        self.assertEqual(sum(self.read(VERSION) != 0x92 for _ in range(100)), 0)

    def test_without_power_nothing(self):
        self.write(RF_CFG, 0x78)
        self.chip.power(False)
        self.assertEqual(self.read(VERSION), 0xFF)
        self.write(RF_CFG, 0x68)
        self.chip.reset_pin(1)
        self.assertEqual(self.read(VERSION), 0xFF)
        self.chip.power(True)
        self.clock.us += 1000
        self.assertEqual(self.read(RF_CFG), 0x48)
        # With its reset pin low it stays down when power comes.
        self.chip.power(False)
        self.chip.reset_pin(0)
        self.chip.power(True)
        self.clock.us += 1000
        self.assertEqual(self.read(VERSION), 0)
        self.chip.reset_pin(1)
        self.clock.us += 1000
        self.assertTrue(self.heard())

    def test_nonsense_is_refused(self):
        for name, value in (
            ("sesame", None),
            ("hang", "1"),
            ("miso", "10"),
            ("version", "00"),
            ("noise", "-1"),
            ("deaf", "x"),
        ):
            self.assertRaises(ValueError, self.inject, name, value)
