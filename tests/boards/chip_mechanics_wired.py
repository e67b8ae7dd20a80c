"""The door's mechanics around the chip: its pins, its resets, its power, and the verbs of the control channel."""

import json
import unittest

from boards.sim import clock, pins
from boards.sim.mechanics import VERBS, Door
from boards.sim.wiring import wire

from door_contacts import Io, pass_ms


class Board:
    """Pins as on the common board, wired here by hand."""

    PIN_RELAY = 25
    PIN_GREEN = 13
    PIN_RED = 4
    PIN_SOUNDER = 26
    PIN_DOOR_CONTACT = 34
    PIN_BOLT_CONTACT = 27
    PIN_EXIT = 35
    PIN_FIRE = 36
    PIN_TAMPER = 39
    PIN_INTERCOM = 32
    PIN_KEY = None


class State(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")

    def reload(self, door, elapsed_us=0, fail_safe=False):
        text = json.dumps(door.state())
        clock.setup("virtual")  # another process
        other = Door(fail_safe=fail_safe)
        io = Io()
        other.connect(io)
        other.load(json.loads(text), elapsed_us)
        return other, io

    def test_a_closing_leaf_goes_on(self):
        door = Door()
        door.relay(1)
        pass_ms(50)
        door.pull()
        pass_ms(4000)
        other, io = self.reload(door)
        self.assertEqual((other.leaf, other.contact(), io.levels["door_contact"]), ("open", 1, 1))
        self.assertEqual(other.bolt, "withdrawn")
        pass_ms(50)
        self.assertEqual(other.bolt, "thrown")  # without power the relay has let go
        pass_ms(1951)
        self.assertEqual(other.leaf, "closed")

    def test_the_pins_float_whatever_they_were(self):
        door = Door()
        door.relay(1)
        pass_ms(50)
        state = door.state()
        self.assertEqual(state["relay"], 1)
        door.load(state)
        pass_ms(50)
        self.assertTrue(door.secured())

    def test_the_world_went_on_without_power(self):
        door = Door()
        door.relay(1)
        pass_ms(50)
        door.pull()
        other, io = self.reload(door, 10000000)
        self.assertEqual(other.bolt, "thrown")
        pass_ms(50)
        self.assertTrue(other.secured())
        self.assertEqual(io.levels["door_contact"], 0)

    def test_buttons_and_faults_are_kept(self):
        door = Door(fail_safe=True)
        door.fire(True)
        door.tamper(True)
        door.stuck(True)
        door.hold(True)
        door.closer(7000)
        other, io = self.reload(door, fail_safe=True)
        self.assertEqual((io.levels["fire"], io.levels["tamper"]), (0, 1))
        self.assertEqual((other.jammed, other.held, other.closer_ms, other.coil), (True, True, 7000, False))
        self.assertEqual(other.state(), door.state())

    def test_an_ajar_leaf_goes_on_fluttering(self):
        door = Door()
        door.ajar(True)
        door.force()
        pass_ms(6100)
        other, io = self.reload(door)
        io.log = []
        pass_ms(30000)
        self.assertTrue(len(io.times("door_contact")) > 5)
        self.assertEqual(other.leaf, "ajar")


class Commands(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.door = Door()

    def test_every_verb(self):
        arguments = {"pull": [], "push": [], "force": [], "closer": ["5000"]}
        arguments["wire"] = ["exit", "cut"]
        arguments["eol"] = ["fire", "1"]
        for verb in VERBS:
            self.assertEqual(type(self.door.command(verb, arguments.get(verb, ["1"]))), dict)
        self.assertEqual(self.door.command("state", [])["closer_ms"], 5000)

    def test_pull(self):
        self.assertEqual(self.door.command("pull", []), {"opened": False})
        self.door.command("exit", ["1"])
        pass_ms(50)
        self.assertEqual(self.door.command("pull", []), {"opened": True})

    def test_nonsense(self):
        for verb, args in (
            ("dance", []),
            ("", []),
            ("exit", []),
            ("exit", ["2"]),
            ("closer", []),
            ("closer", ["soon"]),
            ("closer", ["-1"]),
            ("_open", ["1"]),
            ("load", ["1"]),
            ("wire", ["exit"]),
            ("wire", ["exit", "torn"]),
            ("wire", ["roof", "cut"]),
            ("eol", ["fire", "2"]),
        ):
            with self.assertRaises(ValueError):
                self.door.command(verb, args)
        self.assertTrue(self.door.secured())


class Wired(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        pins.forget()
        self.door = Door()
        wire(self.door, Board, pins)

    def test_levels_at_rest(self):
        for pin, level in ((34, 0), (27, 0), (35, 1), (36, 1), (39, 0), (32, 1), (25, 0), (26, 0), (13, 0), (4, 0)):
            self.assertEqual(pins.level(pin), level, pin)

    def test_inputs(self):
        self.door.exit(True)
        self.door.tamper(True)
        self.assertEqual((pins.level(35), pins.level(39)), (0, 1))
        self.door.key(True)  # not fitted on this board, but in the lock circuit
        pass_ms(50)
        self.assertEqual((self.door.bolt, pins.level(27)), ("withdrawn", 1))

    def test_outputs(self):
        for pin, name in ((25, "relay"), (13, "green"), (4, "red"), (26, "sounder")):
            pins.chip_out(pin, 1)
            self.assertEqual(self.door.outputs[name], 1)
            pins.chip_out(pin, None)
            self.assertEqual(self.door.outputs[name], 0)

    def test_the_bolt_never_moves_over_cold_boot_watchdog_panic_and_soft_reset(self):
        for fail_safe in (False, True):
            for kind in ("power", "watchdog", "panic", "soft"):
                pins.forget()
                door = Door(fail_safe=fail_safe)
                wire(door, Board, pins)
                pins.chip_out(25, 0)
                pins.reset(kind)
                pass_ms(100)
                self.assertEqual((door.coil_switches, door.bolt_moves), (0, 0), kind)
                self.assertTrue(door.secured())

    def test_that_test_can_fail(self):
        class Careless(Board):
            PIN_RELAY = 5  # a strapping pin: the ROM makes pulses on it

        pins.forget()
        door = Door()
        wire(door, Careless, pins)
        pins.reset("power")
        pass_ms(100)
        self.assertTrue(door.coil_switches > 0)

    def test_a_reset_while_released_locks(self):
        pins.chip_out(25, 1)
        pass_ms(50)
        pins.reset("watchdog")
        pass_ms(50)
        self.assertTrue(self.door.secured())
