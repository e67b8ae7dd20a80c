"""A door gets a new key over the network: its cards open all the time, cancelled ones never, whatever is killed."""

import asyncio
import os
import sys
from contextlib import suppress

import pytest

from menwei.cardregister import Register
from menwei.keyfile import KeyFile
from menwei.scenario import Card
from menwei.stage import DOOR, Stage
from menwei.upstream import Upstream
from storage import record
from storage.mac import Hmac, derive
from sync import messages
from sync.upstream import pack_change

CARDS = [Card(name, f"04A1B2C{number}", listed=True) for number, name in enumerate("ABCDX")]
LIVE, SUSPENDED, REVOKED, LATER, STRANGER = CARDS
REFUSALS = {SUSPENDED.uid: record.SUSPENDED, REVOKED.uid: record.CANCELLED, LATER.uid: record.CANCELLED}
RUN_S = 150


class Site:
    """A door in real time, an upstream as `menwei listen` is one, and `menwei rekey` in processes of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.stage = Stage(folder / "run", mode="real", seed=11, settings={"open_s": 1})
        self.register = folder / "cards.db"
        self.cancelled = {SUSPENDED.uid, REVOKED.uid}
        self.tasks = []

    async def start(self):
        await self.stage.start()
        await self.new_upstream()
        self.tasks.append(asyncio.create_task(self._revive()))

    async def _revive(self):
        while True:
            await self.stage.revive()  # what the door's own reset is on a chip
            await asyncio.sleep(0.2)

    async def new_upstream(self):
        """The one before is gone; this one has the key file and the database."""
        stage = self.stage
        await stage.upstream.stop()
        host, port = "127.0.0.1", int(stage.broker_url.rsplit(":", 1)[1])
        stage.upstream = Upstream(host, port, KeyFile.load(stage.key_path), stage.store)
        await stage.upstream.start()

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.stage.stop()

    def enrol(self, *cards, kind="uid"):
        with Register(self.register) as register:
            for card in cards:
                register.begin(kind, bytes.fromhex(card.uid), "garden", 0)
                register.done(kind, bytes.fromhex(card.uid), 0)

    def names(self, card):
        """By door key: what an office that knows the key file calls a card."""
        mac = Hmac(derive(KeyFile.load(self.stage.key_path).door_key(DOOR), b"pseudonym"))
        mac.update(bytes((record.KIND_UID,)) + bytes.fromhex(card.uid))
        return mac.digest()[:7]

    async def until(self, condition, seconds=60):
        for _ in range(10 * seconds):
            if condition():
                return
            await asyncio.sleep(0.1)
        raise AssertionError("it did not come about:\n" + "\n".join(self.stage.door.lines[-30:]))

    async def agreed(self):
        """The door is connected and holds the list as it is meant."""
        upstream = self.stage.upstream
        wanted = self.stage.store.revision(DOOR)
        await self.until(lambda: DOOR in upstream.sessions and upstream.sessions[DOOR].revision >= wanted)

    def shown(self):
        """(kind, reason) of what the door recorded of cards."""
        kinds = record.GRANTED, record.REFUSED
        return [(entry.kind, entry.reason & 0x7F) for entry in self.stage.journal().records if entry.kind in kinds]

    async def tap(self, card):
        """Hold a card to the reader; what the door recorded of it: nothing, when it only counts such refusals."""
        await self.until(lambda: self.stage.door.running)
        before = len(self.shown())
        await self.stage.door.card(card.uid, 0.6)
        for _ in range(15):
            await self.stage.door.run(0.1)
            if len(self.shown()) > before:
                break
        await self.stage.door.run(2)
        return self.shown()[before:]

    async def taps(self):
        """Each card as it must be, at every moment."""
        for card in CARDS:
            if card.uid not in self.cancelled:
                assert [kind for kind, _ in await self.tap(card)] == [record.GRANTED], card.name
            else:
                assert await self.tap(card) in ([], [(record.REFUSED, REFUSALS[card.uid])]), card.name

    def words(self, step):
        stage = self.stage
        words = [step, DOOR, "--keys", stage.key_path, "--register", self.register, "--db", stage.database]
        if step != "status":
            words += ["--broker", stage.broker_url, "--operator", 7, "--approver", 8]
        return [str(word) for word in words]

    async def rekey(self, step, kill_at=None):
        """(exit code, what it said); with `kill_at` it is killed as soon as it says that."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "menwei.cli", "rekey", *self.words(step),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        said = ""
        async with asyncio.timeout(RUN_S):
            while line := (await process.stdout.readline()).decode():
                said += line
                if kill_at and kill_at in line:
                    with suppress(ProcessLookupError):
                        process.kill()
            code = await process.wait()
        assert kill_at is None or kill_at in said, said
        return code, said

    def rotation(self):
        return KeyFile.load(self.stage.key_path).rotation(DOOR)


