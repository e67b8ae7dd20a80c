"""The door: when the lock lets go, what an opening means, which alarm is on. Pure.

    door = Door(held_warn_s=30, held_alarm_s=60, forced_alarm=True)
    door.release(record.CAUSE_CARD, open_ms=5000)
    door.contact(closed=False)
    wait_ms = door.advance(elapsed_ms)
    while door.events: ...

Time comes in as elapsed milliseconds, what has to happen comes out as `relay` (shall the lock be released?)
and as `events`, (kind, reason, detail) in the order in which they belong into the journal. The fire and exit
contacts act on the lock circuit by themselves; here they are only causes.
"""

from micropython import const

from storage import record

SECURED = const(0)
UNLOCKED = const(1)
OPEN = const(2)
HELD_OPEN = const(3)
FORCED = const(4)
STATE_NAMES = ("secured", "unlocked", "open", "held open", "forced")

_NEVER = const(-1)
# A leaf that moves this soon after relocking was let go by the release before: the bolt needs time to fall, the
# contact is debounced, the person was already pulling.
_GRACE_MS = const(1000)
_MAX_S = const(0x3FFFFFFF)


class Door:
    """State of one door leaf with one lock."""

    def __init__(self, held_warn_s, held_alarm_s, forced_alarm):
        """Start secured; call `contact` with what the sensor says before anything else.

        Args:
            held_warn_s, held_alarm_s: how long it may stand open after an authorised opening until the local
                warning and until the alarm (IEC 60839-11-1 wants the warning first).
            forced_alarm: False where a way out has no contact, so that an opening without cause is normal.
        """
        self.state = SECURED
        self.relay = False
        self.fire = False
        self.cause = record.CAUSE_NONE
        self.warning = False  # held open, warned of
        self.events = []
        self.propped = False  # open with authorisation
        self.ajar = False  # the leaf is closed but not latched, or its contact flutters
        self.sensed = True  # the leaf's contact can be believed
        self.latched_ms = 0  # of the last closing, from the release to the latched leaf; 0: not known
        self._held_warn_s = held_warn_s
        self._held_alarm_s = held_alarm_s
        self._forced_alarm = forced_alarm
        self._releasing = False  # within the opening time; `relay` is that or fire
        self._released_by = record.CAUSE_NONE
        self._awaited = False  # a passage for which the leaf has not moved yet
        self._left_ms = 0  # of the opening time, then of the grace after it
        self._open_s = 0
        self._open_ms = 0
        self._since_s = 0  # open seconds at the last authorised passage
        self._alarm_s = 0  # open seconds at which the present alarm was raised

    @property
    def alarm(self):
        """The alarm of the leaf that is on, or 0."""
        if self.state == FORCED:
            return record.ALARM_FORCED if self._forced_alarm else 0
        if self.state == HELD_OPEN:
            return record.ALARM_HELD_OPEN
        return record.ALARM_HELD_WARNING if self.warning else 0

    def start(self, closed):
        """Take the leaf as it is found at boot: an open one was not forced as far as anybody knows."""
        if not closed:
            self.state = OPEN

    def release(self, cause, open_ms):
        """Let the lock go for `open_ms` because of `cause`.

        It does so whatever the contact says: one that is stuck open must lock nobody out. The card path: allocates
        nothing while the leaf is closed.
        """
        self._left_ms = open_ms
        self._releasing = self.relay = True
        self._released_by = cause
        self._awaited = self.state < OPEN
        if self._awaited:
            self.state = UNLOCKED
            return
        # Somebody entitled passes through the open door: the time it may stand open starts anew.
        if self.state == OPEN and not self.warning:
            self._since_s = self._open_s
        self._passed(cause)

    def contact(self, closed):
        """The leaf has opened or closed."""
        if closed:
            if self.state >= OPEN:
                self._closed()
        elif self.state < OPEN:
            self._opened()

    def fire_alarm(self, active):
        """The fire contact; what it released stays released until `reset_fire`."""
        if active and not self.fire:
            self.fire = True
            self.relay = True
            self.events.append((record.ALARM, record.ALARM_FIRE, 0))

    def reset_fire(self, contact_active):
        """Somebody at the door ends the release; only with the fire contact restored."""
        if self.fire and not contact_active:
            self.fire = False
            self.relay = self._releasing
            self.events.append((record.ALARM_ENDED, record.ALARM_FIRE, 0))

    def advance(self, elapsed_ms):
        """Let time pass; return the milliseconds after which it wants to be called again, or -1."""
        if self._releasing:
            self._left_ms -= elapsed_ms
            if self._left_ms > 0:
                if self.state >= OPEN:
                    self._stand_open(elapsed_ms)
                return self._left_ms
            self._relock()
            self._left_ms += _GRACE_MS
        elif self.state == UNLOCKED:
            self._left_ms -= elapsed_ms
        if self.state >= OPEN:
            return self._stand_open(elapsed_ms)
        if self.state == UNLOCKED:
            if self._left_ms > 0:
                return self._left_ms
            if self._awaited:
                self.events.append((record.NOT_PASSED, self._released_by, 0))
            self.state = SECURED
        return _NEVER

    def _relock(self):
        self._releasing = False
        self.relay = self.fire

    def _passed(self, cause):
        if cause == record.CAUSE_CARD or cause == record.CAUSE_REMOTE:
            self.events.append((record.PASSED, cause, 0))

    def _opened(self):
        self.cause = self._released_by if self.state == UNLOCKED else record.CAUSE_NONE
        if self.fire:
            self.cause = record.CAUSE_FIRE
        self._relock()
        self._open_s = self._open_ms = self._since_s = self._alarm_s = 0
        if self._awaited:
            self._passed(self.cause)
            self._awaited = False
        self.events.append((record.OPENED, self.cause, 0))
        if self.cause != record.CAUSE_NONE:
            self.state = OPEN
        else:
            self.state = FORCED
            if self._forced_alarm:
                self.events.append((record.ALARM, record.ALARM_FORCED, 0))

    def _closed(self):
        alarm = self.alarm
        if alarm:
            self.events.append((record.ALARM_ENDED, alarm, self._open_s - self._alarm_s))
        self.events.append((record.CLOSED, self.cause, self._open_s))
        # Released while the leaf fell shut: the rest of the time is still theirs.
        self.state = UNLOCKED if self._releasing else SECURED
        self.warning = False
        self.cause = record.CAUSE_NONE

    def _stand_open(self, elapsed_ms):
        open_ms = self._open_ms + elapsed_ms
        self._open_s = min(self._open_s + open_ms // 1000, _MAX_S)
        self._open_ms = open_ms % 1000
        if self.state != OPEN or self.fire:
            return _NEVER
        held_s = self._open_s - self._since_s
        if not self.warning:
            if held_s < self._held_warn_s:
                return (self._held_warn_s - held_s) * 1000 - self._open_ms
            self.warning = True
            self._alarm_s = self._open_s
            self.events.append((record.ALARM, record.ALARM_HELD_WARNING, self._open_s))
        if held_s < self._held_alarm_s:
            return (self._held_alarm_s - held_s) * 1000 - self._open_ms
        self.events.append((record.ALARM_ENDED, record.ALARM_HELD_WARNING, self._open_s - self._alarm_s))
        self._alarm_s = self._open_s
        self.state = HELD_OPEN
        self.events.append((record.ALARM, record.ALARM_HELD_OPEN, self._open_s))
        return _NEVER
