"""What the watch carries out: the sounder, line faults, and the fire release over a power cut."""

import gc
import time
from unittest import TestCase

from firmware import patterns
from firmware.clock import Clock, Uptime
from firmware.door import MAINTENANCE, PROPPED, UNLOCKED_FOR, Door
from firmware.lines import Lines
from firmware.recorder import Recorder
from firmware.watch import Watch
from storage import record


class Contact:
    fault = 0

    def __init__(self, active=False):
        self.active = active
        self.pressed = active

    def poll(self, _now_ms):
        pass

    def press(self):
        self.pressed = True

    def latched(self):
        pressed = self.pressed
        self.pressed = False
        return pressed


class Player:
    mask = 0


class Lock:
    released = False

    def release(self):
        self.released = True

    def secure(self):
        self.released = False


class Journal:
    def __init__(self):
        self.records = []

    def stamp(self, *_time):
        pass

    def append(self, kind, reason=0, pseudonym=None, detail=0):
        self.records.append((kind, reason, detail))


class Kept:
    fails = False

    def __init__(self, fire=0):
        self.fire = fire

    def get(self, _name):
        return self.fire

    def set(self, name, value):
        if name == "fire" and not self.fails:
            self.fire = value
        return not self.fails


class Log:
    def __init__(self):
        self.errors = 0

    def info(self, *_words, **_values):
        pass

    warning = info

    def error(self, *_words, **_values):
        self.errors += 1


class Nothing:
    granted = bytes(7)


_ALARM = patterns.standing({record.ALARM_FORCED}, ())
_HELD = patterns.standing({record.ALARM_HELD_WARNING}, ())
_FIRE = patterns.standing({record.ALARM_FIRE}, ())


class WithWatch(TestCase):
    def setUp(self):
        self.kept = Kept()
        names = ("leaf", "exit", "fire", "key", "intercom", "tamper")
        self.build({name: Contact(name == "leaf") for name in names})

    def build(self, contacts, supervised=None):
        parts = Nothing()
        self.contacts = parts.contacts = contacts
        self.journal = Journal()
        parts.uptime = Uptime()
        parts.clock = Clock(200_000_000, 50)
        parts.log = self.log = Log()
        parts.recorder = self.recorder = Recorder(self.journal, parts.clock, parts.log)
        parts.door = self.door = Door(30, 60, True)
        parts.lock = self.lock = Lock()
        parts.player = self.player = Player()
        parts.passage = Nothing()
        parts.kept = self.kept
        parts.memory = lambda _data=b"": b""  # of the RTC
        parts.lines = Lines(supervised, self.recorder) if supervised else None
        parts.settings = {"open_s": 5, "mute_s": 60, "sound_s": 20, "closer_slow_percent": 150}
        self.watch = Watch(parts)
        self.now_ms = time.ticks_ms()
        self.watch.start()
        self.step(0)

    def step(self, elapsed_ms=20):
        self.now_ms = time.ticks_add(self.now_ms, elapsed_ms)
        self.watch.step(self.now_ms)

    def heard(self):
        """What the resting player lets hear, as the service has it play."""
        return patterns.standing(self.recorder.alarms, self.recorder.modes) if self.player.mask & 4 else b""

    def taken(self):
        taken = self.journal.records
        self.journal.records = []
        return taken

    def force(self):
        self.contacts["leaf"].active = False
        self.step()


