"""The door's states, step by step and under random sequences."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from firmware import door as doors
from firmware.door import Door
from storage import record

CARD, EXIT = record.CAUSE_CARD, record.CAUSE_EXIT


def kinds(door):
    """Take the events that are pending."""
    taken, door.events = door.events, []
    return taken


def new(**changes):
    """Return a secured door with short limits."""
    return Door(**{"held_warn_s": 30, "held_alarm_s": 60, "forced_alarm": True, **changes})


def test_granted_and_passed():
    """The lock lets go, relocks when the leaf has opened, and the passage is an event of its own."""
    door = new()
    door.release(CARD, 5000)
    assert door.relay
    door.advance(1200)
    assert door.relay
    door.contact(False)
    assert not door.relay
    assert kinds(door) == [(record.PASSED, CARD, 0), (record.OPENED, CARD, 0)]
    door.advance(4000)
    door.contact(True)
    assert kinds(door) == [(record.CLOSED, CARD, 4)]
    assert door.state == doors.SECURED


def test_granted_and_not_passed():
    """Nobody opens: locked after the opening time, recorded after the grace."""
    door = new()
    door.release(CARD, 5000)
    door.advance(5000)
    assert not door.relay
    assert kinds(door) == []
    door.advance(1000)
    assert kinds(door) == [(record.NOT_PASSED, CARD, 0)]
    door.contact(False)
    assert door.state == doors.FORCED


def test_pulled_at_the_last_moment():
    """A leaf that opens just after relocking was let go by the release before."""
    door = new()
    door.release(CARD, 5000)
    door.advance(5300)
    door.contact(False)
    assert kinds(door) == [(record.PASSED, CARD, 0), (record.OPENED, CARD, 0)]
    assert door.alarm == 0


def test_held_open_warns_then_alarms_and_ends():
    """Warning first, then the alarm, each once, each with an end."""
    door = new()
    door.release(CARD, 5000)
    door.contact(False)
    kinds(door)
    door.advance(29_999)
    assert kinds(door) == []
    door.advance(1)
    assert kinds(door) == [(record.ALARM, record.ALARM_HELD_WARNING, 30)]
    door.advance(30_000)
    assert kinds(door) == [
        (record.ALARM_ENDED, record.ALARM_HELD_WARNING, 30),
        (record.ALARM, record.ALARM_HELD_OPEN, 60),
    ]
    door.advance(100_000)
    assert kinds(door) == []
    door.contact(True)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_HELD_OPEN, 100), (record.CLOSED, CARD, 160)]
    assert door.alarm == 0


def test_a_second_resident_starts_the_time_anew():
    """Who passes through the open door with a card is recorded, and the door is not yet held."""
    door = new()
    door.release(CARD, 5000)
    door.contact(False)
    door.advance(25_000)
    kinds(door)
    door.release(CARD, 5000)
    assert kinds(door) == [(record.PASSED, CARD, 0)]
    door.advance(20_000)
    door.contact(True)
    assert kinds(door) == [(record.CLOSED, CARD, 45)]


def test_a_contact_that_is_stuck_open_locks_nobody_out():
    """Cut wire, sagging leaf: the lock lets go for the whole opening time all the same."""
    door = new()
    door.start(closed=False)
    door.release(CARD, 5000)
    assert door.relay
    door.advance(4900)
    assert door.relay
    door.advance(200)
    assert not door.relay


def test_a_tap_while_the_leaf_falls_shut():
    """Behind somebody else: the bolt stays back for the rest of the time, and the passage is counted once."""
    door = new()
    door.release(CARD, 5000)
    door.contact(False)
    kinds(door)
    door.advance(3000)
    door.release(CARD, 5000)
    door.advance(500)
    door.contact(True)
    assert door.relay
    assert kinds(door) == [(record.PASSED, CARD, 0), (record.CLOSED, CARD, 3)]
    door.contact(False)
    assert not door.relay
    assert kinds(door) == [(record.OPENED, CARD, 0)]
    door.contact(True)
    kinds(door)
    door.release(CARD, 5000)
    door.advance(6000)
    assert kinds(door) == [(record.NOT_PASSED, CARD, 0)]


def test_forced():
    """Opened with no cause; with the detection switched off it is only an opening."""
    door = new()
    door.contact(False)
    assert kinds(door) == [(record.OPENED, 0, 0), (record.ALARM, record.ALARM_FORCED, 0)]
    door.advance(7000)
    door.contact(True)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_FORCED, 7), (record.CLOSED, 0, 7)]
    quiet = new(forced_alarm=False)
    quiet.contact(False)
    assert kinds(quiet) == [(record.OPENED, 0, 0)]


def test_open_at_start_is_not_forced():
    """Nobody knows how it came to be open; it is watched as any open door."""
    door = new()
    door.start(closed=False)
    assert door.alarm == 0
    door.advance(30_000)
    assert door.alarm == record.ALARM_HELD_WARNING


def test_fire_releases_until_reset_at_the_door():
    """Released through opening and closing; a reset works only with the contact restored."""
    door = new()
    door.fire_alarm(True)
    assert door.relay
    door.contact(False)
    door.contact(True)
    assert door.relay
    door.reset_fire(contact_active=True)
    assert door.relay
    door.reset_fire(contact_active=False)
    assert not door.relay
    assert [event[:2] for event in kinds(door)] == [
        (record.ALARM, record.ALARM_FIRE),
        (record.OPENED, record.CAUSE_FIRE),
        (record.CLOSED, record.CAUSE_FIRE),
        (record.ALARM_ENDED, record.ALARM_FIRE),
    ]


class AnyDay(RuleBasedStateMachine):
    """Random releases, leaf movements, fires and times."""

    @initialize()
    def begin(self):
        """A new door and an own account of what is on."""
        self.door = new()
        self.closed = True
        self.on = set()
        self.fire = False
        self.free_ms = 0  # what is left of the last release, by our own account

    @rule(cause=st.sampled_from([CARD, EXIT, record.CAUSE_REMOTE]), open_ms=st.integers(1000, 20_000))
    def release(self, cause, open_ms):
        """Somebody is let in or goes out."""
        self.door.release(cause, open_ms)
        self.free_ms = open_ms

    @rule(closed=st.booleans())
    def leaf(self, closed):
        """The leaf moves, or the contact says again what it said."""
        self.door.contact(closed)
        if self.closed and not closed:
            self.free_ms = 0
        self.closed = closed

    @rule(active=st.booleans())
    def fire_contact(self, active):
        """The fire contact."""
        self.door.fire_alarm(active)
        self.fire = self.fire or active

    @rule()
    def reset(self):
        """The key switch with the contact restored."""
        self.door.reset_fire(False)
        self.fire = False

    @rule(elapsed_ms=st.integers(0, 90_000))
    def wait(self, elapsed_ms):
        """Time passes."""
        wait_ms = self.door.advance(elapsed_ms)
        self.free_ms = max(0, self.free_ms - elapsed_ms)
        assert wait_ms == -1 or wait_ms > 0

    @invariant()
    def every_alarm_begins_and_ends_once(self):
        """The account of events never raises what is on nor ends what is off."""
        for kind, reason, detail in kinds(self.door):
            assert detail >= 0
            if kind == record.ALARM:
                assert reason not in self.on
                self.on.add(reason)
            elif kind == record.ALARM_ENDED:
                assert reason in self.on
                self.on.remove(reason)
        assert self.on - {record.ALARM_FIRE} == ({self.door.alarm} - {0})

    @invariant()
    def the_lock_is_released_for_fire_and_for_the_opening_time(self):
        """And for nothing else; a release counts whatever the contact says."""
        assert self.door.relay == (self.fire or self.free_ms > 0)

    @invariant()
    def the_state_tells_the_leaf(self):
        """Open states and a closed leaf never go together."""
        assert (self.door.state >= doors.OPEN) == (not self.closed)


AnyDay.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestAnyDay = AnyDay.TestCase
