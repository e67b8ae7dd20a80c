"""A whole door under orders: unlocked for a while, in maintenance, restarted, collected from; and alarms in a hurry."""

import pytest

from menwei.play import Player
from menwei.scenario import parse_text
from menwei.simdoor import PowerLost
from menwei.stage import DOOR, Stage
from storage import record
from sync import messages

SCENARIO = parse_text("# Orders\nstart 2026-11-30 07:00\ncard anna 04A1B2C3\nsettle")
ANNA = SCENARIO.cards["anna"]
PACE = 10


class Scene:
    """A door, its upstream, and words for what is done."""

    def __init__(self, folder):
        self.early = []  # (event, how many events were stored by then)
        self.stage = Stage(folder, seed=6, start_unix=int(SCENARIO.start.timestamp()), on_early=self._early)
        self.player = Player(SCENARIO, self.stage)
        self.door = self.stage.door

    def _early(self, event):
        self.early.append((event, len(self.stage.stored())))

    async def order(self, operation, argument=0, approver=0, wait_s=30):
        """Upstream orders; return the result."""
        command = await self.stage.upstream.order(DOOR, operation, argument, operator=7, approver=approver)
        for _ in range(wait_s):
            await self.stage.pass_time(1, pace=PACE)
            if command.result is not None:
                break
        return command.result

    async def until(self, condition, limit_s=120):
        """Let time pass until something is so."""
        for _ in range(limit_s):
            if condition():
                return
            await self.stage.pass_time(1, pace=PACE)
        raise AssertionError("it did not come about")

    def modes(self):
        """Numbers of the mode records in the flash."""
        return [entry.reason for entry in self.stage.journal().records if entry.kind == record.MODE]

    async def lock(self):
        """What the mechanics show of the bolt."""
        return (await self.door.state())["relay"]


@pytest.fixture
async def scene(tmp_path):
    """A door in service and settled."""
    scene = Scene(tmp_path)
    try:
        await scene.stage.start()
        scene.player.prepare()
        await scene.player.do(SCENARIO.steps[-1])
        await scene.until(lambda: DOOR in scene.stage.upstream.sessions)
        yield scene
    except PowerLost:
        pytest.fail(f"the door went down:\n{scene.door.tail()}")
    finally:
        await scene.stage.stop()


async def test_unlocked_for_thirty_seconds(scene):
    """Anybody passes, nobody is alarmed at, and then it is locked by itself."""
    assert await scene.order(messages.OP_UNLOCK, 30, approver=8) == messages.DONE
    assert await scene.lock()
    assert (await scene.door.ask("pull"))["opened"]
    await scene.stage.pass_time(5)
    await scene.door.ask("let", "go")
    await scene.stage.pass_time(10)
    assert await scene.lock()
    await scene.stage.pass_time(20)
    assert not await scene.lock()
    assert scene.modes() == [record.MODE_UNLOCKED, record.MODE_UNLOCK_ENDED]
    opened = [entry.reason for entry in scene.stage.journal().records if entry.kind == record.OPENED]
    assert opened == [record.CAUSE_REMOTE]


async def test_maintenance_is_told_and_ends(scene):
    """The state says so, the records too."""
    assert await scene.order(messages.OP_MAINTENANCE, 60) == messages.DONE
    await scene.until(lambda: scene.stage.store.door(DOOR)[1]["maintenance"] is True)
    await scene.stage.pass_time(70)
    await scene.until(lambda: scene.stage.store.door(DOOR)[1]["maintenance"] is False)
    assert scene.modes() == [record.MODE_MAINTENANCE, record.MODE_MAINTENANCE_ENDED]


