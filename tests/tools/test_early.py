"""Alarms that come before the records in front of them, as upstream takes them; and a gap that is filled later."""

import asyncio

from upstream_world import DOOR

from menwei.names import ALARMS
from storage import record


def backlog(door, count=70):
    """So many records, the last one an alarm; return its number."""
    for _ in range(count - 1):
        door.record(record.GRANTED)
    door.record(record.ALARM, reason=record.ALARM_FORCED)
    return door.journal.head


async def now(door, first, change=None):
    """Publish one record early."""
    payload = bytearray(door.batch(first, first))
    if change is not None:
        payload[change] ^= 1
    await door.publish("event/now", bytes(payload))


async def test_it_is_shown_at_once_and_is_no_event(world):
    await world.join()
    last = backlog(world.door)
    await now(world.door, last)
    await world.until(lambda: world.early)
    assert [(event.seq, ALARMS[event.reason]) for event in world.early] == [(last, "forced")]
    assert world.store.events(DOOR) == []
    assert world.door.acks.empty()
    await now(world.door, last)  # again
    for first in (1, 33, 65):
        await world.door.send_batch(first, min(first + 31, last))
        await world.door.next_ack()
    assert [event.seq for event in world.store.events(DOOR)] == list(range(1, last + 1))
    await now(world.door, last)  # and once more when it is known
    await asyncio.sleep(0.2)
    assert len(world.early) == 1
    assert world.store.findings() == []
    assert world.upstream._early.waiting(DOOR) == []


async def test_a_forged_one_is_a_finding_wherever_it_is_forged(world):
    await world.join()
    last = backlog(world.door)
    for change in (16, 24 + record.REASON, 24 + record.DETAIL, 24 + record.MAC):
        await now(world.door, last, change)
    await world.found("early")
    await asyncio.sleep(0.2)
    assert world.early == []
    assert {kind for _, kind, _ in world.store.findings()} <= {"early", "no key"}


async def test_only_an_alarm_and_only_one(world):
    await world.join()
    last = backlog(world.door)
    await now(world.door, 5)
    await world.door.publish("event/now", world.door.batch(last - 1, last))
    await world.until(lambda: len(world.store.findings()) == 2)
    assert [kind for _, kind, _ in world.store.findings()] == ["early", "early"]
    assert world.early == []


async def test_one_that_is_not_what_comes_later_is_a_finding(world):
    """A clone of the board: both are right, and they differ."""
    await world.join()
    last = backlog(world.door)
    await now(world.door, last)
    await world.until(lambda: world.early)
    journal = world.door.journal
    slots = journal.slots[:]
    world.door.before.pop()
    journal.head, (journal.generation, journal.chain) = (
        last - 1,
        world.door.before[last - 2 :][0][:2]
        and (
            world.door.before[-1][0],
            slots[last - 2][record.MAC : 32],
        ),
    )
    journal.slots = slots[: last - 1]
    world.door.record(record.ALARM, reason=record.ALARM_TAMPER)
    for first in (1, 33, 65):
        await world.door.send_batch(first, min(first + 31, last))
        await world.door.next_ack()
    await world.found("early")
    assert world.store.events(DOOR)[-1].reason == record.ALARM_TAMPER


async def test_records_that_are_collected_fill_a_gap(world):
    await world.join()
    last = backlog(world.door, 100)
    await world.door.send_batch(1, 20)
    await world.door.next_ack()
    await world.door.state(acked=60)
    for first in (61, 93):
        await world.door.send_batch(first, min(first + 31, last))
        await world.door.next_ack()
    assert [kind for _, kind, _ in world.store.findings()] == ["gap"]
    for first in (15, 47):
        await world.door.send_batch(first, first + 31)
        await world.door.next_ack()
    assert sorted(event.seq for event in world.store.events(DOOR)) == list(range(1, last + 1))
    assert world.store.apart() == []
    assert [kind for _, kind, _ in world.store.findings()] == ["gap"]
