"""Who gets through to the ready-made broker, what may he say and hear there: docs/security.md, docs/broker.md."""

import asyncio
import ssl
from contextlib import suppress

import aiomqtt
import pytest
from tls_site import Mosquitto, TlsSite, needs_mosquitto

pytestmark = needs_mosquitto
KEY = bytes(range(32))
UP = ("event", "event/now", "state", "cmd/result")
DOWN = ("event/ack", "list", "cmd", "parcel")
OTHERS = ("renew", "renew/ask", "public", "public/state", "", "event/", "state/x", "x")
GATE, YARD = "menwei/v1/garden/front-gate", "menwei/v1/garden/yard"
ODD = (
    "menwei/v1/garden/front-gate\u0130/state", "menwei/v1/garden/FRONT-GATE/state", "menwei/v1//front-gate/state",
    "menwei/v1/garden/front-gate//state", "/menwei/v1/garden/front-gate/state",
    "menwei/v1/garden/front-gate\u200b/state",
    "menwei/v1/%u/state", "$SYS/broker/version", "$SYS/x", "$share/a/menwei/v1/garden/yard/state",
    "homeassistant/device/menwei_garden_yard/config", "menwei/v1/garden/upstream/public/serving",
    "menwei/v2/garden/front-gate/state",
)  # fmt: skip
WILD = (
    "#", "+/#", "menwei/#", "menwei/v1/garden/#", "menwei/v1/garden/+/cmd", "menwei/v1/+/front-gate/cmd", "+/+/+/+/+",
    "$SYS/#", "$share/a/menwei/v1/garden/yard/#", "homeassistant/#", f"{GATE}/#",
)  # fmt: skip


@pytest.fixture
async def site(tmp_path):
    one = TlsSite(tmp_path)
    one.door("yard", key=KEY)
    return one


@pytest.fixture
async def broker(site):
    one = Mosquitto(site, plain=True)
    await one.start()
    yield one
    await one.stop()


def client(port, context, name="anything", **more):
    return aiomqtt.Client("127.0.0.1", port, tls_context=context, identifier=name, timeout=5, **more)


def everybody(broker):
    """At a listener without rules, which only tests have: hears all, may say all."""
    return client(broker.plain_port, None, "everybody")


async def heard(someone, seconds=0.6):
    """(topic, payload, retained) of what arrives until nothing has come for so long."""
    found = []
    with suppress(TimeoutError):
        while True:
            message = await asyncio.wait_for(anext(aiter(someone.messages)), seconds)
            found.append((str(message.topic), bytes(message.payload), message.retain))
    return found


async def say(someone, topics, payload, retain=False):
    for topic in topics:
        with suppress(aiomqtt.MqttError, ValueError):
            await someone.publish(topic, payload, qos=1, retain=retain)


@pytest.mark.parametrize("listener", ["doors", "renewal", "upstream", "reader"])
async def test_what_each_may_say_and_hear(site, broker, listener):
    """Everything that is there is tried; what gets through is exactly what the table of docs/broker.md says."""
    site.pki.reader()
    reader = site.context()
    reader.load_cert_chain(site.pki.folder / "reader.pem", site.pki.folder / "reader.key")
    stolen = site.context(site.door("front-gate", key=KEY))
    broker.write()
    broker.reload()  # the new door's password at the renewal listener
    user, password = site.renew_password("front-gate")
    says, hears, who = {
        "doors": ({f"{GATE}/{leaf}" for leaf in UP}, {f"{GATE}/{leaf}" for leaf in DOWN}, (broker.port, stolen)),
        "renewal": ({f"{GATE}/renew/ask"}, {f"{GATE}/renew"}, (broker.renew_port, site.context())),
        "upstream": (set(), set(), (broker.upstream_port, stolen)),
        "reader": (set(), None, (broker.upstream_port, reader)),
    }[listener]
    more = {"username": user, "password": password} if listener == "renewal" else {}
    everything = [f"{door}/{leaf}" for door in (GATE, YARD) for leaf in (*UP, *DOWN, *OTHERS)] + list(ODD)
    async with everybody(broker) as watcher, client(*who, **more) as thief:
        await watcher.subscribe("#", qos=1)
        await watcher.subscribe("$SYS/#", qos=1)
        for pattern in (*WILD, *everything):
            with suppress(aiomqtt.MqttError, ValueError):
                await thief.subscribe(pattern, qos=1)
        await say(thief, everything, b"thief")
        await say(thief, everything, b"thief", retain=True)
        assert {topic for topic, payload, _ in await heard(watcher) if payload == b"thief"} == says
        await say(watcher, everything, b"office")
        got = {topic for topic, payload, _ in await heard(thief) if payload in (b"office", b"thief")}
        public = {topic for topic in everything if "/public" in topic or topic.startswith("homeassistant/")}
        assert got == (public if hears is None else hears)
        assert not [topic for topic, *_ in await heard(thief, 0.1) if topic.startswith("$SYS")]
    async with everybody(broker) as late:
        await late.subscribe("#", qos=1)
        # What is retained of his lies on his own topics, nowhere else.
        assert {topic for topic, payload, kept in await heard(late) if kept and payload == b"thief"} == says


