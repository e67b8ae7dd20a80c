"""Random days at a door with bouncing contacts, against the reference that was written from docs/door.md."""

import os

from door_rig import STEP_MS, Now, Rig
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from reference_door import ALARM, CARD, ENDED, FIRE_ALARM, REMOTE, Reference

from firmware.door import PROPPED, UNLOCKED_FOR

NAMES = ("leaf", "exit", "fire", "key", "intercom", "tamper", "handle")
OPEN_S, WARN_S, ALARM_S, STUCK_S, MUTE_S = 2, 4, 7, 5, 6
BOLT_MS = 30
# Where the edges of a bounce lie within 5 to 20 ms, an even number of them: the contact ends where it belongs.
BOUNCES = st.lists(st.integers(1, 19), max_size=4, unique=True).map(lambda at: sorted(at)[: len(at) // 2 * 2])
WAITS = st.one_of(st.integers(0, 400), st.integers(0, 3000), st.integers(0, 11_000))


class AnyDay(RuleBasedStateMachine):
    """People, wind, fire, upstream and time."""

    @initialize(bolt=st.booleans())
    def begin(self, bolt):
        """A new door, secured."""
        Now.ms = 0
        names = NAMES + ("bolt",) * bolt
        self.rig = Rig(names, OPEN_S, WARN_S, ALARM_S, STUCK_S, MUTE_S)
        self.reference = Reference(names, WARN_S, ALARM_S, STUCK_S, OPEN_S, MUTE_S)
        self.edges = []  # (ms, contact, level) to come
        self.on = set()
        self.fired = False  # since a fire, nobody has turned the key with the contact restored
        self.stuck = False
        self.bolt = 0 if bolt else None
        self.pass_ms(STEP_MS)

    # The world

    def move(self, name, level, bounces=()):
        """A contact moves, and bounces."""
        level ^= len(bounces) & 1
        for index, at in enumerate([0, *bounces]):
            self.edges.append((Now.ms + at, name, level ^ (index & 1)))

    def level(self, name):
        """Where a contact is going."""
        last = [level for _, moved, level in self.edges if moved == name]
        return last[-1] if last else self.rig.pins[name].level

    def edge(self, name, level):
        """At this very millisecond."""
        pin = self.rig.pins[name]
        if pin.level != level:
            pin.set(level)
            self.reference.lines[name].moves(Now.ms, level == (name == "tamper"))

    def pass_ms(self, count):
        """Let time pass, look by look."""
        for _ in range(-(-count // STEP_MS)):
            end = Now.ms + STEP_MS
            due = sorted(edge for edge in self.edges if edge[0] < end)
            self.edges = [edge for edge in self.edges if edge[0] >= end]
            for at, name, level in due:
                Now.ms = at
                self.edge(name, level)
            Now.ms = end
            self.look()

    def look(self):
        """One look of both, and what must hold after it."""
        pressed_key = self.reference.lines["key"].pressed
        seen = self.rig.look()
        expected = self.reference.look(Now.ms)
        assert sorted(entry[:2] for entry in seen) == sorted(expected), Now.ms
        released = self.rig.lock.released
        assert released == self.reference.released == bool(self.rig.relay[-1])
        for kind, reason, _ in seen:
            if kind == ALARM:
                assert reason not in self.on
                self.on.add(reason)
            elif kind == ENDED:
                self.on.remove(reason)
        assert self.on == self.rig.recorder.alarms
        lines = self.reference.lines
        self.fired = self.fired or lines["fire"].pressed
        if lines["key"].pressed and not pressed_key and not lines["fire"].on:
            self.fired = False
        assert released or not self.fired
        assert (FIRE_ALARM in self.on) == (self.rig.kept.get("fire") == 1) == self.fired
        if self.bolt is not None and not self.stuck and self.level("bolt") != released:
            self.edges.append((Now.ms + BOLT_MS, "bolt", int(released)))

    # What may happen

    @rule(name=st.sampled_from(("exit", "intercom", "key", "handle")), hold=WAITS, first=BOUNCES, last=BOUNCES)
    def button(self, name, hold, first, last):
        """Pressed and let go."""
        self.move(name, 0, first)
        self.pass_ms(hold)
        self.move(name, 1, last)

    @rule(bounces=BOUNCES, wait=WAITS)
    def leaf(self, bounces, wait):
        """The leaf moves."""
        self.move("leaf", 1 - self.level("leaf"), bounces)
        self.pass_ms(wait)

    @rule(times=st.integers(2, 5), apart=st.integers(40, 900))
    def wind(self, times, apart):
        """The leaf rattles."""
        for _ in range(times):
            self.leaf((), apart)

    @rule(name=st.sampled_from(("fire", "tamper")), bounces=BOUNCES)
    def switch(self, name, bounces):
        """The fire contact or the loop changes."""
        self.move(name, 1 - self.level(name), bounces)
        self.pass_ms(STEP_MS)

    @rule(cause=st.sampled_from((CARD, REMOTE)))
    def unlock(self, cause):
        """A card, or upstream."""
        self.rig.watch.release(cause)
        assert self.rig.lock.released
        self.reference.release(cause)

    @rule(seconds=st.sampled_from((0, 3, 9)))
    def prop(self, seconds):
        """It may stand open."""
        self.rig.door.order(PROPPED, seconds)
        self.reference.prop(seconds)

    @rule(seconds=st.sampled_from((0, 3, 9)))
    def unlock_for(self, seconds):
        """The lock stays released."""
        self.rig.door.order(UNLOCKED_FOR, seconds)
        self.reference.unlock(seconds)

    @rule(on=st.booleans())
    def free_passage(self, on):
        """The schedule."""
        self.rig.door.free_passage(on)
        self.reference.free = on

    @rule(on=st.booleans())
    def bolt_jams(self, on):
        """It stays where it is."""
        self.stuck = on

    @rule(wait=WAITS)
    def wait(self, wait):
        """Time passes."""
        self.pass_ms(wait)


PHASES = [phase for phase in Phase if phase is not Phase.shrink or not os.getenv("MENWEI_NO_SHRINK")]
AnyDay.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None, phases=PHASES)
TestAnyDay = AnyDay.TestCase
