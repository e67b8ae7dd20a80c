"""Who holds the broker floods a whole door: it serves its cards, writes little, and hears its office afterwards."""

import asyncio
from itertools import count
from urllib.parse import urlsplit

import aiomqtt
import pytest

from menwei.play import Player
from menwei.scenario import parse_text
from menwei.stage import DOOR, SITE, Stage
from storage import record
from storage.mac import derive
from sync import messages, upstream

SCENARIO = parse_text("# Flood\nstart 2026-11-30 07:00\ncard anna 04A1B2C3\nsettle")
FLOOD_S = 8
TAPS = 3


@pytest.fixture
async def stage(tmp_path):
    """A door in real time, connected, that knows Anna."""
    made = Stage(tmp_path / "run", mode="real", seed=6, start_unix=int(SCENARIO.start.timestamp()))
    await made.start()
    player = Player(SCENARIO, made)
    player.prepare()
    for _ in range(100):
        if DOOR in made.upstream.sessions and made.store.door(DOOR)[1]["list"][1]:
            break
        await asyncio.sleep(0.2)
    yield made
    await made.stop()


def attacks(stage):
    """(leaf, payload): forged, recorded before, oversized, of another session, malformed."""
    key = stage._door_key
    nonce = bytes(16)
    body = upstream.command_body(messages.OP_UNLOCK, 1, nonce, 1, 1000, 7, 8, 0)
    approval = upstream.approval(derive(key, b"approve"), body)
    stale = upstream.build_command(derive(key, b"cmd"), body, approval)
    return (
        ("cmd", stale[:-1] + b"x"),
        ("cmd", stale),
        ("list", bytes(3000)),
        ("parcel", bytes(600)),
        ("event/ack", b"\1" * 32),
        ("cmd", b""),
    )


async def flood(stage, sent):
    where = urlsplit(stage.broker_url)
    attack = attacks(stage)
    async with aiomqtt.Client(where.hostname, where.port, identifier="attacker") as client:
        for number in count():
            leaf, payload = attack[number % len(attack)]
            await client.publish(f"menwei/v1/{SITE}/{DOOR}/{leaf}", payload, qos=number % 16 == 0)
            sent.append(leaf)
            await asyncio.sleep(0.002)


async def test_a_flood_keeps_nobody_out(stage):
    boots = [entry for entry in stage.journal().records if entry.kind == record.BOOT]
    before = stage.journal().records[-1].seq
    sent = []
    attacker = asyncio.create_task(flood(stage, sent))
    for _ in range(TAPS):
        await asyncio.sleep(FLOOD_S / TAPS)
        await stage.door.card(SCENARIO.cards["anna"].uid)
        for _ in range(20):
            await asyncio.sleep(0.1)
            if (await stage.door.state())["relay"]:
                break
        else:
            raise AssertionError("the card was not served")
    attacker.cancel()
    assert len(sent) > 200, len(sent)
    records = [entry for entry in stage.journal().records if entry.seq > before]
    kinds = [entry.kind for entry in records]
    assert kinds.count(record.GRANTED) == TAPS
    assert kinds.count(record.COMMAND) == 0 and kinds.count(record.COMMAND_REFUSED) <= 12
    assert [entry.reason for entry in records if entry.kind == record.ALARM] == [record.ALARM_INTRUSION]
    assert [entry for entry in stage.journal().records if entry.kind == record.BOOT] == boots
    # And the office is heard.
    for _ in range(100):
        if DOOR in stage.upstream.sessions:
            break
        await asyncio.sleep(0.2)
    command = await stage.upstream.order(DOOR, messages.OP_UNLOCK, 0, operator=7, approver=8)
    assert await command.wait(30) == messages.DONE
