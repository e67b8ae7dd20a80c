"""The door's states, step by step; test_door_machine.py has the random sequences."""

from firmware import door as doors
from firmware.door import MAINTENANCE, PROPPED, UNLOCKED_FOR, Door
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
    quiet.advance(30_000)
    assert quiet.alarm == record.ALARM_HELD_WARNING


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


def opened(door, cause=CARD):
    """Let somebody in, and forget what was recorded."""
    door.release(cause, 5000)
    door.contact(False)
    kinds(door)
    return door


def test_propped_for_a_moving_day():
    """No alarm until its end; then the time begins anew, with the warning first."""
    door = opened(new())
    door.order(PROPPED, 600)
    assert kinds(door) == [(record.MODE, record.MODE_PROPPED, 600)]
    door.advance(599_980)
    assert (door.name, kinds(door)) == ("propped", [])
    door.advance(20)
    assert kinds(door) == [(record.MODE, record.MODE_PROP_ENDED, 0)]
    door.advance(29_960)
    assert (door.name, kinds(door)) == ("open", [])
    door.advance(20)
    assert [event[:2] for event in kinds(door)] == [(record.ALARM, record.ALARM_HELD_WARNING)]
    door.advance(30_000)
    assert [event[:2] for event in kinds(door)][1:] == [(record.ALARM, record.ALARM_HELD_OPEN)]


def test_a_prop_comes_late_and_ends_early():
    """It ends the alarm that is on; closing does not end it; 0 does, once."""
    door = opened(new())
    door.advance(70_000)
    kinds(door)
    door.order(PROPPED, 600)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_HELD_OPEN, 0), (record.MODE, record.MODE_PROPPED, 600)]
    door.contact(True)
    opened(door)
    door.advance(300_000)
    assert kinds(door) == []
    door.order(PROPPED, 0)
    door.order(PROPPED, 0)
    assert kinds(door) == [(record.MODE, record.MODE_PROP_ENDED, 0)]


def test_a_prop_is_no_release():
    """Who opens a propped door that is shut has no cause."""
    door = new()
    door.order(PROPPED, 600)
    assert not door.relay
    door.contact(False)
    assert door.alarm == record.ALARM_FORCED


def test_free_passage():
    """Released all the while, through openings; the schedule is the cause of those without another."""
    door = new()
    door.free_passage(True)
    assert (door.relay, door.name) == (True, "unlocked")
    door.contact(False)
    door.advance(4000)
    assert door.relay
    door.contact(True)
    assert kinds(door) == [(record.OPENED, record.CAUSE_SCHEDULE, 0), (record.CLOSED, record.CAUSE_SCHEDULE, 4)]
    door.advance(20_000)
    door.free_passage(False)
    door.advance(20)
    assert (door.relay, door.name) == (False, "secured")
    door.contact(False)
    assert door.alarm == record.ALARM_FORCED


def test_a_leaf_that_opens_again_at_once_had_not_latched():
    """The cause of the opening before goes on, for 3 s."""
    for after_ms, cause in ((2900, CARD), (3100, record.CAUSE_NONE)):
        door = opened(new())
        door.contact(True)
        kinds(door)
        door.advance(after_ms)
        door.contact(False)
        assert kinds(door)[0] == (record.OPENED, cause, 0)


def test_a_leaf_that_rattles_is_ajar():
    """The third opening within 5 s of the one before is none; it ends after 5 s at rest."""
    door = opened(new())
    for _ in range(2):
        door.contact(True)
        door.advance(2000)
        door.contact(False)
        door.advance(200)
    door.contact(True)
    kinds(door)
    door.advance(2000)
    door.contact(False)
    assert kinds(door) == [(record.ALARM, record.ALARM_AJAR, 0)]
    assert door.name == "ajar"
    door.advance(200)
    door.contact(True)
    door.advance(4900)
    assert kinds(door) == []
    door.advance(100)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_AJAR, 0)]
    assert door.name == "secured"


def ajar():
    """A door whose leaf is closed, with its bolt back for 5 s."""
    door = new()
    door.thrown = True
    door.release(CARD, 5000)
    door.thrown = False
    door.contact(False)
    door.advance(1000)
    door.contact(True)
    door.advance(4900)
    assert record.ALARM not in [event[0] for event in kinds(door)]
    door.advance(100)
    assert kinds(door) == [(record.ALARM, record.ALARM_AJAR, 0)]
    return door


