"""`menwei listen` with everything that it can do, twice on one database, and ended and started anew under way."""

import asyncio
import io
import json

import pytest
from fake_door import FakeDoor
from rich.console import Console
from tls_site import Mosquitto, TlsSite, needs_mosquitto
from upstream_world import DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY, SITE

from menwei.listen import listen
from menwei.store import Store
from menwei.tls import Credentials
from storage import record
from sync import messages

pytestmark = needs_mosquitto
WAIT_S = 10


class Office:
    """One `menwei listen` after the other, or beside the other."""

    def __init__(self, folder, site, port):
        self.folder, self.site = folder, site
        self.url = f"mqtts://127.0.0.1:{port}"
        self.running = []

    async def start(self):
        stop, said = asyncio.Event(), io.StringIO()
        task = asyncio.create_task(
            listen(
                self.url, self.folder / "upstream.db", self.folder / "keys.json", Console(file=said, width=200), stop,
                tls=Credentials.of(None, None, None, self.site.pki.folder), renew=self.site.pki.folder, public=True,
                home_assistant=True,
            )
        )  # fmt: skip
        self.running.append((task, stop))
        async with asyncio.timeout(WAIT_S):
            while "listening at" not in said.getvalue():
                assert not task.done(), await task
                await asyncio.sleep(0.02)
        return said

    async def stop(self):
        task, stop = self.running.pop(0)
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


@pytest.fixture
async def site(tmp_path):
    one = TlsSite(tmp_path)
    one.keys.add(DOOR, DOOR_KEY, {EPOCH: JOURNAL_KEY})
    one.keys.save(tmp_path / "keys.json")
    return one


@pytest.fixture
async def scene(site, tmp_path):
    broker = Mosquitto(site, plain=True)
    await broker.start()
    office = Office(tmp_path, site, broker.upstream_port)
    door = FakeDoor(broker.plain_port, SITE, DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY)
    await door.connect()
    yield office, door, broker
    await door.disconnect()
    while office.running:
        await office.stop()
    await broker.stop()


async def acknowledged(door, seq):
    async with asyncio.timeout(WAIT_S):
        while (await door.acks.get())[1] < seq:
            pass


def findings(folder):
    store = Store(folder / "upstream.db")
    try:
        return store.findings()
    finally:
        store.close()


async def test_two_on_one_database_store_each_event_once(scene, tmp_path):
    office, door, _ = scene
    await office.start()
    await office.start()
    await door.state()
    for number in range(1, 21):
        door.record(record.MODE, reason=1, detail=number)
        await door.send_batch(number)
    await acknowledged(door, 20)
    await asyncio.sleep(0.5)
    while office.running:
        await office.stop()
    store = Store(tmp_path / "upstream.db")
    assert [event.seq for event in store.events(DOOR)] == list(range(1, 21))
    assert store.findings() == []
    store.close()


async def test_upstream_comes_back_in_the_middle(scene, tmp_path, site):
    """Batches, a certificate that ends soon, an alarm in a hurry, what is public: all of it goes on."""
    office, door, _ = scene
    ending = site.pki.door(SITE, DOOR, 30)
    more = {"cert": [ending.serial, ending.until], "parcel": [0, 0, 0]}
    for number in range(1, 61):
        door.record(record.ALARM if number == 50 else record.MODE, reason=1, detail=number)
    said = await office.start()
    await door.state(**more)
    await door.send_batch(1, 10)
    await acknowledged(door, 10)
    await door.publish("event/now", door.batch(50, 50))
    async with asyncio.timeout(WAIT_S):
        while "early" not in said.getvalue() or "is sent the new certificate" not in said.getvalue():
            await asyncio.sleep(0.05)
    await office.stop()
    said = await office.start()
    await door.state(**more)
    for first in range(11, 61, 10):
        await door.send_batch(first, first + 9)
    await acknowledged(door, 60)
    await asyncio.sleep(0.5)
    await office.stop()
    store = Store(tmp_path / "upstream.db")
    assert [event.seq for event in store.events(DOOR)] == list(range(1, 61))
    assert store.findings() == []
    store.close()
    await office.start()  # what it published is there, and not anew
    await office.stop()


@pytest.mark.parametrize(
    "members", [{}, {"parcel": [3, 64]}, {"cert": None}, {"parcel": 7}, {"cert": [1]}, {"cert": "x"}]
)
async def test_a_door_of_another_version_is_served(scene, tmp_path, members):
    """It says less, or in another way: its events are stored, it gets its time, nothing stops."""
    office, door, _ = scene
    await office.start()
    await door.state(**members)
    assert (await door.next_command())[0].operation == messages.OP_SET_TIME
    door.record(record.MODE, reason=1)
    await door.send_batch(1)
    await acknowledged(door, 1)
    assert findings(tmp_path) == []
    assert not office.running[0][0].done()
    assert json.loads((tmp_path / "keys.json").read_text())["site"] == SITE
