"""A whole simulated door over TLS, with its own certificate: embedded broker, and mosquitto with menwei's rules."""

import pytest
from tls_site import Mosquitto, TlsSite, needs_mosquitto

from menwei.scenario import Card
from menwei.stage import DOOR, Stage
from storage import record

START = 1_795_000_000
CARD = Card("Wang", "04A1B2C3", listed=True)
CONNECTS_S = 60


@pytest.fixture(params=["amqtt", pytest.param("mosquitto", marks=needs_mosquitto)])
async def stage(request, tmp_path):
    site = TlsSite(tmp_path)
    words, broker = {}, None
    if request.param == "mosquitto":
        broker = Mosquitto(site)
        await broker.start()
        words = {"broker_url": f"mqtts://127.0.0.1:{broker.upstream_port}", "door_port": broker.port}
    stage = Stage(tmp_path / "stage", start_unix=START, seed=3, pki=site.pki.folder, **words)
    stage.site = site
    await stage.start()
    yield stage
    await stage.stop()
    if broker:
        await broker.stop()


async def until(stage, condition):
    for _ in range(CONNECTS_S):
        if condition():
            return
        await stage.pass_time(1)
    raise AssertionError("it did not come about")


async def test_events_go_up_and_changes_come_down(stage):
    await until(stage, lambda: stage.upstream.sessions and stage.upstream.sessions[DOOR].time_done)
    _, state = stage.store.door(DOOR)
    (entry,) = [entry for entry in stage.site.pki.entries() if entry.kind == "door"]
    assert state["cert"][0] == entry.serial
    stage.put(CARD)
    await until(stage, lambda: stage.upstream.sessions[DOOR].revision == 1)
    await stage.network(False)
    await stage.pass_time(30)
    assert not stage.upstream.sessions.get(DOOR)
    await stage.network(True)
    await until(stage, lambda: stage.upstream.sessions.get(DOOR))
    await until(stage, lambda: record.LIST in [event.kind for event in stage.stored()])
    assert stage.store.findings(DOOR) == []
