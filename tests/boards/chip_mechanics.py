"""The door's mechanics: the way out without any firmware, bolt, leaf, closer, contacts."""

import unittest

from boards.sim import clock
from boards.sim.mechanics import Door

from door_contacts import Io, pass_ms


class WayOut(unittest.TestCase):
    """No chip and no firmware: nothing but the lock circuit."""

    def setUp(self):
        clock.setup("virtual")

    def both(self):
        return (Door(fail_safe=False), Door(fail_safe=True))

    def test_idle_coil(self):
        fail_secure, fail_safe = self.both()
        self.assertFalse(fail_secure.coil)
        self.assertTrue(fail_safe.coil)
        for door in (fail_secure, fail_safe):
            self.assertTrue(door.secured())
            self.assertFalse(door.pull())

    def test_exit_fire_and_key_release_within_50_ms(self):
        for door in self.both():
            for way in ("exit", "fire", "key"):
                idle = door.coil
                getattr(door, way)(True)
                self.assertNotEqual(door.coil, idle)  # fed, or broken
                pass_ms(50)
                self.assertEqual(door.bolt, "withdrawn", way)
                getattr(door, way)(False)
                self.assertEqual(door.coil, idle)
                pass_ms(50)
                self.assertTrue(door.secured(), way)

    def test_a_person_gets_out(self):
        for door in self.both():
            door.exit(True)
            pass_ms(50)
            self.assertTrue(door.pull())
            self.assertEqual(door.leaf, "open")

    def test_intercom_and_tamper_release_nothing(self):
        for door in self.both():
            door.intercom(True)
            door.tamper(True)
            pass_ms(100)
            self.assertTrue(door.secured())
            self.assertEqual(door.coil_switches, 0)

    def test_the_relay_releases_both_kinds_and_fire_outlasts_it(self):
        for door in self.both():
            door.relay(1)
            pass_ms(50)
            self.assertEqual(door.bolt, "withdrawn")
            door.fire(True)
            door.relay(0)
            pass_ms(50)
            self.assertEqual(door.bolt, "withdrawn")
            door.fire(False)
            pass_ms(50)
            self.assertTrue(door.secured())


