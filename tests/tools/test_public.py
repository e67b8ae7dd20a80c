"""What others may read of doors: who makes it, what it tells, what Home Assistant makes of it, how it goes away."""

import asyncio
import io
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiomqtt
import pytest
from fake_door import FakeDoor
from home_assistant import Home
from rich.console import Console
from tls_site import Mosquitto, TlsSite, needs_mosquitto
from typer.testing import CliRunner

from menwei import names, public
from menwei.cli import app
from menwei.keyfile import KeyFile
from menwei.listen import listen
from storage import record
from sync import messages

DOOR_KEY, JOURNAL_KEY, EPOCH = bytes(range(32)), bytes(range(16)), b"\x01\x02\x03\x04"
TOPIC = "menwei/v1/garden/front-gate/public"
IDENTITY = "menwei_garden_front-gate"
WAIT_S = 10

pytestmark = needs_mosquitto


class Onlooker:
    """Somebody with another client who reads all that is public; keeps it in Home Assistant's order."""

    def __init__(self, port):
        self._port = port
        self.home = Home()
        self.retained = {}

    async def __aenter__(self):
        self._client = aiomqtt.Client("127.0.0.1", self._port)
        await self._client.__aenter__()
        for pattern in ("menwei/v1/+/+/public", "menwei/v1/+/+/public/#", "homeassistant/#"):
            await self._client.subscribe(pattern, qos=1)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *error):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.__aexit__(*error)

    async def _read(self):
        async for message in self._client.messages:
            topic = str(message.topic)
            if not topic.startswith("homeassistant/") and "/public" not in topic:
                continue
            self.home.receive(topic, message.payload)
            self.retained[topic] = message.payload
            if not message.payload:
                del self.retained[topic]

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                assert not self._task.done(), self._task.exception()
                await asyncio.sleep(0.01)

    @property
    def json(self):
        return json.loads(self.retained.get(TOPIC, b"{}"))

    def state(self, leaf):
        entity = self.home.entities.get(f"{IDENTITY}_{leaf}")
        return entity.state if entity else None


@pytest.fixture
def key_path(tmp_path):
    keys = KeyFile("garden")
    keys.add("front-gate", DOOR_KEY, {EPOCH: JOURNAL_KEY})
    keys.save(tmp_path / "keys.json")
    return tmp_path / "keys.json"


@pytest.fixture
async def broker(tmp_path):
    one = Mosquitto(TlsSite(tmp_path), plain=True)
    await one.start()
    yield SimpleNamespace(port=one.plain_port, url=f"mqtt://127.0.0.1:{one.plain_port}")
    await one.stop()


@asynccontextmanager
async def listening(broker, folder, key_path, **options):
    out, stop = io.StringIO(), asyncio.Event()
    work = asyncio.create_task(
        listen(broker.url, folder / "events.db", key_path, Console(file=out, width=200), stop, **options)
    )
    while "listening" not in out.getvalue():
        assert not work.done(), work.result()
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        stop.set()
        await work


@asynccontextmanager
async def connected(broker):
    door = FakeDoor(broker.port, "garden", "front-gate", DOOR_KEY, EPOCH, JOURNAL_KEY)
    await door.connect()
    try:
        yield door
    finally:
        await door.disconnect()


async def test_a_door_in_words(broker, tmp_path, key_path):
    async with listening(broker, tmp_path, key_path, public=True), Onlooker(broker.port) as all_of_us:
        async with connected(broker) as door:
            await door.state(alarms=[record.ALARM_HELD_OPEN, record.ALARM_TAMPER], door="held open", lock="unlocked")
            await all_of_us.until(lambda: all_of_us.json.get("online"))
            said = all_of_us.json
            assert said.pop("since").endswith("Z")
            assert said == {
                "v": 1, "door": "held open", "lock": "unlocked", "alarms": ["held_open", "tamper"],
                "locked_down": False, "online": True, "clock": "floor",
            }  # fmt: skip
            await door.state(locked_down=True)
            await all_of_us.until(lambda: all_of_us.json["locked_down"])
            assert all_of_us.json["alarms"] == []
            await door.publish("state", messages.WILL, True)
            await all_of_us.until(lambda: not all_of_us.json["online"])
        assert set(all_of_us.retained) == {TOPIC}  # and nothing for Home Assistant


