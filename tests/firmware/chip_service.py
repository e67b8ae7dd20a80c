"""The service with everything around it faked: what it records, in which order, and what it does when that fails."""

import asyncio
import sys
import time
from unittest import TestCase

from firmware import patterns
from firmware.clock import Clock, Uptime
from firmware.door import Door
from firmware.passage import SOON
from firmware.recorder import Recorder
from firmware.service import Service
from storage import record
from sync import messages


class Contact:
    def __init__(self, active=False):
        self.active = active
        self.pressed = False

    def poll(self, _now_ms):
        return False

    def latched(self):
        pressed = self.pressed
        self.pressed = False
        return pressed


class Journal:
    boot = 1

    def __init__(self, trace):
        self.trace = trace
        self.fails = False
        self.full = 0
        self.kept_from_s = None

    def fill(self):
        return self.full

    def idle(self, keep_from_s):
        self.kept_from_s = keep_from_s
        return False

    def stamp(self, time_s, trust, uncertainty):
        self.stamped = time_s, trust, uncertainty

    def append(self, kind, reason=0, pseudonym=None, detail=0):
        if self.fails:
            raise OSError(5)
        self.trace.append((kind, reason, detail))

    def append_long(self, kind, reason, pseudonym, detail, payload):
        self.append(kind, reason, pseudonym, detail)
        self.payload = payload


class Lock:
    released = False
    cycles = 0

    def __init__(self, trace):
        self.trace = trace

    def release(self):
        self.released = True
        self.trace.append("release")

    def secure(self):
        self.released = False
        self.trace.append("secure")


class Player:
    played = resting = b""
    playing, mask = False, 0xFF

    def play(self, pattern):
        self.played = pattern
        self.playing = len(pattern) > 0

    def rest(self, pattern):
        self.resting = pattern


class Log:
    def __init__(self):
        self.lines = []

    def info(self, area, message, **values):
        self.lines.append((area, message))

    warning = error = info


class Health:
    recoveries = bytearray(4)


class Hours:
    free = free_now = False
    armed_now = True

    def armed(self, earliest_min, latest_min, trust):
        return self.armed_now

    def turns(self, earliest_min, latest_min, trust, locked_down):
        was, self.free = self.free, self.free_now and not locked_down
        return self.free != was


class Kept:
    def __init__(self):
        self.values = {}
        self.fails = False

    def get(self, name):
        return self.values.get(name, 0)

    def set(self, name, value):
        if not self.fails:
            self.values[name] = value
        return not self.fails


class Passage:
    credential = None
    granted = b"\x01" * 7
    unrecorded = 0
    notice = 0
    locked_down = False
    hours = None

    def prepare(self):
        pass

    settle = prepare


class Allowlist:
    office_epoch = 0xFEDCBA98

    def fill(self):
        return 3, 1, 254

    def digest(self):
        return b"12345678", b"abcdefgh"

    def idle(self, now_min):
        return False


class Watchdog:
    def feed(self):
        pass


class Link:
    def __init__(self):
        self.notified = self.changed = self.forged = self.alarms = 0

    def notify(self):
        self.notified += 1

    def state_changed(self):
        self.changed += 1

    def alarm(self):
        self.alarms += 1


class Command:
    operation = messages.OP_UNLOCK
    number = 9
    operator = 4
    argument = 0

    def evidence(self):
        return bytes(24)


class Parts:
    pass


