"""A second opinion on the door, written from docs/door.md and nothing else; it imports nothing of the firmware.

The firmware counts down what is left; this keeps points in time and looks back at them. It is told each edge of each
contact at its millisecond, and looks every 20 ms, as the firmware does.
"""

STEP = 20
REST = 20  # a level counts when it has not changed for so long

# Numbers of docs/records.md.
PASSED, NOT_PASSED, OPENED, CLOSED, ALARM, ENDED, RELEASED, MODE = 4, 5, 6, 7, 8, 9, 10, 21
NONE, CARD, REMOTE, EXIT, INTERCOM, KEY, HANDLE, FIRE, SCHEDULE = range(9)
FORCED, WARNING, HELD, TAMPER, FIRE_ALARM, LOCK, STUCK, AJAR = 1, 2, 3, 5, 8, 16, 17, 19
PROPPED, PROP_ENDED, MUTED = 3, 4, 9
UNLOCKED, UNLOCK_ENDED = 13, 14
HEARD = {FORCED, WARNING, HELD, TAMPER, FIRE_ALARM, AJAR}


class Line:
    """One contact behind its bounces."""

    def __init__(self, on):
        self.raw = self.on = on
        self.edge = -1000
        self.touched = False
        self.pressed = on
        self.presses = int(on)

    def moves(self, now, on):
        """An edge."""
        self.raw, self.edge, self.touched = on, now, True

    def look(self, now):
        """Settle level and presses."""
        rested = now - self.edge >= REST
        if rested:
            self.on = self.raw
        if not self.pressed:
            if self.raw or self.touched:
                self.pressed = True
                self.presses += 1
        elif not self.raw and rested:
            self.pressed = False
        self.touched = False

    def press(self):
        """Was it pressed since the last question?"""
        found, self.presses = self.presses > 0, 0
        return found


