"""A scenario: what people do at one door, as text that a person can read and write.

    scenario = parse(Path("a_day_at_a_door.scn"))
    for step in scenario.steps: ...

    start 2026-03-02 06:55                        # the world's time (UTC) when the door is switched on
    card anna 04A1B2C3 until 2027-01-01           # in the door's list; or: stranger zhao 04DEADBE
    07:10 tap anna 0.6                            # time of day, then what happens
          pull                                    # no time: right after the step before
    08:00 net off

A time of day that has passed means the next day; a date may stand in front of it. `nap 1h` above the first step lets a
long scenario pass quickly (docs/simulator.md). `STEPS` below is the whole language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

CUT_MODES = ("prefix", "random", "none", "all")

# Every step: its words, where a word in capitals is an argument and [] may be left out, and what it means.
STEPS = {
    "tap NAME [SECONDS]": "hold a card to the reader",
    "pull": "try to open the leaf; the closer closes it again",
    "pass NAME COUNT": "so many times one after another: the card, the leaf, and the closer closes it",
    "hold open": "open the leaf and keep it open",
    "let go": "leave the leaf to its closer",
    "force": "break the leaf open",
    "exit [SECONDS]": "push the exit button",
    "intercom [SECONDS]": "the release of the intercom",
    "key [SECONDS]": "turn the key switch",
    "closer DURATION": "from now on the closer takes that long",
    "fire SWITCH": "the fire contact",
    "tamper SWITCH": "the reader's tamper contact",
    "net SWITCH": "the network is there, or away",
    "cut [DURATION]": "power is lost, and comes back after DURATION (1m)",
    "cut in tap NAME [MODE]": "power is lost in the first flash program of a tap, and comes back after 1m",
    "unlock remote": "upstream unlocks the door with operator, approver and reason",
    "prop DURATION": "upstream lets the door stand open for that long",
    "replay last unlock": "the same bytes once more",
    "cancel NAME": "upstream cancels a card: from now on it raises an alert",
    "suspend NAME": "upstream suspends a card",
    "renew NAME DATE": "upstream makes a card live until DATE",
    "wait DURATION": "let time pass",
    "at": "let time pass until the time in front",
    "settle": "let time pass until upstream has everything",
    "expect leaf LEAF": "closed, open or ajar",
    "expect bolt BOLT": "thrown or withdrawn",
    "expect link SWITCH": "what upstream knows of the door's link",
    "expect clock TRUST": "floor, held or synchronised, as the door said last",
    "expect result RESULT": "how the door answered the last command",
    "expect waiting SWITCH": "whether the journal holds what upstream has not got",
}

_WORDS = {
    "SWITCH": ("on", "off"),
    "MODE": CUT_MODES,
    "LEAF": ("closed", "open", "ajar"),
    "BOLT": ("thrown", "withdrawn"),
    "TRUST": ("floor", "held", "synchronised"),
    "RESULT": (
        "done", "wrong_mac", "wrong_session", "replayed", "too_late", "not_approved", "unknown_operation", "retained",
        "malformed", "refused_by_door", "none",
    ),
}  # fmt: skip
# The form with the most fixed words comes first, so that 'cut in tap' is not taken for 'cut' with a wrong duration.
_FORMS = sorted(
    (
        (form, [word for word in form.split() if word.islower()], [word for word in form.split() if not word.islower()])
        for form in STEPS
    ),
    key=lambda entry: -len(entry[1]),
)
_TIME = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,31}$")
_UID = re.compile(r"^(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{14}|[0-9A-Fa-f]{20})$")
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h)$")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_MAX_GROUP = 63
_MOST_PASSAGES = 1000
_FIRST_YEAR, _LAST_YEAR = 2020, 2050  # 24 bits of minutes since 2020


class ScenarioError(ValueError):
    """What is wrong with a scenario, and in which line; line 0 is a step that somebody typed."""

    def __init__(self, path: Path | str, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}" if line else text)
        self.line = line


@dataclass(frozen=True)
class Card:
    """A card that people of the scenario hold; `listed` is False for one that no list knows."""

    name: str
    uid: str
    listed: bool
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    group: int = 0


@dataclass(frozen=True)
class Step:
    """One step: `form` is a key of `STEPS`, `arguments` are its words in capitals."""

    line: int
    text: str
    form: str
    arguments: tuple = ()
    at: timedelta | datetime | None = None  # time of day, or of a certain one


@dataclass
class Scenario:
    """A whole scenario."""

    path: Path
    title: str = ""
    start: datetime = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
    cards: dict[str, Card] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    nap_s: float | None = None

    def who(self, name: str) -> Card:
        """The card of a name."""
        return self.cards[name]


def parse(path: Path) -> Scenario:
    """Read a scenario file; raises ScenarioError with the line and a sentence."""
    return parse_text(path.read_text(), path)


def parse_text(text: str, path: Path = Path("scenario")) -> Scenario:
    """Read a scenario from a string."""
    scenario = Scenario(path)
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            if number == 1:
                scenario.title = raw.lstrip("# ").strip()
            continue
        try:
            _line(scenario, number, line)
        except ValueError as error:
            raise ScenarioError(path, number, str(error)) from error
    if not scenario.steps:
        raise ScenarioError(path, 1, "the scenario has no steps")
    return scenario


def parse_step(scenario: Scenario, text: str) -> Step:
    """One step that somebody typed; raises ValueError."""
    return _step(scenario, 0, text, text.split() or [""])


def _line(scenario: Scenario, number: int, line: str) -> None:
    words = line.split()
    if words[0] == "start":
        if scenario.steps:
            raise ValueError("'start' stands before the first step")
        scenario.start = moment(" ".join(words[1:]))
    elif words[0] == "nap" and len(words) == 2:
        if scenario.steps:
            raise ValueError("'nap' stands before the first step")
        scenario.nap_s = duration(words[1])
    elif words[0] in ("card", "stranger"):
        card = _card(words)
        if card.name in scenario.cards:
            raise ValueError(f"there are two cards of {card.name}")
        if any(other.uid == card.uid for other in scenario.cards.values()):
            raise ValueError(f"the UID {card.uid} belongs to another card")
        if scenario.steps and card.listed:
            raise ValueError("'card' stands before the first step")
        scenario.cards[card.name] = card
    else:
        scenario.steps.append(_step(scenario, number, line, words))


def _card(words: list[str]) -> Card:
    if len(words) < 3:
        raise ValueError(f"write: {words[0]} NAME UID")
    name, uid = words[1], words[2]
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is no name; a name is a-z, 0-9 and _, and starts with a letter")
    if not _UID.match(uid):
        raise ValueError(f"{uid!r} is no UID; it has 8, 14 or 20 hex digits")
    fields: dict = {"valid_from": None, "valid_until": None, "group": 0}
    rest = words[3:]
    while rest:
        key, *rest = rest
        if key not in ("from", "until", "group") or not rest or words[0] == "stranger":
            raise ValueError(f"{key!r} is not understood; a card has: from DATE, until DATE, group NUMBER")
        value, *rest = rest
        if key == "group":
            if not value.isdigit() or int(value) > _MAX_GROUP:
                raise ValueError(f"group {value!r} must be a number from 0 to {_MAX_GROUP}")
            fields["group"] = int(value)
            continue
        if rest and _TIME.match(rest[0]):
            value += " " + rest.pop(0)
        fields["valid_" + key] = moment(value)
    return Card(name, uid.upper(), words[0] == "card", **fields)


def moment(text: str) -> datetime:
    """A date, or a date and a time of day, in UTC."""
    for pattern in ("%Y-%m-%d", "%Y-%m-%d %H:%M"):
        try:
            found = datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
            raise ValueError(
                f"{text!r} lies outside of {_FIRST_YEAR} to {_LAST_YEAR}, which is what a list entry can say"
            )
        return found
    raise ValueError(f"{text!r} is no date; write 2026-03-02 or 2026-03-02 06:55")


def time_of_day(word: str) -> timedelta | None:
    """The time that a word like 07:10 means, or None if it is another word."""
    found = _TIME.match(word)
    if not found:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"{word} is no time of day")
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def duration(word: str) -> float:
    """Seconds of `30s`, `5m`, `1h`."""
    found = _DURATION.match(word)
    if not found:
        raise ValueError(f"{word!r} is no duration; write 30s, 5m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def _step(scenario: Scenario, number: int, line: str, words: list[str]) -> Step:
    at: timedelta | datetime | None = time_of_day(words[0])
    if at is None and _DATE.match(words[0]):
        at = moment(" ".join(words[:2]))
        words = words[1:]
    if at is not None:
        words = words[1:] or ["at"]
    for form, fixed, pattern in _FORMS:
        if words[: len(fixed)] == fixed:
            arguments = _arguments(scenario, pattern, words[len(fixed) :])
            if form == "at" and at is None:
                raise ValueError("'at' needs a time in front, as in: 08:00 at")
            return Step(number, line, form, arguments, at)
    known = ", ".join(sorted({form.split()[0] for form in STEPS}))
    raise ValueError(f"{' '.join(words)!r} is no step; steps begin with: {known}")


def _arguments(scenario: Scenario, pattern: list[str], words: list[str]) -> tuple:
    values = []
    for index, name in enumerate(pattern):
        optional = name.startswith("[")
        if index >= len(words):
            if not optional:
                raise ValueError(f"{name} is missing")
            values.append(None)
            continue
        values.append(_argument(scenario, name.strip("[]"), words[index]))
    if len(words) > len(pattern):
        raise ValueError(f"{words[len(pattern)]!r} is too much")
    return tuple(values)


def _argument(scenario: Scenario, name: str, word: str):
    if name == "NAME":
        if word not in scenario.cards:
            raise ValueError(f"nobody declared a card of {word!r}; write above: card {word} UID")
        return word
    if name in _WORDS:
        if word not in _WORDS[name]:
            raise ValueError(f"{word!r} must be one of: {', '.join(_WORDS[name])}")
        return word
    if name == "DATE":
        return moment(word)
    if name == "DURATION":
        return duration(word)
    if name == "COUNT":
        if not word.isdigit() or not 0 < int(word) <= _MOST_PASSAGES:
            raise ValueError(f"{word!r} must be a number from 1 to {_MOST_PASSAGES}")
        return int(word)
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise ValueError(f"{word!r} must be seconds, more than 0 and at most 3600")
    return seconds
