"""`menwei image inspect`: whatever is done to an image is found and named, with sector and sequence."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from image_rig import (
    CARDS,
    CARDS_AT,
    JOURNAL,
    JOURNAL_AT,
    KEY,
    SLOT,
    WITH_KEY,
    Altered,
    by_hand,
    named,
    rest,
    text_of,
)
from journal_writer import Writer

from menwei.build import ROOT
from menwei.inspect_image import Options, inspect
from menwei.rawflash import SECTOR


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return rest(tmp_path_factory)


def test_one_region_says_the_same(image):
    both = inspect(image, WITH_KEY)
    for name, at, size in (("cards", CARDS_AT, CARDS), ("journal", JOURNAL_AT, JOURNAL)):
        told = inspect(image[at : at + size * SECTOR], Options(WITH_KEY.start_key, region=name))
        assert told[name] | {"offset": at} == both[name]


@pytest.mark.parametrize("at", range(1, 32))
def test_a_changed_record(image, at):
    altered = Altered(image)
    (number, sector, slot, _), _ = altered.single()
    raw = bytearray(altered.slot(sector, slot))
    raw[at] ^= 0x24
    altered.put(sector, slot, raw)
    told = altered.inspect()
    assert named(told) == [("changed", sector, slot, number, number)]
    assert told["wrong"] == 1
    line = next(line for line in text_of(told).splitlines() if "changed" in line)
    assert str(number) in line
    assert str(sector) in line


def test_a_changed_half_of_a_long_record(image):
    altered = Altered(image)
    number, sector, slot, _ = next(record for record in altered.records[20:] if record[3] == 2)
    raw = bytearray(altered.slot(sector, slot + 1))
    raw[9] ^= 1
    altered.put(sector, slot + 1, raw)
    assert named(altered.inspect()) == [("changed", sector, slot, number, number)]


def test_several_changed_records_are_one_finding(image):
    altered = Altered(image)
    (number, sector, slot, _), (_, _, other, _) = altered.single()
    for place in (slot, other):
        raw = bytearray(altered.slot(sector, place))
        raw[22] ^= 1
        altered.put(sector, place, raw)
    assert named(altered.inspect()) == [("changed", sector, slot, number, number + 1)]


@pytest.mark.parametrize("filler", [b"\xff" * SLOT, bytes(SLOT), b"\x99" * SLOT])
def test_a_missing_record(image, filler):
    altered = Altered(image)
    (number, sector, slot, _), _ = altered.single()
    altered.put(sector, slot, filler)
    told = altered.inspect()
    assert named(told) == [("missing", sector, slot + 1, number, number)]
    assert told["journal"]["verified"]["behind_a_gap"] == 1
    assert "missing" in text_of(told)


def test_a_sector_that_is_gone(image):
    altered = Altered(image)
    sector, after = altered.sectors[1:3]
    altered.data[JOURNAL_AT + sector * SECTOR : JOURNAL_AT + (sector + 1) * SECTOR] = b"\xff" * SECTOR
    gone = [number for number, where, _, _ in altered.records if where == sector]
    first = next(slot for _, where, slot, _ in altered.records if where == after)
    assert named(altered.inspect()) == [("missing", after, first, gone[0], gone[-1])]


def test_reordered_records(image):
    altered = Altered(image)
    (number, sector, slot, _), (_, _, other, _) = altered.single()
    one, two = altered.slot(sector, slot), altered.slot(sector, other)
    altered.put(sector, slot, two)
    altered.put(sector, other, one)
    told = altered.inspect()
    assert named(told) == [("reordered", sector, other, number, number)]
    assert told["journal"]["verified"]["right"] == told["journal"]["records"]


def test_any_record_that_is_changed_taken_away_or_swapped(image):
    """At the beginnings and ends of sectors and beside key slots, too."""
    records = Altered(image).records
    edges = [index for index in range(len(records) - 2) if records[index][1] != records[index + 1][1]]
    assert len(edges) > 2
    for index in sorted({*edges, *range(0, len(records) - 2, 9)}):
        (number, sector, slot, slots), (_, other, place, size) = records[index : index + 2]
        altered = Altered(image)
        altered.data[altered.at(sector, slot) + index % 31 + 1] ^= 1 + index % 255
        assert altered.found() == [("changed", number)]
        altered = Altered(image)
        altered.put(sector, slot, bytes(SLOT * slots))
        assert altered.found() == [("missing", number)]
        if slots == size == 1:
            altered = Altered(image)
            one, two = altered.slot(sector, slot), altered.slot(other, place)
            altered.put(sector, slot, two)
            altered.put(other, place, one)
            assert altered.found() == [("reordered", number)]


def test_a_header_with_another_first_number(image):
    """Its check is no secret: a forger makes it right."""
    altered = Altered(image)
    sector = altered.sectors[1]
    head = bytearray(altered.slot(sector, 0))
    head[18:22] = (5).to_bytes(4, "little")
    head[22:26] = hashlib.sha256(b"menwei journal" + head[8:22]).digest()[:4]
    altered.put(sector, 0, head)
    assert named(altered.inspect()) == [("damaged header", sector, None, None, None)]


def test_reordered_sectors(image):
    altered = Altered(image)
    one, two = altered.sectors[1:3]
    places = [slice(JOURNAL_AT + n * SECTOR, JOURNAL_AT + (n + 1) * SECTOR) for n in (one, two)]
    altered.data[places[0]], altered.data[places[1]] = altered.data[places[1]], altered.data[places[0]]
    assert {what for what, *_ in named(altered.inspect())} == {"reordered"}


def test_a_repeated_record(image):
    altered = Altered(image)
    (number, sector, slot, _), (_, _, other, _) = altered.single()
    altered.put(sector, other, altered.slot(sector, slot))
    found = named(altered.inspect())
    assert ("repeated", sector, other, number, number) in found
    assert ("missing", sector, other + 1, number + 1, number + 1) in found


def test_a_sector_of_another_epoch(image):
    altered = Altered(image)
    spare = next(n for n in range(JOURNAL) if n not in altered.sectors)
    other = Writer(b"old!", bytes(16))
    other.record(1)
    altered.put(spare, 0, other.region(1))
    told = altered.inspect()
    assert named(told) == [("foreign epoch", spare, None, None, None)]
    assert "6f6c6421" in text_of(told)


@pytest.mark.parametrize("bit", [8 * 8, 8 * 9 + 1, 8 * 12, 8 * 15 + 3, 8 * 20, 8 * 24])
def test_a_flipped_bit_in_a_journal_header(image, bit):
    altered = Altered(image)
    for sector in altered.sectors:
        at = altered.at(sector, 0) + bit // 8
        altered.data[at] ^= 1 << bit % 8
        told = altered.inspect()
        assert named(told) == [("damaged header", sector, None, None, None)]
        assert told["journal"]["verified"]["right"] == len(altered.records)
        altered.data[at] ^= 1 << bit % 8


def test_a_header_that_is_gone(image):
    altered = Altered(image)
    for sector in altered.sectors:
        at = altered.at(sector, 0) + 10
        kept = altered.data[at : at + 14]
        altered.data[at : at + 14] = b"\x5a" * 14
        told = altered.inspect()
        assert named(told) == [("damaged header", sector, None, None, None)], sector
        assert told["journal"]["verified"]["right"] == len(altered.records)
        altered.data[at : at + 14] = kept


def test_a_key_that_was_not_wiped(image):
    altered = Altered(image)
    keys = [KEY]
    while len(keys) < 40:
        keys.append(hashlib.sha256(b"menwei next key" + keys[-1]).digest()[:16])
    sector = altered.sectors[0]
    slot = bytearray(altered.slot(sector, 1))
    assert slot[14:] == bytes(18)
    slot[14:30] = keys[int.from_bytes(slot[1:5], "little")]
    slot[30:] = hashlib.sha256(b"menwei key" + slot[1:30]).digest()[:2]
    first = altered.records[0][0]
    altered.put(sector, 1, slot)
    told = altered.inspect()
    assert named(told) == [("key not wiped", sector, 1, first, first)]
    assert told["journal"]["live_key_slots"][0] == {"sector": sector, "slot": 1}
    assert slot[14:30].hex() not in text_of(told) + json.dumps(told)
    slot[14:22] = bytes(8)  # a half of it is no key any more, but it helps
    altered.put(sector, 1, slot)
    assert named(altered.inspect()) == [("key not wiped", sector, 1, first, first)]


def test_a_damaged_key_slot(image):
    altered = Altered(image)
    sector = altered.sectors[1]
    slot = bytearray(altered.slot(sector, 1))
    slot[5:12] = bytes(7)
    altered.put(sector, 1, slot)
    assert [(what, where, at) for what, where, at, *_ in named(altered.inspect())] == [("damaged key slot", sector, 1)]


def test_a_torn_record_at_the_end_is_a_note(image):
    altered = Altered(image)
    number, sector, slot, slots = altered.records[-1]
    raw = bytearray(altered.slot(sector, slot + slots - 1))
    raw[25:] = b"\xff" * 7
    altered.put(sector, slot + slots - 1, raw)
    told = altered.inspect()
    assert named(told) == []
    assert named(told, wrong=False) == [("torn", sector, slot, number, number)]
    assert told["journal"]["last"] == number - 1
    assert "torn" in text_of(told)


def test_the_wrong_key(image):
    told = inspect(image, Options(start_key=lambda epoch: bytes(16)))
    assert [what for what, *_ in named(told)] == ["wrong key"]


def test_no_journal(image):
    data = bytearray(image)
    data[JOURNAL_AT : JOURNAL_AT + JOURNAL * SECTOR] = b"\xff" * (JOURNAL * SECTOR)
    told = inspect(bytes(data), WITH_KEY)
    assert named(told) == [("no journal", None, None, None, None)]
    assert told["cards"]["live"] > 50
    assert "no journal" in text_of(told)


def sector_of_cards(image):
    """The first table sector in use, and the first erased slot in it."""
    for sector in range(CARDS):
        data = image[CARDS_AT + sector * SECTOR : CARDS_AT + (sector + 1) * SECTOR]
        if data[8] == 0x43 and data[22] & 7 == 7:
            return sector, next(s for s in range(2, 256) if data[16 * s : 16 * s + 16] == b"\xff" * 16)
    raise ValueError("no such sector")


def test_a_torn_entry(image):
    data = bytearray(image)
    sector, slot = sector_of_cards(image)
    before = inspect(image, Options())["cards"]
    at = CARDS_AT + sector * SECTOR + 16 * slot
    data[at : at + 5] = b"\x12\x34\x56\x78\x9a"
    told = inspect(bytes(data), Options())
    assert named(told, wrong=False) == [("torn entry", sector, slot, None, None)]
    assert told["wrong"] == 0
    after = told["cards"]
    assert after["torn"] == before["torn"] + 1
    assert (after["digest_live"], after["live"]) == (before["digest_live"], before["live"])
    line = next(line for line in text_of(told).splitlines() if "torn entry" in line)
    assert str(slot) in line


@pytest.mark.parametrize("bit", range(64, 176, 5))
def test_a_flipped_bit_in_a_cards_header(image, bit):
    data = bytearray(image)
    sector, _ = sector_of_cards(image)
    data[CARDS_AT + sector * SECTOR + bit // 8] ^= 1 << bit % 8
    told = inspect(bytes(data), Options())
    assert named(told) == [("damaged header", sector, None, None, None)]
    assert told["cards"]["digest_live"] == inspect(image, Options())["cards"]["digest_live"]


def test_a_cards_header_that_is_gone(image):
    data = bytearray(image)
    sector, _ = sector_of_cards(image)
    at = CARDS_AT + sector * SECTOR
    data[at + 18 : at + 22] = b"\x5a" * 4
    told = inspect(bytes(data), Options())
    assert named(told) == [("damaged header", sector, None, None, None)]
    assert told["cards"]["live"] < inspect(image, Options())["cards"]["live"]


def test_groups_and_a_date(image):
    cards = inspect(image, Options(date=datetime(2020, 1, 1, tzinfo=UTC)))["cards"]
    assert sum(group["past"] for group in cards["groups"].values()) == 0
    assert sum(group["live"] for group in cards["groups"].values()) == cards["live"]
    late = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=0xFFFFFE)
    cards = inspect(image, Options(date=late))["cards"]
    assert sum(group["past"] + group["no_end"] for group in cards["groups"].values()) == cards["live"]


def test_a_worn_sector(image):
    data = bytearray(image)
    sector, _ = sector_of_cards(image)
    mark = b"\xe5" + (100_001).to_bytes(3, "little")
    at = CARDS_AT + sector * SECTOR
    data[at : at + 8] = mark + hashlib.sha256(b"menwei clean" + mark).digest()[:4]
    told = inspect(bytes(data), Options())
    assert named(told) == [("worn", sector, None, None, None)]
    assert told["cards"]["erases"]["most"] == 100_001


# Without the start key


def look(region):
    return inspect(region, Options(region="journal"))


def test_the_newest_records_are_checked_with_the_key_in_the_image():
    told = look(by_hand().region(JOURNAL))["journal"]
    right = told["verified"]["right"]
    assert 0 < right < 32
    assert told["verified"]["first_right"] == 151 - right
    assert told["verified"]["unchecked"] == 150 - right


@pytest.mark.parametrize("behind", [3, 60])
def test_what_is_found_without_the_start_key(behind):
    """A changed record behind the key that is left; a record that was taken away, anywhere."""
    writer = by_hand()
    region = bytearray(writer.region(JOURNAL))
    at = region.index(writer.slots[-behind])
    number = 151 - behind
    region[at + 21] ^= 1
    if behind == 3:
        assert [f[:1] + f[3:] for f in named(look(bytes(region)))] == [("changed", number, number)]
    region[at : at + SLOT] = bytes(SLOT)
    assert [f[:1] + f[3:] for f in named(look(bytes(region)))] == [("missing", number, number)]


def test_a_seal_that_the_next_key_slot_does_not_name_is_found_without_any_key():
    writer = by_hand()
    region = bytearray(writer.region(JOURNAL))
    at = region.index(writer.slots[31])  # the last record before the second key slot
    region[at + 28] ^= 1
    assert [f[:1] + f[3:] for f in named(look(bytes(region)))] == [("changed", 32, 32)]


def test_every_finding_stands_in_the_docs():
    folder = ROOT / "tools" / "menwei"
    sources = "".join((folder / f"{name}.py").read_text() for name in ("cardimage", "journalscan", "image", "rawflash"))
    found = set(re.findall(r'(?:note\(|Finding\(\s*region,)\s*"([a-z ]+)"', sources))
    table = (ROOT / "docs" / "image.md").read_text()
    assert len(found) > 15
    assert found == set(re.findall(r"^\| ([a-z ]+) \| (?:journal|allowlist|both) \|", table, re.MULTILINE))