class Reference:
    """One door. `lines` by contact name; `look` returns the records of this look as a list."""

    def __init__(self, names, warn_s, alarm_s, stuck_s, open_s, mute_s, forced=True):
        at_rest = {"leaf": True, "bolt": True}
        self.lines = {name: Line(at_rest.get(name, False)) for name in names}
        self.warn, self.alarm, self.stuck, self.open = warn_s * 1000, alarm_s * 1000, stuck_s * 1000, open_s * 1000
        self.mute = mute_s * 1000
        self.may_be_forced = forced
        self.out = []
        self.on = set()
        self.was_on = set()  # at the end of the look before
        self.before = -STEP  # the look before this one
        self.fire = self.free = self.ajar = False
        self.let_since = None  # within the opening time
        self.due = None  # (cause, since, for how long): what an opening now would be due to
        self.awaited = False
        self.how = None  # None: not open; "open", "held", "forced"
        self.cause = NONE
        self.opened_at = self.held_since = 0
        self.warned = False
        self.prop_until = None
        self.unlock_until = None
        self.shut, self.shut_since = True, -1_000_000
        self.unlatched = False  # open since the bolt was last thrown
        self.flutters = 0
        self.wrong = {}  # what lasts: since when
        self.muted = None

    # What comes from elsewhere.

    @property
    def released(self):
        """Must the lock be released?"""
        return self.let_since is not None or self.fire or self.free or self.unlock_until is not None

    def release(self, cause):
        """A card, a command or a button."""
        self.let_since = self.before
        self.due = (cause, self.before, self.open + 1000)
        self.awaited = self.how is None
        if self.how:
            if not self.warned:
                self.held_since = self.before
            if cause in (CARD, REMOTE):
                self.out.append((PASSED, cause))

    def prop(self, seconds):
        """Or 0."""
        if seconds:
            self.prop_until = self.before + seconds * 1000
            self.excuse()
            self.out.append((MODE, PROPPED))
        elif self.prop_until is not None:
            self.prop_until = None
            self.held_since = self.before
            self.out.append((MODE, PROP_ENDED))

    def unlock(self, seconds, now=None):
        """Released for so long, or 0."""
        if seconds:
            self.unlock_until = self.before + seconds * 1000
            self.out.append((MODE, UNLOCKED))
            self.excuse()
            self.held_since = self.before
        elif self.unlock_until is not None:
            self.unlock_until = None
            self.held_since = self.before
            if self.due is None:
                self.due = (REMOTE, self.before if now is None else now, 1000)
            self.out.append((MODE, UNLOCK_ENDED))

    # One look.

    def look(self, now):
        """Return what is recorded at this look."""
        lines = self.lines
        for line in lines.values():
            line.look(now)
        heard = self.was_on & HEARD and (self.muted is None or now - STEP >= self.muted)
        turned = False
        for name, cause in (("exit", EXIT), ("handle", HANDLE), ("intercom", INTERCOM), ("key", KEY)):
            pressed = lines[name].press()
            if pressed:
                self.out.append((RELEASED, cause))
            if pressed or (lines[name].on and self.how is None):
                self.release(cause)
            turned = pressed
        if (lines["fire"].press() or lines["fire"].on) and not self.fire:
            self.fire = True
            self.raise_(FIRE_ALARM)
            self.excuse()
        if turned:
            if heard and not self.fire:
                self.out.append((MODE, MUTED))
                self.muted = self.before + self.mute
            if self.fire and not lines["fire"].on:
                self.fire = False
                self.end(FIRE_ALARM)
                self.held_since = self.before
        self.whether(TAMPER, lines["tamper"].on)
        self.leaf(lines["leaf"].on)
        self.time(now)
        self.before = now
        self.was_on = set(self.on)
        records, self.out = self.out, []
        return records

    def leaf(self, shut):
        """The leaf as its contact says."""
        rest = self.before - self.shut_since
        if shut != self.shut:
            self.shut, self.shut_since = shut, self.before
        if self.ajar:
            if shut or not self.released:
                return
            self.straight()
        if shut and self.how:
            self.closes()
        elif not shut and not self.how:
            self.opens(rest)

    def opens(self, rest):
        """An opening, or another flutter."""
        cause = FIRE if self.fire else self.due[0] if self.due else NONE
        if cause == NONE:
            cause = REMOTE if self.unlock_until is not None else SCHEDULE if self.free else NONE
        if not self.released:
            self.flutters = self.flutters + 1 if rest < 5000 else 1
            if self.flutters == 3:
                self.ajar = True
                self.raise_(AJAR)
                return
        self.let_since = self.due = None
        self.cause = cause
        self.opened_at = self.held_since = self.before
        self.unlatched = True
        if self.awaited and cause in (CARD, REMOTE):
            self.out.append((PASSED, cause))
        self.awaited = False
        self.out.append((OPENED, cause))
        self.how = "open"
        if cause == NONE and self.may_be_forced:
            self.how = "forced"
            self.raise_(FORCED)

    def closes(self):
        """The leaf fell shut."""
        self.out.append((CLOSED, self.cause))
        self.on_leaf_ends()
        if self.cause and self.let_since is None:
            self.due = (self.cause, self.before, 3000)
        self.how, self.cause = None, NONE

    def on_leaf_ends(self):
        """Forced, warning and held open end."""
        for alarm in (FORCED, WARNING, HELD):
            self.whether(alarm, False)
        self.warned = False

    def excuse(self):
        """It may stand open now."""
        if self.how == "held" or self.warned:
            self.on_leaf_ends()
            self.how = "open"

    def straight(self):
        """Ajar no more."""
        self.ajar = False
        self.flutters = 0
        self.end(AJAR)

    def time(self, now):
        """What the passing of time does."""
        if self.let_since is not None and now - self.let_since >= self.open:
            self.let_since = None
        if self.due and now - self.due[1] >= self.due[2]:
            if self.awaited:
                self.out.append((NOT_PASSED, self.due[0]))
            self.due, self.awaited = None, False
        if self.prop_until is not None and now >= self.prop_until:
            self.prop(0)
        if self.unlock_until is not None and now >= self.unlock_until:
            self.unlock(0, now)
        if self.how == "open" and not self.fire and self.prop_until is None and self.unlock_until is None:
            held = now - self.held_since
            if not self.warned and held >= self.warn:
                self.warned = True
                self.raise_(WARNING)
            if held >= self.alarm:
                self.warned = False
                self.end(WARNING)
                self.how = "held"
                self.raise_(HELD)
        self.whether(STUCK, self.lasts("exit", self.lines["exit"].on, self.stuck, now))
        thrown = self.lines["bolt"].on if "bolt" in self.lines else None
        waits = thrown is False and not self.released and (self.how is not None or self.unlatched)
        follows = thrown is None or thrown != self.released or waits
        self.whether(LOCK, self.lasts("bolt", not follows, 2000, now))
        if self.lasts("latch", waits and self.how is None, 5000, now) and not self.ajar:
            self.ajar = True
            self.raise_(AJAR)
        if self.ajar:
            if self.shut:
                if now - self.shut_since >= 5000 and thrown is not False:
                    self.straight()
            elif now - self.shut_since >= 1000:
                self.straight()
                self.opens(1_000_000)
                self.held_since = now  # only now is it an opening
        elif self.how is None and thrown is not False:
            self.unlatched = False

    def lasts(self, what, on, limit, now):
        """Has it been so for so long?"""
        if not on:
            self.wrong.pop(what, None)
            return False
        return now - self.wrong.setdefault(what, self.before) >= limit

    # Alarms.

    def raise_(self, alarm):
        """It begins."""
        self.on.add(alarm)
        self.out.append((ALARM, alarm))
        if alarm in HEARD:
            self.muted = None

    def end(self, alarm):
        """It ends."""
        self.on.remove(alarm)
        self.out.append((ENDED, alarm))

    def whether(self, alarm, on):
        """It is on, or not."""
        if on and alarm not in self.on:
            self.raise_(alarm)
        elif not on and alarm in self.on:
            self.end(alarm)
