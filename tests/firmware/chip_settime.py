"""The clock with everything that keeps it: journal, clock chip, system clock, NVS; commands, starts, power cuts."""

import asyncio
import os
from unittest import TestCase

import machine

from boards.sim import chip_time, clock as world, i2cbus
from boards.sim.ds3231 import ADDRESS, Ds3231
from boards.sim.norflash import NorFlash, PowerCut, Region
from firmware import clockcare, clockstart, settime, systemclock
from firmware.clock import Uptime
from firmware.config import DEFAULTS
from firmware.recorder import Recorder
from firmware.version import BUILT_S
from storage import record
from storage.flash import Flash
from storage.journal import Journal
from sync import messages

systemclock.time = chip_time
FOLDER = os.getenv("MENWEI_TMP") or "/tmp"
PATH = FOLDER + "/journal.bin"
SIZE = 6 * 4096
DAY_S = 86_400
TEN_YEARS_S = 3650 * DAY_S
UNIX_2020 = 1577836800
FIRST_S = BUILT_S + 20 * DAY_S  # when the first test begins


class Log:
    def info(self, area, message, **values):
        pass

    warning = error = info


class Kept:
    """Numbers that outlive everything; each change is one operation at which the power may go."""

    def __init__(self):
        self.numbers = {}
        self.works = True
        self.before_change = lambda: None

    def get(self, name):
        return self.numbers.get(name, 0)

    def set(self, name, value):
        if value != self.get(name):
            if not self.works:
                return False
            self.before_change()
            self.numbers[name] = value
        return True


class Command:
    operation = messages.OP_SET_TIME
    number = 9

    def __init__(self, time_s):
        self.argument = time_s

    def evidence(self):
        return bytes(8) + self.argument.to_bytes(4, "little") + bytes(12)


class Service:
    look_s = 60


class Rig:
    """One door's clock. `chip_ppm`: None for no clock chip."""

    def __init__(self, chip_ppm=2):
        world.setup("virtual", start_unix_s=FIRST_S + UNIX_2020)
        self.kept = Kept()
        self.kept.before_change = self._operation
        self.chip = Ds3231(world.now_us, chip_ppm or 0)
        self.chip.absent = chip_ppm is None
        i2cbus.attach(ADDRESS, self)
        self.settings = dict(DEFAULTS)
        self.settings["rtc"] = "none" if chip_ppm is None else "ds3231"
        self.left = None
        if "journal.bin" in os.listdir(FOLDER):
            os.remove(PATH)
        self.nor = NorFlash(PATH, SIZE)
        program = self.nor.program

        def cut_program(address, data):
            if self.left == 1:
                self.nor.fail_at(1, "random", address)
            self._operation()
            program(address, data)

        self.nor.program = cut_program
        Journal(Flash(Region(self.nor, 0, SIZE))).format(b"abcd", bytes(16))
        self.power_cut(0)

    # The bus, between driver and model: each byte is an operation.

    absent = False

    def start(self, reading):
        if self.chip.absent:
            raise OSError(19)
        self.chip.start(reading)

    def write(self, byte):
        self._operation()
        return self.chip.write(byte)

    def read(self):
        return self.chip.read()

    def stop(self):
        self.chip.stop()

    def _operation(self):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise PowerCut

    # Life

    def truth(self):
        return world.world_unix_s() - UNIX_2020

    def pass_s(self, seconds):
        world.sleep_us(seconds * 1_000_000)
        self.uptime.seconds += seconds
        self.clock.update(self.uptime.seconds)

    def power_cut(self, off_s):
        """Off and on again."""
        self.left = None
        world.sleep_us(off_s * 1_000_000)
        world.set_chip_time_us(946684800 * 1_000_000)
        self.begin(machine.PWRON_RESET)

    def begin(self, cause):
        self.nor.power_on()
        journal = Journal(Flash(Region(self.nor, 0, SIZE)))
        journal.mount()
        self.uptime = Uptime()
        self.clock, self.problem = clockstart.start(journal, self.settings, self.uptime, self.kept, cause)
        service = self.service = Service()
        service.clock = self.clock
        service.uptime = self.uptime
        service.log = Log()
        service.recorder = self.recorder = Recorder(journal, self.clock, service.log)
        self.recorder.note(record.BOOT)

    def set(self, time_s=None):
        return settime.set_time(self.service, Command(self.truth() if time_s is None else time_s))

    def lower(self, time_s=None):
        return settime.lower(self.service, Command(self.truth() if time_s is None else time_s))

    def look(self):
        self.service.look_s = clockcare.look(self.service)

    def look_when_due(self, seconds):
        while seconds:
            self.pass_s(1 if seconds < 60 else 60)
            seconds -= 1 if seconds < 60 else 60
            if self.uptime.seconds >= self.service.look_s:
                self.look()

    def go_ten_years_ahead(self):
        """Upstream is wrong for more than ten minutes."""
        wrong = self.set(self.truth() + TEN_YEARS_S)
        self.pass_s(601)
        return wrong, self.set(self.truth() + TEN_YEARS_S)

    def records(self, *kinds):
        """(kind, reason, detail) of what the journal holds."""
        journal = self.recorder.journal
        buf = bytearray(24 + 32 * 32)
        found = []
        seq = 1
        while seq <= journal.head:
            count = journal.batch(buf, seq)
            at = 24
            while at < 24 + 32 * count:
                slot = memoryview(buf)[at:]
                if slot[record.KIND] in kinds:
                    found.append((slot[record.KIND], slot[record.REASON], record.get30(slot, record.DETAIL)))
                at += 64 if slot[0] == record.LONG else 32
            seq = journal.last_in_batch + 1
        return found


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
        self.assertEqual(rig.set(rig.truth() + TEN_YEARS_S), messages.DOUBTED)
        self.assertEqual((rig.clock.now_s, rig.recorder.alarms), (before_s, {record.ALARM_CLOCK_DOUBTED}))
        self.assertEqual(rig.set(rig.truth() + TEN_YEARS_S), messages.DOUBTED)
        rig.pass_s(606)
        changed = []
        rig.recorder.changed = lambda: changed.append(1)
        self.assertTrue(rig.uptime.seconds >= rig.service.look_s)
        rig.look()
        self.assertEqual(len(changed), 1)  # asks upstream for its time
        self.assertEqual(rig.set(rig.truth() + TEN_YEARS_S), messages.DONE)
        self.assertEqual((rig.clock.now_s, rig.recorder.alarms), (rig.truth() + TEN_YEARS_S, set()))
        alarms = rig.records(record.ALARM, record.ALARM_ENDED)
        self.assertEqual(
            [item[:2] for item in alarms], [(8, record.ALARM_CLOCK_DOUBTED), (9, record.ALARM_CLOCK_DOUBTED)]
        )

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
            self.assertEqual(rig.go_ten_years_ahead(), (messages.DOUBTED, messages.DONE))
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
