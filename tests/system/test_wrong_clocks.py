"""Whole doors whose clock goes wrong: who gets in meanwhile, and how it is put right."""

from datetime import UTC, datetime

import pytest

from menwei.epoch import UNIX_2020
from menwei.scenario import Card
from menwei.stage import DOOR, Stage
from storage import record
from sync import messages

START = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
TEN_YEARS_S = 3650 * 86_400
RESIDENT = Card("resident", "04112233445566", True, None, datetime(2027, 12, 1, tzinfo=UTC))
ENDED = Card("ended", "04AABBCCDDEEFF", True, None, datetime(2026, 11, 20, tzinfo=UTC))
VISITOR = Card("visitor", "04010203040506", True, START, datetime(2026, 12, 5, tzinfo=UTC), 5)


class Scene:
    """A stage with a resident, one whose card has ended, and a visitor."""

    def __init__(self, folder, **settings):
        self.stage = Stage(folder, seed=23, start_unix=int(START.timestamp()), settings=settings)
        self.ahead_s = 0

    async def start(self):
        stage = self.stage
        await stage.start()
        exact_now = stage.upstream._clock

        async def clock():
            return await exact_now() + self.ahead_s

        stage.upstream._clock = clock
        for card in (RESIDENT, ENDED, VISITOR):
            stage.put(card)
        return self

    async def reconnect(self):
        """A new session, in which upstream gives its time again."""
        before = self.state()["nonce"]
        await self.stage.network(False)
        await self.stage.pass_time(120)
        await self.stage.network(True)
        for _ in range(20):
            await self.stage.pass_time(60)
            if self.state().get("nonce", before) != before:
                break
        await self.stage.pass_time(60)

    async def synchronised(self):
        """Wait until this start of the door has the time and has said so."""
        for _ in range(30):
            await self.stage.pass_time(60)
            state = self.state()
            if state.get("clock") == "synchronised" and state["boot"] == self.stage.journal().records[-1].boot:
                return True
        return False

    async def shown(self, card):
        """Whether the lock is released."""
        await self.stage.door.card(card.uid, 0.6)
        await self.stage.pass_time(0.45)
        released = (await self.stage.door.state())["relay"]
        await self.stage.pass_time(15)
        return bool(released)

    async def all_shown(self):
        """Resident, ended, visitor."""
        return [await self.shown(card) for card in (RESIDENT, ENDED, VISITOR)]

    def state(self):
        """What the door last told of itself."""
        return self.stage.store.door(DOOR)[1]

    def ahead(self):
        """How far the door's clock was ahead of the world, at the last state."""
        return self.state()["t"] + UNIX_2020 - self.stage.door.unix

    def said(self, *kinds):
        return [(item.kind, item.reason) for item in self.stage.journal().records if item.kind in kinds]

    def alarms(self, number):
        """How often an alarm began, and how often it ended."""
        said = self.said(record.ALARM, record.ALARM_ENDED)
        return said.count((record.ALARM, number)), said.count((record.ALARM_ENDED, number))


@pytest.fixture
async def scene(tmp_path):
    """Make scenes."""
    scenes = []

    async def make(**settings):
        scenes.append(Scene(tmp_path / f"run{len(scenes)}", **settings))
        return await scenes[-1].start()

    yield make
    for made in scenes:
        await made.stage.stop()


async def test_ten_years_ahead_and_corrected(scene):
    """No message brings it about, two persons correct it for good, and no ended card opens at any time."""
    scene = await scene()
    stage = scene.stage
    assert await scene.synchronised()
    assert await scene.all_shown() == [True, False, True]
    # Upstream goes ten years ahead. The door doubts it, says so, and goes on by its own time, for as long as it lasts.
    scene.ahead_s = TEN_YEARS_S
    await scene.reconnect()
    assert record.ALARM_CLOCK_DOUBTED in scene.state()["alarms"]
    assert await scene.all_shown() == [True, False, True]
    await stage.pass_time(1800)
    await scene.reconnect()
    assert await scene.all_shown() == [True, False, True]
    assert scene.alarms(record.ALARM_CLOCK_DOUBTED) == (1, 0)
    # Two persons believe upstream: now every card with an end has ended.
    wrong = await stage.upstream.lower_clock(DOOR, operator=7, approver=8, reason=1)
    await stage.pass_time(5)
    assert wrong.result == messages.DONE
    assert scene.alarms(record.ALARM_CLOCK_DOUBTED) == (1, 1)
    assert await scene.all_shown() == [False, False, False]
    # Upstream is right again, but a message cannot turn the clock back, and a power cut does not either.
    scene.ahead_s = 0
    await stage.door.cut()
    await stage.power_back(60)
    await stage.pass_time(120)
    assert scene.ahead() > TEN_YEARS_S - 3600
    assert await scene.all_shown() == [False, False, False]
    one = await stage.upstream.lower_clock(DOOR, operator=7, approver=0, reason=3)
    await stage.pass_time(5)
    assert one.result == messages.NOT_APPROVED
    two = await stage.upstream.lower_clock(DOOR, operator=7, approver=8, reason=3)
    await stage.pass_time(5)
    assert two.result == messages.DONE
    assert await scene.all_shown() == [True, False, True]
    # The records of the wrong years do not raise the floor again.
    await stage.door.cut()
    await stage.network(False)
    await stage.power_back(60)
    await stage.pass_time(30)
    assert await scene.all_shown() == [True, False, False]  # a visitor needs the time
    await stage.network(True)
    assert await scene.synchronised() and abs(scene.ahead()) < 200
    assert await scene.all_shown() == [True, False, True]
    lowered = [reason for _, reason in scene.said(record.CLOCK) if reason & record.LOWERED]
    assert len(lowered) == 1


async def test_the_clock_chip_survives_the_power_cut(scene):
    """A visitor gets in after a power cut without a network, but not after the end, nor with a spent battery."""
    scene = await scene(rtc="ds3231")
    stage = scene.stage
    await stage.door.ask("rtc", "fit")
    assert await scene.synchronised()
    await stage.door.ask("rtc", "ppm", "2")
    assert await scene.all_shown() == [True, False, True]
    await stage.network(False)
    await stage.door.cut()
    await stage.power_back(3600)
    await stage.pass_time(30)
    assert await scene.all_shown() == [True, False, True]
    await stage.door.cut()
    await stage.power_back(5 * 86_400)
    await stage.pass_time(30)
    assert await scene.all_shown() == [True, False, False]
    trusts = {item.trust for item in stage.journal().records[-4:]}
    assert trusts == {record.HELD}
    await stage.door.ask("rtc", "battery", "0")
    await stage.door.cut()
    await stage.power_back(3600)
    await stage.pass_time(700)
    assert stage.journal().records[-1].trust == record.FLOOR
    assert scene.alarms(record.ALARM_CLOCK_LOST) == (1, 0)
    assert await scene.all_shown() == [True, False, False]
    await stage.network(True)
    assert await scene.synchronised()
    assert scene.alarms(record.ALARM_CLOCK_LOST) == (1, 1)
