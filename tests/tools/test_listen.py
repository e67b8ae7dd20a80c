"""`menwei listen`: shows, stores and acknowledges what a door reports."""

import asyncio
import io

import pytest
from fake_door import FakeDoor
from rich.console import Console

from menwei.broker import EmbeddedBroker
from menwei.cardregister import Register
from menwei.keyfile import KeyFile
from menwei.listen import listen
from menwei.store import Store
from storage import record
from storage.mac import Hmac, derive

DOOR_KEY, JOURNAL_KEY, EPOCH = bytes(range(32)), bytes(range(16)), b"\x01\x02\x03\x04"


@pytest.fixture
def key_path(tmp_path):
    keys = KeyFile("garden")
    keys.add("front-gate", DOOR_KEY, {EPOCH: JOURNAL_KEY})
    keys.save(tmp_path / "keys.json")
    return tmp_path / "keys.json"


@pytest.mark.parametrize("terminal", [False, True])
async def test_events_are_shown_stored_and_acknowledged(tmp_path, key_path, terminal):
    out = io.StringIO()
    console = Console(file=out, width=140, force_terminal=terminal)
    stop = asyncio.Event()
    async with EmbeddedBroker() as broker:
        work = asyncio.create_task(listen(broker.url, tmp_path / "events.db", key_path, console, stop))
        while "listening" not in out.getvalue():
            assert not work.done(), work.result()
            await asyncio.sleep(0.01)
        door = FakeDoor(broker.port, "garden", "front-gate", DOOR_KEY, EPOCH, JOURNAL_KEY)
        await door.connect()
        door.record(record.GRANTED, pseudonym=b"abcdefg", time=200_000_000)
        door.record(record.ALARM, reason=record.ALARM_FORCED, time=200_000_001)
        await door.send_batch(1)
        assert (await door.next_ack())[1] == 2
        twin = FakeDoor(broker.port, "garden", "front-gate", DOOR_KEY, EPOCH, JOURNAL_KEY)
        twin.record(record.REFUSED, reason=record.UNKNOWN)
        await door.publish("event", twin.batch(1))
        await door.next_ack()
        await asyncio.sleep(0.1)
        await door.disconnect()
        stop.set()
        await work
    assert b"abcdefg".hex() in out.getvalue()
    assert "2026-05-03 19:33:20" in out.getvalue()
    assert "front-gate: fork: epoch 01020304, record 1: another right record" in out.getvalue()
    assert "kept apart: " in out.getvalue()
    store = Store(tmp_path / "events.db")
    assert [event.kind for event in store.events("front-gate")] == [record.GRANTED, record.ALARM]
    store.close()


async def test_a_key_file_that_others_can_read_is_refused(tmp_path, key_path):
    key_path.chmod(0o644)
    with pytest.raises(PermissionError):
        await listen("mqtt://127.0.0.1:1", tmp_path / "events.db", key_path, Console(file=io.StringIO()))


async def test_a_copied_card_is_named_across_doors_with_the_register(tmp_path, key_path):
    keys = KeyFile.load(key_path)
    keys.add("yard", bytes(range(1, 33)), {EPOCH: JOURNAL_KEY})
    keys.save(key_path)
    uid = bytes.fromhex("9c599b32")
    with Register(tmp_path / "cards.db") as register:
        register.begin("classic", uid, "garden", 1)
        register.done("classic", uid, 1, 5)
    out = io.StringIO()
    stop = asyncio.Event()
    async with EmbeddedBroker() as broker:
        files = tmp_path / "events.db", key_path
        work = asyncio.create_task(
            listen(broker.url, *files, Console(file=out, width=200), stop, tmp_path / "cards.db")
        )
        while "listening" not in out.getvalue():
            assert not work.done(), work.result()
            await asyncio.sleep(0.01)
        for name, door_key in (("front-gate", DOOR_KEY), ("yard", bytes(range(1, 33)))):
            door = FakeDoor(broker.port, "garden", name, door_key, EPOCH, JOURNAL_KEY)
            await door.connect()
            mac = Hmac(derive(door_key, b"pseudonym"))
            mac.update(b"\x02" + uid)
            detail = record.evidence(0, record.KIND_CLASSIC, 1, True, 6)
            door.record(record.GRANTED, pseudonym=mac.digest()[:7], time=200_000_000, detail=detail)
            await door.send_batch(1)
            await door.next_ack()
            await door.disconnect()
        await asyncio.sleep(0.1)
        stop.set()
        await work
    assert "yard: copy: a copy of card classic 9c599b32 is in use: its counter reached 6 twice" in out.getvalue()
    assert "classic, key version 1, counter 6" in out.getvalue()


async def test_a_register_that_is_not_there_is_named(tmp_path, key_path):
    with pytest.raises(ValueError, match="name the card office's register"):
        await listen(
            "mqtt://127.0.0.1:1", tmp_path / "e.db", key_path, Console(file=io.StringIO()), None, tmp_path / "none.db"
        )
    assert not (tmp_path / "none.db").exists()
