"""Upstream's side of TLS: addresses, options, the embedded broker, an upstream, and the TLS library of the door."""

import asyncio
import io
import ssl
import sys
from pathlib import Path

import aiomqtt
import pytest
from rich.console import Console
from tls_site import Mosquitto, TlsSite, needs_mosquitto, past

from menwei.broker import EmbeddedBroker
from menwei.keyfile import KeyFile
from menwei.listen import listen
from menwei.pki import PkiError
from menwei.store import Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream

WAIT_S = 5


@pytest.fixture
def site(tmp_path):
    return TlsSite(tmp_path)


def own(site):
    return Credentials.of(None, None, None, site.pki.folder)


# Addresses and options


def test_addresses(site):
    assert endpoint("mqtt://a", None) == ("a", 1883, None)
    host, port, context = endpoint("mqtts://a", own(site))
    assert (host, port) == ("a", 8885)
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    assert endpoint("mqtts://a:99", own(site))[1] == 99


@pytest.mark.parametrize(
    ("url", "with_files", "said"), [("mqtts://a", False, "--pki FOLDER"), ("mqtt://a", True, "write mqtts://")]
)
def test_what_does_not_go_together(site, url, with_files, said):
    with pytest.raises(ValueError, match=said):
        endpoint(url, own(site) if with_files else None)


def test_options_that_do_not_go_together():
    path = Path("x")
    assert Credentials.of(None, None, None, None) is None
    with pytest.raises(ValueError, match="all three"):
        Credentials.of(path, path, None, None)
    with pytest.raises(ValueError, match="not both"):
        Credentials.of(path, None, None, path)


def test_files_that_are_missing_or_strange(site):
    with pytest.raises(ValueError, match="is missing; menwei pki"):
        Credentials(Path("none"), Path("none"), Path("none")).context()
    files = own(site)
    with pytest.raises(ValueError, match="cannot be used"):
        Credentials(files.ca, files.certificate, site.pki.folder / "server.key").context()


# Upstream


@pytest.fixture(params=["amqtt", pytest.param("mosquitto", marks=needs_mosquitto)])
async def broker(request, site):
    """(host and port of upstream, port of doors); the embedded broker has but one."""
    if request.param == "amqtt":
        async with EmbeddedBroker(tls=site.pki.folder) as broker:
            assert broker.url.startswith("mqtts://")
            yield broker.url, broker.port
    else:
        broker = Mosquitto(site)
        await broker.start()
        yield f"mqtts://localhost:{broker.upstream_port}", broker.port
        await broker.stop()


async def started(site, url, credentials):
    host, port, context = endpoint(url, credentials)
    upstream = Upstream(host, port, KeyFile(site.name), Store(site.folder / "upstream.db"), tls=context)
    await upstream.start(2)
    return upstream


async def test_upstream_connects(site, broker):
    upstream = await started(site, broker[0], own(site))
    assert upstream.connected.is_set()
    await upstream.stop()
    upstream.store.close()


async def test_upstream_does_not_talk_to_a_foreign_broker(site, broker):
    files, foreign = own(site), own(site.foreign())
    with pytest.raises(OSError, match="no answer"):
        await started(site, broker[0], Credentials(foreign.ca, files.certificate, files.key))


async def test_upstream_does_not_talk_to_a_broker_of_another_name(site):
    other = site.folder / "other"
    site.pki.server(["broker.garden.lan"], "other")
    other.mkdir()
    for name in ("ca.pem", "crl.pem"):
        (other / name).write_bytes((site.pki.folder / name).read_bytes())
    for name in ("pem", "key"):
        (other / f"server.{name}").write_bytes((site.pki.folder / f"other.{name}").read_bytes())
    async with EmbeddedBroker(tls=other) as broker:
        with pytest.raises(OSError, match="no answer"):
            await started(site, broker.url, own(site))


async def test_the_embedded_broker_admits_only_valid_certificates(site):
    expired, revoked = site.door("front-gate", end=past(days=1)), site.door("back")
    site.pki.revoke("garden/back")
    context = site.foreign().context(site.foreign().door("front-gate"))
    context.load_verify_locations(site.pki.ca_path)
    async with EmbeddedBroker(tls=site.pki.folder) as broker:
        for wrong in (site.context(), site.context(expired), site.context(revoked), context):
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", broker.port, tls_context=wrong, timeout=3):
                    pass
        async with aiomqtt.Client("127.0.0.1", broker.port, tls_context=site.context(site.door("front-gate"))):
            pass


async def test_the_embedded_broker_names_what_is_missing(site):
    (site.pki.folder / "crl.pem").unlink()
    with pytest.raises(FileNotFoundError, match=r"crl\.pem is missing"):
        await EmbeddedBroker(tls=site.pki.folder).start()


async def test_listen_over_tls_with_renewal(site, broker, tmp_path):
    keys = tmp_path / "keys.json"
    site.keys.add("front-gate", bytes(32), {})
    site.keys.save(keys)
    stop = asyncio.Event()
    console = Console(file=io.StringIO(), width=200)
    words = {"tls": own(site), "renew": site.pki.folder}
    work = asyncio.create_task(listen(broker[0], tmp_path / "db", keys, console, stop, **words))
    async with asyncio.timeout(WAIT_S):
        while "listening at mqtts://" not in console.file.getvalue():
            assert not work.done(), work.exception()
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(work, WAIT_S)
    with pytest.raises(PkiError, match="menwei pki init"):
        await listen(broker[0], tmp_path / "db", keys, console, stop, tls=own(site), renew=tmp_path)


# The door's TLS library

HANDSHAKE = """
import socket, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations(cadata=bytes.fromhex(ca))
context.load_cert_chain(bytes.fromhex(certificate), bytes.fromhex(key))
plain = socket.socket()
plain.connect(socket.getaddrinfo("127.0.0.1", int(port))[0][-1])
try:
    wrapped = context.wrap_socket(plain, server_hostname=host)
    wrapped.write(b"\\x10\\x10\\x00\\x04MQTT\\x04\\x02\\x00\\x3c\\x00\\x04door")
    print("connack", wrapped.read(4).hex())
except (OSError, ValueError) as error:  # ValueError: what is wrong with a certificate
    print("refused", error)
"""


async def shake_hands(site, port, certificate, host, ca=None):
    """One connection of the unix port, whose TLS library is the chip's; returns what it printed."""
    script = site.folder / "handshake.py"
    told = certificate.provision()
    values = {"ca": (ca or certificate.ca).hex(), "host": host, "port": port}
    values |= {name: told[name] for name in ("certificate", "key")}
    # Arguments become interned strings, which are at most 255 bytes long.
    script.write_text("".join(f"{name} = {value!r}\n" for name, value in values.items()) + HANDSHAKE)
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("micropython"),
        *("-X", "heapsize=96wK", script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return out.decode().strip()


@needs_mosquitto
async def test_the_doors_tls_library_takes_the_certificates(site):
    broker = Mosquitto(site)
    await broker.start()
    try:
        door, stranger = site.door("front-gate"), site.foreign().door("front-gate")
        for host in ("127.0.0.1", "localhost"):
            assert await shake_hands(site, broker.port, door, host) == "connack 20020000"
        assert (await shake_hands(site, broker.port, door, "other.lan")).startswith("refused")
        assert (await shake_hands(site, broker.port, door, "127.0.0.1", stranger.ca)).startswith("refused")
        for wrong in (stranger, site.door("front-gate", end=past(days=1))):
            assert "20020000" not in await shake_hands(site, broker.port, wrong, "127.0.0.1", door.ca)
    finally:
        await broker.stop()
