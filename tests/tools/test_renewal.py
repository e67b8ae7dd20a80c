"""Renewal as upstream sees it: who gets a certificate, when, and who never does."""

import asyncio
import json
from datetime import timedelta

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tls_site import Mosquitto, TlsSite, future, needs_mosquitto, past

from menwei.renewal import ASK, STATE, Renewals, serve
from storage.mac import derive
from sync import messages

KEY = bytes(range(32))
DOOR = "front-gate"
WAIT_S = 10


class World:
    """A site with one door that tells what it holds."""

    def __init__(self, folder, **certificate):
        self.site = TlsSite(folder)
        self.held = self.site.door(DOOR, key=KEY, **certificate)
        self.said = []
        self.parcel = [0, 0, 0]
        self.now = future().timestamp() + 3600  # beyond the ten minutes after the first certificate was made
        self.restart()

    def restart(self):
        self.renewals = Renewals(self.site.pki, self.site.keys, lambda door, text: self.said.append(text))

    def state(self, **more):
        members = {"v": 1, "online": 1, "cert": [self.held.serial, self.held.until], "parcel": self.parcel, **more}
        return messages.build_state(derive(KEY, b"state"), members)

    def ask(self):
        members = {"v": 1, "nonce": "00" * 16, "serial": self.held.serial, "until": self.held.until}
        return messages.build_state(derive(KEY, b"state"), {**members, "parcel": self.parcel})

    def take(self, leaf=STATE):
        payload = self.state() if leaf == STATE else self.ask()
        return self.renewals.take(DOOR, leaf, bytes(payload), self.now)


def content(pages):
    """What is in a parcel, by docs/protocol.md."""
    data = b"".join(page[16:-16] for page in pages)
    total = int.from_bytes(pages[0][12:16], "little")
    assert len(data) == total
    iv, sealed = data[:16], data[16:-16]
    decryptor = Cipher(algorithms.AES(derive(KEY, b"secret")), modes.CBC(iv)).decryptor()
    plain = decryptor.update(sealed) + decryptor.finalize()
    return json.loads(plain[: -plain[-1]])


@pytest.mark.parametrize(("days", "renewed"), [(61, False), (59, True), (-1, True)])
def test_a_certificate_is_renewed_sixty_days_before_its_end(tmp_path, days, renewed):
    world = World(tmp_path, end=future(days=days))
    world.now = future(minutes=11).timestamp()
    pages = world.take()
    assert bool(pages) == renewed
    assert len(world.site.pki.entries()) == 4 + renewed


def test_the_parcel_holds_a_certificate_for_this_door_and_nothing_else(tmp_path):
    world = World(tmp_path, end=future(days=10))
    told = content(world.take())
    assert set(told) == {"tls"}
    certificate = x509.load_der_x509_certificate(bytes.fromhex(told["tls"]["certificate"]))
    assert certificate.subject.rfc4514_string() == "CN=garden/front-gate"
    assert certificate.not_valid_after_utc - future() > timedelta(days=720)
    assert told["tls"]["serial"] != world.held.serial
    assert f"{certificate.serial_number:016x}" == told["tls"]["serial"]


def test_it_goes_on_where_the_door_is_and_does_not_hurry(tmp_path):
    world = World(tmp_path, end=future(days=10))
    pages = world.take()
    assert world.take() == []  # on its way
    world.now += 21
    assert world.take() == pages
    number = int.from_bytes(pages[0][4:8], "little")
    world.parcel = [number, 1024, 0]
    assert world.take() == pages[2:]
    assert len(world.site.pki.entries()) == 5  # one was made, not one for each state


def test_a_door_that_has_it_is_left_alone(tmp_path):
    world = World(tmp_path, end=future(days=10))
    told = content(world.take())["tls"]
    world.held = type(world.held)("", told["serial"], told["until"], b"", b"", b"")
    world.parcel = [0, 0, 1]
    world.now += 3600
    assert world.take() == world.take() == []
    assert "holds its new certificate" in world.said[-1]


def test_numbers_rise_above_all_that_the_door_has_seen(tmp_path):
    world = World(tmp_path, end=future(days=10))
    world.parcel = [7, 512, 3]
    assert int.from_bytes(world.take()[0][4:8], "little") == 8
    world.parcel = [0, 0, 8]  # it was taken, and the door fell back to the old one: it was no good
    world.now += 3600
    assert int.from_bytes(world.take()[0][4:8], "little") == 9


