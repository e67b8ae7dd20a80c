"""A real mosquitto with the files that menwei makes: who gets in, and what reaches whom.

MQTT 3.1.1 says nothing to who publishes where he may not: it is told by what arrives.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
import subprocess
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from tls_site import Mosquitto, TlsSite, future, needs_mosquitto, past
from typer.testing import CliRunner

from menwei.brokerfiles import Layout, password_line, write_mosquitto
from menwei.cli import app
from menwei.emqxfiles import write_emqx
from menwei.keyfile import KeyFile
from menwei.pki import Pki, PkiError

pytestmark = needs_mosquitto
OWN, OTHER = "menwei/v1/garden/front-gate", "menwei/v1/garden/back"
UP = ("event", "event/now", "state", "cmd/result")
DOWN = ("event/ack", "list", "cmd", "parcel")
DOOR_KEY = bytes(range(32))
ARRIVES_S = 5


@pytest.fixture
def site(tmp_path):
    return TlsSite(tmp_path)


@pytest.fixture
async def broker(site):
    site.keys.add("front-gate", DOOR_KEY, {})
    site.keys.add("back", bytes(32), {})
    broker = Mosquitto(site, plain=True)
    await broker.start()
    yield broker
    await broker.stop()


def door_client(broker, certificate, **words):
    return aiomqtt.Client("127.0.0.1", broker.port, tls_context=broker.site.context(certificate), **words)


def upstream_client(broker):
    return aiomqtt.Client("127.0.0.1", broker.upstream_port, tls_context=broker.site.upstream_context())


@asynccontextmanager
async def watching(broker):
    """Somebody who sees everything, at the listener without rules; `seen` returns topics up to a last word."""
    async with aiomqtt.Client("127.0.0.1", broker.plain_port) as client:
        await client.subscribe("#", qos=1)

        async def seen():
            await client.publish("the/end", b"", qos=1)
            topics = []
            async with asyncio.timeout(ARRIVES_S):
                async for message in client.messages:
                    if str(message.topic) == "the/end":
                        return topics
                    topics.append(str(message.topic))

        yield seen


async def granted(client, topic):
    (code,) = await client.subscribe(topic, qos=1)
    return not getattr(code, "is_failure", code == 0x80)


# Who gets in


async def refused(broker, context, port=None, **words):
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", port or broker.port, tls_context=context, timeout=3, **words):
            pass


async def test_only_a_valid_certificate_of_the_ca_gets_in(site, broker):
    good = site.door("front-gate")
    async with door_client(broker, good):
        pass
    await refused(broker, site.context())  # none
    context = site.foreign().context(site.foreign().door("front-gate"))
    context.load_verify_locations(site.pki.ca_path)  # it takes the broker; the broker must not take it
    await refused(broker, context)
    await refused(broker, site.context(site.door("front-gate", end=past(days=1))))
    await refused(broker, site.context(site.door("front-gate", start=future(days=1))))
    async with door_client(broker, good):
        pass


async def test_a_revoked_one_is_refused_once_the_broker_has_the_list_and_was_restarted(site, broker):
    stolen, other = site.door("front-gate"), site.door("back")
    async with door_client(broker, stolen):
        pass
    site.pki.revoke("garden/front-gate")
    await broker.stop()
    await broker.start()
    await refused(broker, site.context(stolen))
    async with door_client(broker, other), door_client(broker, site.door("front-gate")):
        pass  # a new certificate for the same name is another matter


async def test_a_reload_reads_the_list_and_the_passwords_but_leaves_a_connection_alone(site, broker):
    """What docs/broker.md says about a stolen door and about a new one."""
    stolen = site.door("front-gate")
    async with door_client(broker, stolen) as there:
        site.pki.revoke("garden/front-gate")
        site.keys.add("new", bytes(32), {})
        broker.write()
        broker.reload()
        user, password = site.renew_password("new")
        words = {"tls_context": site.context(), "username": user, "password": password, "timeout": 3}
        for _ in range(50):
            try:
                async with aiomqtt.Client("127.0.0.1", broker.renew_port, **words):
                    break
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)
        else:
            raise AssertionError("the new password is not known")
        await refused(broker, site.context(stolen))
        async with watching(broker) as seen:
            await there.publish(f"{OWN}/event", b"x", qos=1)
            assert await seen() == [f"{OWN}/event"]


async def test_two_cas_during_a_change(site, broker):
    """Certificates and lists of both, one behind the other; the server still shows the old one's."""
    old, new = site.door("front-gate"), site.foreign().door("front-gate")
    await broker.stop()
    for name in ("ca.pem", "crl.pem"):
        both = (site.pki.folder / name).read_text() + (site.foreign().pki.folder / name).read_text()
        (site.pki.folder / name).write_text(both)
    await broker.start()
    context = site.foreign().context(new)
    context.load_verify_locations(site.pki.ca_path)
    for mine in (site.context(old), context):
        async with aiomqtt.Client("127.0.0.1", broker.port, tls_context=mine, timeout=5):
            pass
    await refused(broker, site.context(site.door("back", end=past(days=1))))


