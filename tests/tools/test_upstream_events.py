"""Upstream and the records of a door made of nothing but messages, over the embedded broker."""

import asyncio
import sqlite3

import pytest
from fake_door import FakeDoor
from upstream_world import DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY, SITE

from storage import record


async def test_events_are_stored_then_acknowledged(world):
    await world.door.connect()
    world.door.record(record.BOOT)
    world.door.record(record.GRANTED, pseudonym=b"abcdefg", detail=3, time=200_000_000)
    world.door.record(record.COMMAND, reason=1, payload=bytes(range(24)))
    await world.door.send_batch(1)
    assert await world.door.next_ack() == (EPOCH, 3, world.door.journal.chain)
    # A second connection to the file sees what another process would find after a crash now.
    with sqlite3.connect(world.folder / "upstream.db") as other:
        rows = other.execute(
            "SELECT seq, kind, reason, pseudonym, detail, time, trust, raw FROM events ORDER BY seq"
        ).fetchall()
    assert [row[:2] for row in rows] == [(1, record.BOOT), (2, record.GRANTED), (3, record.COMMAND)]
    assert rows[1][2:7] == (0, b"abcdefg".hex(), 3, 200_000_000, 2)
    assert [row[7] for row in rows] == world.door.journal.slots
    assert [event.seq for event in world.events] == [1, 2, 3]


async def test_the_same_batch_again_changes_nothing_and_is_acknowledged_again(world):
    await world.door.connect()
    for _ in range(5):
        world.door.record(record.REFUSED)
    for first, last in ((1, 3), (1, 3), (2, 5), (1, 5), (4, 4)):
        await world.door.send_batch(first, last)
    acks = [await world.door.next_ack() for _ in range(5)]
    assert [ack[1] for ack in acks] == [3, 3, 5, 5, 4]
    assert acks[-2][2] == world.door.journal.chain
    assert [event.seq for event in world.store.events(DOOR)] == [1, 2, 3, 4, 5]
    assert len(world.events) == 5
    assert world.store.findings() == []


async def test_keys_move_on_over_many_batches_and_a_restart_of_upstream(world):
    await world.door.connect()
    for number in range(200):
        world.door.record(record.GRANTED, detail=number)
    for first in range(1, 101, 20):
        await world.door.send_batch(first, first + 19)
        await world.door.next_ack()
    await world.stop()
    await world.start()
    for first in range(101, 201, 20):
        await world.door.send_batch(first, first + 19)
        await world.door.next_ack()
    assert [event.detail for event in world.store.events(DOOR)] == list(range(200))
    assert world.store.events(DOOR)[-1].generation >= 5
    assert world.store.findings() == []


async def test_a_damaged_record_is_named_and_does_not_stop_the_upload(world):
    await world.door.connect()
    for _ in range(4):
        world.door.record(record.GRANTED)
    payload = bytearray(world.door.batch(1))
    payload[24 + 2 * 32 + 14] ^= 1  # the pseudonym of the third one
    for _ in range(3):
        await world.door.publish("event", bytes(payload))
        assert await world.door.next_ack() == (EPOCH, 4, world.door.journal.chain)
    assert [event.seq for event in world.store.events()] == [1, 2, 4]
    assert [(wreck.seq, wreck.raw) for wreck in world.store.damaged(DOOR)] == [(3, bytes(payload[24 + 64 : 24 + 96]))]
    text = "epoch 01020304, record 3: bit 0 of byte 14 is flipped"
    assert world.store.findings() == [(DOOR, "damaged", text)]
    # Should it come whole after all, it is an event.
    await world.door.send_batch(1)
    await world.door.next_ack()
    assert [event.seq for event in world.store.events()] == [1, 2, 4, 3]
    assert len(world.store.findings()) == 1


async def test_a_damaged_record_at_the_end_of_a_batch_waits_for_the_next(world):
    await world.door.connect()
    for _ in range(5):
        world.door.record(record.GRANTED)
    world.door.journal.slots[2] = b"\x54" + world.door.journal.slots[2][1:]
    await world.door.send_batch(1, 3)
    await world.door.send_batch(4, 4)  # was under way already; it is no gap
    await world.door.send_batch(3, 5)
    acks = [(await world.door.next_ack())[1] for _ in range(2)]
    assert acks == [2, 5]
    assert [event.seq for event in world.store.events()] == [1, 2, 4, 5]
    assert [kind for _, kind, _ in world.store.findings()] == ["changed", "damaged"]


async def test_a_batch_that_is_forged_from_its_start_is_not_acknowledged(world):
    await world.door.connect()
    world.door.record(record.GRANTED)
    payload = bytearray(world.door.batch(1))
    payload[30] ^= 1
    await world.door.publish("event", bytes(payload))
    await world.until(world.store.findings)
    assert world.door.acks.empty()
    assert world.store.events() == []


