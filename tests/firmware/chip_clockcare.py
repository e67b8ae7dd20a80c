"""How a start finds the clock, and who looks after it then: clock chip, resets, alarms, NTP."""

import asyncio
from unittest import TestCase

import machine
from clock_rig import DAY_S, TEN_YEARS_S, Rig

from firmware import systemclock
from firmware.version import BUILT_S
from storage import record
from sync import messages


class Starting(TestCase):
    def test_a_watchdog_reset_is_held_and_a_power_cut_without_a_chip_is_the_floor(self):
        rig = Rig(None)
        rig.set()
        rig.pass_s(3 * DAY_S)
        rig.begin(machine.WDT_RESET)
        self.assertEqual(rig.clock.trust, record.HELD)
        self.assertTrue(abs(rig.clock.now_s - rig.truth()) <= 1)
        self.assertTrue(1 << rig.clock.uncertainty >= 5 + 259 * 50 // 1000)
        rig.power_cut(5)
        self.assertEqual((rig.clock.trust, rig.problem), (record.FLOOR, None))
        rig.begin(machine.WDT_RESET)  # the system clock stands at the floor: that is no time to hold
        self.assertEqual(rig.clock.trust, record.FLOOR)

    def test_the_chip_carries_the_time_over_a_power_cut(self):
        rig = Rig()
        rig.set()
        rig.power_cut(20 * 3600)
        self.assertEqual((rig.clock.trust, rig.problem), (record.SYNCHRONISED, None))
        self.assertTrue(abs(rig.clock.now_s - rig.truth()) <= 1)
        rig.pass_s(3 * 3600)
        self.assertEqual(rig.clock.trust, record.SYNCHRONISED)
        rig.pass_s(2 * 3600)
        self.assertEqual(rig.clock.trust, record.HELD)
        rig.power_cut(200 * DAY_S)
        self.assertEqual(rig.clock.trust, record.HELD)
        self.assertTrue(abs(rig.clock.now_s - rig.truth()) <= 1 << rig.clock.uncertainty)
        self.assertTrue(rig.clock.uncertainty <= 8)

    def test_a_chip_that_fails_is_the_floor_and_never_an_exception(self):
        for fault, words in (("osf", "stopped"), ("absent", ""), ("battery 0", "stopped")):
            rig = Rig()
            rig.set()
            kept = rig.chip.state()
            rig.chip.fault(fault)
            if fault == "battery 0":
                kept["battery"] = False
                rig.chip.load(kept, 1)
            rig.power_cut(60)
            self.assertEqual(rig.clock.trust, record.FLOOR, fault)
            self.assertTrue(words in str(rig.problem) and rig.problem, rig.problem)
            rig.pass_s(60)
            rig.chip.fault("back")
            self.assertEqual(rig.set(), messages.DONE)
            rig.power_cut(60)
            self.assertEqual(rig.clock.trust, record.SYNCHRONISED, fault)

    def test_a_chip_that_was_set_by_nobody_is_not_believed(self):
        rig = Rig()
        rig.set()
        for name, value in (("rtc_set", 0), ("rtc_set", rig.truth() + 10 * DAY_S)):
            rig.kept.numbers[name] = value
            rig.power_cut(60)
            self.assertEqual(rig.clock.trust, record.FLOOR)
            self.assertTrue("authenticated" in str(rig.problem))

    def test_a_chip_that_lags_behind_the_floor_is_not_believed(self):
        rig = Rig()
        rig.set()
        rig.pass_s(10 * DAY_S)
        rig.recorder.note(record.GRANTED)
        rig.recorder.note(record.GRANTED)
        from drivers import ds3231

        ds3231.write(machine.I2C(0), rig.truth() - 5 * DAY_S)
        rig.power_cut(60)
        self.assertEqual(rig.clock.trust, record.FLOOR)
        self.assertTrue(rig.clock.floor_s > rig.truth() - 200)

    def test_what_was_measured_is_kept(self):
        rig = Rig(None)
        rig.kept.numbers["drift_ppm"] = -31
        rig.power_cut(1)
        self.assertEqual(rig.clock.rate_ppm, -31)
        rig.kept.numbers["drift_ppm"] = 5000
        rig.power_cut(1)
        self.assertEqual(rig.clock.rate_ppm, 50)


class Care(TestCase):
    def test_lost_twice_told_twice_and_ended_twice(self):
        rig = Rig(None)
        for _ in range(2):
            rig.power_cut(3600)
            rig.look_when_due(590)
            self.assertEqual(rig.recorder.alarms, set())
            rig.look_when_due(200)
            self.assertEqual(rig.recorder.alarms, {record.ALARM_CLOCK_LOST})
            rig.look_when_due(3600)
            self.assertEqual(rig.set(), messages.DONE)
            self.assertEqual(rig.recorder.alarms, set())
        lost = (record.ALARM, record.ALARM_CLOCK_LOST, 0), (record.ALARM_ENDED, record.ALARM_CLOCK_LOST, 0)
        self.assertEqual(rig.records(record.ALARM, record.ALARM_ENDED), list(lost * 2))

    def test_too_uncertain_is_lost_too(self):
        rig = Rig(None)
        rig.set()
        rig.pass_s(100 * DAY_S)
        rig.look()
        self.assertEqual(rig.recorder.alarms, set())
        rig.pass_s(60 * DAY_S)
        rig.look()
        self.assertEqual(rig.recorder.alarms, {record.ALARM_CLOCK_LOST})

    def test_without_upstream_the_chip_keeps_the_clock_within_its_own_bounds(self):
        rig = Rig(-3)
        rig.set()
        for _ in range(30):
            rig.pass_s(DAY_S + 5)  # an oscillator that is slow by 58 ppm, more than it may
            rig.uptime.seconds -= 5
            rig.look()
        self.assertEqual(rig.clock.trust, record.HELD)
        self.assertTrue(abs(rig.clock.now_s - rig.truth()) <= 10, rig.clock.now_s - rig.truth())
        self.assertTrue(rig.clock.uncertainty <= 6)

    def test_a_chip_that_runs_wrong_does_not_take_the_clock_along(self):
        rig = Rig()
        rig.set()
        rig.pass_s(2 * DAY_S)
        from drivers import ds3231

        ds3231.write(machine.I2C(0), rig.truth() + 3600)
        rig.look()
        self.assertEqual(rig.clock.now_s, rig.truth())

    def ntp(self, rig, answer):
        """Have the NTP task run with a server that says `answer`."""
        import sync
        import sys

        asked = []

        class Ntp:
            @staticmethod
            async def ask(host, earliest_s):
                asked.append((host, earliest_s))
                if isinstance(answer, Exception):
                    raise answer
                return answer

        async def work():
            rig.look()
            await asyncio.sleep_ms(0)
            await asyncio.sleep_ms(0)

        sys.modules["sync.ntp"] = sync.ntp = Ntp
        asyncio.run(work())
        if "sync.ntp" in sys.modules:
            del sys.modules["sync.ntp"]
        return asked

    def test_ntp_sets_the_system_clock_and_nothing_else(self):
        rig = Rig(None)
        rig.service.care = None
        self.assertEqual(self.ntp(rig, rig.truth()), [])  # off
        rig.settings["ntp_host"] = "10.0.0.1"
        rig.power_cut(60)
        before = rig.clock.now_s, rig.clock.trust, rig.clock.floor_s
        self.assertEqual(self.ntp(rig, BUILT_S + TEN_YEARS_S), [("10.0.0.1", rig.clock.floor_s)])
        self.assertEqual(systemclock.now_s(), BUILT_S + TEN_YEARS_S)
        rig.clock.update(rig.uptime.seconds)
        self.assertEqual((rig.clock.now_s, rig.clock.trust, rig.clock.floor_s), before)
        rig.begin(machine.WDT_RESET)
        self.assertEqual(rig.clock.trust, record.FLOOR)
        self.assertTrue(rig.clock.floor_s < rig.truth())
        rig.set()
        self.assertEqual(systemclock.now_s(), rig.truth())
        self.assertEqual(self.ntp(rig, BUILT_S), [])  # there is authenticated time

    def test_ntp_is_bounded(self):
        rig = Rig(None)
        rig.settings["ntp_host"] = "10.0.0.1"
        rig.power_cut(60)
        for error in (OSError(113), ValueError("ntp: no")):
            self.assertEqual(len(self.ntp(rig, error)), 1)
            self.assertEqual(systemclock.now_s(), rig.clock.floor_s)
        for number in range(5):
            self.assertEqual(len(self.ntp(rig, BUILT_S + 1000 * number)), int(number < 3))

    def test_ntp_steps_aside_if_what_it_did_cannot_be_noted(self):
        rig = Rig(None)
        rig.set()
        rig.settings["ntp_host"] = "10.0.0.1"
        rig.kept.works = False
        rig.power_cut(60)
        before_s = systemclock.now_s()
        self.ntp(rig, rig.truth())
        self.assertEqual(systemclock.now_s(), before_s)
