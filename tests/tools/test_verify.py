"""The verifier of batches: what the door's journal made is right, and whatever is done to it is found and named."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_journal import EPOCH, KEY, Region, patch_time, take

from menwei import verify
from storage import record
from storage.flash import Flash
from storage.journal import Journal
from sync.messages import Refused
from sync.upstream import parse_batch

HEADER, SLOT = 24, 32
LAST = 700


def content(number):
    """What record `number` says; every 7th is a long one."""
    payload = bytes((number + i) & 255 for i in range(24)) if number % 7 == 3 else b""
    kind = record.COMMAND if payload else record.GRANTED
    return kind, number % 5, number.to_bytes(7, "big"), number * 1000 % (1 << 30), payload


def write(key=KEY, last=LAST):
    journal = Journal(Flash(Region(16)))
    journal.format(EPOCH, key)
    journal.mount()
    for number in range(1, last + 1):
        journal.stamp(1000 + number, number % 3, number % 31)
        *fields, payload = content(number)
        if payload:
            journal.append_long(*fields, payload)
        else:
            journal.append(*fields)
        journal.idle()
    return journal


@pytest.fixture(scope="module")
def journal():
    """Return a journal with records over several sectors and many keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch_time(patch)
        yield write()


@pytest.fixture(scope="module")
def payload(journal):
    """Return a batch in the middle, in which the key moves, with long records in it."""
    data = take(journal, 51)
    generations = {found.generation for found in run(data)[0]}
    assert len(generations) == 2
    return data


def run(data, key=KEY):
    """The records that are right up to the first wrong one, and what is wrong with that."""
    found = verify.run(key, parse_batch(data))
    problem = found.problem
    records = []
    for item in found.items:
        if isinstance(item, verify.Damaged):
            problem = item
            break
        records.append(item)
    return records, problem and f"record {problem.seq}: {problem.text}"


def slots_of(data):
    return [data[at : at + SLOT] for at in range(HEADER, len(data), SLOT)]


def join(data, slots):
    return data[:2] + bytes([len(slots)]) + data[3:HEADER] + b"".join(slots)


def records_of(data):
    """Lists of a record's slots."""
    groups = []
    for slot in slots_of(data):
        if slot[0] == record.SECOND:
            groups[-1].append(slot)
        else:
            groups.append([slot])
    return groups


def regroup(data, groups):
    return join(data, [slot for group in groups for slot in group])


def test_all_that_a_journal_made_is_right(journal):
    first, chain, generations = 1, bytes(7), set()
    while first <= LAST:
        data = take(journal, first)
        batch = parse_batch(data)
        assert (batch.epoch, batch.first, batch.chain) == (EPOCH, first, chain)
        records, problem = run(data)
        assert problem is None
        assert b"".join(found.raw for found in records) == data[HEADER:]
        for found in records:
            assert found.seq == first
            said = (found.kind, found.reason, found.pseudonym, found.detail, found.payload)
            assert said == content(first)
            assert (found.time, found.trust, found.uncertainty) == (1000 + first, first % 3, first % 31)
            assert found.boot == 1
            first += 1
        chain = records[-1].chain
        generations |= {found.generation for found in records}
    assert chain == journal.chain
    assert generations == set(range(max(generations) + 1))
    assert len(generations) >= LAST // 32


def test_any_byte_of_any_record_that_was_altered_is_found_and_named(payload):
    groups = records_of(payload)
    rng = random.Random(20200101)
    at = HEADER
    for index, group in enumerate(groups):
        for _ in range(SLOT * len(group)):
            bad = bytearray(payload)
            bad[at] ^= rng.randrange(1, 256)
            records, problem = run(bytes(bad))
            assert problem.startswith(f"record {51 + index}: ")
            assert len(records) == index
            at += 1
    assert at == len(payload)


def test_a_missing_record_is_named(payload):
    groups = records_of(payload)
    for index in range(len(groups) - 1):
        records, problem = run(regroup(payload, groups[:index] + groups[index + 1 :]))
        assert len(records) == index
        assert (
            problem
            == f"record {51 + index}: {51 + index} to {51 + index} are missing: {52 + index} stands in its place"
        )


def test_a_missing_record_whose_place_is_hidden_is_named(payload):
    """The numbers behind it were changed, too: then the MAC is wrong."""
    groups = records_of(payload)
    kept = groups[:5]
    for group in groups[6:]:
        first = bytearray(group[0])
        record.put30(first, record.SEQ, record.get30(first, record.SEQ) - 1, first[record.SEQ + 3] >> 6)
        kept.append([bytes(first), *group[1:]])
    records, problem = run(regroup(payload, kept))
    assert len(records) == 5
    assert problem.startswith("record 56: wrong MAC")


def test_reordered_records_are_named(payload):
    groups = records_of(payload)
    for index in range(len(groups) - 1):
        swapped = groups[:]
        swapped[index : index + 2] = reversed(groups[index : index + 2])
        records, problem = run(regroup(payload, swapped))
        assert len(records) == index
        assert problem == f"record {51 + index}: {52 + index} stands in its place, and it comes later"


def test_a_duplicated_record_is_named(payload):
    groups = records_of(payload)[:20]
    for index in range(len(groups)):
        records, problem = run(regroup(payload, [*groups[: index + 1], *groups[index:]]))
        assert len(records) == index + 1
        assert problem == f"record {52 + index}: {51 + index} stands in its place"


def test_a_truncated_payload_is_refused(payload):
    for length in range(len(payload)):
        with pytest.raises(Refused):
            parse_batch(payload[:length])
    with pytest.raises(Refused):
        parse_batch(payload + bytes(SLOT))