async def test_a_plain_client_is_not_answered_at_the_tls_ports(broker):
    for port in (broker.port, broker.upstream_port, broker.renew_port):
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", port, timeout=3):
                pass


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_old_versions_of_tls_are_refused(site, broker):
    context = site.context(site.door("front-gate"))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    await refused(broker, context)


# What reaches whom


async def test_a_door_publishes_its_own_topics_and_nothing_else(site, broker):
    own = [f"{OWN}/{leaf}" for leaf in UP]
    never = [f"{OTHER}/{leaf}" for leaf in (*UP, *DOWN, "renew", "renew/ask")]
    never += [f"{OWN}/{leaf}" for leaf in (*DOWN, "renew", "renew/ask", "public", "public/door", "event/x", "x")]
    never += [OWN, "menwei/v1/garden", "homeassistant/lock/x/config", "x", "menwei/v1/other/front-gate/event"]
    async with watching(broker) as seen:
        async with door_client(broker, site.door("front-gate")) as door:
            for topic in (*never, *own, *never):
                await door.publish(topic, b"x", qos=1)
        assert await seen() == own


async def test_a_door_cannot_leave_a_retained_command_behind(site, broker):
    async with door_client(broker, site.door("front-gate")) as door:
        await door.publish(f"{OWN}/cmd", b"x", qos=1, retain=True)
        await door.publish(f"{OTHER}/cmd", b"x", qos=1, retain=True)
        await door.publish(f"{OWN}/state", b"kept", qos=1, retain=True)
    async with watching(broker) as seen:
        assert await seen() == [f"{OWN}/state"]


async def test_a_will_is_held_to_the_same_rules(site, broker):
    async with watching(broker) as seen:
        for topic in (f"{OTHER}/state", f"{OWN}/state"):
            client = door_client(broker, site.door("front-gate"), will=aiomqtt.Will(topic, b"gone", 1))
            async with client:
                client._client._sock.shutdown(2)  # without a DISCONNECT
                with pytest.raises(aiomqtt.MqttError):
                    await asyncio.wait_for(anext(client.messages), ARRIVES_S)
        await asyncio.sleep(0.2)
        assert await seen() == [f"{OWN}/state"]


async def test_a_door_hears_its_own_topics_and_nothing_else(site, broker):
    async with door_client(broker, site.door("front-gate")) as door:
        for leaf in DOWN:
            assert await granted(door, f"{OWN}/{leaf}")
        for topic in (f"{OTHER}/cmd", f"{OTHER}/event", f"{OWN}/event", f"{OWN}/renew", "menwei/v1/garden/+/cmd"):
            await door.subscribe(topic, qos=1)
        await door.subscribe("#", qos=1)
        async with upstream_client(broker) as upstream:
            for leaf in DOWN:
                await upstream.publish(f"{OTHER}/{leaf}", b"not yours", qos=1)
            await upstream.publish(f"{OWN}/renew", b"not here", qos=1)
            for leaf in DOWN:
                await upstream.publish(f"{OWN}/{leaf}", leaf.encode(), qos=1)
        heard = []
        async with asyncio.timeout(ARRIVES_S):
            async for message in door.messages:
                heard.append((str(message.topic), message.payload))
                if heard[-1][0] == f"{OWN}/{DOWN[-1]}":
                    break
    # Through "#" mosquitto delivers what the rules allow once more; nothing else.
    assert set(heard) == {(f"{OWN}/{leaf}", leaf.encode()) for leaf in DOWN}


async def test_a_door_cannot_end_anothers_connection(site, broker):
    """Whoever connects with the client id of a client that is there ends that one's connection, in plain MQTT."""
    async with door_client(broker, site.door("back"), identifier="garden.back") as back:
        await back.subscribe(f"{OTHER}/cmd", qos=1)
        for identifier in ("garden.back", "garden/back"):
            async with door_client(broker, site.door("front-gate"), identifier=identifier):
                pass
        async with upstream_client(broker) as upstream:
            await upstream.publish(f"{OTHER}/cmd", b"still here", qos=1)
        message = await asyncio.wait_for(anext(back.messages), ARRIVES_S)
        assert message.payload == b"still here"


