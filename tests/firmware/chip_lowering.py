"""The clock is set back by two persons, for good: also below its floor, and whenever power goes."""

from unittest import TestCase

from clock_rig import DAY_S, TEN_YEARS_S, PowerCut, Rig

from firmware.version import BUILT_S
from storage import record
from sync import messages


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
