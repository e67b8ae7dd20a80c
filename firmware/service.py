"""A door in service: the tasks that connect reader, contacts, door, journal and link.

    service = Service(parts)
    asyncio.run(service.run())

Decisions are made elsewhere (access, door, clock); this module carries them out and records them.
"""

import asyncio
import sys

from micropython import const

from firmware import patterns
from firmware.door import MAINTENANCE
from firmware.passage import SILENT
from firmware.reader import Reader
from firmware.version import VERSION
from firmware.watch import Watch
from storage import ondemand, record

_HOUSEKEEPING_MS = const(100)
_RESTART_MS = const(1000)
_QUIET_S = const(10)  # no erase, handshake or name resolution so soon after a tap, an exit or an open door
_SHORT_PAUSE_S = const(2)
_PATIENCE_S = const(300)
_FILLING_PERCENT = const(80)
_FULL_PERCENT = const(90)
_HYSTERESIS_PERCENT = const(5)
_DAY_S = const(86400)
_FIRST_LOOK_S = const(60)
_FIRST_TEST_S = const(60)  # the link has had its time to come up
_RETEST_S = const(3600)
_STUCK_S = const(8)
_TRUST_NAMES = ("floor", "held", "synchronised")
_REASON_NAMES = (
    "ok",
    "unknown",
    "not-yet-valid",
    "expired",
    "suspended",
    "cancelled",
    "clock-unknown",
    "outside-schedule",
    "locked-down",
    "uses-exhausted",
    "several-cards",
    "not-recorded",
    "not-proven",
    "too-weak",
    "passed-back",
)