async def test_no_passages_and_no_pseudonyms(broker, tmp_path, key_path):
    async with (
        listening(broker, tmp_path, key_path, public=True, home_assistant=True),
        Onlooker(broker.port) as all_of_us,
        connected(broker) as door,
    ):
        door.record(record.GRANTED, pseudonym=b"abcdefg", time=200_000_000)
        await door.send_batch(1)
        await door.next_ack()
        await door.state()
        await all_of_us.until(lambda: all_of_us.state("open") == "off")
        everything = b"".join(all_of_us.retained.values())
        assert b"abcdefg".hex().encode() not in everything
        assert door.nonce.hex().encode() not in everything
        assert not any(word in everything for word in (b"granted", b"chain", b"epoch", b"nonce", b"command"))


async def test_what_has_no_right_mac_is_not_told(broker, tmp_path, key_path):
    async with (
        listening(broker, tmp_path, key_path, public=True),
        Onlooker(broker.port) as all_of_us,
        connected(broker) as door,
    ):
        await door.state()
        await all_of_us.until(lambda: all_of_us.json.get("door") == "secured")
        door.key = bytes(32)  # somebody else on this topic
        await door.state(door="forced", alarms=[1])
        door.key = DOOR_KEY
        await door.state(lock="unlocked")
        await all_of_us.until(lambda: all_of_us.json["lock"] == "unlocked")
        assert (all_of_us.json["door"], all_of_us.json["alarms"]) == ("secured", [])


async def test_home_assistant_shows_the_door(broker, tmp_path, key_path):
    async with Onlooker(broker.port) as all_of_us, connected(broker) as door:
        async with listening(broker, tmp_path, key_path, public=True, home_assistant=True):
            await door.state()
            await all_of_us.until(lambda: all_of_us.state("open") == "off")
            states = {leaf: all_of_us.state(leaf) for leaf in ("lock", "problem", "tamper", "locked_down", "state")}
            assert states == {
                "lock": "off", "problem": "off", "tamper": "off", "locked_down": "off", "state": "secured"
            }  # fmt: skip
            await door.state(door="forced", lock="unlocked", alarms=[record.ALARM_FORCED, record.ALARM_TAMPER])
            await all_of_us.until(lambda: all_of_us.state("open") == "on")
            await all_of_us.until(lambda: all_of_us.state("state") == "forced")
            assert [all_of_us.state(leaf) for leaf in ("lock", "problem", "tamper")] == ["on"] * 3
            attributes = all_of_us.home.entities[f"{IDENTITY}_problem"].attributes
            assert attributes["alarms"] == ["forced", "tamper"]
            await door.state(door="a word of a newer door", clock="synchronised")
            await all_of_us.until(lambda: all_of_us.state("open") == "unknown")
            await all_of_us.until(lambda: all_of_us.state("state") == "unknown")
            await all_of_us.until(lambda: all_of_us.state("clock") == "synchronised")
            await door.publish("state", messages.WILL, True)
            await all_of_us.until(lambda: all_of_us.state("open") == "unavailable")
            await door.state()
            await all_of_us.until(lambda: all_of_us.state("open") == "off")
        # Upstream has ended: what it said last may be wrong by now.
        await all_of_us.until(lambda: all_of_us.state("open") == "unavailable")


async def test_nothing_can_be_commanded(broker, tmp_path, key_path):
    async with (
        listening(broker, tmp_path, key_path, public=True, home_assistant=True),
        Onlooker(broker.port) as all_of_us,
        connected(broker) as door,
    ):
        await door.state()
        await all_of_us.until(lambda: all_of_us.state("open") == "off")
        description = all_of_us.retained[f"homeassistant/device/{IDENTITY}/config"]
        assert b"command_topic" not in description
        platforms = {entity.platform for entity in all_of_us.home.entities.values()}
        assert platforms == {"binary_sensor", "sensor"}


