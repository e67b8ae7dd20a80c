"""A door's clock with everything that keeps it: journal, clock chip, system clock, NVS. For the clock's chip tests."""

import gc
import os

import machine

from boards.sim import chip_time, i2cbus
from boards.sim import clock as world
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
    ntp_steps = 0


class Rig:
    """One door's clock. `chip_ppm`: None for no clock chip."""

    def __init__(self, chip_ppm=2):
        old = i2cbus.devices.get(ADDRESS)
        if old:  # a rig before this one, which the test may still hold: there is no room for two
            old.nor = old.kept = old.chip = old.service = old.recorder = old.clock = None
        gc.collect()
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
        gc.collect()
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
        self.service = self.recorder = self.clock = None  # a power cut leaves nothing of the one before
        gc.collect()
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
        """Two persons are wrong: no message alone does that."""
        return self.lower(self.truth() + TEN_YEARS_S)

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
