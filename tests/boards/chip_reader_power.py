"""A board with a switch in the reader's supply: the world wires it."""

import unittest

import board
from boards.sim import pins, spibus, world
from boards.sim.mfrc522_chip import Mfrc522Chip
from reader_bench import Clock


class Supply(unittest.TestCase):
    def test_the_wire(self):
        world.chip = chip = Mfrc522Chip(Clock())
        pins.external_pull(2, 1)
        pins.on_change(2, world.reader_power)
        chip.registers[0x26] = 0x78
        pins.chip_out(2, 1)
        self.assertEqual(chip.registers[0x26], 0x78)
        pins.chip_out(2, 0)
        pins.chip_out(2, None)
        self.assertEqual(chip.registers[0x26], 0x48)

    def test_a_plain_board_has_none(self):
        self.assertEqual(board.PIN_READER_POWER, None)

    def test_the_bus_tells_its_rate(self):
        spibus.transfer(250000, 0, 0, None, 1)
        self.assertEqual(spibus.baudrate, 250000)
