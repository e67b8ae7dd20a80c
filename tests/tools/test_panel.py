"""The panel: which key does what, and that everything an onlooker should see is on it."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from menwei.panel import Hands, render
from menwei.scenario import ScenarioError, parse_step, parse_text
from menwei.simdoor import PowerLost
from menwei.stage import DOOR
from menwei.store import Event

SCENARIO = parse_text("# Cards\ncard anna 04A1B2C3\nstranger zhao 04DEADBE\nsettle")
EVENT = Event(DOOR, "01020304", 41, 1, 0, 2, 0, 2, 0, "00" * 7, 0, 0, bytes(7), bytes(32))


@pytest.fixture
def stage():
    said = {"clock": "held", "alarms": [3], "head": 44, "acked": 41}
    return SimpleNamespace(
        net=True,
        door=SimpleNamespace(running=True, lines=["12:00:00 info  door   alarm number=3"]),
        upstream=SimpleNamespace(sessions={DOOR: SimpleNamespace(revision=7)}),
        store=SimpleNamespace(door=lambda _: (True, said), findings=lambda _: [(DOOR, "fork", "record 5: another")]),
        stored=lambda: [EVENT],
    )


@pytest.fixture
def hands(stage):
    class Player:
        scenario = SCENARIO

        async def do(self, step):
            if step.form == "pull":
                raise ScenarioError("panel", 0, "the leaf is stuck")
            if step.form == "force":
                raise PowerLost

    return Hands(stage, Player())


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ("129", ["tap anna", "tap zhao", None]),
        ("hh", ["hold open", "let go"]),
        ("ffaa", ["fire on", "fire off", "tamper on", "tamper off"]),
        ("peokuc", ["pull", "exit", "force", "key", "unlock remote", "cut 3s"]),
        ("rn", ["replay last unlock", "net off"]),
        ("xz ", [None, None, None]),
    ],
)
def test_keys_are_steps_of_the_scenario_language(hands, keys, steps):
    found = [hands.step(key) for key in keys]
    assert found == steps
    for text in filter(None, found):
        parse_step(SCENARIO, text)


def test_the_network_key_follows_the_network(stage, hands):
    stage.net = False
    assert hands.step("n") == "net on"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exit", "exit"),
        ("dance", "is no step"),
        ("pull", "the leaf is stuck"),
        ("force", "the power is off"),
        ("", "is no"),
    ],
)
async def test_what_goes_wrong_is_shown(hands, text, message):
    await hands.do(text)
    assert message in hands.message


def test_the_screen(stage, hands):
    console = Console(file=io.StringIO(), record=True, width=140)
    console.print(render(stage, hands, {"leaf": "open", "bolt": "withdrawn", "green": 1, "red": 0, "sounder": 0}))
    text = console.export_text()
    for words in ("open", "released", "held", "head 44, acknowledged 41", "stored 41", "connected", "[3]", "1 anna"):
        assert words in text, words
    assert "alarm number=3" in text
    assert "upstream found (1): fork: record 5: another" in text
    stage.upstream.sessions = {}
    stage.net = stage.door.running = False
    console.print(render(stage, hands, {}))
    text = console.export_text()
    for words in ("away", "network cut", "no power"):
        assert words in text, words