async def test_upstream_at_the_doors_listener_and_a_door_at_upstreams_have_no_rights(site, broker):
    async with watching(broker) as seen:
        context = site.upstream_context()
        async with aiomqtt.Client("127.0.0.1", broker.port, tls_context=context) as client:
            await client.publish(f"{OWN}/cmd", b"x", qos=1)
        context = site.context(site.door("front-gate"))
        async with aiomqtt.Client("127.0.0.1", broker.upstream_port, tls_context=context) as client:
            for topic in (f"{OWN}/cmd", f"{OWN}/event", f"{OTHER}/event"):
                await client.publish(topic, b"x", qos=1)
            assert await seen() == []


async def test_upstream_serves_all_doors_and_speaks_for_none(site, broker):
    async with watching(broker) as seen, upstream_client(broker) as upstream:
        for leaf in UP:
            await upstream.publish(f"{OWN}/{leaf}", b"x", qos=1)
        down = [f"{door}/{leaf}" for door in (OWN, OTHER) for leaf in (*DOWN, "renew", "public", "public/door")]
        for topic in down:
            await upstream.publish(topic, b"x", qos=1)
        assert await seen() == down
        for leaf in (*UP, "renew/ask"):
            assert await granted(upstream, f"menwei/v1/garden/+/{leaf}")


async def test_a_reader_sees_what_is_public_and_says_nothing(site, broker):
    path = site.pki.reader()
    context = ssl.create_default_context(cafile=site.pki.ca_path)
    context.load_cert_chain(path, path.with_suffix(".key"))
    async with (
        watching(broker) as seen,
        aiomqtt.Client("127.0.0.1", broker.upstream_port, tls_context=context) as reader,
        upstream_client(broker) as upstream,
    ):
        await reader.subscribe("menwei/v1/#", qos=1)
        await upstream.publish(f"{OWN}/cmd", b"secret", qos=1)
        await upstream.publish(f"{OWN}/public/door", b"closed", qos=1)
        message = await asyncio.wait_for(anext(reader.messages), ARRIVES_S)
        assert message.payload == b"closed"
        for topic in (f"{OWN}/public/door", f"{OWN}/cmd", "homeassistant/lock/x/config"):
            await reader.publish(topic, b"x", qos=1)
        assert await seen() == [f"{OWN}/cmd", f"{OWN}/public/door"]


# Renewal


async def test_with_its_password_a_door_reaches_its_renewal_topics_only(site, broker):
    user, password = site.renew_password("front-gate")
    words = {"tls_context": site.context(), "username": user, "password": password}
    async with watching(broker) as seen, aiomqtt.Client("127.0.0.1", broker.renew_port, **words) as door:
        for topic in (f"{OWN}/event", f"{OWN}/state", f"{OTHER}/renew/ask", f"{OWN}/renew", f"{OWN}/renew/ask"):
            await door.publish(topic, b"x", qos=1)
        assert await seen() == [f"{OWN}/renew/ask"]
        for topic in (f"{OWN}/cmd", f"{OWN}/parcel", f"{OTHER}/renew", "#"):
            await door.subscribe(topic, qos=1)
        assert await granted(door, f"{OWN}/renew")
        async with upstream_client(broker) as upstream:
            for topic in (f"{OWN}/cmd", f"{OWN}/parcel", f"{OTHER}/renew", f"{OWN}/renew"):
                await upstream.publish(topic, topic.encode(), qos=1)
        message = await asyncio.wait_for(anext(door.messages), ARRIVES_S)
        assert (str(message.topic), message.payload) == (f"{OWN}/renew", f"{OWN}/renew".encode())


async def test_a_wrong_password_gets_nowhere(site, broker):
    user, password = site.renew_password("front-gate")
    other = site.renew_password("back")[1]
    for name, word in ((user, other), (user, password[:-1]), (user, ""), ("garden/none", password), (None, None)):
        await refused(broker, site.context(), broker.renew_port, username=name, password=word)


async def test_without_renewal_there_is_no_such_port(site):
    broker = Mosquitto(site, renew=False)
    await broker.start()
    try:
        assert (broker.folder / "mosquitto.conf").read_text().count("\nlistener ") == 2
        assert not (broker.folder / "renew.passwd").exists()
    finally:
        await broker.stop()


# Files


def test_the_password_line_is_mosquittos_own(tmp_path):
    """mosquitto_passwd writes a line; ours with its salt is the same."""
    path = tmp_path / "passwd"
    subprocess.run(["mosquitto_passwd", "-b", "-c", path, "garden/front-gate", "word"], check=True, capture_output=True)
    line = path.read_text()
    salt = base64.b64decode(line.split("$")[3])
    assert password_line("garden/front-gate", "word", salt) == line


