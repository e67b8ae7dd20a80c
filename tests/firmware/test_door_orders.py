"""What was ordered and lasts: unlocked for a while, and maintenance, step by step."""

from test_door import CARD, kinds, new, opened

from firmware.door import MAINTENANCE, PROPPED, UNLOCKED_FOR
from storage import record


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
