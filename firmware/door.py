"""The door: when the lock lets go, what an opening means, which alarm is on. Pure.

    door = Door(held_warn_s=30, held_alarm_s=60, forced_alarm=True)
    door.release(record.CAUSE_CARD, open_ms=5000)
    door.contact(closed=False)
    door.advance(elapsed_ms)
    while door.events: ...

Time comes in as elapsed milliseconds, what has to happen comes out as `relay` (shall the lock be released?)
and as `events`, (kind, reason, detail) in the order in which they belong into the journal. The fire and exit
contacts act on the lock circuit by themselves; here they are only causes. docs/door.md draws states and transitions.
"""

from micropython import const

from storage import record

SECURED = const(0)
UNLOCKED = const(1)
OPEN = const(2)
HELD_OPEN = const(3)
FORCED = const(4)
STATE_NAMES = ("secured", "unlocked", "open", "held open", "forced")

# What was ordered and lasts, a bit each in `orders`; two of them let the leaf stand open.
PROPPED = const(1)
UNLOCKED_FOR = const(2)  # the lock stays released
MAINTENANCE = const(4)  # concerns the sounder only, see firmware/watch.py
MAY_STAND = const(3)
_MODES = const(b"\x03\x0d\x0b")  # record.MODE_PROPPED and so on; the end of each is the next number

# A leaf that moves this soon after relocking was let go by the release before: the bolt needs time to fall, the
# contact is debounced, the person was already pulling.
_GRACE_MS = const(1000)
_LATCH_MS = const(3000)  # one that opens again so soon after it fell shut had not found its latch
_UNSTEADY_MS = const(5000)  # ajar: that long without a latch, or _FLUTTERS openings with less rest than that between
_FLUTTERS = const(3)
_STANDS_MS = const(1000)  # one that is ajar and open for so long does not flutter
_BOLT_MS = const(2000)
_MAX_S = const(0x3FFFFFFF)
_MAX_MS = const(0xFFFFFFF)
# What lasts, and its limits; few attributes take less room than many.
_EXIT = const(0)
_BOLT = const(1)
_LATCH = const(2)
_WARN = const(3)
_ALARM = const(4)
_MAY_BE_FORCED = const(5)