class Sounder(WithWatch):
    def test_an_alarm_is_heard_until_it_ends(self):
        self.force()
        self.assertEqual(self.heard(), _ALARM)
        self.step()
        self.assertEqual(self.heard(), _ALARM)
        self.contacts["leaf"].active = True
        self.step()
        self.assertEqual(self.heard(), b"")

    def test_for_its_time_at_most(self):
        self.force()
        for _ in range(20):
            self.step(1000)
        self.step()
        self.assertEqual(self.heard(), b"")
        self.assertTrue(record.ALARM_FORCED in self.recorder.alarms)

    def test_the_warning_is_soft(self):
        self.watch.release(record.CAUSE_CARD)
        self.force()
        self.assertEqual(self.heard(), b"")
        for _ in range(30):
            self.step(1000)
        self.assertEqual(self.heard(), _HELD)
        for _ in range(30):
            self.step(1000)
        self.assertEqual(self.heard(), _ALARM)

    def test_muted_for_a_while_and_recorded(self):
        self.force()
        self.taken()
        self.watch.mute(10)
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_MUTED, 10)])
        self.step(0)
        self.assertEqual(self.heard(), b"")
        self.step(9900)
        self.assertEqual(self.heard(), b"")
        self.step(100)
        self.step()
        self.assertEqual(self.heard(), _ALARM)

    def test_a_new_alarm_is_heard_though_others_are_muted(self):
        self.force()
        self.watch.mute(60)
        self.contacts["tamper"].active = True
        self.step()
        self.assertEqual(self.heard(), _ALARM)

    def test_an_alarm_that_nobody_hears_ends_no_mute(self):
        self.force()
        self.watch.mute(60)
        self.contacts["exit"].active = True
        for _ in range(31):
            self.step(1000)
        self.assertTrue(record.ALARM_EXIT_STUCK in self.recorder.alarms)
        self.assertEqual(self.heard(), b"")

    def test_in_maintenance_only_fire_is_heard(self):
        self.door.order(MAINTENANCE, 100)
        self.force()
        self.assertEqual(self.recorder.alarms, {record.ALARM_FORCED})
        self.assertEqual(self.heard(), b"")
        self.contacts["tamper"].active = True
        self.step()
        for _ in range(40):  # longer than an alarm sounds
            self.step(1000)
            self.assertEqual(self.heard(), b"")
        self.contacts["fire"].press()
        self.step()
        self.assertEqual(self.heard(), _FIRE)

    def test_what_is_on_when_maintenance_ends_is_heard(self):
        self.door.order(MAINTENANCE, 100)
        self.force()
        for _ in range(98):
            self.step(1000)
        self.assertEqual(self.heard(), b"")
        self.step(2000)
        self.step()
        self.assertEqual(self.heard(), _ALARM)
        for _ in range(20):
            self.step(1000)
        self.assertEqual(self.heard(), b"")

    def test_the_key_switch_mutes(self):
        self.force()
        self.taken()
        self.contacts["key"].press()
        self.step()
        self.assertTrue((record.MODE, record.MODE_MUTED, 60) in self.taken())
        self.assertEqual(self.heard(), b"")
        self.contacts["key"].press()
        self.step()
        self.assertEqual([entry[0] for entry in self.taken()], [record.RELEASED])  # nothing sounds now

    def test_the_key_switch_alone_mutes_nothing(self):
        self.contacts["key"].press()
        self.step()
        self.assertEqual(self.taken(), [(record.RELEASED, record.CAUSE_KEY, 0)])

    def test_fire_is_never_muted_nor_disarmed(self):
        self.watch.arm(False)
        self.contacts["fire"].active = True
        self.step()
        self.assertEqual(self.heard(), _FIRE)
        self.watch.mute(60)
        self.contacts["key"].press()
        self.step()
        self.assertEqual(self.heard(), _FIRE)
        for _ in range(30):
            self.step(1000)
            self.assertEqual(self.heard(), _FIRE)

    def test_disarmed_nothing_is_heard_and_all_is_recorded(self):
        self.watch.arm(True)
        self.assertEqual(self.taken(), [])
        self.watch.arm(False)
        self.watch.arm(False)
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_DISARMED, 0)])
        self.force()
        self.assertEqual(self.heard(), b"")
        self.assertTrue((record.ALARM, record.ALARM_FORCED, 0) in self.taken())
        self.watch.arm(True)
        self.step()
        self.assertEqual(self.heard(), _ALARM)
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_ARMED, 0)])

    def test_technical_alarms_are_not_heard(self):
        self.contacts["exit"].active = True
        self.contacts["exit"].press()
        for _ in range(31):
            self.step(1000)
        self.assertEqual(self.recorder.alarms, {record.ALARM_EXIT_STUCK})
        self.assertEqual(self.heard(), b"")


