"""A reader chip on a bench: the shortest driver that can work it, for the tests of the model."""

import unittest

from boards.sim.cards import with_crc
from boards.sim.mfrc522_chip import Mfrc522Chip

COMMAND, COM_ENABLE, DIV_ENABLE, COM_IRQ, DIV_IRQ, ERROR, STATUS1, STATUS2 = range(1, 9)
FIFO, LEVEL, WATER, CONTROL, FRAMING, COLL = range(9, 15)
MODE, TX_MODE, RX_MODE, TX_CONTROL, TX_ASK = range(0x11, 0x16)
RX_SEL, DEMOD, MF_RX, CRC_H, CRC_L, RF_CFG = 0x17, 0x19, 0x1D, 0x21, 0x22, 0x26
T_MODE, T_PRESCALER, T_RELOAD_H, T_RELOAD_L, COUNTER_H, COUNTER_L = range(0x2A, 0x30)
AUTO_TEST, VERSION = 0x36, 0x37

IDLE_COMMAND, MEM, RANDOM, CALC_CRC, TRANSMIT, NO_CHANGE, RECEIVE = 0, 1, 2, 3, 4, 7, 8
TRANSCEIVE, AUTHENTICATE, SOFT_RESET = 12, 14, 15

TX, RX, IDLE_IRQ, HI, LO, ERR, TIMER = 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01

UID4 = b"\x11\x22\x33\x44"
UID7 = b"\x04\xe2\x0b\xa1\x5c\x3d\x80"


class Clock:
    us = 0

    def now_us(self):
        return self.us


def fc(periods):
    """Carrier periods in microseconds, rounded up."""
    return -(-periods * 100 // 1356)


class Bench(unittest.TestCase):
    """A chip, and the shortest driver that can work it. Bus time is nothing, air time is everything."""

    def setUp(self):
        self.clock = Clock()
        self.chip = Mfrc522Chip(self.clock)

    def write(self, register, *values):
        self.chip.select()
        self.chip.exchange(register << 1)
        for value in values:
            self.chip.exchange(value)
        self.chip.deselect()

    def read(self, *registers):
        """Read registers in one frame: each byte out is the next address, the first in means nothing."""
        self.chip.select()
        self.chip.exchange(0x80 | registers[0] << 1)
        values = [self.chip.exchange(0x80 | register << 1) for register in registers[1:]]
        values.append(self.chip.exchange(0))
        self.chip.deselect()
        return values if len(values) > 1 else values[0]

    def fifo(self):
        level = self.read(LEVEL)
        return bytes([self.read(FIFO) for _ in range(level)])

    def prepare(self, card=None):
        """Do what every driver does at start; the card has its 5 ms."""
        self.write(TX_ASK, 0x40)
        self.write(MODE, 0x3D)
        self.write(T_MODE, 0x80)
        self.write(T_PRESCALER, 0xA9)
        self.write(T_RELOAD_H, 0x03)
        self.write(T_RELOAD_L, 0xE8)
        self.write(TX_CONTROL, 0x83)
        if card:
            self.chip.field.put(card)
        self.clock.us += 5100
        return card

    def send(self, data, last_bits=0, align=0):
        self.write(COMMAND, IDLE_COMMAND)
        self.write(COM_IRQ, 0x7F)
        self.write(LEVEL, 0x80)
        self.write(FIFO, *data)
        self.write(COMMAND, TRANSCEIVE)
        self.write(FRAMING, 0x80 | align << 4 | last_bits)

    def ask(self, data, last_bits=0, align=0, wait_us=20000):
        self.send(data, last_bits, align)
        self.clock.us += wait_us
        return self.fifo()

    def activate(self, uid=UID4):
        """REQA, anticollision and SELECT of a 4-byte UID."""
        self.assertEqual(len(self.ask(b"\x26", 7)), 2)
        found = self.ask(b"\x93\x20")
        self.assertEqual(found[:4], uid)
        self.assertEqual(len(self.ask(with_crc(b"\x93\x70" + found))), 3)