def test_what_people_changed_is_kept_and_what_follows_from_keys_is_not(site, tmp_path):
    folder = tmp_path / "files"
    assert {what for _, what in write_mosquitto(folder, site.pki, [site.keys], Layout(at="/etc/x"))} == {"written"}
    conf = folder / "mosquitto.conf"
    assert "/etc/x/doors.acl" in conf.read_text()
    conf.write_text("# mine\n")
    site.keys.add("front-gate", DOOR_KEY, {})
    done = dict(write_mosquitto(folder, site.pki, [site.keys], Layout(at="/etc/x")))
    assert done.pop("mosquitto.conf") == "kept"
    assert set(done.values()) == {"replaced"}
    assert conf.read_text() == "# mine\n"
    assert (folder / "renew.passwd").read_text().startswith("garden/front-gate:$7$")
    for name in ("server.key", "renew.passwd", "doors.acl"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_a_missing_server_certificate_is_named(site, tmp_path):
    with pytest.raises(PkiError, match="menwei pki server"):
        write_mosquitto(tmp_path / "files", site.pki, [site.keys], Layout(server="other"))


async def test_a_broker_that_was_killed_comes_back_on_its_ports(site, broker):
    ports = (broker.port, broker.upstream_port, broker.renew_port)
    await broker.kill()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", broker.port)
    await broker.start()
    assert (broker.port, broker.upstream_port, broker.renew_port) == ports
    async with door_client(broker, site.door("front-gate")):
        pass


async def test_a_packet_that_is_too_long_ends_the_connection(site, broker):
    async with watching(broker) as seen:
        with pytest.raises(aiomqtt.MqttError):
            async with door_client(broker, site.door("front-gate"), timeout=5) as door:
                await door.publish(f"{OWN}/event", b"x" * 5000, qos=1)
        assert await seen() == []


def test_the_command(site, tmp_path):
    site.keys.add("front-gate", DOOR_KEY, {})
    site.keys.save(tmp_path / "keys.json")
    folder = tmp_path / "out"
    words = ["--pki", str(site.pki.folder), "--keys", str(tmp_path / "keys.json")]
    done = CliRunner().invoke(app, ["broker-files", "mosquitto", str(folder), *words])
    assert done.exit_code == 0 and "mosquitto.conf: written" in done.stdout.replace("\n", "")
    assert "acl_file /etc/mosquitto/menwei/doors.acl" in (folder / "mosquitto.conf").read_text()
    assert DOOR_KEY.hex() not in done.stdout
    done = CliRunner().invoke(app, ["broker-files", "emqx", str(folder), *words])
    assert done.exit_code == 1 and "--crl-url" in done.stderr
    assert CliRunner().invoke(app, ["broker-files", "other", str(folder), *words]).exit_code == 2


# EMQX: what can be said without one


def test_emqx_files_say_what_mosquittos_say(tmp_path):
    pki = Pki.create(tmp_path / "pki", crl_url="http://10.0.0.5/crl.pem")
    pki.server(["localhost"])
    keys = KeyFile("garden")
    keys.add("front-gate", DOOR_KEY, {})
    folder = tmp_path / "emqx"
    write_emqx(folder, pki, [keys])
    rules = (folder / "acl.conf").read_text()
    lines = [line for line in rules.splitlines() if not line.startswith("%%")]
    assert lines[-1] == "{deny, all}." and all(line.endswith(".") for line in lines)
    assert all(line.count(left) == line.count(right) for line in lines for left, right in ("{}", "[]"))
    own = [line for line in lines if '{zone, "doors"}' in line]
    for action, leaves in (("publish", UP), ("subscribe", DOWN)):
        (line,) = (line for line in own if f", {action}, " in line)
        assert re.findall(r"menwei/v1/\$\{username\}/([a-z/]+)", line) == list(leaves)
    conf = (folder / "menwei.hocon").read_text()
    assert conf.count("{") == conf.count("}") and conf.count("verify_peer") == 2 and conf.count("enable_crl_check") == 2
    head, row = (folder / "renew.csv").read_text().splitlines()
    user, hashed, salt, power = row.split(",")
    assert head == "user_id,password_hash,salt,is_superuser" and (user, power) == ("garden/front-gate", "false")
    password = hmac.new(DOOR_KEY, b"menwei/v1/renew", "sha256").hexdigest()
    assert hashed == hashlib.sha256((salt + password).encode()).hexdigest()
    assert (folder / "renew.csv").stat().st_mode & 0o777 == 0o600