def test_closed_but_not_latched():
    """Ajar until the bolt is thrown; the time to the latch is known only then."""
    door = ajar()
    assert door.latched_ms == 0
    door.advance(10_000)
    assert kinds(door) == []
    door.thrown = True
    door.advance(20)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_AJAR, 0)]
    door.advance(20)
    assert door.latched_ms == 16_040


def test_out_of_ajar_by_an_opening():
    """Let go it opens at once; without a cause it is forced when it stands open for a second."""
    door = ajar()
    door.release(EXIT, 5000)
    door.contact(False)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_AJAR, 0), (record.OPENED, EXIT, 0)]
    door = ajar()
    door.advance(5000)
    door.contact(False)
    door.advance(900)
    assert kinds(door) == []
    door.advance(100)
    assert [event[:2] for event in kinds(door)] == [
        (record.ALARM_ENDED, record.ALARM_AJAR),
        (record.OPENED, record.CAUSE_NONE),
        (record.ALARM, record.ALARM_FORCED),
    ]


def test_a_bolt_that_does_not_follow():
    """After 2 s, in both directions; it ends when it follows."""
    door = new()
    door.thrown = True
    door.release(CARD, 5000)
    door.advance(1900)
    assert kinds(door) == []
    door.advance(100)
    assert kinds(door) == [(record.ALARM, record.ALARM_LOCK_FAULT, 0)]
    door.thrown = False
    door.advance(20)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_LOCK_FAULT, 0)]
    door.advance(2960)
    door.advance(20)
    assert not door.relay
    door.advance(1960)
    assert kinds(door) == [(record.NOT_PASSED, CARD, 0)]
    door.advance(20)
    assert kinds(door) == [(record.ALARM, record.ALARM_LOCK_FAULT, 0)]


def test_a_bolt_may_wait_for_the_leaf():
    """One that throws only into its keep is in order while the leaf is open."""
    door = new()
    door.thrown = False
    opened(door)
    door.advance(20_000)
    assert kinds(door) == []


def test_time_to_the_latch():
    """From the last release; unknown without one."""
    door = new()
    door.release(CARD, 5000)
    door.advance(2000)
    door.contact(False)
    door.advance(3000)
    assert door.latched_ms == 0
    door.contact(True)
    door.advance(20)
    assert door.latched_ms == 5020
    door.advance(10_000)
    door.contact(False)
    door.contact(True)
    door.advance(20)
    assert door.latched_ms == 0


def test_the_exit_button_sticks():
    """Once, after its time."""
    door = Door(30, 60, True, exit_stuck_s=10)
    door.exit_held = True
    door.advance(9999)
    assert kinds(door) == []
    door.advance(1)
    door.advance(60_000)
    assert kinds(door) == [(record.ALARM, record.ALARM_EXIT_STUCK, 0)]
    door.exit_held = False
    door.advance(20)
    assert kinds(door) == [(record.ALARM_ENDED, record.ALARM_EXIT_STUCK, 0)]


def test_a_leaf_contact_at_fault_says_nothing():
    """Never closed, never forced; releases go on, and what is then found open was not forced."""
    door = new()
    door.contact(True, sensed=False)
    assert (door.name, door.sensed) == ("unknown", False)
    door.contact(False, sensed=False)
    door.release(CARD, 5000)
    assert door.relay
    door.advance(100_000)
    assert (door.relay, kinds(door)) == (False, [])
    door.contact(False, sensed=True)
    assert (door.name, door.alarm, kinds(door)) == ("open", 0, [])
    door.advance(30_000)
    assert door.alarm == record.ALARM_HELD_WARNING
    door.contact(False, sensed=False)
    door.advance(100_000)
    door.contact(True, sensed=True)
    assert [event[:2] for event in kinds(door)][1:] == [
        (record.ALARM_ENDED, record.ALARM_HELD_WARNING),
        (record.CLOSED, record.CAUSE_NONE),
    ]


