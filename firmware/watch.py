"""Watches contacts and leaf, drives the lock as firmware.door decides, and records what happened.

    watch = Watch(parts)
    watch.start()
    watch.step(ticks_ms())                      # every 20 ms, see run()

Nothing is decided here.
"""

from asyncio import sleep_ms
from time import ticks_diff, ticks_ms

from micropython import const

from firmware import door as doors
from firmware import patterns
from firmware.rate import Rate, category
from storage import ondemand, record

_POLL_CONTACTS_MS = const(20)
_OPENINGS = const(13)


class Watch:
    """The contacts of one door. In seconds of uptime: `active_s`, somebody was at the door; `seen_s`, the last step."""

    def __init__(self, parts):
        """Take what firmware.assembly built.

        Args:
            parts: object with door, lock, player, recorder, clock, uptime, passage, log, settings, contacts. contacts
                is a dict of names to drivers.contacts.Contact: leaf, exit, fire, key, intercom, tamper (those fitted).
        """
        self.door = parts.door
        self.lock = parts.lock
        self._player = parts.player
        self._recorder = parts.recorder
        self._clock = parts.clock
        self._uptime = parts.uptime
        self._passage = parts.passage
        self._log = parts.log
        self._contacts = parts.contacts
        self._open_ms = parts.settings["open_s"] * 1000
        self._last_ms = self._step_ms = ticks_ms()
        self.rate = Rate()
        self.kept = parts.kept
        self.memory = parts.memory
        self._closer_percent = parts.settings["closer_slow_percent"]
        self.active_s = -3600
        self.seen_s = 0

    def start(self):
        """Take the leaf as it is found."""
        leaf = self._contacts["leaf"]
        leaf.poll(ticks_ms())
        self.door.start(leaf.active)
        from firmware import upkeep

        upkeep.resume(self.rate, self.memory())
        ondemand.drop(upkeep.MODULES)

    async def run(self):
        """For ever."""
        while True:
            self.step(ticks_ms())
            self.seen_s = self._uptime.seconds
            await sleep_ms(_POLL_CONTACTS_MS)

    def tick(self):
        """Bring uptime and clock to the present."""
        now_ms = ticks_ms()
        self._uptime.advance(ticks_diff(now_ms, self._last_ms))
        self._last_ms = now_ms
        self._clock.update(self._uptime.seconds)

    def busy(self):
        """Somebody is at the door."""
        self.active_s = self._uptime.seconds

    def release(self, cause):
        """Let the lock go now, its record is written."""
        self.door.release(cause, self._open_ms)
        self.lock.release()
        self.busy()

    def step(self, now_ms):
        """Look at all contacts once and carry out what follows."""
        door = self.door
        elapsed_ms = ticks_diff(now_ms, self._step_ms)
        self._step_ms = now_ms
        self.tick()
        if not self.rate.add(category(door), elapsed_ms, self._clock.now_s):
            self._catch_up(category(door), elapsed_ms)
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
            recorder = self._recorder
            (recorder.alarm_on if tamper.active else recorder.alarm_off)(record.ALARM_TAMPER)
        door.contact(self._contacts["leaf"].active)
        # A door that stands open for long is nobody passing: its alarm must get through to upstream.
        if door.state == doors.UNLOCKED or (door.state == doors.OPEN and not door.warning):
            self.busy()
        door.advance(elapsed_ms)
        if door.latched_ms:
            self.rate.latched(door.latched_ms)
            door.latched_ms = 0
        if door.relay != self.lock.released:
            (self.lock.release if door.relay else self.lock.secure)()
        if door.events:
            self._record_events()

    def _catch_up(self, which, elapsed_ms):
        """The hour is over, or the clock was set."""
        try:
            from firmware import upkeep

            hours = upkeep.take(self.rate, which, elapsed_ms, self._clock.now_s)
            if hours:
                upkeep.write(hours, self._recorder, self._log, self.rate, self.kept, self._closer_percent)
            ondemand.drop(upkeep.MODULES)
        except MemoryError:
            pass  # a door goes on without; the next step tries again

    def _cause(self, name, cause):
        """A contact that lets the lock go: recorded once per press, and the door stays free while it is held."""
        contact = self._contacts.get(name)
        if not contact:
            return False
        pressed = contact.latched()
        if pressed:
            self._recorder.note(record.RELEASED, cause)
        # While it is held the closed door stays free; an open one is not passed again and again.
        if pressed or (contact.active and self.door.state < doors.OPEN):
            self.door.release(cause, self._open_ms)
        return pressed

    def _record_events(self):
        self.busy()
        events = self.door.events
        alarms = self._recorder.alarms
        while events:
            kind, reason, detail = events.pop(0)
            by_card = reason == record.CAUSE_CARD and kind in (record.PASSED, record.NOT_PASSED)
            self._recorder.note(kind, reason, self._passage.granted if by_card else None, detail)
            if kind == record.OPENED:
                self.rate.state[_OPENINGS] += 1
            if kind == record.ALARM:
                alarms.add(reason)
                self._player.play(patterns.HELD if reason == record.ALARM_HELD_WARNING else patterns.ALARM)
                self._log.warning("door", "alarm", number=reason, state=doors.STATE_NAMES[self.door.state])
            elif kind == record.ALARM_ENDED:
                alarms.discard(reason)
                self._log.info("door", "alarm ended", number=reason, seconds=detail)
        self._recorder.changed()