async def test_a_gap_is_reported_and_the_rest_is_stored(world):
    await world.door.connect()
    for _ in range(10):
        world.door.record(record.REFUSED)
    await world.door.send_batch(1, 3)
    await world.door.send_batch(6, 10)  # perhaps a batch was lost on the way
    await world.door.send_batch(8, 10)
    await world.door.send_batch(6, 10)  # or the network has doubled one, and the one before comes late
    assert (await world.door.next_ack())[1] == 3
    await asyncio.sleep(0.2)
    assert world.door.acks.empty() and len(world.store.events()) == 3
    world.now += 20
    await world.door.send_batch(6, 10)  # the door has nothing else
    assert (await world.door.next_ack())[1] == 10
    assert [event.seq for event in world.store.events()] == [1, 2, 3, 6, 7, 8, 9, 10]
    text = "epoch 01020304, record 4: the records 4 to 5 are gone"
    assert world.store.findings() == [(DOOR, "gap", text)]


async def test_a_batch_that_was_lost_on_the_way_is_no_gap(world):
    await world.door.connect()
    for _ in range(10):
        world.door.record(record.REFUSED)
    await world.door.send_batch(6, 10)
    await world.door.send_batch(1, 5)
    await world.door.send_batch(6, 10)
    assert [(await world.door.next_ack())[1] for _ in range(2)] == [5, 10]
    assert len(world.store.events()) == 10
    assert world.store.findings() == []


@pytest.mark.parametrize("member", [{"acked": 5}, {"oldest": 6}])
async def test_what_the_door_calls_acknowledged_or_gone_it_does_not_send_again(world, member):
    await world.join()
    for _ in range(10):
        world.door.record(record.REFUSED)
    await world.door.state(**member)
    await world.door.send_batch(6, 10)
    assert (await world.door.next_ack())[1] == 10
    assert [kind for _, kind, _ in world.store.findings()] == ["gap"]


async def test_the_same_identity_with_other_content_is_a_fork(world):
    await world.door.connect()
    world.door.record(record.GRANTED)
    world.door.record(record.GRANTED)
    await world.door.send_batch(1)
    await world.door.next_ack()
    twin = FakeDoor(world.port, SITE, DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY)
    twin.record(record.GRANTED)
    twin.record(record.REFUSED)
    await world.door.publish("event", twin.batch(1))
    await world.until(world.store.findings)
    assert [kind for _, kind, _ in world.store.findings()] == ["fork"]
    assert [event.kind for event in world.store.events()] == [record.GRANTED] * 2
    # It is not lost: it is kept apart, and so is what follows it, with no finding more.
    assert await world.door.next_ack() == (EPOCH, 2, twin.journal.chain)
    twin.record(record.PASSED)
    twin.record(record.CLOSED)
    await world.door.publish("event", twin.batch(3))
    assert await world.door.next_ack() == (EPOCH, 4, twin.journal.chain)
    assert [(event.seq, event.kind) for event in world.store.apart(DOOR)] == [
        (2, record.REFUSED),
        (3, record.PASSED),
        (4, record.CLOSED),
    ]
    assert len(world.store.findings()) == 1
    # The true door goes on.
    world.door.record(record.BOOT)
    await world.door.send_batch(3)
    await world.door.next_ack()
    assert [event.kind for event in world.store.events()] == [record.GRANTED, record.GRANTED, record.BOOT]


@pytest.mark.parametrize("payload", [b"\0", b"\1" * 23, b"\1" * 56, bytes(24), b"\2" + bytes(55)])
async def test_nonsense_is_a_finding(world, payload):
    await world.door.connect()
    await world.door.publish("event", payload)
    await world.found("refused message")
    assert world.door.acks.empty()


async def test_a_door_without_a_key_is_a_finding(world):
    stranger = FakeDoor(world.port, SITE, "back-gate", DOOR_KEY, EPOCH, JOURNAL_KEY)
    await stranger.connect()
    stranger.record(record.BOOT)
    await stranger.send_batch(1)
    await world.found("refused message")
    assert world.store.events() == []
    await stranger.disconnect()


async def test_an_epoch_without_a_key_is_a_finding(world):
    other = FakeDoor(world.port, SITE, DOOR, DOOR_KEY, b"else", JOURNAL_KEY)
    other.record(record.BOOT)
    await world.door.connect()
    await world.door.publish("event", other.batch(1))
    await world.until(world.store.findings)
    assert world.store.events() == []


async def test_nothing_is_acknowledged_when_the_database_fails(world, monkeypatch):
    await world.door.connect()
    world.door.record(record.BOOT)

    def fail(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "add_batch", fail)
        await world.door.send_batch(1)
        await asyncio.sleep(0.3)
        assert world.door.acks.empty()
    await world.door.send_batch(1)
    assert (await world.door.next_ack())[1] == 1
