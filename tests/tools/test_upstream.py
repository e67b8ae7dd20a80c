"""Upstream against a door made of nothing but messages, over the embedded broker."""

import asyncio
import json

import pytest
from upstream_world import DOOR, NOW, SITE, WAIT_S, World

from menwei import upstream
from menwei.broker import EmbeddedBroker
from menwei.keyfile import KeyFile
from menwei.session import NoSession
from menwei.store import Store
from menwei.upstream import Upstream
from storage import record
from sync import messages
from sync.upstream import pack_change

UNIX_2020 = 1_577_836_800


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


async def test_a_quiet_door_gets_the_time_without_asking(world, monkeypatch):
    """Nobody passes, so it says no state; after a day its clock would only be held."""
    await world.upstream.stop()
    monkeypatch.setattr(upstream, "TIME_LOOK_S", 0.05)
    await world.upstream.start()
    await world.join()
    world.now += 6 * 3600 - 1
    await asyncio.sleep(0.3)
    assert world.door.commands.empty()
    for _ in range(3):
        world.now += 1
        command, result = await world.door.next_command()
        assert (command.operation, result) == (messages.OP_SET_TIME, messages.DONE)
        assert world.door.time == world.now - UNIX_2020
        await world.until(lambda: world.upstream.sessions[DOOR].time_done)
        await asyncio.sleep(0.2)
        assert world.door.commands.empty()  # once, not every time it looks
        world.now += 6 * 3600 - 1


async def test_a_door_that_is_away_gets_no_time(world, monkeypatch):
    await world.upstream.stop()
    monkeypatch.setattr(upstream, "TIME_LOOK_S", 0.05)
    await world.upstream.start()
    await world.join()
    await world.door.publish("state", messages.WILL, True)
    await world.until(lambda: DOOR not in world.upstream.sessions)
    world.now += 7 * 3600
    await asyncio.sleep(0.3)
    assert world.door.commands.empty()


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
    for number in range(75):
        world.upstream.change(DOOR, pack_change(messages.PUT, number.to_bytes(7, "big"), group=number % 64))
    await world.join()
    deltas = [await world.door.next_delta() for _ in range(3)]
    assert [(delta.from_revision, delta.to_revision) for delta in deltas] == [(0, 32), (32, 64), (64, 75)]
    assert deltas[1].change(0) == (messages.PUT, (32).to_bytes(7, "big"), 0, 0xFFFFFF, 32, 0, 0)
    assert len({delta.epoch for delta in deltas}) == 1
    await world.until(lambda: world.upstream.sessions[DOOR].revision == 75)
    world.upstream.change(DOOR, pack_change(messages.REVOKE, bytes(7)))
    delta = await world.door.next_delta()
    assert (delta.from_revision, delta.to_revision, delta.change(0)[0]) == (75, 76, messages.REVOKE)


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


async def test_a_door_ahead_of_the_office_is_a_finding_and_numbers_count_on_from_there(world):
    """Else the next changes would be taken for those that the door has."""
    world.upstream.change(DOOR, pack_change(messages.PUT, bytes(7)))
    world.store.office_epoch(DOOR, b"mine")
    world.door.list = [b"mine", 9]
    await world.join()
    await world.found("list")
    assert world.door.deltas.empty()
    assert world.upstream.change(DOOR, pack_change(messages.REVOKE, bytes(7))) == 10
    delta = await world.door.next_delta()
    assert (delta.from_revision, delta.to_revision, delta.change(0)[0]) == (9, 10, messages.REVOKE)
    # An older image is brought up to date from where it stands, with all that is known.
    world.door.list = [b"mine", 0]
    await world.door.state()
    delta = await world.door.next_delta()
    assert (delta.from_revision, delta.to_revision, delta.count) == (0, 10, 2)
    await world.door.state()
    assert [kind for _, kind, _ in world.store.findings()] == ["list"]


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
    world.now += 15
    world.door.nonce, world.door.up = bytes(16), 4
    await world.door.state(head=2)
    await world.found("truncated")
    await world.door.state(chain="00" * 7)
    await world.found("fork")


@pytest.mark.parametrize("ahead_s", [0, 4, 300])
async def test_a_state_that_was_overtaken_is_no_journal_cut_short(world, ahead_s):
    """Of the same session, from before it by `up`, from before what came in it, or from an earlier session."""
    await world.join()
    first = world.door.nonce

    async def heard(**members):
        await world.door.state(**members)
        await world.door.send_batch(1)
        await world.door.next_ack()

    for number in range(3):
        world.door.record(record.GRANTED)
        world.now += ahead_s
        world.door.up += ahead_s
        await world.door.send_batch(number + 1)
        await world.door.next_ack()
        await heard(head=number, up=world.door.up - ahead_s)  # said before the record, came behind it
    await heard()
    await heard(head=1, up=10)
    world.door.nonce, world.door.up = bytes(16), 0
    world.now += 5
    world.door.record(record.GRANTED)
    await world.door.send_batch(4)
    await world.door.next_ack()
    await heard(head=3)  # the first one of its session, overtaken by a batch
    world.now += 3600
    await heard(head=2, nonce=first.hex(), up=10 + 3 * ahead_s)
    await heard(up=3600)
    assert world.store.findings() == []
    assert world.upstream.sessions[DOOR].nonce == bytes(16)
    # A journal that is really cut short is told, in the same session as well.
    await world.door.state(head=3, up=3601)
    await world.found("truncated")


@pytest.mark.parametrize(
    "value", [10**400, float("inf"), float("nan"), -1, 1 << 30], ids=["huge", "inf", "nan", "-1", "2^30"]
)
@pytest.mark.parametrize("member", ["up", "head", "acked", "oldest", "revision"])
async def test_a_number_that_no_door_has_stops_nothing(world, member, value):
    await world.door.connect()
    await world.door.state(**({"list": ["00" * 4, value]} if member == "revision" else {member: value}))
    await world.found("refused message")
    await world.door.state()
    await world.door.next_command()


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


async def test_a_kept_state_of_a_door_whose_clock_is_ahead_of_ours_brings_nothing_down(world):
    """It is a day ahead, and connected before this upstream was: orders still reach it."""
    await world.upstream.stop()
    await world.door.connect()
    world.door.trust, world.door.time = "synchronised", NOW - UNIX_2020 + 86400
    await world.door.state()
    await world.upstream.start()
    command, result = await world.door.next_command()
    assert (command.operation, result) == (messages.OP_SET_TIME, messages.DONE)
    order = await world.upstream.lock_down(DOOR, True, operator=7)
    assert await order.wait(WAIT_S) == messages.DONE


async def test_a_fault_of_ours_in_one_message_costs_that_message_only(world, monkeypatch):
    def broken(*_arguments):
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "set_state", broken)
        await world.door.connect()
        await world.door.state()
        await asyncio.sleep(0.3)
    assert not world.store.door(DOOR)
    await world.door.state()
    await world.until(lambda: world.store.door(DOOR))
    assert world.store.door(DOOR)[1]["online"] == 1