class Fire(WithWatch):
    def restart(self):
        """Power is lost and comes back, contacts as they are."""
        self.build({name: Contact(contact.active) for name, contact in self.contacts.items()})

    def test_it_outlives_a_power_cut_until_the_key_is_turned(self):
        self.contacts["fire"].active = True
        self.step()
        self.assertEqual(self.kept.fire, 1)
        self.contacts["fire"].active = False
        self.restart()
        self.assertTrue(self.lock.released)
        self.assertEqual(self.taken(), [(record.ALARM, record.ALARM_FIRE, 0)])
        self.step(100_000)
        self.assertTrue(self.lock.released)
        self.contacts["key"].press()
        self.step()
        self.step(5000)
        self.assertFalse(self.lock.released)
        self.assertEqual(self.kept.fire, 0)
        self.restart()
        self.assertFalse(self.lock.released)

    def test_a_key_that_was_turned_before_the_start_does_not_reset(self):
        self.kept.fire = 1
        self.contacts["key"].active = True
        self.restart()
        self.step(10_000)
        self.assertEqual(self.recorder.alarms, {record.ALARM_FIRE})
        self.contacts["key"].press()
        self.step()
        self.assertEqual(self.recorder.alarms, set())

    def test_flash_that_fails_is_said(self):
        self.kept.fails = True
        self.contacts["fire"].active = True
        self.step()
        self.assertTrue(self.lock.released)
        self.assertEqual(self.log.errors, 1)

    def test_nobody_upstream_can_lock_it(self):
        self.contacts["fire"].press()
        self.step()
        self.door.free_passage(True)
        self.door.free_passage(False)
        self.door.order(PROPPED, 10)
        self.door.order(PROPPED, 0)
        self.door.order(UNLOCKED_FOR, 10)
        self.door.order(UNLOCKED_FOR, 0)
        self.watch.release(record.CAUSE_REMOTE)
        self.watch.mute(10)
        self.step(20_000)
        self.assertTrue(self.lock.released)


class Idle(WithWatch):
    def test_a_step_allocates_nothing(self):
        self.idle(None)

    def test_nor_with_supervised_lines(self):
        self.contacts["exit"].active = False
        self.idle({1: self.contacts["leaf"], 2: self.contacts["exit"]})

    def idle(self, supervised):
        self.build(self.contacts, supervised)
        self.step()
        step = self.watch.step
        now_ms = self.now_ms
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        for _ in range(200):
            step(now_ms)
        after = gc.mem_alloc()
        gc.enable()
        self.assertEqual(after, before)


class Damaged(WithWatch):
    """Nothing that is loaded when it is needed may keep the door from its contacts."""

    def without_upkeep(self, work):
        import sys

        import firmware

        class Damaged:
            MODULES = ()

            @staticmethod
            def resume(_rate, _memory):
                raise ValueError("incompatible .mpy file")

            @staticmethod
            def take(*_what):
                raise ValueError("incompatible .mpy file")

        sys.modules["firmware.upkeep"] = firmware.upkeep = Damaged
        try:
            work()
        finally:
            del sys.modules["firmware.upkeep"], firmware.upkeep

    def serves(self):
        self.build(self.contacts)
        self.contacts["fire"].active = True
        for _ in range(100):
            self.step()
            self.watch._uptime.advance(20)
        self.assertTrue(self.lock.released)
        self.assertTrue(1 <= self.log.errors <= 3, self.log.errors)

    def test_a_damaged_module_blocks_no_fire_release(self):
        self.without_upkeep(self.serves)