async def test_a_restart_is_answered_and_ends_what_lasts(scene):
    """The answer comes first; a restart while the lock is released is refused."""
    assert await scene.order(messages.OP_UNLOCK, 300, approver=8) == messages.DONE
    assert await scene.order(messages.OP_RESTART) == messages.REFUSED_BY_DOOR
    assert await scene.order(messages.OP_UNLOCK, 0, approver=8) == messages.DONE
    await scene.stage.pass_time(20)
    assert await scene.order(messages.OP_MAINTENANCE, 3600) == messages.DONE
    boots = [entry for entry in scene.stage.journal().records if entry.kind == record.BOOT]
    assert await scene.order(messages.OP_RESTART) == messages.DONE
    with pytest.raises(PowerLost):
        await scene.stage.pass_time(70)
    assert await scene.stage.revive()
    await scene.stage.pass_time(5)
    after = [entry for entry in scene.stage.journal().records if entry.kind == record.BOOT]
    assert len(after) == len(boots) + 1
    commands = [entry.reason for entry in scene.stage.journal().records if entry.kind == record.COMMAND]
    assert commands[-1] == messages.OP_RESTART
    await scene.until(lambda: scene.stage.store.door(DOOR)[1].get("maintenance") is False)


async def test_what_upstream_lost_is_collected(scene):
    """An old database under a newer door: the gap is filled."""
    for _ in range(3):
        await scene.door.card(ANNA.uid)
        await scene.stage.pass_time(8, pace=PACE)
    await scene.until(lambda: len(scene.stage.stored()) >= scene.stage.journal().records[-1].seq)
    events = scene.stage.stored()
    scene.stage.store.database.execute("DELETE FROM events WHERE seq BETWEEN 3 AND 6")
    assert len(scene.stage.stored()) == len(events) - 4
    assert await scene.order(messages.OP_COLLECT, 3) == messages.DONE
    await scene.until(lambda: len(scene.stage.stored()) >= len(events))
    assert {event.seq for event in events} <= {event.seq for event in scene.stage.stored()}
    assert scene.stage.store.apart() == []
    assert scene.stage.store.findings() == []


async def test_an_alarm_overtakes_the_backlog_of_an_outage(scene):
    """It is shown before what came before it, and the record stays in order."""
    await scene.stage.network(False)
    for _ in range(45):
        await scene.door.ask("exit", 1)
        await scene.stage.pass_time(0.3)
        await scene.door.ask("exit", 0)
        await scene.stage.pass_time(7)
    await scene.door.ask("tamper", 1)
    await scene.stage.pass_time(1)
    waiting = scene.stage.journal().records[-1].seq
    stored = len(scene.stage.stored())
    assert waiting - stored > 64
    await scene.stage.network(True)
    await scene.until(lambda: len(scene.stage.stored()) >= waiting, 300)
    event, by_then = scene.early[-1]
    assert (event.kind, event.reason) == (record.ALARM, record.ALARM_TAMPER)
    assert by_then < event.seq - 32
    numbers = [event.seq for event in scene.stage.stored()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert scene.stage.store.findings() == []


async def test_refusals(scene):
    """Each is answered with its reason, and nothing is done."""
    for operation, argument, approver, result in (
        (messages.OP_UNLOCK, 30, 0, messages.NOT_APPROVED),
        (messages.OP_PROP, 30, 0, messages.NOT_APPROVED),
        (messages.OP_APPLY, 1, 0, messages.NOT_APPROVED),
        (messages.OP_DROP_DOOR_KEY, 0, 0, messages.NOT_APPROVED),
        (messages.OP_UNLOCK, 3601, 8, messages.REFUSED_BY_DOOR),
        (messages.OP_MAINTENANCE, 28_801, 0, messages.REFUSED_BY_DOOR),
        (messages.OP_COLLECT, 1 << 29, 0, messages.REFUSED_BY_DOOR),
        (99, 0, 0, messages.UNKNOWN_OPERATION),
    ):
        await scene.stage.pass_time(10)
        assert await scene.order(operation, argument, approver) == result, operation
    assert scene.modes() == []
    upstream = scene.stage.upstream
    await scene.stage.pass_time(60)
    commands = [await upstream.mute(DOOR, 1, operator=7) for _ in range(9)]
    await scene.until(lambda: all(command.result is not None for command in commands))
    assert [command.result for command in commands] == [messages.DONE] * 8 + [messages.BUSY]