async def test_off_is_the_default_and_takes_away_what_was_there(broker, tmp_path, key_path):
    async with Onlooker(broker.port) as all_of_us, connected(broker) as door:
        async with listening(broker, tmp_path, key_path, public=True, home_assistant=True):
            await door.state()
            await all_of_us.until(lambda: all_of_us.state("open") == "off")
        strange = {
            "menwei/v1/elsewhere/front-gate/public": b"{}",
            "homeassistant/device/menwei_elsewhere_front-gate/config": b"",
            "homeassistant/device/kettle/config": b"",
        }
        async with aiomqtt.Client("127.0.0.1", broker.port) as other:
            for topic in strange:
                await other.publish(topic, strange[topic], qos=1, retain=True)
        async with listening(broker, tmp_path, key_path, public=True):
            await all_of_us.until(lambda: not all_of_us.home.entities)
            await all_of_us.until(lambda: {TOPIC} == {t for t in all_of_us.retained if "garden" in t})
        async with listening(broker, tmp_path, key_path):
            await all_of_us.until(lambda: set(all_of_us.retained) == {"menwei/v1/elsewhere/front-gate/public"})
            await door.state(door="open")
            await asyncio.sleep(0.3)
            assert set(all_of_us.retained) == {"menwei/v1/elsewhere/front-gate/public"}


async def test_since_survives_a_restart_of_upstream(broker, tmp_path, key_path):
    async with Onlooker(broker.port) as all_of_us, connected(broker) as door:
        async with listening(broker, tmp_path, key_path, public=True):
            await door.state(clock="held")
            await all_of_us.until(lambda: all_of_us.json.get("clock") == "held")
            before = all_of_us.json
        await asyncio.sleep(1.1)
        async with listening(broker, tmp_path, key_path, public=True):
            await door.state(clock="held", up=20)
            await asyncio.sleep(0.8)
            assert all_of_us.json == before
            await door.state(door="open", up=21)
            await all_of_us.until(lambda: all_of_us.json["door"] == "open")
            assert all_of_us.json["since"] > before["since"]


def test_distorted_members_are_unknown():
    said = public.members(True, {"door": 7, "lock": None, "alarms": [1, "x", 99], "clock": "later"})
    assert (said["door"], said["lock"], said["clock"]) == ("unknown",) * 3
    assert said["alarms"] == ["forced", "99"]
    assert public.members(False, {})["alarms"] == []


def test_the_longest_names_fit_into_a_packet_of_the_ready_made_broker():
    site, door = "s" * 32, "d" * 32
    description = json.dumps(public.discovery(site, door, "0.1.0-a-long-name"))
    assert len(description) + len(public.discovery_topic(site, door)) + 7 < 4096
    Home().receive(public.discovery_topic(site, door), description.encode())


@pytest.mark.parametrize("door", names.DOOR_STATES)
def test_every_state_is_one_that_home_assistant_takes(door):
    home = Home()
    home.receive(public.discovery_topic("garden", "gate"), json.dumps(public.discovery("garden", "gate", "")).encode())
    home.receive(public.serving_topic("garden"), b"online")
    said = public.members(True, {"door": door, "lock": "locked", "clock": "held", "alarms": []})
    for leaf, value in public.values(said).items():
        home.receive(f"{public.base('garden', 'gate')}/{leaf}", value.encode())
    expected = {"secured": "off", "unlocked": "off", "unknown": "unknown"}.get(door, "on")
    assert home.entities["menwei_garden_gate_open"].state == expected
    assert home.entities["menwei_garden_gate_state"].state == door


def test_home_assistant_alone_is_refused(tmp_path, key_path):
    words = ["listen", "--broker", "mqtt://127.0.0.1:1", "--keys", str(key_path), "--home-assistant"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "--public" in done.output
