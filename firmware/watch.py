"""Watches contacts and leaf, drives the lock as firmware.door decides, and records what happened.

    watch = Watch(parts)
    watch.start()
    watch.step(ticks_ms())                      # every 20 ms, see run()

Nothing is decided here but whether an alarm is heard at the door.
"""

from asyncio import sleep_ms
from time import ticks_diff, ticks_ms

from micropython import const

from firmware import door as doors
from firmware.rate import OPENINGS, Rate, category
from storage import ondemand, record

_POLL_CONTACTS_MS = const(20)
_PRESSED = const(1)
_HELD = const(2)
# Alarms that are heard at the door, see firmware.patterns: forced, held open and its warning, tamper, fire, ajar.
_HEARD = b"\x01\x02\x03\x05\x08\x13"
_ALL = const(7)  # lights and sounder,
_LIGHTS = const(3)  # or lights alone
_RETRY_S = const(10)


class Watch:
    """The contacts of one door. In seconds of uptime: `active_s`, somebody was at the door; `seen_s`, the last step."""

    def __init__(self, parts):
        """Take what firmware.assembly built.

        Args:
            parts: object with door, lock, player, recorder, clock, uptime, passage, log, settings, kept, lines,
                contacts. contacts is a dict of names to drivers.contacts.Contact or drivers.supervised.Supervised:
                leaf, exit, fire, key, intercom, tamper, bolt, handle (those fitted). lines: firmware.lines.Lines, None
                if no contact is supervised.
        """
        self.door = parts.door
        self.lock = parts.lock
        self.armed = True  # whether alarms are heard at the door; see arm()
        self._player = parts.player
        self._recorder = parts.recorder
        self._clock = parts.clock
        self._uptime = parts.uptime
        self._passage = parts.passage
        self._log = parts.log
        self._contacts = parts.contacts
        self._polled = tuple(parts.contacts.values())  # the view of a dict would be allocated at each step
        self._lines = parts.lines
        settings = parts.settings
        self._open_ms = settings["open_s"] * 1000
        self._mute_s = settings["mute_s"]
        self._full_sound_ms = settings["sound_s"] * 1000
        self._sounding = False  # an alarm wants to be heard
        self._sound_ms = 0  # how long it still may be; below 0: how long it may not
        self._fire = False  # what `kept` says
        self._last_ms = self._step_ms = ticks_ms()
        self.rate = Rate()
        self.kept = parts.kept
        self.memory = parts.memory
        self._closer_percent = settings["closer_slow_percent"]
        self._retry_s = 0  # uptime before which a failed look at the hour is not tried again
        self.active_s = -3600
        self.seen_s = 0

    def start(self):
        """Take the leaf as it is found; go on with a fire release that nobody has reset at the door."""
        contacts = self._contacts
        door = self.door
        leaf = contacts.get("leaf")
        if leaf:
            leaf.poll(ticks_ms())
            door.start(leaf.active)
        if "key" in contacts:
            contacts["key"].latched()  # only who turns it from now on resets
        self._fire = self.kept.get("fire") > 0
        door.fire_alarm(self._fire)
        try:
            from firmware import upkeep

            upkeep.resume(self.rate, self.memory())
            ondemand.drop(upkeep.MODULES)
        except Exception as error:  # a module that is damaged, too: the hour is unknown, and the door serves
            self._log.error("rate", "the running hour is lost", error=error)

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

    def arm(self, on):
        """Let alarms be heard at the door from now on, or not; fire always is. All are recorded and sent."""
        if on != self.armed:
            self.armed = on
            self._sound_ms = self._full_sound_ms * on
            self._recorder.note(record.MODE, record.MODE_ARMED if on else record.MODE_DISARMED)

    def mute(self, seconds):
        """Silence the alarms that are on for so long; not a new one, and never fire."""
        self._recorder.note(record.MODE, record.MODE_MUTED, None, seconds)
        self._sound_ms = -1 - seconds * 1000

    def step(self, now_ms):
        """Look at all contacts once and carry out what follows."""
        door = self.door
        contacts = self._contacts
        elapsed_ms = ticks_diff(now_ms, self._step_ms)
        self._step_ms = now_ms
        self.tick()
        if not self.rate.add(category(door), elapsed_ms, self._clock.now_s) and self._uptime.seconds >= self._retry_s:
            self._catch_up(category(door), elapsed_ms)
        for contact in self._polled:
            contact.poll(now_ms)
        sensed = not (self._lines and self._lines.look())
        pressed = self._cause("exit", record.CAUSE_EXIT)
        door.exit_held = pressed >= _HELD
        pressed |= self._cause("handle", record.CAUSE_HANDLE) | self._cause("intercom", record.CAUSE_INTERCOM)
        key = self._cause("key", record.CAUSE_KEY)
        fire = contacts.get("fire")
        if fire:
            door.fire_alarm(fire.latched() or fire.active)
        if key & _PRESSED:
            if self._sounding and self._sound_ms > 0 and not door.fire:
                self.mute(self._mute_s)
            door.reset_fire(fire and fire.active)
        tamper = contacts.get("tamper")
        if tamper and tamper.active != (record.ALARM_TAMPER in self._recorder.alarms):
            door.events.append((record.ALARM if tamper.active else record.ALARM_ENDED, record.ALARM_TAMPER, 0))
        bolt = contacts.get("bolt")
        if bolt:
            door.thrown = bolt.active
        leaf = contacts.get("leaf")
        if leaf:
            door.contact(leaf.active, sensed)
        else:
            door.sensed = False
        # A button that is held, a door that stands open: nobody passes, and the alarm must get through to upstream.
        may_stand = door.warning or door.orders & doors.MAY_STAND or door.fire or door.free or not door.sensed
        if (door.releasing and pressed | key < _HELD) or (door.state == doors.OPEN and not may_stand):
            self.busy()
        door.advance(elapsed_ms)
        if door.latched_ms:
            self.rate.latched(door.latched_ms)
            door.latched_ms = 0
        if door.relay != self.lock.released:
            (self.lock.release if door.relay else self.lock.secure)()
        if door.fire != self._fire:
            self._fire = door.fire
            self._recorder.modes.discard(record.MODE_RESET_ASKED)
            if not self.kept.set("fire", int(door.fire)):
                self._log.error("door", "flash fails: fire would end with the power")
        if door.events:
            self._record_events()
        silent = door.orders & doors.MAINTENANCE  # what is on by then is heard when that ends
        if self._sound_ms < 0:
            self._sound_ms += elapsed_ms
            if self._sound_ms >= 0:
                self._sound_ms = self._full_sound_ms * self.armed
        elif self._sound_ms and not silent:
            self._sound_ms = max(self._sound_ms - elapsed_ms, 0)
        self._player.mask = _ALL if door.fire or (self._sound_ms > 0 and not silent) else _LIGHTS

    def _catch_up(self, which, elapsed_ms):
        """The hour is over, or the clock was set."""
        try:
            from firmware import upkeep

            hours = upkeep.take(self.rate, which, elapsed_ms, self._clock.now_s)
            if hours:
                upkeep.write(hours, self._recorder, self._log, self.rate, self.kept, self._closer_percent)
            ondemand.drop(upkeep.MODULES)
        except Exception as error:  # no memory, or a module that is damaged: fire and the way out go on without
            self._retry_s = self._uptime.seconds + _RETRY_S
            self._log.error("rate", "the hour waits", error=repr(error))

    def _cause(self, name, cause):
        """A contact that lets the lock go: recorded once per press, and the door stays free while it is held.

        Returns the bits above.
        """
        contact = self._contacts.get(name)
        if not contact:
            return 0
        door = self.door
        pressed = contact.latched()
        active = contact.active
        if pressed:
            self._recorder.note(record.RELEASED, cause)
            self.busy()
        # While it is held the closed door stays free; an open one is not passed again and again.
        if pressed or (active and door.state < doors.OPEN):
            door.release(cause, self._open_ms)
        return pressed * _PRESSED | active * _HELD

    def _record_events(self):
        self.busy()
        events = self.door.events
        alarms = self._recorder.alarms
        raised = False
        while events:
            kind, reason, detail = events.pop(0)
            by_card = reason == record.CAUSE_CARD and kind in (record.PASSED, record.NOT_PASSED)
            self._recorder.note(kind, reason, self._passage.granted if by_card else None, detail)
            if kind == record.OPENED:
                self.rate.state[OPENINGS] += 1
            if kind == record.ALARM:
                raised = raised or reason in _HEARD
                alarms.add(reason)
                self._log.warning("door", "alarm", number=reason, state=self.door.name)
            elif kind == record.ALARM_ENDED:
                alarms.discard(reason)
                self._log.info("door", "alarm ended", number=reason, seconds=detail)
        self._hear(raised)
        self._recorder.changed()

    def _hear(self, raised):
        """Look which alarms are on; `raised`: one is new, so that it is heard though others were muted."""
        self._sounding = False
        for alarm in self._recorder.alarms:
            if alarm in _HEARD:
                self._sounding = True
        if raised and self._sounding:
            self._sound_ms = self._full_sound_ms * self.armed
