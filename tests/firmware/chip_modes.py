"""How the service carries out the policy: lock-down, free passage, what is shown after a card."""

import chip_service

from firmware import patterns
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
        self.assertTrue(self.service.passage.policy.locked_down)
        self.assertEqual(self.kept.get("lockdown"), 1)
        self.assertTrue(self.service.state()["locked_down"])
        self.assertEqual(self.lock_down(0), messages.DONE)
        self.assertEqual(self.taken(), [command, (record.MODE, record.MODE_LOCK_DOWN_ENDED, 0)])
        self.assertFalse(self.service.passage.policy.locked_down)
        self.assertEqual(self.kept.get("lockdown"), 0)
        self.assertEqual(self.link.changed, 2)

    def test_a_lock_down_that_cannot_be_recorded_or_kept_is_refused(self):
        for refused in range(3):
            self.journal.fails = refused == 0
            self.kept.fails = refused == 1
            self.assertEqual(self.lock_down(2 if refused == 2 else 1), messages.REFUSED_BY_DOOR)
            self.assertFalse(self.service.passage.policy.locked_down)
            self.assertEqual(self.kept.get("lockdown"), 0)
            self.assertFalse((record.MODE, record.MODE_LOCKED_DOWN, 0) in self.taken())

    def test_free_passage_is_recorded_before_it_begins_and_ends_in_a_lock_down(self):
        self.door.free_passage = self.trace.append
        self.service.free_passage()
        self.service.passage.policy.free_now = True
        self.journal.fails = True
        self.service.free_passage()
        self.assertEqual(self.taken(), [])
        self.journal.fails = False
        self.service.free_passage()
        self.service.free_passage()
        unrecorded = (record.ALARM, record.ALARM_UNRECORDED, 0)
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_FREE, 0), unrecorded, True])
        self.assertEqual(self.lock_down(1), messages.DONE)
        self.assertEqual(self.taken()[2:], [(record.MODE, record.MODE_FREE_ENDED, 0), False])
        self.lock_down(0)
        self.taken()
        self.service.passage.policy.free_now = False
        self.journal.fails = True
        self.service.free_passage()
        self.assertEqual(self.taken(), [False])

    def test_free_passage_is_looked_after_every_second(self):
        self.door.free_passage = self.trace.append
        self.service.passage.policy.free_now = True
        self.service.uptime.advance(1000)
        self.keep_house()
        self.assertEqual(self.taken(), [(record.MODE, record.MODE_FREE, 0), True])

    def test_what_is_shown_after_a_card(self):
        shown = self.service.shown
        passage = self.service.passage
        shown(record.OK)
        self.assertEqual(self.player.played, patterns.GRANTED)
        passage.soon = True
        shown(record.OK)
        self.assertEqual(self.player.played, patterns.GRANTED_SOON)
        for reason in range(1, record.PASSED_BACK + 1):
            shown(reason)
            expected = patterns.CANCELLED if reason == record.CANCELLED else patterns.REFUSED
            self.assertEqual(self.player.played, expected)
        self.assertEqual(len(self.service.log.lines), record.PASSED_BACK + 2)
        self.player.played = None
        passage.answered = False
        shown(record.UNKNOWN)
        self.assertEqual(self.player.played, None)
        self.assertEqual(len(self.service.log.lines), record.PASSED_BACK + 2)
        self.assertFalse(self.service.quiet())