class Fitted(WithWatch):
    def test_a_door_without_any_contact_still_opens(self):
        self.build({})
        self.assertEqual(self.door.name, "unknown")
        self.watch.release(record.CAUSE_CARD)
        self.step()
        self.assertTrue(self.lock.released)
        self.step(6000)
        self.assertFalse(self.lock.released)
        self.assertEqual(self.taken(), [])

    def test_the_handle_is_a_cause(self):
        contacts = {"leaf": Contact(True), "handle": Contact()}
        self.build(contacts)
        contacts["handle"].press()
        self.force()
        expected = [(record.RELEASED, record.CAUSE_HANDLE, 0), (record.OPENED, record.CAUSE_HANDLE, 0)]
        self.assertEqual(self.taken(), expected)

    def test_a_bolt_contact(self):
        contacts = {"leaf": Contact(True), "bolt": Contact(True)}
        self.build(contacts)
        self.watch.release(record.CAUSE_CARD)
        self.step(2000)
        self.assertEqual(self.recorder.alarms, {record.ALARM_LOCK_FAULT})
        contacts["bolt"].active = False
        self.step()
        self.assertEqual(self.recorder.alarms, set())

    def quiet(self):
        """A minute later: is that taken for somebody at the door?"""
        self.step()
        since_s = self.watch.active_s
        self.watch._uptime.advance(60_000)
        for _ in range(5):
            self.step()
        return self.watch.active_s == since_s

    def test_a_button_that_is_held_keeps_nobody_from_talking_to_upstream(self):
        self.contacts["intercom"].active = True
        self.contacts["intercom"].press()
        self.assertTrue(self.quiet())
        self.assertTrue(self.lock.released)

    def test_nor_does_a_door_that_may_stand_open_or_free(self):
        self.door.free_passage(True)
        self.assertTrue(self.quiet())
        self.door.free_passage(False)
        self.watch.release(record.CAUSE_CARD)
        self.force()
        self.assertFalse(self.quiet())
        self.door.order(PROPPED, 600)
        self.assertTrue(self.quiet())
        self.door.order(PROPPED, 0)
        self.door.order(UNLOCKED_FOR, 600)
        self.assertTrue(self.quiet())
        self.door.order(UNLOCKED_FOR, 0)
        self.door.order(MAINTENANCE, 600)
        self.assertFalse(self.quiet())
        self.contacts["fire"].press()
        self.assertTrue(self.quiet())


class Wires(WithWatch):
    def setUp(self):
        self.kept = Kept()
        contacts = {"leaf": Contact(True), "exit": Contact()}
        self.build(contacts, {1: contacts["leaf"], 2: contacts["exit"]})

    def test_one_record_for_each_contact(self):
        alarm = record.ALARM_SENSOR_FAULT
        self.contacts["leaf"].fault = 2
        self.step()
        self.step()
        self.assertEqual(self.taken(), [(record.ALARM, alarm, 1)])
        self.assertEqual(self.door.name, "unknown")
        self.contacts["exit"].fault = 1
        self.step()
        self.contacts["leaf"].fault = 0
        self.step()
        self.assertEqual(self.recorder.alarms, {alarm})
        self.assertEqual(self.door.name, "secured")  # the exit's wire says nothing about the leaf
        self.contacts["exit"].fault = 0
        self.step()
        self.assertEqual(self.recorder.alarms, set())
        self.assertEqual(self.taken(), [(record.ALARM, alarm, 2), (record.ALARM_ENDED, alarm, 1), (9, alarm, 2)])

    def test_a_cut_leaf_is_neither_forced_nor_closed(self):
        self.contacts["leaf"].fault = 2
        self.contacts["leaf"].active = False
        self.step()
        self.step(5000)
        self.assertEqual([entry[1] for entry in self.taken()], [record.ALARM_SENSOR_FAULT])
        self.assertFalse(self.door.sensed)
