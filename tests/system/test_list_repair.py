"""A whole door over a real broker: a list that was altered with the door off is found and made right, page by page."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from interpreter import micropython_environment

from menwei import proof
from menwei.build import ROOT
from menwei.keyfile import KeyFile
from menwei.play import Player
from menwei.scenario import parse_text
from menwei.stage import DOOR, Stage
from storage import record

MOSQUITTO = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
SCENARIO = parse_text(
    "# Lists\nstart 2027-03-02 07:00\ncard anna 04A1B2C3\ncard bob 04B1B2C4\n"
    "card carl 04C1B2C5\ncard eve 04E1B2C6\nsettle"
)
CARDS = SCENARIO.cards


class Scene:
    """A door with everything around it."""

    def __init__(self, folder, broker_url):
        self.stage = Stage(folder, seed=11, start_unix=int(SCENARIO.start.timestamp()), broker_url=broker_url)
        self.player = Player(SCENARIO, self.stage)

    async def tap(self, name):
        """Whether a card is let in. (Refusals fold: not each has a record.)"""
        before = len(self.stage.journal().records)
        await self.stage.door.card(CARDS[name].uid)
        await self.stage.pass_time(4)
        return any(one.kind == record.GRANTED for one in self.stage.journal().records[before:])

    def findings(self):
        # On a slow machine virtual time runs ahead of the network, and the door refuses an old time.
        return [kind for _, kind, _ in self.stage.store.findings(DOOR) if kind != "no time"]

    async def until(self, condition, seconds=3000, step=1, pace=40):
        for _ in range(seconds):
            if condition():
                return
            await self.stage.pass_time(step, pace=pace)
        raise AssertionError("it did not come about")

    def alter(self, **cards):
        """Change the flash of a door that is off."""
        script = ROOT / "tests" / "system" / "alter_list.py"
        uids = {name: bytes.fromhex(CARDS[name].uid) for name in cards}
        words = [f"{what}={self.stage.pseudonym(uids[name]).hex()}" for name, what in cards.items()]
        command = [Path(sys.executable).with_name("micropython"), script, self.stage.door.flash, *words]
        done = subprocess.run(command, env=micropython_environment(), capture_output=True, text=True, check=False)
        assert done.stdout.strip().endswith("altered"), done.stdout + done.stderr


@pytest.fixture
async def scene(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", str(config), stderr=subprocess.DEVNULL)
    scene = Scene(tmp_path / "door", f"mqtt://127.0.0.1:{port}")
    try:
        await asyncio.sleep(0.5)
        await scene.stage.start()
        for name in ("anna", "bob", "carl"):
            scene.stage.put(CARDS[name])
        scene.stage.cancel(CARDS["bob"])
        await scene.until(lambda: DOOR in scene.stage.upstream.sessions, pace=10)
        for _ in range(20):
            await scene.stage.pass_time(1, pace=10)
        await scene.until(lambda: scene.stage.store.agreed_since(DOOR, 4), step=20, pace=400)
        yield scene
    finally:
        await scene.stage.stop()
        process.terminate()
        await process.wait()


async def test_a_list_altered_behind_the_offices_back_is_made_right_page_by_page(scene):
    stage = scene.stage
    assert scene.findings() == []
    assert [await scene.tap(name) for name in ("anna", "bob", "carl", "eve")] == [True, False, True, False]
    await stage.door.cut()
    scene.alter(carl="forget", eve="put")
    await stage.power_back(20)
    assert [await scene.tap(name) for name in ("anna", "bob", "carl", "eve")] == [True, False, False, True]

    # The door counts its list after a start, and the pages begin.
    def position():
        session = stage.upstream.sessions.get(DOOR)
        return session.page[2] if session and session.page else 0

    await scene.until(lambda: position() > 20 << 16)
    proofs = list(proof.proofs(stage.store, KeyFile.load(stage.key_path), bytes.fromhex(CARDS["bob"].uid)))
    assert [one.status for one in proofs] == [proof.WAITING]
    assert [await scene.tap(name) for name in ("anna", "bob")] == [True, False]
    await stage.door.cut()
    reached = position()
    await stage.power_back(20)
    assert [await scene.tap(name) for name in ("anna", "bob")] == [True, False]
    positions = []
    stage.upstream._on_change = lambda _: positions.append(position())
    await scene.until(lambda: positions and positions[-1] > 60 << 16)
    assert min(one for one in positions if one) >= reached  # it went on, not from the beginning
    assert [await scene.tap(name) for name in ("anna", "bob")] == [True, False]
    await scene.until(lambda: not stage.store.list_pass(DOOR).under_way)
    assert [await scene.tap(name) for name in ("anna", "bob", "carl", "eve")] == [True, False, True, False]
    assert scene.findings() == ["list"]
    (one,) = proof.proofs(stage.store, KeyFile.load(stage.key_path), bytes.fromhex(CARDS["bob"].uid))
    assert (one.status, one.how, one.held) == (proof.CONFIRMED, "revoked", 4)
    assert one.since is not None
    assert one.digests_since >= one.since