def test_after_a_restart_another_is_made_but_not_at_once(tmp_path):
    """The key of the first lay in memory only."""
    world = World(tmp_path, end=future(days=10))
    world.now = future().timestamp()
    world.site.pki.door("garden", "other")
    assert world.take()
    world.restart()
    assert world.take() == []
    world.now += 601
    assert world.take()


def test_who_asks_at_the_renewal_listener_gets_one(tmp_path):
    world = World(tmp_path, end=past(days=300))
    assert set(content(world.take(ASK))) == {"tls"}


def test_a_revoked_door_gets_none_whatever_it_knows(tmp_path):
    world = World(tmp_path, end=past(days=1))
    world.site.pki.revoke(f"garden/{DOOR}")
    assert world.take(ASK) == world.take() == []
    assert world.said == [f"asks for a certificate, but its own ({world.held.serial}) is revoked: it gets none"]
    assert len(world.site.pki.entries()) == 4


def test_a_certificate_of_another_door_or_another_ca_gets_none(tmp_path):
    world = World(tmp_path, end=past(days=1))
    own = world.held
    for wrong in (world.site.door("back"), world.site.foreign().door(DOOR, end=past(days=1))):
        world.held = wrong
        assert world.take(ASK) == []
        assert "not made for it here" in world.said[-1]
    world.held = own
    assert world.take(ASK)


@pytest.mark.parametrize("leaf", [STATE, ASK])
def test_who_has_no_door_key_gets_none(tmp_path, leaf):
    world = World(tmp_path, end=past(days=1))
    payload = bytearray(world.state() if leaf == STATE else world.ask())
    payload[5] ^= 1
    with pytest.raises(messages.Refused):
        world.renewals.take(DOOR, leaf, bytes(payload), world.now)
    with pytest.raises(messages.Refused, match="no key"):
        world.renewals.take("unknown", leaf, bytes(payload), world.now)


@pytest.mark.parametrize(
    "wrong", [{"parcel": None}, {"parcel": [1, 2]}, {"cert": ["a"]}, {"cert": ["a", "b"]}, {"cert": ["a", 1e300]}]
)
def test_an_authentic_state_that_is_strange_is_refused_and_breaks_nothing(tmp_path, wrong):
    world = World(tmp_path, end=past(days=1))
    with pytest.raises(messages.Refused):
        world.renewals.take(DOOR, STATE, bytes(world.state(**wrong)), world.now)


def test_a_door_that_is_away_or_has_no_tls_is_left_alone(tmp_path):
    world = World(tmp_path, end=past(days=1))
    assert world.renewals.take(DOOR, STATE, messages.WILL, world.now) == []
    assert world.renewals.take(DOOR, STATE, bytes(world.state(cert=None)), world.now) == []


@needs_mosquitto
async def test_over_mosquitto_in_time_and_too_late(tmp_path):
    world = World(tmp_path, end=future(days=10))
    site = world.site
    broker = Mosquitto(site)
    await broker.start()
    work = asyncio.create_task(
        serve(world.renewals, "garden", "127.0.0.1", broker.upstream_port, site.upstream_context(), lambda: world.now)
    )
    prefix = f"menwei/v1/garden/{DOOR}"

    async def pages(client):
        got = []
        async with asyncio.timeout(WAIT_S):
            async for message in client.messages:
                got.append(message.payload)
                if sum(len(page) - 32 for page in got) == int.from_bytes(got[0][12:16], "little"):
                    return got

    try:
        async with aiomqtt.Client("127.0.0.1", broker.port, tls_context=site.context(world.held)) as door:
            await door.subscribe(f"{prefix}/parcel", qos=1)
            await door.publish(f"{prefix}/state", bytes(world.state()), qos=1, retain=True)
            first = content(await pages(door))
        world.now += 601
        user, password = site.renew_password(DOOR)
        words = {"tls_context": site.context(), "username": user, "password": password}
        async with aiomqtt.Client("127.0.0.1", broker.renew_port, **words) as door:
            await door.subscribe(f"{prefix}/renew", qos=1)
            await door.publish(f"{prefix}/renew/ask", bytes(world.ask()), qos=1)
            assert content(await pages(door)) == first
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await broker.stop()
