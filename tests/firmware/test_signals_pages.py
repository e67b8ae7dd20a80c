"""docs/signals.md, its Chinese sister and docs/records.md tell what the door shows."""

import re

import pytest

from firmware import patterns
from menwei import names
from menwei.build import ROOT
from storage import record

DOCS = ROOT / "docs"
ANSWERS = ("granted", "granted soon", "refused", "not now", "again", "cancelled")
STANDING = ("fire", "reset asked", "alarm", "held", "fault", "locked down", "free")  # the most urgent first
CHINESE = dict(
    zip(
        ANSWERS + STANDING,
        [
            "放行",
            "放行（快到期）",
            "拒绝",
            "现在不行",
            "再试一次",
            "已注销",
            "火警",
            "请复位",
            "报警",
            "请关门",
            "故障",
            "封锁",
            "自由通行",
        ],
        strict=True,
    )
)
WORDS = ("green", "red", "beep"), " + ", "dark"
ZH_WORDS = ("绿", "红", "响"), "+", "灭"


def tables(page):
    """Return the tables of a page by title of their section: lists of rows, each a list of cells."""
    found = {}
    for section in (DOCS / page).read_text().split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
        found[title] = rows[2:]
    return found


def pattern(name):
    return getattr(patterns, "_" + name.upper().replace(" ", "_"))


def told(name, outputs, plus, dark):
    """A pattern in words."""
    row = pattern(name)
    words = []
    for duration, bits in zip(row[::2], row[1::2], strict=True):
        on = plus.join(word for bit, word in enumerate(outputs) if bits >> bit & 1)
        words.append(f"{duration / 100:g} {on or dark}")
    return ", ".join(words)


@pytest.mark.parametrize(
    ("page", "words", "called"),
    [("signals.md", WORDS, {name: name for name in CHINESE}), ("signals.zh.md", ZH_WORDS, CHINESE)],
)
def test_every_pattern_is_written_down_as_it_is(page, words, called):
    answers, standing, _, exact, *_ = tables(page).values()
    assert exact == [[called[name], told(name, *words)] for name in ANSWERS + STANDING]
    assert [row[0] for row in answers] == [called[name] for name in ANSWERS]
    assert [row[0] for row in standing] == [called[name] for name in STANDING]


def test_no_pattern_is_missing_here():
    found = {name for name, value in vars(patterns).items() if isinstance(value, bytes)} - {"_CLOSED_NOW"}
    assert found == {"_" + name.upper().replace(" ", "_") for name in ANSWERS + STANDING}


def shown(reason):
    """The name of the answer to a reason."""
    return next(name for name in ANSWERS if pattern(name) == patterns.answer(reason))


def test_which_reason_gives_which_answer():
    rows = tables("signals.md")["Which reason gives which answer"]
    said = {}
    for answer, reasons in rows:
        for reason in reasons.split(", "):
            said[reason] = answer.split(",")[0]
    assert said == {name.replace("_", " "): shown(reason) for reason, name in names.REASONS.items()}
    chinese = {row[0]: row[1] for row in list(tables("signals.zh.md").values())[2]}
    for answer, reasons in chinese.items():
        for reason in reasons.split(", "):
            assert CHINESE[shown(int(reason))] == answer
    assert sum(len(text.split(", ")) for text in chinese.values()) == len(names.REASONS)


def test_the_page_of_records_says_the_same():
    rows = tables("records.md")["Reasons of granted and refused"]
    assert {int(row[0]): row[2] for row in rows} == {reason: shown(reason) for reason in names.REASONS}


def test_an_answer_is_told_as_it_is_heard():
    heard = {"one": 1, "two": 2, "four": 4}
    for name, _, _, sound, _ in tables("signals.md")["Answers to a card"]:
        row = pattern(name)
        beeps = [duration for duration, bits in zip(row[::2], row[1::2], strict=True) if bits & 4]
        count, length = re.fullmatch(r"(?:(one|two|four) (short|long) beeps?|short, short, long)", sound).groups()
        if count:
            assert len(beeps) == heard[count]
            assert all((beep > 40) == (length == "long") for beep in beeps)
        else:
            assert [beep > 40 for beep in beeps] == [False, False, True]


def test_the_urgent_comes_first():
    alarms = {
        "fire": (record.ALARM_FIRE,),
        "alarm": (record.ALARM_FORCED, record.ALARM_HELD_OPEN, record.ALARM_TAMPER),
        "held": (record.ALARM_HELD_WARNING,),
        "fault": (record.ALARM_READER, record.ALARM_SELF_TEST),
    }
    modes = {"locked down": record.MODE_LOCKED_DOWN, "free": record.MODE_FREE}
    order = [name for name in STANDING if name != "reset asked"]
    for index, name in enumerate(order):
        less = order[index + 1 :]
        on = {alarm for other in less for alarm in alarms.get(other, ())}
        also = {modes[other] for other in less if other in modes}
        for alarm in alarms.get(name, (0,)):
            assert patterns.standing(on | {alarm}, also | {modes.get(name)}) == pattern(name)
