"""A whole door that watches itself: props, wires, bolt, and a fire that outlives a power cut."""

import json
import runpy

import pytest

from menwei.build import ROOT
from menwei.play import Player
from menwei.scenario import parse_text
from menwei.simdoor import PowerLost
from menwei.stage import DOOR, Stage
from storage import record
from sync import messages

SCENARIO = parse_text("# Supervision\nstart 2026-11-30 07:00\ncard anna 04A1B2C3\nsettle")
ANNA = SCENARIO.cards["anna"]
FITTED = ["leaf", "exit", "fire", "key", "intercom", "tamper", "bolt", "handle"]
SETTINGS = {"contacts": FITTED, "supervised": ["leaf", "exit", "fire"], "held_warn_s": 30, "held_alarm_s": 60}
ALARM, ENDED, MODE = record.ALARM, record.ALARM_ENDED, record.MODE
WARNING, HELD, FAULT = record.ALARM_HELD_WARNING, record.ALARM_HELD_OPEN, record.ALARM_SENSOR_FAULT


class Scene:
    """A door with everything around it, and words for what is done to it."""

    def __init__(self, folder):
        self.stage = Stage(folder, seed=5, start_unix=int(SCENARIO.start.timestamp()), settings=SETTINGS)
        self.player = Player(SCENARIO, self.stage)
        self.seen = 0

    async def do(self, *words):
        """A verb of docs/simulator.md, and a second for the firmware to notice."""
        answer = await self.stage.door.ask(*words)
        await self.stage.pass_time(1)
        return answer

    async def enter(self):
        """Anna's card, and the leaf is open."""
        await self.stage.door.card(ANNA.uid)
        await self.stage.pass_time(1)
        assert (await self.do("pull"))["opened"]

    async def order(self, operation, argument=0, approver=0):
        """Upstream orders; return the result."""
        command = await self.stage.upstream.order(DOOR, operation, argument, operator=7, approver=approver)
        for _ in range(30):
            await self.stage.pass_time(1, pace=10)
            if command.result is not None:
                break
        return command.result

    def news(self):
        """(kind, reason) of the alarms and modes that the journal got since the last question."""
        entries = self.stage.journal().records
        new, self.seen = entries[self.seen :], len(entries)
        return [(entry.kind, entry.reason) for entry in new if entry.kind in (ALARM, ENDED, MODE)]

    def contacts(self):
        """Numbers of the contacts that a sensor fault was raised for."""
        entries = self.stage.journal().records
        return [r.detail for r in entries if (r.kind, r.reason) == (ALARM, record.ALARM_SENSOR_FAULT)]

    async def door(self, name):
        """What the mechanics show."""
        return (await self.stage.door.state())[name]


@pytest.fixture
async def scene(tmp_path):
    """A door in service, with resistors at the end of three lines, all of it settled."""
    scene = Scene(tmp_path)
    try:
        # The installer fits the resistors before the door has power for the first time.
        await scene.stage.start()
        for contact in ("door_contact", "exit", "fire"):
            await scene.stage.door.ask("eol", contact, 1)
        await scene.stage.pass_time(2)
        scene.player.prepare()
        await scene.player.do(SCENARIO.steps[-1])
        await scene.do("key", 1)  # the lines were cut until the resistors were in: a fire line at fault is fire
        await scene.do("key", 0)
        await scene.stage.pass_time(10)
        assert await scene.door("relay") == 0
        scene.news()
        yield scene
    finally:
        await scene.stage.stop()


async def test_a_moving_day(scene):
    await scene.enter()
    await scene.do("hold", 1)
    assert await scene.order(messages.OP_PROP, 600) == messages.NOT_APPROVED
    assert await scene.order(messages.OP_PROP, 100_000, approver=8) == messages.REFUSED_BY_DOOR
    await scene.stage.pass_time(70)
    assert scene.news() == [(ALARM, WARNING), (ENDED, WARNING), (ALARM, HELD)]
    assert await scene.order(messages.OP_PROP, 600, approver=8) == messages.DONE
    assert scene.news() == [(ENDED, HELD), (MODE, record.MODE_PROPPED)]
    await scene.stage.pass_time(560)
    assert scene.news() == []
    await scene.stage.pass_time(60)
    assert scene.news() == [(MODE, record.MODE_PROP_ENDED)]
    await scene.stage.pass_time(60)
    assert scene.news() == [(ALARM, WARNING), (ENDED, WARNING), (ALARM, HELD)]
    await scene.do("hold", 0)
    await scene.stage.pass_time(10)
    assert scene.news() == [(ENDED, HELD)]
    assert await scene.door("leaf") == "closed"


