"""Whatever a self-test finds, it is one screen and one record, and an item fails for its own reason only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import testitems
from storage import record

NAMES = ("leaf", "exit", "fire", "key", "intercom", "tamper", "bolt", "handle", "kitchen")
number = st.integers(0, (1 << 30) - 1)
small = st.integers(0, 255)
contacts = st.lists(st.sampled_from(NAMES), unique=True).map(tuple)
FOUND = {
    "uptime_s": number,
    "reset_cause": small,
    "probe": st.none() | st.tuples(small, st.integers(0, 2), st.sampled_from((18, 23, 33, 38, 43, 48)), st.booleans()),
    "kilobaud": number,
    "wanted_kilobaud": number,
    "recoveries": number,
    "gain_db": st.sampled_from((18, 23, 33, 38, 43, 48)),
    "bolt": st.none() | st.booleans(),
    "cycles": number,
    "contacts": contacts,
    "active": contacts,
    "sensor_fault": st.booleans(),
    "fire": st.booleans(),
    "flash": st.none() | st.lists(number, min_size=4, max_size=4),
    "flash_failures": number,
    "heap_free": number,
    "heap_block": st.booleans(),
    "idf_block": number,
    "trust": st.integers(0, 2),
    "exponent": st.integers(0, 31),
    "left_s": st.none() | st.integers(-(1 << 31), 1 << 31),
    "linked": st.none() | st.booleans(),
    "link_error": st.none() | st.text() | st.builds(OSError, st.integers(), st.text()),
    "key_copies": st.integers(0, 2),
    "setting_copies": st.integers(0, 2),
    "settings_damaged": st.integers(0, 2),
    "defaults": st.booleans(),
}


def facts(**values):
    made = testitems.Facts()
    for name, value in values.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made


def well(**values):
    """A door in order."""
    return facts(
        **{
            "uptime_s": 3600,
            "probe": (0x92, 2, 33, True),
            "kilobaud": 4000,
            "wanted_kilobaud": 4000,
            "gain_db": 33,
            "bolt": True,
            "contacts": ("leaf", "exit", "bolt"),
            "active": ("leaf",),
            "flash": [128, 100, 28, 0],
            "heap_free": 20_000,
            "heap_block": True,
            "trust": record.SYNCHRONISED,
            "exponent": 2,
            "linked": True,
            "key_copies": 2,
            "setting_copies": 2,
            **values,
        }
    )


def verdicts(found):
    return {item: verdict for item, verdict, _ in testitems.judge(found)}


def test_every_fact_is_tried():
    assert set(FOUND) == set(vars(testitems.Facts()))


@given(st.fixed_dictionaries(FOUND), number, number)
def test_one_screen_and_one_record_whatever_is_found(values, uptime_s, longest_ms):
    items = testitems.judge(facts(**values))
    lines = list(testitems.report(items, f"menwei, {uptime_s} s after the start", longest_ms))
    assert len(lines) <= testitems.LINES
    assert all(len(line) <= testitems.WIDTH and line.isascii() and line.isprintable() for line in lines)
    assert [item for item, _, _ in items] == list(range(1, 13))
    mask = testitems.failed(items)
    assert mask < 1 << 30
    bad = [item for item, verdict, _ in items if verdict == testitems.FAILED]
    assert mask == sum(1 << item for item in bad)
    assert testitems.first(items) == (bad[0] if bad else 0)
    assert [line.split()[1] for line in lines[1:-1]] == [("passed", "FAILED", "skipped")[v] for _, v, _ in items]


def test_a_door_in_order_passes():
    found = verdicts(well())
    assert found.pop(record.TEST_CERTIFICATE) == testitems.SKIPPED
    assert set(found.values()) == {testitems.PASSED}
    assert testitems.failed(testitems.judge(well())) == 0
    assert verdicts(well(left_s=14 * 86_400))[record.TEST_CERTIFICATE] == testitems.PASSED


def test_a_clock_that_was_not_set_says_nothing_of_a_certificate():
    found = verdicts(well(left_s=14 * 86_400, trust=record.FLOOR, exponent=31, uptime_s=5))
    assert found[record.TEST_CERTIFICATE] == testitems.SKIPPED


@pytest.mark.parametrize(
    ("item", "change"),
    [
        (record.TEST_READER, {"probe": (0x92, 2, 33, False)}),
        (record.TEST_READER, {"probe": (0x92, 2, 48, True)}),
        (record.TEST_READER, {"probe": (0xFF, 2, 33, True)}),
        (record.TEST_READER, {"kilobaud": 1000}),
        (record.TEST_ANTENNA, {"probe": (0x92, 1, 33, True)}),
        (record.TEST_ANTENNA, {"probe": (0xB2, 0, 33, True)}),
        (record.TEST_RELAY, {"bolt": False}),
        (record.TEST_CONTACTS, {"contacts": ("exit",)}),
        (record.TEST_CONTACTS, {"active": ("leaf", "exit")}),
        (record.TEST_CONTACTS, {"active": ("leaf", "key")}),
        (record.TEST_CONTACTS, {"active": ("leaf", "tamper")}),
        (record.TEST_CONTACTS, {"active": ("leaf", "fire")}),
        (record.TEST_CONTACTS, {"sensor_fault": True}),
        (record.TEST_FLASH, {"flash": None}),
        (record.TEST_FLASH, {"flash": [127, 100, 28, 1]}),
        (record.TEST_FLASH, {"flash_failures": 1}),
        (record.TEST_HEAP, {"heap_free": 8000}),
        (record.TEST_HEAP, {"heap_block": False}),
        (record.TEST_CLOCK, {"trust": record.FLOOR, "exponent": 31}),
        (record.TEST_CLOCK, {"trust": record.HELD, "exponent": 10}),
        (record.TEST_NETWORK, {"linked": False}),
        (record.TEST_NETWORK, {"linked": False, "link_error": OSError(113, "no route")}),
        (record.TEST_CERTIFICATE, {"left_s": 0}),
        (record.TEST_CERTIFICATE, {"left_s": -1}),
        (record.TEST_CERTIFICATE, {"left_s": -40 * 86_400}),
        (record.TEST_CERTIFICATE, {"left_s": 14 * 86_400 - 1}),
        (record.TEST_SUPPLY, {"reset_cause": 3}),
        (record.TEST_KEYS, {"key_copies": 1}),
        (record.TEST_KEYS, {"key_copies": 0}),
        (record.TEST_SETTINGS, {"setting_copies": 1, "settings_damaged": 1}),
        (record.TEST_SETTINGS, {"setting_copies": 0, "settings_damaged": 2, "defaults": True}),
    ],
)
def test_one_thing_wrong_is_one_item(item, change):
    found = verdicts(well(**change))
    assert [number for number, verdict in found.items() if verdict == testitems.FAILED] == [item]


def test_a_dead_reader_fails_both_of_its_items():
    found = verdicts(well(probe=None))
    assert found[record.TEST_READER] == found[record.TEST_ANTENNA] == testitems.FAILED


@pytest.mark.parametrize(
    ("item", "change"),
    [
        (record.TEST_RELAY, {"bolt": None}),
        (record.TEST_NETWORK, {"linked": None}),
        (record.TEST_NETWORK, {"linked": False, "uptime_s": 60}),
        (record.TEST_CLOCK, {"trust": record.FLOOR, "exponent": 31, "uptime_s": 60}),
    ],
)
def test_what_cannot_be_told_is_left_out_and_named(item, change):
    items = testitems.judge(well(**change))
    assert items[item - 1][1] == testitems.SKIPPED
    assert items[item - 1][2]
    assert testitems.failed(items) == 0


def test_fire_that_is_on_is_no_fault():
    assert testitems.failed(testitems.judge(well(active=("leaf", "fire"), fire=True))) == 0


@given(number, number, st.integers(1, 2), st.integers(-720, 840), st.integers(0, 23), st.booleans())
def test_the_next_one_is_at_its_hour_within_a_day(uptime_s, now_s, trust, offset_min, hour, bad):
    due_s = testitems.next_s(uptime_s, now_s, trust, offset_min, hour, int(bad))
    wait_s = due_s - uptime_s
    at_hour = (now_s + wait_s + offset_min * 60) % 86400 == hour * 3600
    if bad:
        assert 0 < wait_s <= 21_600
        assert at_hour or wait_s == 21_600
    else:
        assert 60 <= wait_s < 86400 + 60
        assert at_hour


@given(number, number, st.integers(0, 23))
def test_at_the_floor_it_is_a_day_later(uptime_s, now_s, hour):
    assert testitems.next_s(uptime_s, now_s, record.FLOOR, 480, hour, 0) == uptime_s + 86400


def test_a_start_by_the_watchdog_is_no_alarm_for_ever():
    facts = testitems.Facts()
    facts.reset_cause = 3
    for uptime_s, failed in ((60, True), (21_599, True), (21_660, False)):
        facts.uptime_s = uptime_s
        assert (testitems.failed(testitems.judge(facts)) >> record.TEST_SUPPLY & 1 == 1) == failed