def connect_with_will(topic):
    """A CONNECT of MQTT 3.1.1 (3.1) whose will, QoS 1 and retained, is `will`."""

    def text(value):
        return len(value).to_bytes(2, "big") + value

    body = text(b"MQTT") + bytes((4, 0x2E, 0, 60)) + text(b"thief") + text(topic.encode()) + text(b"will")
    return bytes((0x10, len(body))) + body


async def test_a_will_gets_no_further_than_a_message(site, broker):
    stolen = site.context(site.door("front-gate"))
    async with everybody(broker) as watcher:
        await watcher.subscribe("#", qos=1)
        for topic in (f"{YARD}/state", f"{YARD}/cmd", f"{GATE}/cmd", "$SYS/x", f"{GATE}/public", f"{GATE}/state"):
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port, ssl=stolen)
            writer.write(connect_with_will(topic))
            with suppress(OSError, asyncio.IncompleteReadError):
                await asyncio.wait_for(reader.readexactly(4), 5)
            writer.transport.abort()  # without a word, so the broker speaks the will
        assert {topic for topic, payload, _ in await heard(watcher, 2) if payload == b"will"} == {f"{GATE}/state"}


async def test_no_certificate_ends_the_connection_of_another(site, broker):
    """A client id is taken from the certificate, whatever the client says."""
    yard, stolen = site.context(site.door("yard")), site.context(site.door("front-gate"))
    async with client(broker.port, yard, "garden.yard") as door:
        await door.subscribe(f"{YARD}/cmd", qos=1)
        for name in ("garden.yard", "garden/yard", "office", ""):
            async with client(broker.port, stolen, name):
                pass
        async with everybody(broker) as upstream:
            await upstream.publish(f"{YARD}/cmd", b"still there", qos=1)
        assert [payload for _, payload, _ in await heard(door)] == [b"still there"]


@pytest.mark.parametrize(
    "user", ["garden/yard", "upstream", "+/+", "garden/+", "#", "garden/yar\u0064\u0301", "", None]
)
async def test_the_renewal_listener_wants_the_password_of_that_door(site, broker, user):
    for password in (None, "", "0" * 64, site.renew_password("yard")[1].upper()):
        with pytest.raises((aiomqtt.MqttError, ssl.SSLError, OSError)):
            async with client(broker.renew_port, site.context(), username=user, password=password):
                pass


async def test_a_huge_packet_costs_only_the_connection_that_sends_it(site, broker):
    yard, stolen = site.context(site.door("yard")), site.context(site.door("front-gate"))
    async with everybody(broker) as watcher, client(broker.port, yard) as door:
        await watcher.subscribe("#", qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with client(broker.port, stolen) as thief:
                await thief.publish(f"{GATE}/state", bytes(5000), qos=1)
                await thief.publish(f"{GATE}/state", b"after", qos=1)
        await door.publish(f"{YARD}/state", b"still there", qos=1)
        assert [(topic, payload) for topic, payload, _ in await heard(watcher)] == [(f"{YARD}/state", b"still there")]


async def test_a_thousand_connections_that_say_nothing_keep_no_door_out(site, broker):
    """Somebody in the network opens them; the broker has to be given the files for it (docs/broker.md)."""
    writers = []
    try:
        for _ in range(1000):
            with suppress(OSError):
                writers.append((await asyncio.open_connection("127.0.0.1", broker.port))[1])
        async with client(broker.port, site.context(site.door("yard")), "garden.yard") as door:
            await door.publish(f"{YARD}/state", b"here", qos=1)
    finally:
        for writer in writers:
            writer.close()
