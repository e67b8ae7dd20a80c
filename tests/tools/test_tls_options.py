"""Every command that speaks to doors reaches a broker over TLS by the same options."""

import asyncio

import pytest
from fake_door import FakeDoor
from tls_site import TlsSite
from typer.testing import CliRunner

from menwei.broker import EmbeddedBroker
from menwei.cli import app

DOOR = "front-gate"
PEOPLE = ["--operator", "7", "--approver", "8"]
COMMANDS = {
    "order": ["order", DOOR, "lock-down", *PEOPLE],
    "parcel": ["parcel", DOOR, "--settings", "settings.json", *PEOPLE],
    "lower-clock": ["lower-clock", DOOR, *PEOPLE],
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site = TlsSite(tmp_path)
    site.keys.add(DOOR, bytes(32), {})
    site.keys.save(tmp_path / "keys.json")
    (tmp_path / "settings.json").write_text('{"open_s": 9}')
    for module in ("ordercli", "deliver", "lowerclock"):
        monkeypatch.setattr(f"menwei.{module}._PRESENT_S", 1)
    return site


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_broker_over_tls_is_reached(site, name):
    pki = site.pki.folder
    async with EmbeddedBroker(tls=pki) as broker:
        files = ("--ca", pki / "ca.pem", "--cert", pki / "upstream.pem", "--key", pki / "upstream.key")
        for options in (("--pki", pki), files):
            words = (*COMMANDS[name], "--broker", broker.url, "--keys", "keys.json", *options)
            code, output = await asyncio.to_thread(run, *words)
            # It came as far as finding that the door is not there.
            assert code == 1 and f"{DOOR}: not connected" in output, output


async def test_an_order_is_answered_over_tls(site):
    async with EmbeddedBroker(tls=site.pki.folder) as broker:
        door = FakeDoor(broker.port, site.name, DOOR, bytes(32), b"\1\2\3\4", bytes(16))
        door.tls = site.context(site.door(DOOR))
        await door.connect()
        await door.state()
        words = (*COMMANDS["order"], "--broker", broker.url, "--keys", "keys.json", "--pki", site.pki.folder)
        work = asyncio.create_task(asyncio.to_thread(run, *words))
        while (await door.next_command())[0].operation == 2:  # the time comes first, as ever
            pass
        assert await work == (0, f"{DOOR}: done\n")
        await door.disconnect()


@pytest.mark.parametrize("name", COMMANDS)
def test_certificates_and_mqtts_belong_together(site, name):
    code, output = run(*COMMANDS[name], "--broker", "mqtts://127.0.0.1:1", "--keys", "keys.json")
    assert code == 1 and "needs certificates" in output, output
    words = (*COMMANDS[name], "--broker", "mqtt://127.0.0.1:1", "--keys", "keys.json", "--pki", site.pki.folder)
    code, output = run(*words)
    assert code == 1 and "without TLS" in output, output
