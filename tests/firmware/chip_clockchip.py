"""A clock chip that shows another time than the door's clock."""

from unittest import TestCase

from clock_rig import TEN_YEARS_S, Rig

from firmware import rtc
from storage import record
from sync import messages


class Chip(TestCase):
    def test_a_chip_that_was_set_just_before_is_corrected_with_the_clock(self):
        """Within the 6 h in which a chip that shows the same time is left alone."""
        rig = Rig()
        rig.set()
        rig.pass_s(3 * 3600)
        self.assertEqual(rig.set(rig.truth() + 3600), messages.DOUBTED)
        rig.pass_s(606)
        self.assertEqual(rig.set(rig.truth() + 3600), messages.DONE)
        rig.power_cut(60)
        self.assertEqual(rig.clock.trust, record.SYNCHRONISED)
        self.assertTrue(abs(rig.clock.now_s - rig.truth() - 3600) <= 1, rig.clock.now_s - rig.truth())

    def test_a_chip_that_is_years_ahead_locks_nobody_out(self):
        rig = Rig()
        rig.set()
        rig.pass_s(600)
        rtc.write(rig.truth() + TEN_YEARS_S)
        rig.power_cut(60)
        self.assertTrue("gone wrong" in str(rig.problem), rig.problem)
        self.assertTrue(rig.clock.earliest_s <= rig.truth())
        self.assertEqual(rig.set(), messages.DONE)
        rig.power_cut(60)
        self.assertTrue(abs(rig.clock.now_s - rig.truth()) <= 1)