def test_records_cut_off_at_the_end_leave_a_right_beginning(journal, payload):
    """Nothing is wrong with it: the next batch shows what is missing."""
    groups = records_of(payload)
    records, problem = run(regroup(payload, groups[:4]))
    assert problem is None
    assert [found.seq for found in records] == [51, 52, 53, 54]
    assert parse_batch(take(journal, 55)).chain == records[-1].chain


def test_a_long_record_cut_in_half_is_named(payload):
    groups = records_of(payload)
    index = next(number for number, group in enumerate(groups) if len(group) == 2)
    whole = f"record {51 + index}: "
    first, second = groups[index]
    before = groups[:index]
    records, problem = run(regroup(payload, [*before, [first]]))
    assert (len(records), problem) == (index, whole + "the second half is missing")
    records, problem = run(regroup(payload, [*before, [first], *groups[index + 1 :]]))
    assert (len(records), problem) == (index, whole + "the second half is missing")
    records, problem = run(regroup(payload, [*before, [second], *groups[index + 1 :]]))
    assert len(records) == index
    assert problem.startswith(whole)
    assert problem == whole + "the first half is missing"
    short = bytearray(first)
    short[0] = record.SINGLE
    records, problem = run(regroup(payload, [*before, [bytes(short)], *groups[index + 1 :]]))
    assert len(records) == index
    assert problem.startswith(whole + "wrong MAC")


def test_the_second_half_of_another_record_is_named(payload):
    groups = records_of(payload)
    one, other = [number for number, group in enumerate(groups) if len(group) == 2][:2]
    groups[one][1], groups[other][1] = groups[other][1], groups[one][1]
    records, problem = run(regroup(payload, groups))
    assert len(records) == one
    assert problem.startswith(f"record {51 + one}: wrong MAC")


def test_what_lies_in_flash_but_is_no_record_is_named(payload):
    slots = slots_of(payload)
    key_slot = bytearray(SLOT)
    record.put_key(key_slot, 0, 1, bytes(7), bytes(16))
    for foreign in (bytes(SLOT), b"\xff" * SLOT, bytes(key_slot)):
        records, problem = run(join(payload, [foreign, *slots[1:]]))
        assert (records, problem) == ([], "record 51: slot 0 does not hold a record")


@pytest.mark.parametrize("key", [bytes(16), KEY[::-1], record.next_key(KEY)])
def test_a_wrong_key_is_found_at_the_first_record(payload, key):
    records, problem = run(payload, key)
    assert records == []
    assert problem.startswith("record 51: wrong MAC")


def test_a_header_that_does_not_fit_is_found_at_the_first_record(payload):
    for at, mask in ((8, 1), (13, 1), (15, 32), (16, 1), (22, 128)):
        bad = bytearray(payload)
        bad[at] ^= mask
        records, problem = run(bytes(bad))
        assert records == []
        assert problem.startswith(f"record {record.get30(bad, 8)}: ")


def test_a_fork_has_another_chain_value(journal, monkeypatch):
    """Both branches are right in themselves; what upstream kept tells them apart, and they do not mix."""
    patch_time(monkeypatch)
    fork = Journal(Flash(Region(16)))
    fork.format(EPOCH, KEY)
    fork.mount()
    for number in range(1, 101):
        fork.append(record.REFUSED if number == 40 else record.GRANTED, 0, None, number)
        fork.idle()
    data, other = take(journal, 51), take(fork, 51)
    assert run(other)[1] is None
    assert parse_batch(other).chain != parse_batch(data).chain
    mixed = data[:HEADER] + other[HEADER:]
    records, problem = run(mixed)
    assert (records, problem) == ([], "record 51: wrong MAC, it was altered or does not follow the one before")


def test_records_packed_by_hand(payload):
    """A forger who knows the layout, but no key."""
    slots = slots_of(payload)
    forged = bytearray(slots[0])
    forged[record.KIND] = record.REFUSED
    record.put30(forged, record.DETAIL, 7)
    forged[record.MAC :] = random.Random(1).randbytes(7)
    records, problem = run(join(payload, [bytes(forged), *slots[1:]]))
    assert (records, problem[:21]) == ([], "record 51: wrong MAC,")


@settings(deadline=None, max_examples=400)
@given(bit=st.integers(min_value=0), first=st.integers(1, LAST - 40))
def test_any_flipped_bit_is_found(journal, bit, first):
    """Of the header the epoch is left out: upstream looks the key up by it.

    A header's generation that is off by one is no proof of anything: the first record says its own, under its MAC.
    """
    data = bytearray(take(journal, first))
    places = [at for at in range(len(data)) if not 4 <= at < 8]
    at = places[(bit >> 3) % len(places)]
    data[at] ^= 1 << (bit & 7)
    try:
        records, problem = run(bytes(data))
    except Refused:
        assert at in (0, 1, 2, 3, 11, 15, 23)
        return
    if problem is None:
        assert at == 12
        assert records == run(take(journal, first))[0]
        return
    assert problem.startswith(f"record {record.get30(data, 8) + len(records)}: ")
    slot = (at - HEADER) // SLOT
    assert sum(len(found.raw) for found in records) // SLOT <= max(slot, 0)
    assert all(found.raw in bytes(data) for found in records)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_mixture_of_slots_gives_only_a_right_beginning(journal, data):
    """Slots in any choice and order: what is accepted is what the journal holds from there on, and no more."""
    genuine = take(journal, data.draw(st.integers(1, LAST - 40)))
    slots = slots_of(genuine)
    chosen = data.draw(st.lists(st.integers(0, len(slots) - 1), min_size=1, max_size=32))
    mixed = [slots[index] for index in chosen]
    records, problem = run(join(genuine, mixed))
    accepted = b"".join(found.raw for found in records)
    assert genuine[HEADER:].startswith(accepted)
    assert (problem is None) == (accepted == b"".join(mixed))
