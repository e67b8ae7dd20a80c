"""Wires between contacts and chip: resistors at their end, what the ADC makes of them, cuts and shorts."""

import json
import unittest

import machine
from boards.sim import clock, pins
from boards.sim.mechanics import Door
from boards.sim.wiring import wire

from door_contacts import Io


class Board:
    PIN_RELAY = 25
    PIN_GREEN = 13
    PIN_RED = 4
    PIN_SOUNDER = 26
    PIN_DOOR_CONTACT = 36
    PIN_BOLT_CONTACT = 27
    PIN_EXIT = 35
    PIN_FIRE = 34


class Wired(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        pins.forget()
        self.door = Door()
        wire(self.door, Board, pins)

    def do(self, line):
        words = line.split()
        self.door.command(words[0], words[1:])


class Voltages(Wired):
    def shows(self, pin, millivolts):
        self.assertEqual(pins.millivolts(pin), millivolts)
        reads = machine.ADC(machine.Pin(pin), atten=machine.ADC.ATTN_11DB).read_uv() / 1000
        self.assertTrue(abs(reads - min(max(millivolts, 142), 3100)) <= 15, reads)

    def test_a_line_with_resistors(self):
        self.do("eol exit 1")
        self.shows(35, 1571)
        self.do("exit 1")
        self.shows(35, 1031)
        self.do("wire exit cut")
        self.shows(35, 3300)
        self.do("wire exit short")
        self.shows(35, 0)
        self.do("wire exit ok")
        self.shows(35, 1031)
        self.do("exit 0")
        self.shows(35, 1571)

    def test_a_line_without(self):
        self.shows(35, 3300)
        self.do("exit 1")
        self.shows(35, 0)
        self.do("eol exit 1")
        self.do("eol exit 0")
        self.shows(35, 0)

    def test_pins_without_a_converter_and_that_of_wifi(self):
        with self.assertRaises(ValueError):
            machine.ADC(machine.Pin(23), atten=machine.ADC.ATTN_11DB)
        with self.assertRaises(OSError):
            machine.ADC(machine.Pin(27), atten=machine.ADC.ATTN_11DB).read_uv()


class Levels(Wired):
    def test_a_cut_and_a_short_look_like_a_contact_without_resistors(self):
        self.do("wire exit short")
        self.assertEqual(pins.level(35), 0)
        self.do("wire exit cut")
        self.do("exit 1")
        self.assertEqual(pins.level(35), 1)
        self.do("wire exit ok")
        self.assertEqual(pins.level(35), 0)

    def test_a_line_between_the_levels_leaves_the_input_as_it_was(self):
        self.assertEqual(pins.level(34), 1)
        self.do("eol fire 1")
        self.do("fire 1")
        self.assertEqual(pins.level(34), 1)

    def test_the_lock_circuit_has_wires_of_its_own(self):
        self.do("wire exit cut")
        self.do("wire fire cut")
        for verb in ("exit", "fire"):
            self.do(verb + " 1")
            clock.charge_us(50000)
            self.assertEqual(self.door.bolt, "withdrawn")
            self.do(verb + " 0")
            clock.charge_us(50000)
            self.assertEqual(self.door.bolt, "thrown")
        self.do("wire exit short")
        clock.charge_us(50000)
        self.assertEqual(self.door.bolt, "thrown")

    def test_the_handle_opens_by_itself(self):
        self.assertFalse(self.door.pull())
        self.do("handle 1")
        self.assertEqual(self.door.contacts["handle"], 0)
        self.assertTrue(self.door.pull())
        self.assertEqual(self.door.bolt, "thrown")


class State(Wired):
    def test_wires_and_resistors_outlive_the_process(self):
        self.do("eol fire 1")
        self.do("wire fire cut")
        self.do("wire exit short")
        text = json.dumps(self.door.state())
        loads = {}
        io = Io()
        io.load = lambda name, ohms: loads.update({name: ohms})
        other = Door()
        other.connect(io)
        other.load(json.loads(text))
        self.assertEqual(loads, {"fire": None})
        self.assertEqual(io.levels["exit"], 0)
        other.command("wire", ["fire", "ok"])
        self.assertEqual(loads, {"fire": 2000})
