"""How the service carries out the policy: lock-down, free passage, what is shown after a card."""

import chip_service

from firmware import patterns
from firmware.passage import SILENT, SOON
from storage import record
from sync import messages


class Modes(chip_service.Doors):
    """The tests of the base class run in its own file."""

    def lock_down(self, argument):
        command = chip_service.Command()
        command.operation = messages.OP_LOCK_DOWN
        command.argument = argument
        return self.service.command(command)

    def test_a_lock_down_is_recorded_kept_and_told(self):
        command = (record.COMMAND, messages.OP_LOCK_DOWN, 9)
        self.assertEqual(self.lock_down(1), messages.DONE)
        self.assertEqual(self.taken(), [command, (record.MODE, record.MODE_LOCKED_DOWN, 0)])
        self.assertTrue(self.service.passage.locked_down)
        self.assertEqual(self.kept.get("lockdown"), 1)
        self.assertTrue(self.service.state()["locked_down"])
        self.assertEqual(self.lock_down(0), messages.DONE)
        self.assertEqual(self.taken(), [command, (record.MODE, record.MODE_LOCK_DOWN_ENDED, 0)])
        self.assertFalse(self.service.passage.locked_down)
        self.assertEqual(self.kept.get("lockdown"), 0)
        self.assertEqual(self.link.changed, 2)

    def test_a_lock_down_that_cannot_be_recorded_or_kept_is_refused(self):
        for refused in range(3):
            self.journal.fails = refused == 0
            self.kept.fails = refused == 1
            self.assertEqual(self.lock_down(2 if refused == 2 else 1), messages.REFUSED_BY_DOOR)
            self.assertFalse(self.service.passage.locked_down)
            self.assertEqual(self.kept.get("lockdown"), 0)
            self.assertFalse((record.MODE, record.MODE_LOCKED_DOWN, 0) in self.taken())

    def test_a_lock_down_leaves_the_way_out_key_intercom_and_operator(self):
        self.lock_down(1)
        for name, cause in (
            ("exit", record.CAUSE_EXIT),
            ("key", record.CAUSE_KEY),
            ("intercom", record.CAUSE_INTERCOM),
        ):
            self.taken()
            self.contacts[name].pressed = True
            self.step()
            self.assertEqual(self.taken(), [(record.RELEASED, cause, 0), "release"])
            self.step(10_000)
        self.taken()
        self.assertEqual(self.service.command(chip_service.Command()), messages.DONE)
        self.assertEqual(self.taken(), [(record.COMMAND, messages.OP_UNLOCK, 9), "release"])
        self.step(10_000)
        self.contacts["fire"].active = True
        self.step()
        self.assertTrue(self.lock.released)

    def hours(self):
        self.door.free_passage = self.trace.append
        self.service.passage.hours = chip_service.Hours()
        return self.service.passage.hours

    def test_free_passage_is_recorded_and_suspended_in_a_lock_down(self):
        hours = self.hours()
        self.service.follow_hours()
        self.assertEqual(self.taken(), [])
        hours.free_now = True
        self.service.follow_hours()
        self.service.follow_hours()
        begins, ends = [(record.MODE, record.MODE_FREE, 0), True], [(record.MODE, record.MODE_FREE_ENDED, 0), False]
        self.assertEqual(self.taken(), begins)
        self.assertEqual(self.lock_down(1), messages.DONE)
        self.assertEqual(self.taken()[2:], ends)
        self.assertEqual(self.lock_down(0), messages.DONE)
        self.assertEqual(self.taken()[2:], begins)
        hours.free_now = False
        self.service.follow_hours()
        self.assertEqual(self.taken(), ends)

    def test_free_passage_needs_no_journal(self):
        self.hours().free_now = True
        self.journal.fails = True
        self.service.follow_hours()
        self.assertEqual(self.taken(), [True])
        self.assertEqual(self.service.state()["alarms"], [record.ALARM_UNRECORDED])

    def test_free_passage_is_looked_after(self):
        self.hours().free_now = True
        self.keep_house()
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_FREE, 0), True])

    def test_alarms_are_heard_by_schedule(self):
        hours = self.hours()
        hours.armed_now = False
        self.service.follow_hours()
        self.service.follow_hours()
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_DISARMED, 0)])
        self.assertFalse(self.service.watch.armed)
        hours.armed_now = True
        self.service.follow_hours()
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_ARMED, 0)])

    def test_what_is_shown_after_a_card(self):
        shown = self.service.shown
        passage = self.service.passage
        shown(record.OK)
        self.assertEqual(self.player.played, patterns.answer(record.OK))
        passage.notice = SOON
        shown(record.OK)
        self.assertEqual(self.player.played, patterns.answer(record.OK, True))
        passage.notice = 0
        for reason in range(1, record.PASSED_BACK + 1):
            shown(reason)
            self.assertEqual(self.player.played, patterns.answer(reason))
        self.assertEqual(len(self.service.log.lines), record.PASSED_BACK + 2)
        self.player.played = None
        passage.notice = SILENT
        shown(record.UNKNOWN)
        self.assertEqual(self.player.played, None)
        self.assertEqual(len(self.service.log.lines), record.PASSED_BACK + 2)
        self.assertFalse(self.service.quiet())