def test_an_open_door_is_in_order_while_fire_releases_it():
    """The alarm about it ends, and the time begins anew after the reset."""
    door = opened(new())
    door.advance(40_000)
    kinds(door)
    door.fire_alarm(True)
    assert [event[1] for event in kinds(door)] == [record.ALARM_HELD_WARNING, record.ALARM_FIRE]
    door.advance(100_000)
    door.reset_fire(contact_active=False)
    door.advance(29_000)
    assert [event[1] for event in kinds(door)] == [record.ALARM_FIRE]
    door.advance(1000)
    assert [event[1] for event in kinds(door)] == [record.ALARM_HELD_WARNING]


def test_unlocked_for_a_while():
    """Released through openings, which are remote; nobody is alarmed at; the leaf may be pulled 1 s after its end."""
    door = new()
    door.order(UNLOCKED_FOR, 600)
    assert (door.relay, door.name) == (True, "unlocked")
    assert kinds(door) == [(record.MODE, record.MODE_UNLOCKED, 600)]
    door.contact(False)
    door.advance(590_000)
    assert door.relay
    door.contact(True)
    assert kinds(door) == [(record.OPENED, record.CAUSE_REMOTE, 0), (record.CLOSED, record.CAUSE_REMOTE, 590)]
    door.advance(9_980)
    assert door.relay
    door.advance(20)
    assert (door.relay, kinds(door)) == (False, [(record.MODE, record.MODE_UNLOCK_ENDED, 0)])
    door.advance(980)
    assert door.name == "unlocked"
    door.contact(False)
    assert kinds(door) == [(record.OPENED, record.CAUSE_REMOTE, 0)]
    door.contact(True)
    door.advance(4000)
    assert (door.relay, door.name) == (False, "secured")
    door.contact(False)
    assert door.alarm == record.ALARM_FORCED


def test_an_unlock_that_ends_over_an_open_leaf():
    """The lock is secured and the time for which it may be held begins, with the warning first."""
    door = new()
    door.order(UNLOCKED_FOR, 100)
    door.contact(False)
    door.advance(99_980)
    kinds(door)
    door.advance(20)
    assert (door.relay, kinds(door)) == (False, [(record.MODE, record.MODE_UNLOCK_ENDED, 0)])
    door.advance(29_960)
    assert kinds(door) == []
    door.advance(20)
    assert [event[:2] for event in kinds(door)] == [(record.ALARM, record.ALARM_HELD_WARNING)]


def test_a_later_unlock_replaces_an_earlier_one():
    """Longer or shorter; 0 ends it, once; a card in between changes nothing."""
    door = new()
    door.order(UNLOCKED_FOR, 100)
    door.order(UNLOCKED_FOR, 10)
    door.release(CARD, 5000)
    door.advance(9000)
    assert door.relay
    door.advance(1000)
    assert not door.relay
    door.order(UNLOCKED_FOR, 0)
    modes = [event[1:] for event in kinds(door) if event[0] == record.MODE]
    assert modes == [(record.MODE_UNLOCKED, 100), (record.MODE_UNLOCKED, 10), (record.MODE_UNLOCK_ENDED, 0)]


def test_orders_do_not_end_each_other():
    """A prop goes on when an unlock ends, and free passage and fire keep the lock released."""
    door = new()
    door.order(PROPPED, 600)
    door.order(UNLOCKED_FOR, 5)
    door.free_passage(True)
    door.fire_alarm(True)
    door.advance(5000)
    assert door.relay
    door.free_passage(False)
    assert door.relay
    door.reset_fire(False)
    assert not door.relay
    door.advance(1000)
    door.contact(False)
    assert door.name == "forced"
    door.contact(True)
    opened(door)
    door.advance(300_000)
    assert (door.name, kinds(door)) == ("propped", [])


def test_maintenance_touches_neither_lock_nor_alarms():
    """It only lasts, and is recorded."""
    door = opened(new())
    door.advance(70_000)
    kinds(door)
    door.order(MAINTENANCE, 60)
    assert (door.relay, door.name, kinds(door)) == (False, "held open", [(record.MODE, record.MODE_MAINTENANCE, 60)])
    door.advance(60_000)
    assert (door.name, kinds(door)) == ("held open", [(record.MODE, record.MODE_MAINTENANCE_ENDED, 0)])
