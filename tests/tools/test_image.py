"""The reader of flash images against regions that were written by hand."""

import random

import pytest
from journal_writer import Writer

from menwei.image import read_journal

EPOCH, KEY = b"\x01\x02\x03\x04", bytes(range(16))
SECTORS = 8
OFFSET = 12288


def read(region, key=KEY):
    return read_journal(b"\xff" * OFFSET + region + b"\xff" * 100, OFFSET, len(region), key)


def test_fields_of_a_record():
    writer = Writer(EPOCH, KEY)
    writer.record(2, 1, b"abcdefg", 77, time=0x2BCDEF01, trust=2)
    journal = read(writer.region(SECTORS))
    assert not journal.problems
    assert (journal.epoch, journal.torn) == (EPOCH, 0)
    (record,) = journal.records
    assert (record.seq, record.kind, record.reason, record.pseudonym, record.detail) == (1, 2, 1, b"abcdefg", 77)
    assert (record.time, record.trust, record.boot, record.generation) == (0x2BCDEF01, 2, 1, 0)
    assert record.raw == writer.slots[0]


@pytest.mark.parametrize("first_sector", [0, 6])
def test_many_records_over_sectors_keys_and_the_end_of_the_region(first_sector):
    writer = Writer(EPOCH, KEY, first_sector=first_sector)
    for number in range(400):
        writer.record(11 if number % 7 == 0 else 2, payload=bytes([number & 255]) * 24 if number % 7 == 0 else None)
    journal = read(writer.region(SECTORS))
    assert not journal.problems
    assert [record.raw for record in journal.records] == writer.slots
    assert [record.seq for record in journal.records] == list(range(1, 401))
    assert journal.records[-1].chain == writer.chain
    assert journal.records[-1].generation == writer.generation > 400 // 32
    assert journal.records[0].payload == bytes(24)
    assert journal.records[1].payload == b""


def test_an_oldest_sector_that_was_erased_is_no_problem():
    writer = Writer(EPOCH, KEY)
    for _ in range(400):
        writer.record(2)
    region = writer.region(SECTORS)
    journal = read(b"\xff" * 4096 + region[4096:])
    assert not journal.problems
    assert [record.raw for record in journal.records] == writer.slots[-len(journal.records) :]
    assert 0 < len(journal.records) < 400


def test_a_sector_in_the_middle_that_is_missing_is_seen():
    writer = Writer(EPOCH, KEY)
    for _ in range(400):
        writer.record(2)
    region = writer.region(SECTORS)
    journal = read(region[:4096] + b"\xff" * 4096 + region[8192:])
    found = [finding for finding in journal.findings if finding.what == "missing"]
    before = len([slot for slot in writer.sectors[0] if slot[0] == 0x55])
    lost = len([slot for slot in writer.sectors[1] if slot[0] == 0x55])
    assert [(finding.sector, finding.seq, finding.last) for finding in found] == [(2, before + 1, before + lost)]


def test_acknowledged_groups_by_majority():
    writer = Writer(EPOCH, KEY)
    for _ in range(60):
        writer.record(1)
    region = bytearray(writer.region(SECTORS, acked=3))
    assert read(bytes(region)).acked == 48 - 3  # a header and two key slots stand before slot 48
    region[26] ^= 0x02  # one of the three bits of group 0 flips
    assert read(bytes(region)).acked == 48 - 3


@pytest.mark.parametrize("long", [False, True])
def test_every_flipped_bit_of_a_record_is_seen(long):
    writer = Writer(EPOCH, KEY)
    writer.record(1)
    start = 32 * len(writer.sectors[-1])
    writer.record(2, payload=bytes(24) if long else None)
    region = bytearray(writer.region(2))
    for bit in range(8 * (64 if long else 32)):
        region[start + bit // 8] ^= 1 << bit % 8
        journal = read(bytes(region))
        assert [record.seq for record in journal.records] == [1], bit
        region[start + bit // 8] ^= 1 << bit % 8
    assert len(read(bytes(region)).records) == 2


def test_a_torn_record_is_counted_and_the_next_one_is_read():
    writer = Writer(EPOCH, KEY)
    first = writer.record(2)
    writer.raw(b"\x55" + bytes(20) + b"\xff" * 11)
    writer.raw(bytes(32))
    second = writer.record(2)
    journal = read(writer.region(2))
    assert [record.raw for record in journal.records] == [first, second]
    assert journal.torn == 2
    assert not journal.problems


def test_removed_and_swapped_records_are_seen():
    writer = Writer(EPOCH, KEY)
    for kind in range(1, 6):
        writer.record(kind)
    region = writer.region(2)
    slots = [region[at : at + 32] for at in range(0, len(region), 32)]
    removed = read(b"".join(slots[:4] + slots[5:] + [b"\xff" * 32]))
    # The one behind the gap was made with a chain value that is gone.
    assert [record.kind for record in removed.records] == [1, 2, 5]
    assert (removed.loose, [(finding.what, finding.seq) for finding in removed.findings]) == (1, [("missing", 3)])
    slots[4], slots[5] = slots[5], slots[4]
    swapped = read(b"".join(slots))
    assert [record.kind for record in swapped.records] == [1, 2, 4, 3, 5]
    assert [(finding.what, finding.seq, finding.sector, finding.slot) for finding in swapped.findings] == [
        ("reordered", 3, 0, 5)
    ]


def test_another_key_reads_nothing():
    writer = Writer(EPOCH, KEY)
    writer.record(1)
    journal = read(writer.region(2), bytes(16))
    assert (journal.records, journal.key_fits) == ([], False)
    assert [finding.what for finding in journal.findings] == ["wrong key"]


def test_headers():
    writer = Writer(EPOCH, KEY)
    writer.record(1)
    region = bytearray(writer.region(2))
    for at in (0, 3, 5, 8, 9, 12, 15, 19, 23):
        region[at] ^= 0x10
        assert [finding.what for finding in read(bytes(region)).findings] == ["damaged header"], at
        region[at] ^= 0x10
    assert [finding.what for finding in read(b"\xff" * 8192).findings] == ["no journal"]
    retired = bytes(64) + b"\xff" * 4032
    assert not read(writer.region(1) + retired).problems


def test_sectors_of_another_epoch_are_told_apart():
    old, new = Writer(b"old!", KEY), Writer(EPOCH, KEY)
    for writer in (old, old, new):
        writer.record(1)
    new.sectors = [new.sectors[0]]
    region = old.region(1)
    for _ in range(300):
        new.record(2)
    journal = read(new.region(3) + region)
    assert journal.epoch == EPOCH
    assert ("foreign epoch", 3) in [(finding.what, finding.sector) for finding in journal.findings]


def test_noise_never_crashes_and_never_is_a_record():
    seed = random.SystemRandom().randrange(1 << 30)
    print("seed", seed)
    source = random.Random(seed)
    writer = Writer(EPOCH, KEY)
    for _ in range(150):
        writer.record(source.randrange(1, 17), payload=bytes(24) if source.random() < 0.2 else None)
    good = writer.region(3)
    for _ in range(100):
        region = bytearray(good)
        for _ in range(source.randrange(1, 40)):
            at = source.randrange(len(region))
            region[at : at + source.randrange(1, 70)] = source.randbytes(source.randrange(1, 70))
        journal = read(bytes(region[: len(good)].ljust(len(good), b"\0")))
        assert all(record.raw in writer.slots for record in journal.records)


def test_a_file_that_is_too_short():
    with pytest.raises(ValueError, match="right file"):
        read_journal(b"\xff" * 5000, 4096, 4096, KEY)