class Service:
    """Owns the tasks of one door. It is also the `host` of sync.link.Link."""

    def __init__(self, parts):
        """Take the parts that firmware.assembly built.

        Args:
            parts: object with cards, health, provers, copies (see firmware.reader), recorder, passage, door, lock,
                player, allowlist, clock, uptime, settings, log, watchdog, reset_cause, alarms, contacts (see
                firmware.watch), kept. alarms is a list of those that are on from the start.
        """
        self.recorder = parts.recorder
        self.kept = parts.kept
        self.watch = Watch(parts)
        self.contacts = parts.contacts
        self.reader = Reader(parts, self)
        self.passage = parts.passage
        self.clock = parts.clock
        self.uptime = parts.uptime
        self.log = parts.log
        self.allowlist = parts.allowlist
        self.player = parts.player
        self._watchdog = parts.watchdog
        self.reset_cause = parts.reset_cause
        self._start_alarms = parts.alarms
        self._keep_s = parts.settings["keep_days"] * _DAY_S
        self._quiet_s = 0
        self.look_s = _FIRST_LOOK_S  # uptime of the next look at the clock
        self.ntp_steps = 0  # how often NTP has set the system clock
        self._reader_s = 0
        self.test_s = _FIRST_TEST_S  # when the next self-test is due
        if self.passage.locked_down:
            self.recorder.modes.add(record.MODE_LOCKED_DOWN)
        self._left_out = False  # a card of the delta under way found no room
        # The office must know which tombstones a door no longer has.
        note = self.recorder.note
        self.allowlist.giving_way = lambda pseudonym: note(record.DROPPED, 0, pseudonym)
        self.allowlist.counted = self.recorder.changed  # and compare the digests

    async def run(self):
        """Serve the door for ever."""
        recorder = self.recorder
        self.watch.tick()
        recorder.note(record.BOOT, self.reset_cause)
        self.log.info("boot", "in service", version=VERSION, boot=recorder.journal.boot, list=self.allowlist.revision)
        self.watch.start()
        for alarm in self._start_alarms:
            recorder.alarm_on(alarm)
        tasks = [self.reader.run, self.player.run, self._keep_house]
        if recorder.link:
            tasks.append(recorder.link.run)
        for task in tasks:
            asyncio.create_task(self._keep(task))
        await self._keep(self.watch.run)

    async def _keep(self, task):
        """Run a task, and again when it fails: a fault in one must not take the others along, nor leave a lock open."""
        while True:
            try:
                await task()
            except Exception as error:
                if not self.watch.door.fire:
                    self.watch.lock.secure()  # the door task releases it again within 20 ms, if that is still right
                self.log.error("task", "failed", error=repr(error))
                sys.print_exception(error)
            await asyncio.sleep_ms(_RESTART_MS)

    # The card.

    def reader_lives(self):
        """The reader's task makes progress."""
        self._reader_s = self.uptime.seconds

    def shown(self, reason):
        """After the lock: light, sound, link, log."""
        notice = self.passage.notice
        if notice == SILENT:
            return
        self.watch.busy()
        if record.ALARM_FIRE not in self.recorder.alarms:  # nothing interrupts what asks people to leave
            self.player.play(patterns.answer(reason, notice))
        if self.passage.unrecorded:
            self.recorder.alarm_on(record.ALARM_UNRECORDED)
        self.recorder.notify()
        self.log.info("access", "granted" if reason == record.OK else "refused", reason=_REASON_NAMES[reason])

    # Housekeeping.

    def quiet(self):
        """True if nobody was at the door for 10 s: only then may anything start that stalls the processor.

        Somebody who never leaves it alone must not keep a door off the network or its flash unattended: after five
        minutes of that, two quiet seconds have to do, and after a quarter of an hour, of a contact that chatters, none.
        """
        now_s = self.uptime.seconds
        pause_s = now_s - self.watch.active_s
        if pause_s >= _QUIET_S:
            self._quiet_s = now_s
            return True
        since_s = now_s - self._quiet_s
        return since_s >= _PATIENCE_S and (pause_s >= _SHORT_PAUSE_S or since_s >= 3 * _PATIENCE_S)

    async def _keep_house(self):
        """Feed the watchdog while reader and door make progress; look after flash while nobody is at the door."""
        watch = self.watch
        while True:
            await asyncio.sleep_ms(_HOUSEKEEPING_MS)
            watch.tick()
            now_s = self.uptime.seconds
            if now_s - self._reader_s < _STUCK_S and now_s - watch.seen_s < _STUCK_S:
                self._watchdog.feed()
            recorder = self.recorder
            self.player.rest(patterns.standing(recorder.alarms, recorder.modes))
            self.passage.prepare()
            self.passage.settle()
            self.reader.settle()
            self.follow_hours()
            watch.rate.save(watch.memory, watch.lock.cycles)
            self._warn(record.ALARM_JOURNAL_FILLING, _FILLING_PERCENT)
            self._warn(record.ALARM_JOURNAL_FULL, _FULL_PERCENT)
            if self.quiet():
                clock = self.clock
                keep_from_s = clock.earliest_s - self._keep_s if self._keep_s and clock.trust else 0
                if not self.recorder.journal.idle(keep_from_s):
                    self.allowlist.idle(clock.earliest_min)
                if now_s >= self.look_s:
                    self.look_s = now_s + _FIRST_LOOK_S  # unless it says otherwise
                    self._look_at_clock()
                if now_s >= self.test_s:
                    self.test_s = now_s + _RETEST_S  # unless it says otherwise
                    from firmware import selftest

                    await selftest.run(self)

    def _look_at_clock(self):
        from firmware import clockcare

        try:
            self.look_s = clockcare.look(self)
        finally:
            ondemand.drop(clockcare.MODULES)

    def follow_hours(self):
        """Let everybody pass, and alarms be heard, while the policy says so."""
        clock = self.clock
        hours = self.passage.hours
        if not hours:
            return
        self.watch.arm(hours.armed(clock.earliest_min, clock.latest_min, clock.trust))
        if hours.turns(clock.earliest_min, clock.latest_min, clock.trust, self.passage.locked_down):
            recorder = self.recorder
            recorder.note(record.MODE, record.MODE_FREE if hours.free else record.MODE_FREE_ENDED)
            (recorder.modes.add if hours.free else recorder.modes.discard)(record.MODE_FREE)
            self.watch.door.free_passage(hours.free)
            recorder.changed()

    def _warn(self, alarm, percent):
        """An alarm while so much of the journal is not acknowledged; it ends a little lower, lest it flicker."""
        fill = self.recorder.journal.fill()
        if fill >= percent:
            self.recorder.alarm_on(alarm)
        elif fill < percent - _HYSTERESIS_PERCENT:
            self.recorder.alarm_off(alarm)

    # The host of the link.

    def may_connect(self):
        """See sync.link."""
        return self.quiet()

    def link_failed(self, error):
        """A connection ended, or did not come about; the link goes on trying."""
        self.log.warning("link", "not connected", error=repr(error))

    def monotonic_s(self):
        """Seconds since boot."""
        return self.uptime.seconds

    def state(self):
        """The door's share of the `state` message (docs/protocol.md)."""
        rate = self.watch.rate
        return {
            "door": self.watch.door.name,
            "lock": "unlocked" if self.watch.lock.released else "locked",
            "locked_down": self.passage.locked_down,
            "maintenance": self.watch.door.orders & MAINTENANCE > 0,
            "alarms": sorted(self.recorder.alarms),
            "clock": _TRUST_NAMES[self.clock.trust],
            "t": self.clock.now_s,
            "unrecorded": self.passage.unrecorded,
            "cards": self.allowlist.fill(),
            "kinds": self.reader.key_versions(),
            "reader": list(self.reader.recoveries),
            "closed": rate.latest,
            "closer": [rate.closer, self.kept.get("closer")],
            "cycles": self.watch.lock.cycles,
            "digests": [digest.hex() for digest in self.allowlist.digest() or ()],
            "sw": VERSION,
        }

    def list_changed(self, _from_revision, to_revision):
        """A delta was applied to the allowlist."""
        if self._left_out:
            self._left_out = False
        else:
            self.recorder.alarm_off(record.ALARM_LIST_FULL)
        # With the office epoch in the pseudonym's place: the office proves by it what the door held, and since when.
        self.recorder.note(record.LIST, 0, self.allowlist.office_epoch.to_bytes(7, "little"), to_revision)
        self.log.info("list", "updated", revision=to_revision)

    def list_full(self, pseudonym):
        """There was no room for this card; the office is told which. Everything else of its delta is applied."""
        self._left_out = True
        self.recorder.alarms.add(record.ALARM_LIST_FULL)
        self.recorder.note(record.ALARM, record.ALARM_LIST_FULL, pseudonym)
        self.log.error("list", "full: a card was left out, remove cards", cards=self.allowlist.fill())

    def parcel_whole(self, number):
        """A parcel that needs no order is whole; return the result of taking it."""
        from firmware import parcels

        try:
            return parcels.apply(self, number)
        finally:
            ondemand.drop(parcels.MODULES)

    def command_refused(self, operation, result, operator):
        """Somebody sent what was not to be executed."""
        self.recorder.note(record.COMMAND_REFUSED, result, None, operator)
        self.log.warning("command", "refused", operation=operation, result=result)

    def forged(self):
        """A message had a wrong MAC."""
        if self.recorder.alarm_on(record.ALARM_INTRUSION):
            from firmware import intrusion

            asyncio.create_task(intrusion.outlast(self.recorder))
            ondemand.drop(intrusion.MODULES)

    def command(self, command):
        """Execute an authenticated command; return its result number of docs/protocol.md."""
        from firmware import commands

        self.watch.tick()
        try:
            return commands.execute(self, command)
        finally:
            ondemand.drop(commands.MODULES)
