"""Who holds one door's certificate, or none, before the ready-made broker: docs/security.md."""

import asyncio
import ssl
from contextlib import suppress

import aiomqtt
import pytest
from tls_site import Mosquitto, TlsSite, needs_mosquitto

pytestmark = needs_mosquitto
LEAVES = ("event", "event/ack", "state", "list", "cmd", "cmd/result", "parcel")


@pytest.fixture
async def site(tmp_path):
    return TlsSite(tmp_path)


@pytest.fixture
async def broker(site):
    one = Mosquitto(site)
    await one.start()
    yield one
    await one.stop()


def client(port, context, name):
    return aiomqtt.Client("127.0.0.1", port, tls_context=context, identifier=name, timeout=5)


async def heard(someone, seconds=0.5):
    """(topic, payload) of what arrives meanwhile."""
    found = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for message in someone.messages:
                found.append((str(message.topic), bytes(message.payload)))
    return found


async def test_a_certificate_reaches_its_own_doors_topics_only(site, broker):
    stolen = site.context(site.door("front-gate"))
    async with (
        client(broker.upstream_port, site.upstream_context(), "office") as office,
        client(broker.port, stolen, "anything") as thief,
    ):
        await office.subscribe("menwei/#", qos=1)
        for topic in ("menwei/#", "menwei/v1/garden/+/cmd", "menwei/v1/garden/front-gate/cmd", "#"):
            await thief.subscribe(topic, qos=1)
        for leaf in LEAVES:
            for door in ("front-gate", "yard"):
                await thief.publish(f"menwei/v1/garden/{door}/{leaf}", door.encode(), qos=1)
        arrived = {topic for topic, payload in await heard(office) if payload in (b"front-gate", b"yard")}
        assert arrived == {f"menwei/v1/garden/front-gate/{leaf}" for leaf in ("event", "state", "cmd/result")}
        for door in ("front-gate", "yard"):
            await office.publish(f"menwei/v1/garden/{door}/cmd", b"order", qos=1)
        topics = {topic for topic, payload in await heard(thief) if payload == b"order"}
        assert topics == {"menwei/v1/garden/front-gate/cmd"}


async def test_without_a_certificate_of_the_site_nobody_gets_in(site, broker):
    foreign = site.foreign().door("front-gate")
    for context in (site.context(), site.context(foreign)):
        with pytest.raises((aiomqtt.MqttError, ssl.SSLError, OSError)):
            async with client(broker.port, context, "x") as stranger:
                await stranger.subscribe("menwei/v1/garden/front-gate/cmd", qos=1)
    with pytest.raises((aiomqtt.MqttError, ssl.SSLError, OSError)):
        async with client(broker.upstream_port, site.context(site.door("front-gate")), "x") as door:
            # A door's certificate at upstream's listener is somebody without any rights.
            await door.subscribe("menwei/v1/garden/yard/state", qos=1)
            async with client(broker.upstream_port, site.upstream_context(), "office") as office:
                await office.publish("menwei/v1/garden/yard/cmd", b"order", qos=1)
            assert await heard(door) == []
            raise aiomqtt.MqttError("it heard nothing")


async def test_a_revoked_certificate_is_refused(site, broker):
    lost = site.door("front-gate")
    async with client(broker.port, site.context(lost), "x"):
        pass
    site.pki.revoke(lost.serial)
    await broker.kill()
    await broker.start()
    with pytest.raises((aiomqtt.MqttError, ssl.SSLError, OSError)):
        async with client(broker.port, site.context(lost), "x"):
            pass
    async with client(broker.port, site.context(site.door("front-gate")), "x"):
        pass
