"""Upstream against a door made of nothing but messages, over the embedded broker."""

import asyncio
import json
import sqlite3

import pytest
from fake_door import FakeDoor

from menwei.broker import EmbeddedBroker
from menwei.keyfile import KeyFile
from menwei.session import NoSession
from menwei.store import Store
from menwei.upstream import Upstream
from storage import record
from sync import messages
from sync.upstream import pack_change

SITE, DOOR = "garden", "front-gate"
DOOR_KEY, JOURNAL_KEY, EPOCH = bytes(range(32)), bytes(range(16)), b"\x01\x02\x03\x04"
NOW = 1_772_434_800
UNIX_2020 = 1_577_836_800
WAIT_S = 5


class World:
    """Broker, upstream and one door, with a clock that stands until a test moves it."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.now = NOW
        self.events = []
        self.keys = KeyFile(SITE)
        self.keys.add(DOOR, DOOR_KEY, {EPOCH: JOURNAL_KEY})
        self.door = FakeDoor(port, SITE, DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY)
        self.upstream = None

    async def clock(self):
        return self.now

    async def start(self):
        self.store = Store(self.folder / "upstream.db")
        self.upstream = Upstream(
            "127.0.0.1", self.port, self.keys, self.store, clock=self.clock, on_event=self.events.append
        )
        await self.upstream.start()

    async def stop(self):
        await self.upstream.stop()
        self.store.close()

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.01)

    async def found(self, kind):
        await self.until(lambda: any(entry[1] == kind for entry in self.store.findings()))

    async def join(self):
        """The door connects, says its state, and gets the time."""
        await self.door.connect()
        await self.door.state()
        command, result = await self.door.next_command()
        assert (command.operation, result) == (messages.OP_SET_TIME, messages.DONE)
        await self.until(lambda: self.upstream.sessions[DOOR].time_done)


@pytest.fixture
async def world(tmp_path):
    async with EmbeddedBroker() as broker:
        world = World(tmp_path, broker.port)
        await world.start()
        yield world
        await world.door.disconnect()
        await world.stop()


# Events


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
    assert [ack[1] for ack in acks] == [3, 3, 5, 5, 5]
    assert acks[-1][2] == world.door.journal.chain
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


async def test_a_forged_record_is_not_stored_and_what_comes_before_it_is(world):
    await world.door.connect()
    for _ in range(4):
        world.door.record(record.GRANTED)
    payload = bytearray(world.door.batch(1))
    payload[24 + 2 * 32 + 14] ^= 1  # the pseudonym of the third one
    await world.door.publish("event", bytes(payload))
    assert (await world.door.next_ack())[1] == 2
    assert [event.seq for event in world.store.events()] == [1, 2]
    assert len(world.store.findings()) == 1
    await world.door.send_batch(1)
    assert (await world.door.next_ack())[1] == 4


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
    await world.door.send_batch(6, 10)
    await world.door.next_ack()
    assert (await world.door.next_ack())[1] == 10
    assert [event.seq for event in world.store.events()] == [1, 2, 3, 6, 7, 8, 9, 10]
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


# State, time, list


async def test_a_new_session_gets_the_time_once(world):
    await world.join()
    assert world.door.time == NOW - UNIX_2020
    await world.door.state()
    await world.door.state()
    await asyncio.sleep(0.2)
    assert world.door.commands.empty()
    world.door.nonce, world.door.number = bytes(16), 0
    world.now += 60
    await world.door.state()
    await world.door.next_command()
    assert world.door.time == NOW + 60 - UNIX_2020


async def test_a_time_that_came_too_late_is_sent_again_but_not_for_ever(world):
    world.door.refuse_time = 2
    await world.door.connect()
    await world.door.state()
    results = [(await world.door.next_command())[1] for _ in range(3)]
    assert results == [messages.TOO_LATE, messages.TOO_LATE, messages.DONE]
    world.door.refuse_time = 100
    world.door.nonce, world.door.number = bytes(16), 0
    await world.door.state()
    await world.found("no time")
    assert world.door.commands.qsize() == 5


async def test_the_deadline_counts_on_from_the_doors_clock(world):
    await world.join()
    world.now += 100
    command = await world.upstream.unlock(DOOR, operator=7, approver=8, reason=3, deadline_s=20)
    assert await command.wait(WAIT_S) == messages.DONE
    got, _ = await world.door.next_command()
    assert got.deadline_s == 10 + 100 + 20


async def test_the_list_is_sent_in_order_and_in_pieces(world):
    for number in range(150):
        world.upstream.change(DOOR, pack_change(messages.PUT, number.to_bytes(7, "big"), group=number % 64))
    await world.join()
    deltas = [await world.door.next_delta() for _ in range(3)]
    assert [(delta.from_revision, delta.to_revision) for delta in deltas] == [(0, 64), (64, 128), (128, 150)]
    assert deltas[1].change(0) == (messages.PUT, (64).to_bytes(7, "big"), 0, 0xFFFFFF, 0, 0, 0)
    assert len({delta.epoch for delta in deltas}) == 1
    await world.until(lambda: world.upstream.sessions[DOOR].revision == 150)
    world.upstream.change(DOOR, pack_change(messages.REVOKE, bytes(7)))
    delta = await world.door.next_delta()
    assert (delta.from_revision, delta.to_revision, delta.change(0)[0]) == (150, 151, messages.REVOKE)


async def test_a_door_that_did_not_get_a_delta_gets_it_again(world):
    world.upstream.change(DOOR, pack_change(messages.PUT, bytes(7)))
    world.door.answers = False
    await world.door.connect()
    await world.door.state()
    await world.door.next_command()
    world.door.answers = True
    world.now += 10
    await world.door.state()  # asks again for the time, which was not answered
    await world.door.next_delta()
    world.door.list = [bytes(4), 0]  # the door restarts from an older flash
    world.now += 10
    await world.door.state()
    assert (await world.door.next_delta()).to_revision == 1


async def test_a_door_ahead_of_the_office_is_a_finding(world):
    world.door.list = [bytes(4), 9]
    await world.join()
    await world.found("list")


async def test_a_list_of_another_office_is_a_finding_and_left_alone(world):
    world.upstream.change(DOOR, pack_change(messages.PUT, bytes(7)))
    world.upstream.change(DOOR, pack_change(messages.PUT, bytes(7)))
    world.store.office_epoch(DOOR, b"mine")
    world.door.list = [b"else", 1]
    await world.join()
    await world.found("list")
    assert world.door.deltas.empty()


async def test_the_last_will_ends_the_session(world):
    await world.join()
    await world.door.publish("state", messages.WILL, True)
    await world.until(lambda: DOOR not in world.upstream.sessions)
    online, state = world.store.door(DOOR)
    assert (online, state["door"]) == (False, "secured")
    with pytest.raises(NoSession):
        await world.upstream.unlock(DOOR, operator=1, approver=2, reason=0)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "zz"},
        {"nonce": 5},
        {"up": None},
        {"list": [1]},
        {"list": "x"},
        {"epoch": 7},
        {"clock": None, "head": "x"},
    ],
)
async def test_a_distorted_state_is_a_finding(world, change):
    await world.door.connect()
    await world.door.state(**change)
    await world.found("refused message")
    assert DOOR not in world.upstream.sessions or world.door.commands.empty()


async def test_a_state_with_a_wrong_mac_is_a_finding(world):
    await world.door.connect()
    await world.door.publish("state", json.dumps({"v": 1, "online": 1}).encode() + b"\n" + b"0" * 32)
    await world.found("refused message")
    assert world.upstream.sessions == {}


async def test_a_journal_that_was_cut_short_is_noticed_by_its_head(world):
    await world.join()
    for _ in range(3):
        world.door.record(record.GRANTED)
    await world.door.send_batch(1)
    await world.door.next_ack()
    await world.door.state(head=2)
    await world.found("truncated")
    await world.door.state(chain="00" * 7)
    await world.found("fork")


# Commands


async def test_unlock_carries_operator_approver_and_reason_and_its_result_is_kept(world):
    await world.join()
    command = await world.upstream.unlock(DOOR, operator=7, approver=8, reason=3)
    assert await command.wait(WAIT_S) == messages.DONE
    got, _ = await world.door.next_command()
    assert (got.operation, got.operator, got.approver, got.reason, got.approved) == (messages.OP_UNLOCK, 7, 8, 3, True)
    assert world.store.commands(DOOR)[-1] == (got.number, messages.OP_UNLOCK, 7, 8, 3, messages.DONE)


async def test_an_unlock_without_approver_is_not_signed_as_approved(world):
    await world.join()
    command = await world.upstream.unlock(DOOR, operator=7, approver=0, reason=3)
    assert await command.wait(WAIT_S) == messages.NOT_APPROVED


async def test_a_replay_is_the_same_bytes_and_its_answer_does_not_replace_the_first(world):
    await world.join()
    command = await world.upstream.unlock(DOOR, operator=7, approver=8, reason=3)
    await command.wait(WAIT_S)
    await world.upstream.replay(command)
    await world.until(lambda: len(command.results) == 2)
    assert command.results == [messages.DONE, messages.REPLAYED]
    world.door.nonce, world.door.number = bytes(16), 0
    await world.door.state()
    await world.until(lambda: world.upstream.sessions[DOOR].nonce == bytes(16))
    await world.upstream.replay(command)
    await world.until(lambda: len(command.results) == 3)
    assert command.results[2] == messages.WRONG_SESSION
    assert world.store.commands(DOOR)[1][-1] == messages.DONE


async def test_numbers_go_on_when_upstream_restarts_in_the_same_session(world):
    await world.join()
    await (await world.upstream.unlock(DOOR, operator=7, approver=8, reason=3)).wait(WAIT_S)
    await world.stop()
    await world.start()
    await world.until(lambda: DOOR in world.upstream.sessions)
    command = await world.upstream.unlock(DOOR, operator=7, approver=8, reason=3)
    assert await command.wait(WAIT_S) == messages.DONE


async def test_a_command_without_an_answer_says_so(world):
    await world.join()
    world.door.answers = False
    command = await world.upstream.unlock(DOOR, operator=7, approver=8, reason=3)
    assert await command.wait(0.1) is None
    assert world.store.commands(DOOR)[-1][-1] is None


# Connection


async def test_a_broker_that_is_not_there_is_an_error_at_start(tmp_path):
    store = Store(tmp_path / "upstream.db")
    with pytest.raises(OSError, match="no answer from the broker"):
        await Upstream("127.0.0.1", 1, KeyFile(SITE), store).start(0.3)
    store.close()


async def test_upstream_comes_back_when_the_broker_does(tmp_path):
    broker = EmbeddedBroker()
    await broker.start()
    world = World(tmp_path, broker.port)
    await world.start()
    await broker.stop()
    await world.until(lambda: not world.upstream.connected.is_set())
    broker = EmbeddedBroker(port=world.port)
    await broker.start()
    await world.until(world.upstream.connected.is_set)
    await world.join()
    await world.door.disconnect()
    await world.stop()
    await broker.stop()
