"""Commands that set the time, with everything that keeps it, and the power going in between."""

from unittest import TestCase

import machine
from clock_rig import TEN_YEARS_S, Rig

from firmware import systemclock
from firmware.version import BUILT_S
from storage import record
from sync import messages


class Setting(TestCase):
    def test_first_boot_at_the_year_2000(self):
        rig = Rig()
        self.assertEqual((rig.clock.trust, rig.clock.now_s), (record.FLOOR, BUILT_S))
        self.assertTrue("stopped" in str(rig.problem), rig.problem)
        self.assertEqual(systemclock.now_s(), BUILT_S)  # what TLS needs
        rig.pass_s(30)
        self.assertEqual(rig.set(), messages.DONE)
        self.assertEqual((rig.clock.trust, rig.clock.now_s), (record.SYNCHRONISED, rig.truth()))
        self.assertEqual(systemclock.now_s(), rig.truth())
        kinds = rig.records(record.CLOCK)
        self.assertEqual(kinds, [(record.CLOCK, record.FLOOR, rig.truth() - BUILT_S - 30)])

    def test_a_time_out_of_reach_is_doubted_and_taken_when_it_is_confirmed(self):
        rig = Rig()
        rig.set()
        before_s = rig.clock.now_s
        self.assertEqual(rig.set(rig.truth() + 3600), messages.DOUBTED)
        self.assertEqual((rig.clock.now_s, rig.recorder.alarms), (before_s, {record.ALARM_CLOCK_DOUBTED}))
        self.assertEqual(rig.set(rig.truth() + 3600), messages.DOUBTED)
        rig.pass_s(606)
        changed = []
        rig.recorder.changed = lambda: changed.append(1)
        self.assertTrue(rig.uptime.seconds >= rig.service.look_s)
        rig.look()
        self.assertEqual(len(changed), 1)  # asks upstream for its time
        self.assertEqual(rig.set(rig.truth() + 3600), messages.DONE)
        self.assertEqual((rig.clock.now_s, rig.recorder.alarms), (rig.truth() + 3600, set()))
        doubted = record.ALARM_CLOCK_DOUBTED
        alarms = [item[:2] for item in rig.records(record.ALARM, record.ALARM_ENDED)]
        self.assertEqual(alarms, [(record.ALARM, doubted), (record.ALARM_ENDED, doubted)])

    def test_ten_years_ahead_are_not_even_asked_for_again(self):
        rig = Rig()
        rig.set()
        changed = []
        for _ in range(3):
            self.assertEqual(rig.set(rig.truth() + TEN_YEARS_S), messages.DOUBTED)
            self.assertEqual(rig.recorder.alarms, {record.ALARM_CLOCK_DOUBTED})
            rig.pass_s(1200)
            rig.recorder.changed = lambda: changed.append(1)
            rig.look()
            self.assertEqual((changed, rig.service.look_s), ([], rig.uptime.seconds + 3600))
        self.assertEqual(rig.clock.now_s, rig.truth())
        self.assertEqual(rig.set(), messages.DONE)
        self.assertEqual((rig.recorder.alarms, len(changed)), (set(), 1))

    def test_the_right_time_withdraws_the_doubt(self):
        rig = Rig()
        rig.set()
        rig.set(rig.truth() + TEN_YEARS_S)
        rig.pass_s(20)
        self.assertEqual(rig.set(), messages.DONE)
        self.assertEqual((rig.recorder.alarms, rig.clock.doubt), (set(), None))
        self.assertEqual(rig.clock.now_s, rig.truth())

    def test_no_record_no_time(self):
        rig = Rig()

        def fail(_address, _data):
            raise OSError(5)

        rig.nor.program = fail
        self.assertEqual(rig.set(), messages.REFUSED_BY_DOOR)
        self.assertEqual(rig.lower(), messages.REFUSED_BY_DOOR)
        self.assertEqual(rig.clock.trust, record.FLOOR)
        self.assertEqual(rig.clock.floor_s, BUILT_S)

    def test_nvs_that_fails_keeps_no_time_from_being_set_but_no_clock_is_believed(self):
        rig = Rig()
        rig.kept.works = False
        self.assertEqual(rig.set(), messages.DONE)
        rig.begin(machine.WDT_RESET)
        self.assertEqual(rig.clock.trust, record.FLOOR)

    def test_little_flash_is_worn(self):
        """A link that comes and goes sets the time again and again."""
        rig = Rig()
        rig.set()
        changes = []
        rig.kept.before_change = lambda: changes.append(1)
        for _ in range(60):
            rig.pass_s(60)
            rig.set()
        self.assertTrue(len(changes) <= 1, changes)