@pytest.fixture
async def site(tmp_path):
    site = Site(tmp_path)
    try:
        await site.start()
        yield site
    finally:
        await site.stop()


async def test_at_no_moment_a_card_is_refused_or_a_cancelled_one_let_in(site):
    stage = site.stage
    first = KeyFile.load(stage.key_path).door_key(DOOR)
    for card in CARDS:
        stage.put(card)
    stage.suspend(SUSPENDED)
    stage.cancel(REVOKED)
    site.enrol(LIVE, REVOKED, LATER)
    site.enrol(SUSPENDED, kind="ntag424")  # listed as uid still, while it has become another kind
    await site.agreed()
    await site.taps()

    # The new key is under way, and whoever sent it is killed before knowing what became of it; upstream, too.
    await site.rekey("start", kill_at="takes it over")
    coming = site.rotation().next
    assert coming and coming != first
    await site.new_upstream()
    keys = stage.upstream._keys
    await site.until(lambda: keys.door_key(DOOR) == coming)
    await site.until(lambda: DOOR in stage.upstream.sessions)
    await site.taps()

    # Killed again in the middle of the list.
    await site.rekey("start", kill_at="put under their new names")
    assert site.rotation().old == first and KeyFile.load(stage.key_path).door_key(DOOR) == coming
    await site.taps()
    code, said = await site.rekey("start")
    stranger = stage.pseudonym(bytes.fromhex(STRANGER.uid)).hex()
    assert code == 1 and f"enrol them in the register, or cancel them: {stranger}" in said, said
    await site.taps()

    # Cancelled meanwhile, by its new name; the old one is live in the list.
    site.cancelled.add(LATER.uid)
    stage.upstream.change(DOOR, pack_change(messages.REVOKE, site.names(LATER)))
    await site.agreed()
    await site.taps()

    code, said = await site.rekey("finish")
    assert code == 1 and stranger in said and "the old key is kept" in said, said
    await site.taps()
    site.enrol(STRANGER)
    code, said = await site.rekey("finish", kill_at="knows the old key no more")
    await site.taps()
    code, said = await site.rekey("finish")
    assert code == 0, said
    await site.agreed()
    await site.taps()

    code, said = await site.rekey("status")
    assert code == 0 and "not being rotated" in said
    assert first.hex() not in stage.key_path.read_text()
    live = {change[1:8] for _, change in stage.store.changes(DOOR, 0, 1 << 30)}
    forgotten = {change[1:8] for _, change in stage.store.changes(DOOR, 0, 1 << 30) if change[0] == messages.FORGET}
    assert forgotten == {stage.pseudonym(bytes.fromhex(card.uid)) for card in CARDS}
    assert {site.names(card) for card in CARDS} == live - forgotten
    alarms = [event.reason for event in stage.store.events(DOOR) if event.kind == record.ALARM]
    assert record.ALARM_INTRUSION not in alarms
    assert stage.store.findings(DOOR) == []
