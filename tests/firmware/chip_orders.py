"""Commands that last, restart, collect and count: what the service does with them, and what it refuses."""

import asyncio
import sys
from unittest import TestCase

import chip_service
from chip_service import Command

from firmware.door import MAINTENANCE, UNLOCKED_FOR
from storage import record
from sync import messages


def command(operation, argument=0):
    """An authentic one; the link has judged session, deadline and approval."""
    made = Command()
    made.operation = operation
    made.argument = argument
    return made


class Sleep:
    """What a module takes for asyncio.sleep_ms: each call passes time, until `limit` of them ended it."""

    def __init__(self, passed, limit):
        self.passed = passed
        self.left = limit

    async def __call__(self, ms):
        self.left -= 1
        if self.left < 0:
            raise Over
        self.passed(ms)


class Over(Exception):
    """The time of the test is over."""


class Reset(Exception):
    """The chip starts again."""


class Orders(chip_service.Doors):
    """The tests of the base class run in its own file."""

    def order(self, operation, argument=0):
        return self.service.command(command(operation, argument))

    def test_unlocked_for_a_while(self):
        self.assertEqual(self.order(messages.OP_UNLOCK, 3600), messages.DONE)
        self.assertEqual(self.taken(), [(record.COMMAND, messages.OP_UNLOCK, 9)])
        self.step()
        self.assertEqual(self.taken(), ["release", (record.MODE, record.MODE_UNLOCKED, 3600)])
        self.contacts["leaf"].active = False
        for _ in range(3599):
            self.step(1000)
        self.assertTrue(self.lock.released)
        self.assertEqual(self.service.state()["alarms"], [])
        self.step(1000)
        self.assertFalse(self.lock.released)
        self.assertEqual(self.taken()[-2:], ["secure", (record.MODE, record.MODE_UNLOCK_ENDED, 0)])

    def test_once_ends_an_unlock_that_lasts(self):
        self.order(messages.OP_UNLOCK, 3600)
        self.step()
        self.assertEqual(self.order(messages.OP_UNLOCK), messages.DONE)
        self.step(4980)
        self.assertTrue(self.lock.released)
        self.step(20)
        self.assertFalse(self.lock.released)

    def test_a_lock_down_ends_it_and_allows_none(self):
        self.order(messages.OP_UNLOCK, 3600)
        self.step()
        self.assertEqual(self.order(messages.OP_LOCK_DOWN, 1), messages.DONE)
        self.step()
        self.assertFalse(self.lock.released)
        self.assertEqual(self.order(messages.OP_UNLOCK, 60), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.order(messages.OP_UNLOCK), messages.DONE)
        self.order(messages.OP_LOCK_DOWN, 0)
        self.assertEqual(self.order(messages.OP_UNLOCK, 60), messages.DONE)

    def test_arguments_beyond_their_limits_are_refused(self):
        for operation, most in (
            (messages.OP_UNLOCK, 3600),
            (messages.OP_MAINTENANCE, 28_800),
            (messages.OP_PROP, 86_400),
            (messages.OP_MUTE, 86_400),
            (messages.OP_LOCK_DOWN, 1),
        ):
            self.assertEqual(self.order(operation, most + 1), messages.REFUSED_BY_DOOR)
            self.assertEqual((self.taken(), self.door.orders), ([], 0))

    def test_maintenance(self):
        self.assertEqual(self.order(messages.OP_MAINTENANCE, 28_800), messages.DONE)
        self.step()
        expected = [(record.COMMAND, messages.OP_MAINTENANCE, 9), (record.MODE, record.MODE_MAINTENANCE, 28_800)]
        self.assertEqual(self.taken(), expected)
        self.assertTrue(self.service.state()["maintenance"])
        self.assertEqual(self.order(messages.OP_MAINTENANCE), messages.DONE)
        self.step()
        self.assertEqual(self.taken()[-1], (record.MODE, record.MODE_MAINTENANCE_ENDED, 0))
        self.assertFalse(self.service.state()["maintenance"])

    def test_nothing_is_done_without_a_record(self):
        self.journal.fails = True
        self.journal.acked = 100
        for operation, argument in (
            (messages.OP_UNLOCK, 60),
            (messages.OP_MAINTENANCE, 60),
            (messages.OP_RESTART, 0),
            (messages.OP_COLLECT, 1),
            (messages.OP_SELF_TEST, 0),
        ):
            self.assertEqual(self.order(operation, argument), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.door.orders, 0)

    def test_no_restart_that_would_shut_somebody_in(self):
        self.order(messages.OP_UNLOCK, 60)
        self.assertEqual(self.order(messages.OP_RESTART), messages.REFUSED_BY_DOOR)
        self.door.order(UNLOCKED_FOR, 0)
        self.door.free_passage(True)
        self.assertEqual(self.order(messages.OP_RESTART), messages.REFUSED_BY_DOOR)
        self.door.free_passage(False)
        self.contacts["fire"].active = True
        self.step()
        self.assertEqual(self.order(messages.OP_RESTART), messages.REFUSED_BY_DOOR)

    def restarted(self, busy=False, fire_after_ms=None):
        """Order a restart; return the milliseconds after which the chip started again, or None."""
        from firmware import restart

        waited = [0]

        def passed(ms):
            waited[0] += ms
            self.service.uptime.advance(ms)
            if busy:
                self.service.watch.busy()
            if fire_after_ms is not None and waited[0] >= fire_after_ms:
                self.door.fire_alarm(True)

        def reset():
            raise Reset

        kept = restart.sleep_ms, restart.machine.reset
        restart.sleep_ms = Sleep(passed, 1000)
        restart.machine.reset = reset
        try:
            asyncio.run(restart._restart(self.service))
        except Reset:
            return waited[0]
        except Over:
            return None
        finally:
            restart.sleep_ms, restart.machine.reset = kept
            sys.modules.pop("firmware.restart", None)

    def test_a_restart_is_answered_first_and_soon(self):
        self.assertTrue(2800 <= self.restarted() <= 3200)

    def test_a_restart_waits_for_who_is_at_the_door_but_not_for_ever(self):
        self.assertTrue(59_000 <= self.restarted(busy=True) <= 61_000)

    def test_a_restart_never_locks_what_is_released(self):
        self.door.order(UNLOCKED_FOR, 600)
        self.assertEqual(self.restarted(), None)
        self.door.order(UNLOCKED_FOR, 0)
        self.assertEqual(self.restarted(fire_after_ms=1000), None)

    def test_only_what_was_acknowledged_is_collected(self):
        self.journal.acked = 100
        self.assertEqual(self.order(messages.OP_COLLECT), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.order(messages.OP_COLLECT, 101), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.taken(), [])

    def test_intrusion_is_raised_once_and_ends_ten_minutes_after_the_last(self):
        from firmware import intrusion

        kept = intrusion.outlast

        async def at_once(_recorder):
            pass

        intrusion.outlast = at_once
        self.link.forged = 1

        async def two():
            self.service.forged()
            self.service.forged()

        asyncio.run(two())
        self.assertEqual(self.taken(), [(record.ALARM, record.ALARM_INTRUSION, 0)])
        self.assertEqual(self.service.state()["alarms"], [record.ALARM_INTRUSION])
        passed_ms = [0]

        def passed(ms):
            passed_ms[0] += ms
            if passed_ms[0] == 300_000:
                self.link.forged = 40

        kept_sleep = intrusion.sleep_ms
        intrusion.sleep_ms = Sleep(passed, 1000)
        try:
            asyncio.run(kept(self.recorder))
        finally:
            intrusion.sleep_ms = kept_sleep
            sys.modules.pop("firmware.intrusion", None)
        self.assertEqual(passed_ms[0], 900_000)
        self.assertEqual(self.taken(), [(record.ALARM_ENDED, record.ALARM_INTRUSION, 40)])
        self.assertEqual(self.service.state()["alarms"], [])


class Numbers(TestCase):
    def test_bits_of_orders_are_apart(self):
        self.assertEqual(MAINTENANCE & UNLOCKED_FOR, 0)
