"""The service carries out commands: recorded first, and refused if that cannot be."""

import chip_service
from chip_service import Command

from storage import record
from sync import messages


class Commands(chip_service.Doors):
    """The tests of the base class run in its own file."""

    def test_a_command_is_recorded_before_the_lock_moves(self):
        self.assertEqual(self.service.command(Command()), messages.DONE)
        self.assertEqual(self.taken(), [(record.COMMAND, messages.OP_UNLOCK, 9), "release"])

    def test_no_command_without_a_record(self):
        self.journal.fails = True
        self.assertEqual(self.service.command(Command()), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.taken(), [])
        self.assertFalse(self.door.relay)

    def test_time_is_recorded_with_who_set_it_before_it_is_taken(self):
        command = Command()
        command.operation = messages.OP_SET_TIME
        command.argument = 200_000_500
        self.assertEqual(self.service.command(command), messages.DONE)
        kind, trust, step_s = self.taken()[0]
        self.assertEqual((kind, trust), (record.CLOCK, record.FLOOR))
        self.assertTrue(495 <= step_s <= 500)
        self.assertTrue(self.journal.stamped[0] < 200_000_010)
        self.assertEqual(self.journal.payload, bytes(24))
        self.assertEqual(self.service.state()["clock"], "synchronised")
        self.assertEqual(self.service.command(command), messages.DONE)
        self.assertEqual(self.taken(), [])

    def test_time_before_the_floor_or_without_a_record_is_refused(self):
        command = Command()
        command.operation = messages.OP_SET_TIME
        command.argument = 199_999_000
        self.assertEqual(self.service.command(command), messages.REFUSED_BY_DOOR)
        command.argument = 200_000_500
        self.journal.fails = True
        self.assertEqual(self.service.command(command), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.service.state()["clock"], "floor")

    def test_an_unknown_command_does_nothing(self):
        command = Command()
        command.operation = 77
        self.assertEqual(self.service.command(command), messages.UNKNOWN_OPERATION)
        self.assertEqual(self.taken(), [])

    def order(self, operation, argument=0):
        command = Command()
        command.operation = operation
        command.argument = argument
        return self.service.command(command)

    def test_a_prop_by_command(self):
        self.assertEqual(self.order(messages.OP_PROP, 600), messages.DONE)
        self.step()
        expected = [(record.COMMAND, messages.OP_PROP, 9), (record.MODE, record.MODE_PROPPED, 600)]
        self.assertEqual(self.taken(), expected)
        self.assertEqual(self.order(messages.OP_PROP, 86_401), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.order(messages.OP_PROP), messages.DONE)
        self.step()
        self.assertEqual(self.taken()[-1], (record.MODE, record.MODE_PROP_ENDED, 0))

    def test_mute_by_command(self):
        self.assertEqual(self.order(messages.OP_MUTE, 60), messages.DONE)
        self.assertEqual(self.taken(), [(record.COMMAND, messages.OP_MUTE, 9), (record.MODE, record.MODE_MUTED, 60)])
        self.assertEqual(self.order(messages.OP_MUTE, 86_401), messages.REFUSED_BY_DOOR)

    def test_upstream_asks_for_a_reset_and_locks_nothing(self):
        self.assertEqual(self.order(messages.OP_ASK_RESET), messages.REFUSED_BY_DOOR)
        self.contacts["fire"].pressed = True
        self.step()
        self.taken()
        self.assertEqual(self.order(messages.OP_ASK_RESET), messages.DONE)
        expected = [(record.COMMAND, messages.OP_ASK_RESET, 9), (record.MODE, record.MODE_RESET_ASKED, 0)]
        self.assertEqual(self.taken(), expected)
        self.assertEqual(self.recorder.modes, {record.MODE_RESET_ASKED})
        self.step(60_000)
        self.assertTrue(self.lock.released)

    def test_nothing_is_propped_or_muted_without_a_record(self):
        self.journal.fails = True
        for operation in (messages.OP_PROP, messages.OP_MUTE):
            self.assertEqual(self.order(operation, 60), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.door.orders, 0)