class Doors(TestCase):
    survived = b""  # what the memory of the RTC holds

    def setUp(self):
        self.trace = []
        parts = Parts()
        parts.cards = parts.copies = None
        parts.health = Health()
        parts.kept = self.kept = Kept()
        parts.provers = {}
        parts.watchdog = Watchdog()
        parts.allowlist = self.allowlist = Allowlist()
        parts.passage = Passage()
        parts.door = Door(30, 60, True)
        parts.lock = self.lock = Lock(self.trace)
        parts.player = self.player = Player()
        parts.journal = self.journal = Journal(self.trace)
        parts.uptime = Uptime()
        parts.clock = self.clock = Clock(200_000_000, 50)
        parts.settings = {
            "open_s": 5,
            "keep_days": 30,
            "magic_alarm": False,
            "mute_s": 60,
            "sound_s": 180,
            "closer_slow_percent": 150,
        }
        parts.lines = None
        parts.log = Log()
        self.recorder = parts.recorder = Recorder(self.journal, self.clock, parts.log)
        parts.reset_cause = 1
        parts.memory = self.memory
        parts.alarms = []
        parts.contacts = self.contacts = {
            name: Contact(name == "leaf") for name in ("leaf", "exit", "fire", "key", "intercom", "tamper")
        }
        self.service = Service(parts)
        self.recorder.link = self.link = Link()
        self.door = parts.door
        self.now_ms = time.ticks_ms()

    def memory(self, data=None):
        if data is None:
            return self.survived
        self.survived = bytes(data)

    def step(self, elapsed_ms=20):
        self.now_ms = time.ticks_add(self.now_ms, elapsed_ms)
        self.service.watch.step(self.now_ms)

    def taken(self):
        taken = list(self.trace)
        self.trace.clear()
        return taken

    def test_a_short_press_of_the_exit_button_is_recorded_and_opens(self):
        self.contacts["exit"].pressed = True
        self.step()
        self.assertEqual(self.taken(), [(record.RELEASED, record.CAUSE_EXIT, 0), "release"])
        self.step(5000)
        self.assertEqual(self.taken(), ["secure"])
        self.step(1000)
        self.assertEqual(self.taken(), [(record.NOT_PASSED, record.CAUSE_EXIT, 0)])

    def test_a_held_button_is_one_record_and_keeps_the_door_free(self):
        self.contacts["exit"].pressed = self.contacts["exit"].active = True
        for _ in range(10):
            self.step(1000)
        self.assertEqual(self.taken(), [(record.RELEASED, record.CAUSE_EXIT, 0), "release"])

    def test_exit_and_leaf_in_one_look_are_no_forced_door(self):
        self.contacts["exit"].pressed = True
        self.contacts["leaf"].active = False
        self.step()
        records = [entry for entry in self.taken() if type(entry) is tuple]
        self.assertEqual(records, [(record.RELEASED, record.CAUSE_EXIT, 0), (record.OPENED, record.CAUSE_EXIT, 0)])

    def test_fire_stays_released_until_the_key_with_the_contact_restored(self):
        self.contacts["fire"].active = True
        self.step()
        self.assertTrue(self.lock.released)
        self.contacts["key"].pressed = True
        self.step()
        self.contacts["fire"].active = False
        self.step(10_000)
        self.assertTrue(self.lock.released)
        self.contacts["key"].pressed = True
        self.step()
        self.step(10_000)
        self.assertFalse(self.lock.released)
        kinds = [entry[:2] for entry in self.taken() if type(entry) is tuple]
        self.assertEqual(kinds.count((record.ALARM, record.ALARM_FIRE)), 1)
        self.assertEqual(kinds.count((record.ALARM_ENDED, record.ALARM_FIRE)), 1)

    def test_a_button_held_at_an_open_door_does_not_silence_its_alarm(self):
        self.contacts["exit"].pressed = self.contacts["exit"].active = True
        self.step()
        self.contacts["leaf"].active = False
        for _ in range(70):
            self.step(1000)
        self.assertEqual(self.service.state()["alarms"], [record.ALARM_HELD_OPEN, record.ALARM_EXIT_STUCK])

    def test_a_dropped_card_key_is_stamped_with_the_present_and_told_upstream(self):
        import firmware

        class CardKeys:
            MODULES = ()

            @staticmethod
            def drop(journal, _reader, _command):
                journal.append_long(record.COMMAND, messages.OP_DROP_CARD_KEY, None, 9, bytes(24))
                return messages.DONE

        command = Command()
        command.operation = messages.OP_DROP_CARD_KEY
        sys.modules["firmware.cardkeys"] = firmware.cardkeys = CardKeys
        try:
            self.clock.synchronise(200_009_000, 0)
            self.assertEqual(self.service.command(command), messages.DONE)
        finally:
            del sys.modules["firmware.cardkeys"], firmware.cardkeys
        self.assertEqual(self.journal.stamped[:2], (200_009_000, record.SYNCHRONISED))
        self.assertEqual(self.link.changed, 1)

    def test_a_short_fire_pulse_is_not_lost(self):
        self.contacts["fire"].pressed = True
        self.step()
        self.step(20_000)
        self.assertTrue(self.lock.released)
        self.assertEqual(self.service.state()["alarms"], [record.ALARM_FIRE])

    def test_somebody_who_never_leaves_the_door_alone_does_not_keep_it_offline(self):
        offline_s = 0
        for second in range(400):
            self.service.uptime.advance(1000)
            if second % 8 == 0:
                self.service.watch.busy()
            offline_s += not self.service.may_connect()
        self.assertTrue(300 <= offline_s < 350, offline_s)

    def test_a_contact_that_chatters_does_not_either(self):
        offline_s = 0
        for _ in range(1800):
            self.service.uptime.advance(1000)
            self.service.watch.busy()
            offline_s += not self.service.may_connect()
        self.assertTrue(895 <= offline_s <= 905, offline_s)

    def test_tamper_is_one_alarm_with_an_end(self):
        self.contacts["tamper"].active = True
        self.step()
        self.step()
        self.contacts["tamper"].active = False
        self.step()
        expected = [(record.ALARM, record.ALARM_TAMPER, 0), (record.ALARM_ENDED, record.ALARM_TAMPER, 0)]
        self.assertEqual(self.taken(), expected)
        self.assertEqual(self.service.state()["alarms"], [])
        self.assertEqual(self.link.changed, 2)

    def test_the_way_out_needs_no_journal(self):
        self.journal.fails = True
        self.contacts["exit"].pressed = True
        self.step()
        self.assertEqual(self.taken(), ["release"])
        self.assertEqual(self.service.state()["alarms"], [record.ALARM_UNRECORDED])

    def test_a_task_that_fails_is_started_again_with_the_lock_secured(self):
        runs = []

        async def task():
            runs.append(self.lock.released)
            if len(runs) == 1:
                self.lock.release()
                raise RuntimeError("broken")
            await asyncio.sleep(10)

        async def watch():
            keeper = asyncio.create_task(self.service._keep(task))
            await asyncio.sleep_ms(1300)
            keeper.cancel()

        asyncio.run(watch())
        self.assertEqual(runs, [False, False])
        self.assertEqual(self.service.log.lines, [("task", "failed")])

    def test_a_task_that_fails_locks_no_door_in_a_fire(self):
        self.contacts["fire"].pressed = True
        self.step()

        async def task():
            raise RuntimeError("broken")

        async def watch():
            keeper = asyncio.create_task(self.service._keep(task))
            await asyncio.sleep_ms(100)
            keeper.cancel()

        asyncio.run(watch())
        self.assertTrue(self.lock.released)

    def test_nobody_at_the_door_is_quiet(self):
        self.assertTrue(self.service.quiet())
        self.contacts["exit"].pressed = True
        self.step()
        self.assertFalse(self.service.may_connect())

    def test_a_door_held_open_is_quiet_enough_to_tell_upstream(self):
        """Otherwise its alarm would wait for a link that waits for the door."""
        self.contacts["exit"].pressed = True
        self.step()
        self.contacts["leaf"].active = False
        for _ in range(29):
            self.step(1000)
            self.service.uptime.advance(1000)
            self.assertFalse(self.service.may_connect())
        for _ in range(60):
            self.step(1000)
            self.service.uptime.advance(1000)
        self.assertEqual(self.service.state()["alarms"], [record.ALARM_HELD_OPEN])
        self.assertTrue(self.service.may_connect())

    def keep_house(self):
        async def work():
            keeper = asyncio.create_task(self.service._keep_house())
            await asyncio.sleep_ms(250)
            keeper.cancel()

        asyncio.run(work())

    def test_a_journal_that_fills_warns_before_it_is_full_and_does_not_flicker(self):
        seen = []
        for self.journal.full in (79, 80, 79, 76, 80, 90, 86, 84, 80, 74, 79):
            self.keep_house()
            seen.append(list(self.service.state()["alarms"]))
        warning, full = record.ALARM_JOURNAL_FILLING, record.ALARM_JOURNAL_FULL
        expected = [[], [warning], [warning], [warning], [warning], [full, warning], [full, warning]]
        self.assertEqual(seen, expected + [[warning], [warning], [], []])
        self.assertEqual(len(self.taken()), 4)

    def test_a_clock_that_cannot_be_looked_at_is_tried_again_later(self):
        """It failed in each round before, and all that comes after it never had its turn."""
        import firmware

        class Damaged:
            MODULES = ()

            @staticmethod
            def look(_service):
                raise ValueError("incompatible .mpy file")

        sys.modules["firmware.clockcare"] = firmware.clockcare = Damaged
        self.service.look_s = 0
        try:
            self.keep_house()
        finally:
            del sys.modules["firmware.clockcare"], firmware.clockcare
        self.assertTrue(self.service.look_s >= 60)

    def test_what_is_acknowledged_is_kept_for_the_site_s_days(self):
        self.keep_house()
        self.assertEqual(self.journal.kept_from_s, 0)  # nobody knows what time it is
        self.clock.synchronise(300_000_000, self.service.uptime.seconds)
        self.keep_house()
        self.assertTrue(0 <= self.journal.kept_from_s - (300_000_000 - 30 * 86400) < 5)

    def test_a_self_test_by_command_is_recorded_and_made_when_nobody_is_there(self):
        command = Command()
        command.operation = messages.OP_SELF_TEST
        self.journal.fails = True
        self.assertEqual(self.service.command(command), messages.REFUSED_BY_DOOR)
        self.assertTrue(self.service.test_s > 0)
        self.journal.fails = False
        self.taken()
        self.assertEqual(self.service.command(command), messages.DONE)
        self.assertTrue((record.COMMAND, messages.OP_SELF_TEST, 9) in self.taken())
        self.assertEqual(self.service.test_s, 0)

    def test_what_stands_is_on_the_lights_and_fire_is_not_interrupted(self):
        self.keep_house()
        self.assertEqual(self.player.resting, b"")
        self.recorder.alarm_on(record.ALARM_TAMPER)
        self.keep_house()
        self.assertEqual(self.player.resting, patterns.standing({record.ALARM_TAMPER}, ()))
        self.service.shown(record.OK)
        self.assertEqual(self.player.played, patterns.answer(record.OK))
        self.service.passage.notice = SOON
        self.service.shown(record.OK)
        self.assertEqual(self.player.played, patterns.answer(record.OK, True))
        self.recorder.alarm_on(record.ALARM_FIRE)
        self.service.shown(record.UNKNOWN)
        self.assertEqual(self.player.played, patterns.answer(record.OK, True))

    def test_a_full_list_names_what_it_left_out_and_alarms_until_all_fits(self):
        alarm = record.ALARM_LIST_FULL
        self.service.list_full(b"pseudo1")
        self.service.list_full(b"pseudo2")
        self.service.list_changed(5, 6)
        self.assertEqual(self.service.state()["alarms"], [alarm])
        self.service.list_changed(6, 7)
        self.assertEqual(self.service.state()["alarms"], [])
        kinds = [entry[:2] for entry in self.taken()]
        ended = [(record.LIST, 0), (record.ALARM_ENDED, alarm), (record.LIST, 0)]
        self.assertEqual(kinds, [(record.ALARM, alarm)] * 2 + ended)

    def test_a_tombstone_that_gives_way_is_told(self):
        self.allowlist.giving_way(b"\0tomb01")
        self.assertEqual(self.taken(), [(record.DROPPED, 0, 0)])

    def test_the_state_tells_lock_door_and_clock(self):
        state = self.service.state()
        self.assertEqual((state["door"], state["lock"], state["clock"]), ("secured", "locked", "floor"))
        self.assertEqual((state["cards"], state["digests"]), ((3, 1, 254), [b"12345678".hex(), b"abcdefgh".hex()]))
