"""Commands that set the time, with everything that keeps it, and the power going in between."""

from unittest import TestCase

import machine
from clock_rig import DAY_S, TEN_YEARS_S, PowerCut, Rig

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


class Lowering(TestCase):
    def test_ten_years_ahead_and_back_survives_the_power_cut(self):
        for chip_ppm in (None, 2):
            rig = Rig(chip_ppm)
            rig.set()
            self.assertEqual(rig.go_ten_years_ahead(), messages.DONE)
            for _ in range(20):
                rig.recorder.note(record.GRANTED)
            self.assertEqual(rig.set(), messages.REFUSED_BY_DOOR)
            rig.power_cut(60)
            self.assertTrue(rig.clock.now_s > rig.truth() + TEN_YEARS_S - 100)
            self.assertEqual(rig.set(), messages.REFUSED_BY_DOOR)
            self.assertEqual(rig.lower(), messages.DONE)
            self.assertEqual((rig.clock.trust, rig.clock.now_s), (record.SYNCHRONISED, rig.truth()))
            self.assertEqual(rig.clock.floor_s, rig.truth())
            _, reason, step_s = rig.records(record.CLOCK)[-1]
            self.assertEqual(reason & record.LOWERED, record.LOWERED)
            self.assertTrue(TEN_YEARS_S - 100 < step_s < TEN_YEARS_S + 100)
            lowered_s = rig.truth()
            for _ in range(4):
                rig.power_cut(600)
                self.assertTrue(lowered_s <= rig.clock.floor_s <= rig.truth(), rig.clock.floor_s)
                if chip_ppm is None:
                    self.assertEqual(rig.clock.trust, record.FLOOR)
                else:
                    self.assertEqual(rig.clock.trust, record.SYNCHRONISED)
                    self.assertTrue(abs(rig.clock.now_s - rig.truth()) <= 1)
            self.assertEqual(rig.set(), messages.DONE)

    def test_a_floor_may_fall_but_not_before_the_software(self):
        rig = Rig()
        rig.set()
        self.assertEqual(rig.lower(BUILT_S - 1), messages.REFUSED_BY_DOOR)
        self.assertEqual(rig.clock.floor_s, rig.truth())
        self.assertEqual(rig.lower(BUILT_S), messages.DONE)
        self.assertEqual(rig.clock.floor_s, BUILT_S)

    def test_two_persons_need_no_confirmation_forward_either(self):
        rig = Rig()
        rig.set()
        self.assertEqual(rig.lower(rig.truth() + 900 * DAY_S), messages.DONE)
        self.assertEqual(rig.records(record.CLOCK)[-1][1], record.SYNCHRONISED)

    def test_power_goes_at_every_operation(self):
        """Afterwards the clock is right within its bounds, or stands at a floor, the old or the new one."""
        for chip_ppm in (None, 2):
            for act in ("set", "lower"):
                cut = 0
                finished = False
                while not finished:
                    cut += 1
                    rig = Rig(chip_ppm)
                    rig.set()
                    rig.pass_s(7 * 3600)
                    if act == "lower":
                        rig.go_ten_years_ahead()
                        rig.recorder.note(record.GRANTED)
                        rig.recorder.note(record.GRANTED)
                    else:
                        rig.power_cut(60)
                    rig.pass_s(7 * 3600)
                    old_floor_s = rig.clock.floor_s
                    asked_s = rig.truth()
                    rig.left = cut
                    try:
                        self.assertEqual(getattr(rig, act)(), messages.DONE)
                        finished = True
                    except PowerCut:
                        pass
                    rig.power_cut(60)
                    self.judge(rig, act, old_floor_s, asked_s, (chip_ppm, act, cut, finished))
                self.assertTrue(cut > (2 if chip_ppm is None else 10), cut)

    def test_a_clock_chip_that_was_written_half_is_not_believed(self):
        """Upstream's time was changed and confirmed: the chip shows the one, the other, or is not asked."""
        shift_s = 5 * 3600 + 780
        cut = 0
        finished = False
        while not finished:
            cut += 1
            rig = Rig()
            rig.set()
            rig.pass_s(7 * 3600)
            self.assertEqual(rig.set(rig.truth() + shift_s), messages.DOUBTED)
            rig.pass_s(601)
            rig.left = cut
            try:
                self.assertEqual(rig.set(rig.truth() + shift_s), messages.DONE)
                finished = True
            except PowerCut:
                pass
            rig.power_cut(60)
            if rig.clock.trust:
                ahead_s = rig.clock.now_s - rig.truth()
                error_s = 1 << rig.clock.uncertainty
                self.assertTrue(min(abs(ahead_s), abs(ahead_s - shift_s)) <= error_s, (cut, ahead_s))
        self.assertTrue(cut > 10, cut)

    def judge(self, rig, act, old_floor_s, asked_s, where):
        clock = rig.clock
        nothing_done = act == "lower" and clock.floor_s > rig.truth()
        if clock.trust and not nothing_done:
            self.assertTrue(abs(clock.now_s - rig.truth()) <= 1 << clock.uncertainty, where)
        if nothing_done:
            self.assertTrue(clock.floor_s >= old_floor_s - 16, where)  # nothing was done
            self.assertEqual(rig.lower(), messages.DONE, where)
        elif act == "lower":
            self.assertTrue(asked_s <= clock.floor_s, where)  # no card that ended before opens
        else:
            self.assertTrue(clock.earliest_s <= rig.truth(), where)
        self.assertEqual(rig.set(), messages.DONE, where)
        self.assertEqual(clock.now_s, rig.truth(), where)
