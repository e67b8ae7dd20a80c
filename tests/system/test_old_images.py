"""An old flash image under a newer office, and a newer door under an old database: told, and nothing goes back."""

import shutil

import pytest

from menwei.play import Player
from menwei.scenario import parse_text
from menwei.stage import DOOR, Stage
from menwei.store import Store
from storage import record

_REASON = 15  # above it the reservations of a grant, which depend on what the door knows of the time
SCENARIO = parse_text("# Images\nstart 2026-03-02 07:00\ncard anna 04A1B2C3\ncard bob 04B1B2C4\nsettle")
ANNA, BOB = SCENARIO.cards["anna"], SCENARIO.cards["bob"]


class Scene:
    """A door with everything around it, and words for what is done to it."""

    def __init__(self, folder):
        self.stage = Stage(folder, seed=11, start_unix=int(SCENARIO.start.timestamp()))
        self.player = Player(SCENARIO, self.stage)
        self.image = folder / "flash.old"

    async def tap(self, card):
        await self.stage.door.card(card.uid)
        await self.stage.pass_time(10)

    async def settle(self, seconds=30):
        """Let the link do what it has to do; not too fast, for the network is real."""
        for _ in range(seconds):
            await self.stage.pass_time(1, pace=10)

    async def swap(self, back):
        """Power off; keep a copy of the flash, or put it back."""
        await self.stage.door.cut()
        if back:
            shutil.copy(self.image, self.stage.door.flash)
        else:
            shutil.copy(self.stage.door.flash, self.image)
        await self.stage.power_back(60)

    def findings(self):
        # On a slow machine virtual time runs ahead of the network, and the door refuses an old time.
        return [kind for _, kind, _ in self.stage.store.findings(DOOR) if kind != "no time"]

    def revision(self):
        return self.stage.upstream.sessions[DOOR].revision


@pytest.fixture
async def scene(tmp_path):
    """A door in service with two cards, all of it settled."""
    scene = Scene(tmp_path)
    try:
        await scene.stage.start()
        scene.player.prepare()
        await scene.player.do(SCENARIO.steps[-1])
        yield scene
    finally:
        await scene.stage.stop()


def refused(events):
    return [(event.kind, event.reason & _REASON) for event in events if event.kind in (record.GRANTED, record.REFUSED)]


async def test_an_old_image_is_told_and_revives_no_card(scene):
    stage = scene.stage
    await scene.tap(ANNA)
    await scene.settle()
    await scene.swap(back=False)
    # What the copy does not know: bob is cancelled, and half a day of events.
    await scene.settle()
    stage.cancel(BOB)
    await scene.settle()
    for card in (ANNA, BOB, ANNA):
        await scene.tap(card)
    await scene.settle()
    stored = stage.stored()
    assert refused(stored)[-3:] == [(record.GRANTED, 0), (record.REFUSED, record.CANCELLED), (record.GRANTED, 0)]
    assert scene.findings() == []
    revision = stage.store.revision(DOOR)

    # The old image comes back, without a link at first: bob is let in, and the record says so.
    await stage.network(False)
    await scene.swap(back=True)
    await scene.tap(BOB)
    before = stage.stored()
    assert before == stored
    await stage.network(True)
    await scene.settle(60)
    assert scene.revision() == revision
    await scene.tap(BOB)
    await scene.settle(60)

    # Told, once for each thing.
    assert sorted(set(scene.findings())) == ["fork", "truncated"]
    assert len(scene.findings()) == 2
    # Nothing of what upstream had is another.
    assert stage.stored() == stored
    assert stage.store.revision(DOOR) == revision
    # What the restored board says is kept apart, whole: bob was let in once, and cancelled again after.
    assert refused(stage.store.apart(DOOR)) == [(record.GRANTED, 0), (record.REFUSED, record.CANCELLED)]
    written = {entry.seq: entry.raw for entry in stage.journal().records}
    kept = {event.seq: event.raw for event in stage.store.apart(DOOR)}
    assert {seq for seq in written if seq >= min(kept)} == set(kept)
    assert all(written[seq] == raw for seq, raw in kept.items())


async def test_an_old_database_under_a_newer_door(scene):
    stage = scene.stage
    await scene.tap(ANNA)
    await scene.settle()
    # The database is copied; later the copy is what is left of it.
    old = stage.folder / "old.db"
    with_all = stage.stored()
    stage.store._db.execute("VACUUM INTO ?", (str(old),))
    stage.cancel(BOB)
    await scene.settle()
    await scene.tap(BOB)
    await scene.settle()
    head = stage.stored()[-1].seq
    revision = stage.store.revision(DOOR)
    await stage.network(False)
    await scene.tap(ANNA)  # not uploaded yet
    await scene.settle(5)

    await stage.upstream.stop()
    stage.store.close()
    for name in ("", "-wal", "-shm"):
        stage.database.with_name(stage.database.name + name).unlink(missing_ok=True)
    shutil.copy(old, stage.database)
    stage.store = stage.upstream.store = Store(stage.database)
    stage.upstream._ingest._store = stage.store
    stage.upstream.sessions.clear()
    await stage.upstream.start()
    assert stage.stored() == with_all
    await stage.network(True)
    await scene.settle(120)

    # Acknowledged records that are not here any more are a gap, the others came; the list goes on from the door's.
    assert set(scene.findings()) == {"gap", "list"}
    text = next(text for _, kind, text in stage.store.findings(DOOR) if kind == "gap")
    assert f"the records {with_all[-1].seq + 1} to " in text
    assert stage.stored()[-1].seq > head
    missing = set(range(1, stage.stored()[-1].seq + 1)) - {event.seq for event in stage.stored()}
    assert missing == set(range(with_all[-1].seq + 1, head + 1))
    assert scene.revision() == revision
    # What the door does not forget, a change of the office does not undo either: it comes after.
    stage.cancel(ANNA)
    await scene.settle(30)
    assert scene.revision() == revision + 1
    await scene.tap(ANNA)
    await scene.tap(BOB)
    await scene.settle(30)
    assert refused(stage.stored())[-2:] == [(record.REFUSED, record.CANCELLED)] * 2
