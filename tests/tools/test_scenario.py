"""The scenario language: what it means, and that each mistake is named with its line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from menwei.play import Player
from menwei.scenario import STEPS, ScenarioError, duration, parse, parse_step, parse_text

SCENARIOS = Path(__file__).parents[2] / "tools" / "menwei" / "scenarios"

HEAD = """# A title
start 2026-03-02 06:55
card anna 04A1B2C3 from 2025-01-01 until 2027-01-01 12:30 group 2
stranger zhao 04DEADBEEF1122
"""


def test_header_and_cards():
    scenario = parse_text(HEAD + "07:00 tap anna")
    assert scenario.title == "A title"
    assert scenario.start == datetime(2026, 3, 2, 6, 55, tzinfo=UTC)
    anna, zhao = scenario.cards["anna"], scenario.cards["zhao"]
    assert (anna.uid, anna.listed, anna.group) == ("04A1B2C3", True, 2)
    assert anna.valid_from == datetime(2025, 1, 1, tzinfo=UTC)
    assert anna.valid_until == datetime(2027, 1, 1, 12, 30, tzinfo=UTC)
    assert (zhao.listed, zhao.valid_until) == (False, None)


@pytest.mark.parametrize(
    ("text", "form", "arguments", "at"),
    [
        ("07:10 tap anna 0.6", "tap NAME [SECONDS]", ("anna", 0.6), timedelta(hours=7, minutes=10)),
        ("pass anna 20", "pass NAME COUNT", ("anna", 20), None),
        ("closer 12s", "closer DURATION", (12.0,), None),
        ("2026-03-05 08:00 prop 3h", "prop DURATION", (10800.0,), datetime(2026, 3, 5, 8, tzinfo=UTC)),
        ("2026-03-05 08:00", "at", (), datetime(2026, 3, 5, 8, tzinfo=UTC)),
        ("tap zhao", "tap NAME [SECONDS]", ("zhao", None), None),
        ("cut", "cut [DURATION]", (None,), None),
        ("cut 30s", "cut [DURATION]", (30.0,), None),
        ("cut in tap anna", "cut in tap NAME [MODE]", ("anna", None), None),
        ("cut in tap anna prefix", "cut in tap NAME [MODE]", ("anna", "prefix"), None),
        ("replay last unlock", "replay last unlock", (), None),
        ("23:59:59 at", "at", (), timedelta(hours=23, minutes=59, seconds=59)),
        ("08:00", "at", (), timedelta(hours=8)),
        ("wait 1h", "wait DURATION", (3600.0,), None),
        ("fire on", "fire SWITCH", ("on",), None),
        ("renew anna 2028-01-01", "renew NAME DATE", ("anna", datetime(2028, 1, 1, tzinfo=UTC)), None),
        ("expect result replayed", "expect result RESULT", ("replayed",), None),
    ],
)
def test_steps(text, form, arguments, at):
    step = parse_text(HEAD + text).steps[0]
    assert (step.form, step.arguments, step.at, step.line) == (form, arguments, at, 5)
    assert parse_step(parse_text(HEAD + text), text).form == form


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("07:10 tap nobody", "nobody declared a card"),
        ("tap", "NAME is missing"),
        ("tap anna soon", "'soon' must be seconds"),
        ("tap anna -1", "must be seconds"),
        ("tap anna 1 2", "'2' is too much"),
        ("25:00 tap anna", "no time of day"),
        ("07:60 tap anna", "no time of day"),
        ("dance", "is no step"),
        ("net maybe", "must be one of: on, off"),
        ("cut in tap anna sideways", "must be one of: prefix"),
        ("cut soon", "no duration"),
        ("wait 5", "no duration"),
        ("wait", "DURATION is missing"),
        ("at", "needs a time in front"),
        ("expect leaf gone", "must be one of: closed, open, ajar"),
        ("renew anna tomorrow", "no date"),
        ("card late 04000001", "stands before the first step"),
        ("start 2026-01-01", "stands before the first step"),
        ("nap 59m", "stands before the first step"),
        ("pass anna 0", "must be a number from 1"),
        ("2026-03-05 pull", "is no date"),
    ],
)
def test_mistakes_name_line_and_remedy(text, words):
    with pytest.raises(ScenarioError, match=words) as caught:
        parse_text(HEAD + "07:00 net on\n" + text, Path("day.scn"))
    assert caught.value.line == 6
    assert str(caught.value).startswith("day.scn:6: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("card anna", "write: card NAME UID"),
        ("card Anna 04A1B2C3", "is no name"),
        ("card anna 04A1B2", "is no UID"),
        ("card anna 04A1B2C3 group 64", "from 0 to 63"),
        ("card anna 04A1B2C3 until", "is not understood"),
        ("card anna 04A1B2C3 colour red", "is not understood"),
        ("stranger anna 04A1B2C3 until 2027-01-01", "is not understood"),
        ("card anna 04A1B2C3\ncard anna 04A1B2C4", "two cards of anna"),
        ("card anna 04A1B2C3\ncard bo 04a1b2c3", "belongs to another card"),
        ("card anna 04A1B2C3 until 2019-12-31", "outside of 2020 to 2050"),
        ("card anna 04A1B2C3 until 2052-01-01", "outside of 2020 to 2050"),
        ("start yesterday", "is no date"),
    ],
)
def test_mistakes_in_cards(text, words):
    with pytest.raises(ScenarioError, match=words):
        parse_text(text + "\nsettle")


def test_nap():
    assert parse_text(HEAD + "settle").nap_s is None
    assert parse_text(HEAD + "nap 59m\nsettle").nap_s == 3540


def test_a_scenario_without_steps_is_one():
    with pytest.raises(ScenarioError, match="no steps"):
        parse_text(HEAD)


@pytest.mark.parametrize(("word", "seconds"), [("30s", 30), ("1.5m", 90), ("2h", 7200)])
def test_duration(word, seconds):
    assert duration(word) == seconds


def test_the_player_knows_every_step():
    class Anything:
        def __getattr__(self, name):
            return None

    player = Player(parse_text(HEAD + "settle"), Anything())
    assert set(player._actions) == set(STEPS)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.scn")), ids=lambda path: path.stem)
def test_scenarios_of_the_package_can_be_read(path):
    assert parse(path).title