async def test_wires_are_cut_and_shorted(scene):
    await scene.do("wire", "door_contact", "cut")
    assert scene.news() == [(ALARM, FAULT)]
    await scene.do("force")
    await scene.stage.pass_time(20)
    assert scene.news() == []  # nobody knows where the leaf is: nothing was forced
    await scene.do("wire", "exit", "short")
    assert await scene.door("bolt") == "thrown"  # a short is no press
    await scene.do("exit", 1)
    assert await scene.door("bolt") == "withdrawn"  # the way out has wires of its own
    await scene.do("exit", 0)
    await scene.stage.pass_time(5)
    await scene.do("wire", "exit", "ok")
    await scene.do("wire", "door_contact", "ok")
    assert scene.news()[-1] == (ENDED, FAULT)
    assert scene.contacts()[-2:] == [1, 2]
    await scene.do("wire", "fire", "short")
    assert await scene.door("relay") == 1
    assert set(scene.news()) == {(ALARM, FAULT), (ALARM, record.ALARM_FIRE)}
    await scene.do("key", 1)
    await scene.do("key", 0)
    await scene.stage.pass_time(10)
    assert await scene.door("relay") == 1
    await scene.do("wire", "fire", "ok")
    await scene.do("key", 1)
    await scene.do("key", 0)
    await scene.stage.pass_time(10)
    assert await scene.door("relay") == 0


async def test_fire_outlives_a_power_cut_and_is_reset_at_the_door_only(scene):
    await scene.do("fire", 1)
    assert await scene.door("relay") == 1
    assert scene.news() == [(ALARM, record.ALARM_FIRE)]
    board = runpy.run_path(str(ROOT / "boards" / "esp32_wroom_4mb" / "board.py"))
    await scene.do("fire", 0)
    assert await scene.door("relay") == 1
    await scene.stage.door.cut()
    await scene.stage.power_back(60)
    # Released before the start writes its first record: power goes again just then.
    await scene.stage.door.ask("cutat", 1, "none")
    with pytest.raises(PowerLost):
        await scene.stage.pass_time(5)
    await scene.stage.door.ended()
    assert [board["PIN_RELAY"], 1] in json.loads(scene.stage.door.world.read_text())["outs"]
    await scene.stage.power_back(60)
    await scene.stage.pass_time(0.6)  # 0.3 s until the firmware begins
    assert await scene.door("relay") == 1
    await scene.stage.pass_time(30)
    await scene.player.do(SCENARIO.steps[-1])
    assert scene.news() == [(ALARM, record.ALARM_FIRE)]
    assert await scene.order(messages.OP_UNLOCK, approver=8) == messages.DONE
    assert await scene.order(messages.OP_PROP, 0, approver=8) == messages.DONE
    assert await scene.order(messages.OP_MUTE, 600) == messages.DONE
    assert await scene.order(messages.OP_ASK_RESET) == messages.DONE
    await scene.stage.pass_time(30)
    assert scene.news() == [(MODE, record.MODE_MUTED), (MODE, record.MODE_RESET_ASKED)]
    assert await scene.door("relay") == 1
    await scene.do("key", 1)
    await scene.do("key", 0)
    assert (ENDED, record.ALARM_FIRE) in scene.news()
    await scene.stage.pass_time(10)
    assert await scene.door("relay") == 0
    assert await scene.order(messages.OP_ASK_RESET) == messages.REFUSED_BY_DOOR
    await scene.stage.door.cut()
    await scene.stage.power_back(60)
    await scene.stage.pass_time(5)
    assert await scene.door("relay") == 0


async def test_a_bolt_that_jams_and_a_leaf_that_finds_no_latch(scene):
    await scene.do("stuck", 1)
    await scene.stage.door.card(ANNA.uid)
    await scene.stage.pass_time(4)
    assert scene.news() == [(ALARM, record.ALARM_LOCK_FAULT)]
    await scene.do("stuck", 0)
    assert scene.news() == [(ENDED, record.ALARM_LOCK_FAULT)]
    await scene.stage.pass_time(10)
    await scene.do("ajar", 1)
    await scene.enter()
    await scene.stage.pass_time(60)
    assert (ALARM, record.ALARM_AJAR) in scene.news()
    await scene.do("ajar", 0)
    await scene.do("push")
    await scene.stage.pass_time(10)
    assert scene.news()[-1] == (ENDED, record.ALARM_AJAR)


async def test_the_inside_handle_is_a_cause(scene):
    await scene.do("handle", 1)
    assert (await scene.do("pull"))["opened"]
    await scene.do("handle", 0)
    await scene.stage.pass_time(15)
    opened = [r.reason for r in scene.stage.journal().records if r.kind == record.OPENED]
    assert opened == [record.CAUSE_HANDLE]
    assert scene.news() == []
