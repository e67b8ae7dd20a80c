"""Names, numbers and docs/records.md say the same."""

import re

from firmware import config
from menwei import names
from menwei.build import ROOT
from storage import record
from sync import messages

LAYOUT = {
    *("SINGLE", "LONG", "SECOND", "KEY", "SEQ", "BOOT_NUMBER", "TIME", "UNCERTAINTY", "KIND", "REASON", "PSEUDONYM"),
    *("DETAIL", "MAC", "LOW", "HIGH", "LOWERED"),
}


def numbers(module):
    """The public constants of a module."""
    return {name: value for name, value in vars(module).items() if name[0] != "_" and isinstance(value, int)}


def rows(title, page="records.md"):
    """The numbered rows of one table of a page: number to first words."""
    section = (ROOT / "docs" / page).read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return {int(number): text for number, text in re.findall(r"^\| (\d+) \| ([^|:]+?)(?: \||:)", section, re.M)}


def test_every_number_has_a_name():
    known = {
        **names.KINDS,
    }
    named = set(known.values())
    for table, prefix in (
        (names.REASONS, ""),
        (names.CAUSES, "cause_"),
        (names.ALARMS, "alarm_"),
        (names.TRUST, ""),
        (names.CREDENTIALS, "kind_"),
        (names.STAGES, "stage_"),
        (names.MODES, "mode_"),
        (names.RESERVATIONS, ""),
        (names.TESTS, "test_"),
        (names.PARCELS, "parcel_"),
    ):
        named |= {prefix + name for name in table.values()}
    named |= set(names.GAPS.values())
    assert {name.lower() for name in numbers(record) if name not in LAYOUT} == named


def test_every_result_and_operation_has_a_name():
    changes = {"PUT", "SUSPEND", "REVOKE", "FORGET"}
    named = set(names.RESULTS.values()) | {f"op_{name}" for name in names.OPERATIONS.values()}
    assert {name.lower() for name in numbers(messages) if name not in changes} == named


def test_the_page_lists_every_kind_reason_cause_and_alarm():
    assert {number: text.replace(" ", "_") for number, text in rows("Kinds").items()} == names.KINDS
    for title, table in (("Reasons of granted and refused", names.REASONS), ("Causes of an opening", names.CAUSES)):
        assert set(rows(title)) == set(table), title
    assert set(rows("Alarms")) == set(names.ALARMS)
    assert set(rows("Reservations of a grant")) == set(names.RESERVATIONS)
    assert set(rows("Modes")) == set(names.MODES)
    assert set(rows("What became of a parcel")) == set(names.PARCELS)
    assert {0: "passed", **rows("Items", "self-test.md")} == names.TESTS


def test_unknown_numbers_are_shown_as_they_are():
    assert names.kind(200) == "200"
    assert names.reason(record.REFUSED, 200) == "200"
    assert names.reason(record.LIST, 0) == "-"
    assert names.reason(record.CLOCK, record.HELD) == "held"
    assert names.reason(record.CLOCK, record.LOWERED | record.HELD) == "lowered+held"
    assert names.trust(3) == "3"


def test_details_are_told_in_words():
    classic = record.evidence(1, record.KIND_CLASSIC, 1, True, 41)
    assert names.detail(record.GRANTED, 0, classic) == "classic, key version 1, counter 41, group 1"
    worn = record.evidence(0, record.KIND_CLASSIC, 2, False, 41)
    assert names.detail(record.GRANTED, 0, worn) == "classic, key version 2, counter 41 (not moved on)"
    assert names.detail(record.GRANTED, 0, record.evidence(3, record.KIND_UID)) == "uid (weak), group 3"
    assert names.detail(record.GRANTED, 0, 3) == "uid (weak), group 3"  # of software that knew UIDs only
    false = record.evidence(0, record.KIND_NTAG424)
    assert names.detail(record.ALARM, record.ALARM_COPY_SUSPECTED, false) == "ntag424"
    assert names.detail(record.REFUSED, record.SEVERAL_CARDS, 0) == "-"
    assert names.detail(record.ALARM, record.ALARM_TAMPER, 0) == "-"
    assert names.detail(record.REPEATED, record.UNKNOWN, 1200) == "1,200 refusals"
    assert names.detail(record.CLOSED, record.CAUSE_CARD, 4) == "open for 4 s"
    assert names.detail(200, 0, 4) == "-"
    assert names.reason(record.SELF_TEST, record.TEST_PASSED) == "passed"
    assert names.detail(record.SELF_TEST, record.TEST_PASSED, 0) == "-"
    failed = 1 << record.TEST_FLASH | 1 << record.TEST_NETWORK
    assert names.reason(record.SELF_TEST, record.TEST_FLASH) == "flash"
    assert names.detail(record.SELF_TEST, record.TEST_FLASH, failed) == "failed: flash, network"
    assert names.detail(record.ALARM, record.ALARM_SELF_TEST, failed) == "failed: flash, network"
    assert names.detail(record.ALARM, record.ALARM_SENSOR_FAULT, 1) == "leaf"
    assert names.detail(record.ALARM_ENDED, record.ALARM_SENSOR_FAULT, 3) == "fire"
    assert names.detail(record.ALARM, record.ALARM_SENSOR_FAULT, 9) == "9"


def test_contacts_have_the_same_numbers_everywhere():
    page = (ROOT / "docs" / "door.md").read_text().split("## Contacts")[1].split("## Causes")[0]
    assert tuple(name for _, name in re.findall(r"^\| (\d) \| (\w+) ", page, re.M)) == names.CONTACTS
    assert names.CONTACTS == config.CONTACTS


def test_states_of_doors_and_locks_are_those_of_the_protocol():
    row = re.search(r"^\| `door`, `lock` \| (.*) \|$", (ROOT / "docs" / "protocol.md").read_text(), re.M)[1]
    assert tuple(re.findall(r'"([a-z ]+)"', row)) == names.DOOR_STATES + names.LOCK_STATES