class Bolt(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.io = Io()
        self.door = Door()
        self.door.connect(self.io)

    def test_contacts_of_a_door_at_rest(self):
        self.assertEqual(
            self.io.levels,
            {
                "door_contact": 0,
                "bolt_contact": 0,
                "exit": 1,
                "fire": 1,
                "tamper": 0,
                "intercom": 1,
                "key": 1,
                "handle": 1,
            },
        )

    def test_it_follows_the_coil_after_its_travel(self):
        start = clock.now_us()
        self.door.relay(1)
        pass_ms(29)
        self.assertEqual(self.door.bolt, "thrown")
        self.assertFalse(self.door.at_rest())
        pass_ms(21)
        self.assertEqual(self.io.times("bolt_contact")[1:], [start + 30000])
        self.assertEqual(self.io.levels["bolt_contact"], 1)
        self.assertTrue(self.door.at_rest())

    def test_a_pulse_too_short_to_move_it_is_counted(self):
        self.door.relay(1)
        pass_ms(5)
        self.door.relay(0)
        pass_ms(100)
        self.assertEqual((self.door.bolt_moves, self.door.coil_switches), (0, 2))

    def test_stuck(self):
        self.door.stuck(True)
        self.door.relay(1)
        pass_ms(1000)
        self.assertEqual(self.door.bolt, "thrown")
        self.assertFalse(self.door.pull())
        self.door.stuck(False)
        pass_ms(50)
        self.assertEqual(self.door.bolt, "withdrawn")
        self.door.stuck(True)
        self.door.relay(0)
        pass_ms(1000)
        self.assertEqual(self.io.levels["bolt_contact"], 1)

    def test_buttons_are_sensed(self):
        for verb in ("exit", "fire", "intercom", "key"):
            getattr(self.door, verb)(True)
            self.assertEqual(self.io.levels[verb], 0)
            getattr(self.door, verb)(False)
            self.assertEqual(self.io.levels[verb], 1)
        self.door.tamper(True)
        self.assertEqual(self.io.levels["tamper"], 1)

    def test_unknown_output(self):
        with self.assertRaises(ValueError):
            self.door.out("heater", 1)


class Leaf(unittest.TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.io = Io()
        self.door = Door(closer_ms=4000, passage_ms=2000)
        self.door.connect(self.io)
        self.io.log = []

    def release(self):
        self.door.relay(1)
        pass_ms(50)

    def test_pull_against_the_lock(self):
        self.assertFalse(self.door.pull())
        self.assertEqual(self.io.log, [])

    def test_a_passage(self):
        self.release()
        start = clock.now_us()
        self.assertTrue(self.door.pull())
        self.door.relay(0)
        pass_ms(5999)
        self.assertEqual(self.door.leaf, "open")
        self.assertEqual(self.door.contact(), 1)
        pass_ms(101)
        self.assertEqual(self.door.leaf, "closed")
        self.assertEqual(self.door.contact(), 0)
        self.assertTrue(self.door.secured())
        self.assertEqual(self.door.openings, 1)
        closing = [t - start for t in self.io.times("door_contact") if t > start + 1000000]
        self.assertEqual(closing[0], 6000000)

    def test_the_reed_bounces_between_5_and_20_ms(self):
        self.release()
        spans = set()
        for _ in range(20):
            self.io.log = []
            self.door.pull()
            pass_ms(7000)
            times = self.io.times("door_contact")
            opening = [t for t in times if t < times[0] + 1000000]
            closing = [t for t in times if t >= times[0] + 1000000]
            for edges in (opening, closing):
                self.assertTrue(3 <= len(edges) <= 7 and len(edges) & 1, edges)
                span = edges[-1] - edges[0]
                self.assertTrue(4990 <= span <= 20000, span)
                spans.add(span)
            levels = [entry[2] for entry in self.io.log if entry[1] == "door_contact"]
            self.assertEqual([levels[i] for i in range(1, len(levels))], [1 - level for level in levels[:-1]])
            self.assertEqual(levels[-1], 0)
        self.assertTrue(len(spans) > 10)

    def test_hold(self):
        self.release()
        self.door.hold(True)
        self.assertTrue(self.door.pull())
        pass_ms(600000)
        self.assertEqual(self.door.leaf, "open")
        self.assertTrue(self.door.at_rest())
        self.door.hold(False)
        pass_ms(3999)
        self.assertEqual(self.door.leaf, "open")
        pass_ms(2)
        self.assertEqual(self.door.leaf, "closed")

    def test_hold_takes_a_leaf_that_is_closing(self):
        self.release()
        self.door.pull()
        pass_ms(5000)
        self.door.hold(True)
        pass_ms(60000)
        self.assertEqual(self.door.leaf, "open")
        self.door.push()
        pass_ms(50)
        self.assertEqual((self.door.leaf, self.door.contact()), ("closed", 0))

    def test_the_next_person_begins_anew(self):
        self.release()
        self.door.pull()
        pass_ms(5000)
        self.door.pull()
        pass_ms(5000)
        self.assertEqual(self.door.leaf, "open")
        pass_ms(1001)
        self.assertEqual(self.door.leaf, "closed")
        self.assertEqual(self.door.openings, 1)

    def test_force(self):
        self.assertTrue(self.door.force())
        self.assertEqual((self.door.leaf, self.door.bolt), ("open", "thrown"))
        pass_ms(6001)
        self.assertTrue(self.door.secured())  # the latch springs over the bolt

    def test_a_slow_closer(self):
        self.release()
        self.door.closer(9000)
        self.door.pull()
        pass_ms(10999)
        self.assertEqual(self.door.leaf, "open")
        pass_ms(2)
        self.assertEqual(self.door.leaf, "closed")
        with self.assertRaises(ValueError):
            self.door.closer(-1)

    def test_ajar(self):
        self.release()
        self.door.ajar(True)
        self.door.pull()
        self.door.relay(0)
        pass_ms(6030)
        self.assertEqual((self.door.leaf, self.door.bolt), ("ajar", "thrown"))
        self.assertFalse(self.door.secured())
        self.io.log = []
        pass_ms(60000)
        self.assertTrue(len(self.io.times("door_contact")) > 20)  # flutters
        self.assertTrue(self.door.pull())  # no latch holds it
        pass_ms(30)
        self.io.log = []
        pass_ms(5900)
        self.assertEqual((self.door.contact(), self.io.log), (1, []))  # an open leaf does not flutter
        pass_ms(200)
        self.assertEqual(self.door.leaf, "ajar")
        self.door.ajar(False)
        pass_ms(50)
        self.assertTrue(self.door.secured())
        self.io.log = []
        pass_ms(60000)
        self.assertEqual(self.io.log, [])

    def test_push_helps_an_ajar_leaf(self):
        self.door.ajar(True)
        self.door.force()
        pass_ms(8000)
        self.door.push()
        pass_ms(50)
        self.assertEqual(self.door.leaf, "closed")
        self.assertEqual(self.door.contact(), 0)
