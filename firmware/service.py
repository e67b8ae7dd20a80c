"""A door in service: the tasks that connect reader, contacts, door, journal and link.

    service = Service(parts)
    asyncio.run(service.run())

Decisions are made elsewhere (access, door, clock); this module carries them out and records them.
"""

import asyncio
import sys
import time

from micropython import const

from firmware import door as doors
from firmware import patterns, systemclock
from firmware.reader import Reader
from firmware.version import VERSION
from storage import ondemand, record
from sync import messages

_POLL_CONTACTS_MS = const(20)
_HOUSEKEEPING_MS = const(100)
_RESTART_MS = const(1000)
_QUIET_S = const(10)  # no erase, handshake or name resolution so soon after a tap, an exit or an open door
_SHORT_PAUSE_S = const(2)
_PATIENCE_S = const(300)
_FILLING_PERCENT = const(80)
_FULL_PERCENT = const(90)
_HYSTERESIS_PERCENT = const(5)
_DAY_S = const(86400)
_STUCK_S = const(8)
_CLOCK_STEP_S = const(5)  # smaller corrections of a synchronised clock are not worth a record
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
)


class Service:
    """Owns the tasks of one door. It is also the `host` of sync.link.Link."""

    def __init__(self, parts):
        """Take the parts that firmware.main built.

        Args:
            parts: object with cards, health, provers, copies (see firmware.reader), passage, door, lock, player,
                journal, allowlist, clock, uptime, settings, log, watchdog, reset_cause, alarms, contacts. alarms is a
                list of those that are on from the start; contacts is a dict of names to drivers.contacts.Contact: leaf,
                exit, fire, key, intercom, tamper (those that are fitted).
        """
        self.reader = Reader(parts, self)
        self._passage = parts.passage
        self._door = parts.door
        self._lock = parts.lock
        self._player = parts.player
        self._journal = parts.journal
        self._allowlist = parts.allowlist
        self._clock = parts.clock
        self._uptime = parts.uptime
        self._log = parts.log
        self._watchdog = parts.watchdog
        self._reset_cause = parts.reset_cause
        self._start_alarms = parts.alarms
        self._keep_s = parts.settings["keep_days"] * _DAY_S
        self._contacts = parts.contacts
        self._open_ms = parts.settings["open_s"] * 1000
        self._last_ms = self._step_ms = time.ticks_ms()
        self._active_s = -_QUIET_S
        self._quiet_s = 0
        self._reader_s = self._door_s = 0
        self._alarms = set()
        self._left_out = False  # a card of the delta under way found no room
        self.link = None
        # The office must know which tombstones a door no longer has.
        self._allowlist.giving_way = lambda pseudonym: self.note(record.DROPPED, 0, pseudonym)

    async def run(self):
        """Serve the door for ever."""
        self.tick()
        self.note(record.BOOT, self._reset_cause)
        self._log.info("boot", "in service", version=VERSION, boot=self._journal.boot, list=self._allowlist.revision)
        leaf = self._contacts["leaf"]
        leaf.poll(time.ticks_ms())
        self._door.start(leaf.active)
        for alarm in self._start_alarms:
            self.alarm_on(alarm)
        tasks = [self.reader.run, self._player.run, self._keep_house]
        if self.link:
            tasks.append(self.link.run)
        for task in tasks:
            asyncio.create_task(self._keep(task))
        await self._keep(self._watch_door)

    async def _keep(self, task):
        """Run a task, and again when it fails: a fault in one must not take the others along, nor leave a lock open."""
        while True:
            try:
                await task()
            except Exception as error:
                self._lock.secure()  # the door task releases it again within 20 ms, if that is still right
                self._log.error("task", "failed", error=repr(error))
                sys.print_exception(error)
            await asyncio.sleep_ms(_RESTART_MS)

    # The card.

    def reader_lives(self):
        """The reader's task makes progress."""
        self._reader_s = self._uptime.seconds

    def shown(self, reason):
        """After the lock: light, sound, link, log."""
        self._active_s = self._uptime.seconds
        if reason == record.OK:
            self._player.play(patterns.GRANTED)
        elif reason == record.CANCELLED:
            self._player.play(patterns.CANCELLED)
        else:
            self._player.play(patterns.REFUSED)
        if self._passage.unrecorded:
            self.alarm_on(record.ALARM_UNRECORDED)
        self._notify()
        self._log.info("access", "granted" if reason == record.OK else "refused", reason=_REASON_NAMES[reason])

    # The door.

    async def _watch_door(self):
        while True:
            self._door_s = self._uptime.seconds
            self.step(time.ticks_ms())
            await asyncio.sleep_ms(_POLL_CONTACTS_MS)

    def step(self, now_ms):
        """Look at all contacts once and carry out what follows."""
        door = self._door
        elapsed_ms = time.ticks_diff(now_ms, self._step_ms)
        self._step_ms = now_ms
        self.tick()
        for contact in self._contacts.values():
            contact.poll(now_ms)
        self._cause("exit", record.CAUSE_EXIT)
        self._cause("intercom", record.CAUSE_INTERCOM)
        key = self._cause("key", record.CAUSE_KEY)
        fire = self._contacts.get("fire")
        if fire:
            door.fire_alarm(fire.latched() or fire.active)
            if key:
                door.reset_fire(fire.active)
        tamper = self._contacts.get("tamper")
        if tamper:
            (self.alarm_on if tamper.active else self.alarm_off)(record.ALARM_TAMPER)
        door.contact(self._contacts["leaf"].active)
        # A door that stands open for long is nobody passing: its alarm must get through to upstream.
        if door.state == doors.UNLOCKED or (door.state == doors.OPEN and not door.warning):
            self._active_s = self._uptime.seconds
        door.advance(elapsed_ms)
        if door.relay != self._lock.released:
            (self._lock.release if door.relay else self._lock.secure)()
        if door.events:
            self._record_events()

    def _cause(self, name, cause):
        """A contact that lets the lock go: recorded once per press, and the door stays free while it is held."""
        contact = self._contacts.get(name)
        if not contact:
            return False
        pressed = contact.latched()
        if pressed:
            self.note(record.RELEASED, cause)
        # While it is held the closed door stays free; an open one is not passed again and again.
        if pressed or (contact.active and self._door.state < doors.OPEN):
            self._door.release(cause, self._open_ms)
        return pressed

    def _record_events(self):
        self._active_s = self._uptime.seconds
        events = self._door.events
        while events:
            kind, reason, detail = events.pop(0)
            by_card = reason == record.CAUSE_CARD and kind in (record.PASSED, record.NOT_PASSED)
            self.note(kind, reason, self._passage.granted if by_card else None, detail)
            if kind == record.ALARM:
                self._alarms.add(reason)
                self._player.play(patterns.HELD if reason == record.ALARM_HELD_WARNING else patterns.ALARM)
                self._log.warning("door", "alarm", number=reason, state=doors.STATE_NAMES[self._door.state])
            elif kind == record.ALARM_ENDED:
                self._alarms.discard(reason)
                self._log.info("door", "alarm ended", number=reason, seconds=detail)
        if self.link:
            self.link.state_changed()

    def alarm_on(self, alarm):
        """Raise an alarm; False if it is on already."""
        if alarm in self._alarms:
            return False
        self._alarms.add(alarm)
        self.note(record.ALARM, alarm)
        if self.link:
            self.link.state_changed()
        return True

    def alarm_off(self, alarm):
        """End an alarm, if it is on."""
        if alarm in self._alarms:
            self._alarms.discard(alarm)
            self.note(record.ALARM_ENDED, alarm)
            if self.link:
                self.link.state_changed()

    # Records and housekeeping.

    def note(self, kind, reason=0, pseudonym=None, detail=0):
        """Append a record; False if the journal could not take it."""
        clock = self._clock
        self._journal.stamp(clock.now_s, clock.trust, clock.uncertainty)
        try:
            self._journal.append(kind, reason, pseudonym, detail)
        except OSError as error:
            if record.ALARM_UNRECORDED not in self._alarms:
                self._alarms.add(record.ALARM_UNRECORDED)
                self._log.error("journal", "record lost", kind=kind, error=error)
            return False
        self._notify()
        return True

    def _notify(self):
        if self.link:
            self.link.notify()

    def tick(self):
        """Bring uptime and clock to the present."""
        now_ms = time.ticks_ms()
        self._uptime.advance(time.ticks_diff(now_ms, self._last_ms))
        self._last_ms = now_ms
        self._clock.update(self._uptime.seconds)

    def quiet(self):
        """True if nobody was at the door for 10 s: only then may anything start that stalls the processor.

        Somebody who never leaves it alone must not keep a door off the network or its flash unattended: after five
        minutes of that, two quiet seconds have to do.
        """
        now_s = self._uptime.seconds
        pause_s = now_s - self._active_s
        if pause_s >= _QUIET_S:
            self._quiet_s = now_s
            return True
        return pause_s >= _SHORT_PAUSE_S and now_s - self._quiet_s >= _PATIENCE_S

    async def _keep_house(self):
        """Feed the watchdog while reader and door make progress; look after flash while nobody is at the door."""
        while True:
            await asyncio.sleep_ms(_HOUSEKEEPING_MS)
            self.tick()
            now_s = self._uptime.seconds
            if now_s - self._reader_s < _STUCK_S and now_s - self._door_s < _STUCK_S:
                self._watchdog.feed()
            self._passage.prepare()
            self._passage.settle()
            self.reader.settle()
            self._warn(record.ALARM_JOURNAL_FILLING, _FILLING_PERCENT)
            self._warn(record.ALARM_JOURNAL_FULL, _FULL_PERCENT)
            if self.quiet():
                clock = self._clock
                keep_from_s = clock.earliest_s - self._keep_s if self._keep_s and clock.trust else 0
                if not self._journal.idle(keep_from_s):
                    self._allowlist.idle(clock.earliest_min)

    def _warn(self, alarm, percent):
        """An alarm while so much of the journal is not acknowledged; it ends a little lower, lest it flicker."""
        fill = self._journal.fill()
        if fill >= percent:
            self.alarm_on(alarm)
        elif fill < percent - _HYSTERESIS_PERCENT:
            self.alarm_off(alarm)

    # The host of the link.

    def may_connect(self):
        """See sync.link."""
        return self.quiet()

    def monotonic_s(self):
        """Seconds since boot."""
        return self._uptime.seconds

    def state(self):
        """The door's share of the `state` message (docs/protocol.md)."""
        return {
            "door": doors.STATE_NAMES[self._door.state],
            "lock": "unlocked" if self._lock.released else "locked",
            "alarms": sorted(self._alarms),
            "clock": _TRUST_NAMES[self._clock.trust],
            "t": self._clock.now_s,
            "unrecorded": self._passage.unrecorded,
            "cards": self._allowlist.fill(),
            "kinds": self.reader.key_versions(),
            "reader": list(self.reader.recoveries),
            "digests": [digest.hex() for digest in self._allowlist.digest() or ()],
            "sw": VERSION,
        }

    def list_changed(self, _from_revision, to_revision):
        """A delta was applied to the allowlist."""
        if self._left_out:
            self._left_out = False
        else:
            self.alarm_off(record.ALARM_LIST_FULL)
        self.note(record.LIST, 0, None, to_revision)
        self._log.info("list", "updated", revision=to_revision)

    def list_full(self, pseudonym):
        """There was no room for this card; the office is told which. Everything else of its delta is applied."""
        self._left_out = True
        self._alarms.add(record.ALARM_LIST_FULL)
        self.note(record.ALARM, record.ALARM_LIST_FULL, pseudonym)
        self._log.error("list", "full: a card was left out, remove cards", cards=self._allowlist.fill())

    def command_refused(self, operation, result, operator):
        """Somebody sent what was not to be executed."""
        self.note(record.COMMAND_REFUSED, result, None, operator)
        self._log.warning("command", "refused", operation=operation, result=result)

    def command(self, command):
        """Execute an authenticated command; return its result number of docs/protocol.md."""
        self.tick()
        if command.operation == messages.OP_SET_TIME:
            return self._synchronise(command)
        if command.operation == messages.OP_DROP_CARD_KEY:
            return self._drop_card_key(command)
        if command.operation != messages.OP_UNLOCK:
            return messages.UNKNOWN_OPERATION
        clock = self._clock
        self._journal.stamp(clock.now_s, clock.trust, clock.uncertainty)
        try:
            self._journal.append_long(record.COMMAND, messages.OP_UNLOCK, None, command.number, command.evidence())
        except OSError:
            return messages.REFUSED_BY_DOOR  # no unlock by command without a durable record
        self._door.release(record.CAUSE_REMOTE, self._open_ms)
        self._lock.release()
        self._active_s = self._uptime.seconds
        self._notify()
        self._log.info("command", "unlock", operator=command.operator)
        return messages.DONE

    def _drop_card_key(self, command):
        from firmware import cardkeys

        clock = self._clock
        self._journal.stamp(clock.now_s, clock.trust, clock.uncertainty)
        try:
            result = cardkeys.drop(self._journal, self.reader, command)
        finally:
            ondemand.drop(cardkeys.MODULES)
        if self.link:
            self.link.state_changed()  # it tells the key versions
        return result

    def _synchronise(self, command):
        time_s = command.argument
        clock = self._clock
        trust = clock.trust
        step_s = clock.step_to(time_s, self._uptime.seconds)
        if step_s is None:
            return messages.REFUSED_BY_DOOR
        if trust != record.SYNCHRONISED or abs(step_s) > _CLOCK_STEP_S:
            # Stamped with the old time and carrying the new one, so that earlier records can be corrected.
            self._journal.stamp(clock.now_s, trust, clock.uncertainty)
            try:
                self._journal.append_long(record.CLOCK, trust, None, abs(step_s), command.evidence())
            except OSError:
                return messages.REFUSED_BY_DOOR
            self._notify()
            self._log.info("clock", "set", step=step_s, before=_TRUST_NAMES[trust])
        clock.synchronise(time_s, self._uptime.seconds)
        systemclock.set_s(time_s)
        return messages.DONE
