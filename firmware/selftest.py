"""The self-test: asks reader, contacts, flash, heap, clock, link, keys and settings, one short step at a time.

    await selftest.run(service)

Started by the service once nobody is at the door: a minute after the start, daily, and by command. It breaks off when
somebody comes, and is tried again. Loaded when it is needed, and not kept.
"""

import gc
from asyncio import sleep_ms
from time import ticks_diff, ticks_ms

import board
import esp32

from drivers import mfrc522_probe
from firmware import systemclock, testitems
from firmware.version import VERSION
from storage import certificates, ondemand, record, survey
from storage.journal import Journal
from storage.keys import Keys
from storage.settings import Settings

_MODULES = (
    "firmware.selftest",
    "firmware.testitems",
    "drivers.mfrc522_probe",
    "storage.survey",
    "storage.certificates",
    "storage.cardsector",
    "storage.keys",
    "storage.settings",
)

_SOON_S = 10  # somebody came: once more
_BLOCK = 2048  # see testitems
_HOUR = 3
_OFFSET_MIN = 480  # China


class _Broken(Exception):
    """Somebody is at the door."""


class _Test:
    def __init__(self, service):
        self.service = service
        self.facts = testitems.Facts()
        self.values = {}  # of the settings
        self.longest_ms = 0

    async def run(self):
        """Fill `facts`."""
        service = self.service
        steps = self.reader, self.contacts, self.heap, self.service_itself, self.keys, self.settings, self.certificate
        for step in steps:
            began_ms = ticks_ms()
            step()
            await self.pause(began_ms)
        found = [0, 0, 0, 0]
        journal = service.recorder.journal
        if isinstance(journal, Journal):
            try:
                began_ms = ticks_ms()
                for _ in survey.look(journal, service.allowlist, found):
                    await self.pause(began_ms)
                    began_ms = ticks_ms()
                self.facts.flash = found
            except OSError:
                pass  # the item says so

    async def pause(self, began_ms):
        """End a step; raises _Broken if somebody came meanwhile."""
        self.longest_ms = max(self.longest_ms, ticks_diff(ticks_ms(), began_ms))
        await sleep_ms(1)
        if not self.service.quiet():
            raise _Broken

    def reader(self):
        """A look under way is not disturbed: see drivers/mfrc522_probe.py."""
        facts = self.facts
        chip = self.service.reader.health.chip
        facts.recoveries = sum(self.service.reader.recoveries[1:])
        facts.kilobaud = chip.baudrate // 1000
        if record.ALARM_READER not in self.service.recorder.alarms:
            facts.probe = mfrc522_probe.probe(chip)

    def contacts(self):
        """What they say now, and the alarms about them."""
        facts = self.facts
        service = self.service
        watch = service.watch
        alarms = service.recorder.alarms
        facts.contacts = tuple(service.contacts)
        facts.active = tuple([name for name, contact in service.contacts.items() if contact.active])
        facts.sensor_fault = record.ALARM_SENSOR_FAULT in alarms
        facts.fire = watch.door.fire
        facts.cycles = watch.lock.cycles
        if "bolt" in service.contacts:
            facts.bolt = record.ALARM_LOCK_FAULT not in alarms

    def heap(self):
        """After a collection, which this door has now and then anyway."""
        facts = self.facts
        gc.collect()
        facts.heap_free = gc.mem_free()
        try:
            bytearray(_BLOCK)
            facts.heap_block = True
        except MemoryError:
            pass  # the item says so
        facts.idf_block = max([heap[2] for heap in esp32.idf_heap_info(esp32.HEAP_DATA)])

    def service_itself(self):
        """Clock, link, start."""
        facts = self.facts
        service = self.service
        facts.uptime_s = service.uptime.seconds
        facts.trust = service.clock.trust
        facts.exponent = service.clock.uncertainty
        facts.reset_cause = service.reset_cause
        link = service.recorder.link
        if link:
            facts.linked = link.connected
            facts.link_error = link.last_error
        facts.flash_failures = service.recorder.journal.failures + service.allowlist.errors

    def keys(self):
        """Both copies, read and not mended: the next start does that."""
        self.facts.key_copies = Keys(esp32.NVS("menwei"), board.ROOT).copies()

    def settings(self):
        """The same; what they say was checked when they were saved."""
        facts = self.facts
        store = Settings(board.ROOT)
        self.values = store.load({}, dict)
        facts.settings_damaged = store.damaged
        facts.setting_copies = store.whole
        facts.gain_db = self.values.get("reader_gain_db", 33)
        facts.wanted_kilobaud = self.values.get("reader_spi_khz", 4000)
        facts.defaults = record.ALARM_SETTINGS_LOST in self.service.recorder.alarms

    def certificate(self):
        """The newest that is whole: how long it is valid by the door's clock."""
        if self.values.get("tls"):
            whole = certificates.paths(board.ROOT)
            left_s = certificates.read(whole[0])[1] - self.service.clock.now_s if whole else 0
            self.facts.left_s = left_s or -bool(whole)


async def run(service):
    """Test, report, record; set `service.test_s`, the uptime in seconds at which the next test is due."""
    test = _Test(service)
    try:
        await test.run()
        await _tell(service, test)
    except _Broken:
        service.test_s = service.uptime.seconds + _SOON_S
    finally:
        ondemand.drop(_MODULES)


async def _tell(service, test):
    facts = test.facts
    items = testitems.judge(facts)
    mask = testitems.failed(items)
    clock = service.clock
    title = "menwei %s at %s, %d s after the start" % (VERSION, systemclock.stamp(clock.now_s), facts.uptime_s)
    for line in testitems.report(items, title, test.longest_ms):
        service.log.write(line + "\n")
        await sleep_ms(1)
    recorder = service.recorder
    recorder.note(record.SELF_TEST, testitems.first(items), None, mask)
    if mask:
        recorder.alarm_on(record.ALARM_SELF_TEST, mask)
    else:
        recorder.alarm_off(record.ALARM_SELF_TEST)
    offset_min = test.values.get("policy", {}).get("utc_offset_min", _OFFSET_MIN)
    hour = test.values.get("self_test_hour", _HOUR)
    service.test_s = testitems.next_s(service.uptime.seconds, clock.now_s, clock.trust, offset_min, hour, mask)
