"""`menwei listen`: shows, stores and acknowledges what a door reports."""

import asyncio
import io

import pytest
from fake_door import FakeDoor
from rich.console import Console

from menwei.broker import EmbeddedBroker
from menwei.keyfile import KeyFile
from menwei.listen import listen
from menwei.store import Store
from storage import record

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
