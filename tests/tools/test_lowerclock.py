"""A door whose clock is wrong, as upstream sees it: a time that is doubted, and one that two persons set back."""

import asyncio

import pytest
from typer.testing import CliRunner
from upstream_world import DOOR, NOW, WAIT_S

from menwei.cli import app
from menwei.epoch import UNIX_2020
from menwei.lowerclock import lower_at_door
from menwei.store import Store
from storage import record
from sync import messages
from sync.upstream import pack_change


async def test_a_doubted_time_is_sent_again_after_ten_minutes_and_the_list_at_once(world):
    world.upstream.change(DOOR, pack_change(messages.PUT, bytes(7)))
    world.door.refuse_time, world.door.refusal = 1, messages.DOUBTED
    await world.door.connect()
    await world.door.state()
    assert (await world.door.next_command())[1] == messages.DOUBTED
    assert (await world.door.next_delta()).to_revision == 1  # a cancellation must not wait for the time
    await world.found("clock doubted")
    world.now += 599
    await world.door.state(alarms=[record.ALARM_CLOCK_DOUBTED])
    await asyncio.sleep(0.2)
    assert world.door.commands.empty()
    world.now += 2
    await world.door.state(alarms=[record.ALARM_CLOCK_DOUBTED])
    command, result = await world.door.next_command()
    assert (command.argument, result) == (NOW + 601 - UNIX_2020, messages.DONE)


async def test_two_persons_set_it_back_to_our_time(world):
    await world.join()
    command = await world.upstream.lower_clock(DOOR, operator=7, approver=8, reason=3)
    assert await command.wait(WAIT_S) == messages.DONE
    got, _ = await world.door.next_command()
    assert (got.operation, got.argument) == (messages.OP_LOWER_CLOCK, NOW - UNIX_2020)
    assert (got.operator, got.approver, got.reason, got.approved) == (7, 8, 3, True)
    alone = await world.upstream.lower_clock(DOOR, operator=7, approver=0, reason=3)
    assert await alone.wait(WAIT_S) == messages.NOT_APPROVED


async def test_from_the_command_line(world, tmp_path):
    await world.join()
    world.keys.save(tmp_path / "keys.json")
    words = [
        "lower-clock", DOOR, "--broker", f"mqtt://127.0.0.1:{world.port}", "--keys", str(tmp_path / "keys.json"),
        "--db", str(tmp_path / "upstream.db"), "--operator", "7", "--approver",
    ]  # fmt: skip
    result = await asyncio.to_thread(CliRunner().invoke, app, [*words, "8"])
    assert (result.exit_code, result.output) == (0, f"{DOOR}: done\n")
    for approver in ("7", "0"):
        result = await asyncio.to_thread(CliRunner().invoke, app, [*words, approver])
        assert result.exit_code == 1 and "two persons" in result.output
    words[1] = "back-gate"
    result = await asyncio.to_thread(CliRunner().invoke, app, [*words, "8"])
    assert result.exit_code == 1 and "back-gate is not in the key file" in result.output


async def test_a_door_that_is_not_there_is_told(world, monkeypatch):
    monkeypatch.setattr("menwei.lowerclock._PRESENT_S", 0.2)
    store = Store(":memory:")
    said = await lower_at_door(
        f"mqtt://127.0.0.1:{world.port}", world.keys, store, DOOR, operator=7, approver=8, reason=0
    )
    assert said == "not connected, try again later"
    with pytest.raises(ValueError, match="two persons"):
        await lower_at_door("mqtt://x:1", world.keys, store, DOOR, operator=7, approver=7, reason=0)