class Door:
    """State of one door leaf with one lock.

    What the contacts say now is set by whoever reads them: `exit_held`, and `thrown`, the bolt, None if nothing tells.
    """

    def __init__(self, held_warn_s, held_alarm_s, forced_alarm, exit_stuck_s=30):
        """Start secured; call `contact` with what the sensor says before anything else.

        Args:
            held_warn_s, held_alarm_s: how long it may stand open after an authorised opening until the local
                warning and until the alarm (IEC 60839-11-1 wants the warning first).
            forced_alarm: False where a way out has no contact, so that an opening without cause is normal.
            exit_stuck_s: how long the exit button may be pressed.
        """
        self.state = SECURED
        self.relay = False
        self.fire = False
        self.free = False  # free passage: released by schedule
        self.orders = 0  # bits above
        self.sensed = True  # False while nothing tells whether the leaf is closed
        self.ajar = False  # closed, but not in its latch
        self.releasing = False  # within the opening time; `relay` is that, fire or free passage
        self.exit_held = False
        self.thrown = None
        self.latched_ms = 0  # from the last release to leaf closed and bolt thrown, set at each closing; 0: unknown
        self.cause = record.CAUSE_NONE
        self.warning = False  # held open, warned of
        self.events = []
        self._limits = (
            exit_stuck_s * 1000,
            _BOLT_MS,
            _UNSTEADY_MS,
            held_warn_s * 1000,
            held_alarm_s * 1000,
            forced_alarm,
        )
        self._lasting_ms = [0, 0, 0]
        self._granted = record.CAUSE_NONE  # what an opening now would be due to
        self._left_ms = 0  # of the opening time, then of the time for which `_granted` outlasts it
        self._awaited = False  # a passage for which the leaf has not moved yet
        self._shut = True  # what the contact of the leaf says,
        self._rest_ms = _MAX_MS  # and for how long
        self._moved = False  # has been open since it was last latched
        self._flutters = 0
        self._trip_ms = -1  # since the last release; -1 without one
        self._order_ms = [0, 0, 0]
        self._open_s = 0
        self._open_ms = 0
        self._held_ms = 0  # open since the last authorised passage
        self._alarm_s = 0  # open seconds at which the present alarm was raised

    @property
    def alarm(self):
        """The alarm about the open leaf that is on, or 0."""
        if self.state == FORCED:
            return record.ALARM_FORCED
        if self.state == HELD_OPEN:
            return record.ALARM_HELD_OPEN
        return record.ALARM_HELD_WARNING if self.warning else 0

    @property
    def name(self):
        """The state in words, as `state` messages tell it."""
        if not self.sensed:
            return "unknown"
        if self.ajar:
            return "ajar"
        if self.orders & PROPPED and self.state == OPEN:
            return "propped"
        return STATE_NAMES[self.state]

    def start(self, closed):
        """Take the leaf as it is found at boot: an open one was not forced as far as anybody knows."""
        if not closed:
            self._begin(record.CAUSE_NONE)
            self.state = OPEN

    def release(self, cause, open_ms):
        """Let the lock go for `open_ms` because of `cause`.

        It does so whatever the contact says: one that is stuck open must lock nobody out. The card path: allocates
        nothing while the leaf is closed.
        """
        self._left_ms = open_ms
        self.releasing = self.relay = True
        self._granted = cause
        self._trip_ms = 0
        self._awaited = self.state < OPEN and self.sensed
        if self.state < OPEN:
            self.state = UNLOCKED
        elif self.sensed:
            # Somebody entitled passes through the open door: the time it may stand open starts anew.
            if not self.warning:
                self._held_ms = 0
            self._passed(cause)

    def contact(self, closed, sensed=True):
        """What the contact of the leaf says; `sensed` is False while its wiring is at fault, and it says nothing."""
        if sensed != self.sensed:
            self.sensed = sensed
            self._awaited = False
            if sensed and not closed and self.state < OPEN:
                if self.ajar:
                    self._stray(False)
                self.start(closed)  # nobody knows how it came to be open
        if not sensed:
            return
        rest_ms = self._rest_ms
        if closed != self._shut:
            self._shut = closed
            self._rest_ms = 0
        if self.ajar:
            if closed or not self.relay:
                return
            self._stray(False)  # let go: an opening as any other
        if closed:
            if self.state >= OPEN:
                self._closed()
        elif self.state < OPEN:
            self._opened(rest_ms)

    def fire_alarm(self, active):
        """The fire contact; what it released stays released until `reset_fire`."""
        if active and not self.fire:
            self.fire = True
            self._drive()
            self._excuse()
            self.events.append((record.ALARM, record.ALARM_FIRE, 0))

    def reset_fire(self, contact_active):
        """Somebody at the door ends the release; only with the fire contact restored."""
        if self.fire and not contact_active:
            self.fire = False
            self._drive()
            self._held_ms = 0
            self.events.append((record.ALARM_ENDED, record.ALARM_FIRE, 0))

    def free_passage(self, on):
        """Keep the lock released, or no longer. The caller has recorded it."""
        self.free = on
        self._drive()

    def order(self, which, seconds):
        """Let one of the bits above last for so long from now on, up to 2^28 ms; 0 ends it.

        Afterwards the time for which the leaf may be held open begins anew.
        """
        if not seconds and not self.orders & which:
            return
        self.orders |= which
        self._order_ms[which >> 1] = seconds * 1000
        if which & MAY_STAND:
            self._excuse()
            self._held_ms = 0
        if not seconds:
            self.orders ^= which
            if which == UNLOCKED_FOR and self._left_ms <= 0:
                self._granted = record.CAUSE_REMOTE
                self._left_ms = _GRACE_MS
        self._drive()
        self.events.append((record.MODE, _MODES[which >> 1] + (not seconds), seconds))

    def advance(self, elapsed_ms):
        """Let time pass."""
        self._rest_ms = min(self._rest_ms + elapsed_ms, _MAX_MS)
        if self._trip_ms >= 0:
            self._trip_ms = min(self._trip_ms + elapsed_ms, _MAX_MS)
        if self._left_ms > 0:
            self._left_ms -= elapsed_ms
            if self._left_ms <= 0 and self.releasing:
                self.releasing = False
                self._drive()
                self._left_ms += _GRACE_MS
            if self._left_ms <= 0:
                if self._awaited:
                    self.events.append((record.NOT_PASSED, self._granted, 0))
                    self._awaited = False
                self._granted = record.CAUSE_NONE
        if self.state == UNLOCKED and not self.relay and self._left_ms <= 0:
            self.state = SECURED
        if self.orders:
            for index in range(3):
                if self.orders >> index & 1:
                    self._order_ms[index] -= elapsed_ms
                    if self._order_ms[index] <= 0:
                        self.order(1 << index, 0)
        if self.state >= OPEN:
            self._stand_open(elapsed_ms)
        # Exit button, bolt and latch.
        self._lasts(_EXIT, record.ALARM_EXIT_STUCK, self.exit_held, elapsed_ms)
        closed = self.state < OPEN and self.sensed
        thrown = self.thrown
        if thrown is not None:
            # A bolt that is back though it should be out may wait for the leaf: then the leaf is open, or ajar.
            waits = not thrown and not self.relay and (not closed or self._moved)
            self._lasts(_BOLT, record.ALARM_LOCK_FAULT, thrown == self.relay and not waits, elapsed_ms)
            if self._lasts(_LATCH, 0, waits and closed, elapsed_ms) and not self.ajar:
                self._stray(True)
        if self.ajar and self.sensed:
            if self._shut:
                if self._rest_ms >= _UNSTEADY_MS and thrown is not False:
                    self._stray(False)
            elif self._rest_ms >= _STANDS_MS:
                self._stray(False)
                self._opened(_MAX_MS)
        elif closed and self._moved and thrown is not False:
            self._moved = False
            if self._trip_ms >= 0:
                self.latched_ms = self._trip_ms
                self._trip_ms = -1

    def _drive(self):
        self.relay = self.releasing or self.fire or self.free or self.orders & UNLOCKED_FOR > 0
        if self.relay and self.state == SECURED:
            self.state = UNLOCKED

    def _passed(self, cause):
        if cause == record.CAUSE_CARD or cause == record.CAUSE_REMOTE:
            self.events.append((record.PASSED, cause, 0))

    def _begin(self, cause):
        self.cause = cause
        self._open_s = self._open_ms = self._held_ms = self.latched_ms = 0
        self._moved = True

    def _opened(self, rest_ms):
        cause = self._granted
        if self.fire:
            cause = record.CAUSE_FIRE
        elif not cause and self.relay:
            cause = record.CAUSE_REMOTE if self.orders & UNLOCKED_FOR else record.CAUSE_SCHEDULE
        if not self.relay:
            self._flutters = self._flutters + 1 if rest_ms < _UNSTEADY_MS else 1
            if self._flutters >= _FLUTTERS:
                self._stray(True)
                return
        self.releasing = False
        self._drive()
        self._left_ms = 0
        self._granted = record.CAUSE_NONE
        self._begin(cause)
        if self._awaited:
            self._passed(cause)
            self._awaited = False
        self.events.append((record.OPENED, cause, 0))
        self.state = OPEN
        if not cause and self._limits[_MAY_BE_FORCED]:
            self.state = FORCED
            self._alarm_s = 0
            self.events.append((record.ALARM, record.ALARM_FORCED, 0))

    def _end_alarm(self):
        self.events.append((record.ALARM_ENDED, self.alarm, self._open_s - self._alarm_s))
        self.warning = False

    def _excuse(self):
        """Now it may stand open."""
        if self.state == HELD_OPEN or self.warning:
            self._end_alarm()
            self.state = OPEN

    def _closed(self):
        if self.alarm:
            self._end_alarm()
        self.events.append((record.CLOSED, self.cause, self._open_s))
        # Released while the leaf fell shut: the rest of the time is still theirs.
        self.state = UNLOCKED if self.relay else SECURED
        if self.cause and not self.releasing:
            self._granted = self.cause
            self._left_ms = _LATCH_MS
        self.cause = record.CAUSE_NONE

    def _stray(self, on):
        """It is ajar from now on, or no longer."""
        self.ajar = on
        self._flutters = 0
        self.events.append((record.ALARM if on else record.ALARM_ENDED, record.ALARM_AJAR, 0))

    def _stand_open(self, elapsed_ms):
        open_ms = self._open_ms + elapsed_ms
        self._open_s = min(self._open_s + open_ms // 1000, _MAX_S)
        self._open_ms = open_ms % 1000
        if self.state != OPEN or self.fire or self.orders & MAY_STAND or not self.sensed:
            return
        self._held_ms += elapsed_ms
        if not self.warning:
            if self._held_ms < self._limits[_WARN]:
                return
            self.warning = True
            self._alarm_s = self._open_s
            self.events.append((record.ALARM, record.ALARM_HELD_WARNING, self._open_s))
        if self._held_ms >= self._limits[_ALARM]:
            self._end_alarm()
            self._alarm_s = self._open_s
            self.state = HELD_OPEN
            self.events.append((record.ALARM, record.ALARM_HELD_OPEN, self._open_s))

    def _lasts(self, what, alarm, on, elapsed_ms):
        """Raise an alarm when `on` has lasted; end it when it is over. Tells whether it has lasted."""
        limit_ms = self._limits[what]
        past_ms = self._lasting_ms[what]
        lasted = past_ms >= limit_ms
        if not on:
            self._lasting_ms[what] = 0
            if lasted and alarm:
                self.events.append((record.ALARM_ENDED, alarm, 0))
            return False
        if not lasted:
            self._lasting_ms[what] = past_ms + elapsed_ms
            lasted = past_ms + elapsed_ms >= limit_ms
            if lasted and alarm:
                self.events.append((record.ALARM, alarm, 0))
        return lasted
