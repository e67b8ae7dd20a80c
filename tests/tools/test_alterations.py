"""A true stream of batches with any one alteration: found and named, nothing false stored, nothing true lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_stream import Truth, apart, first_of, flip, join, split
from real_journal import EPOCH, KEY, append, mount, patch_time, stream, take, write

from menwei.ingest import Ingest
from menwei.keyfile import KeyFile
from menwei.store import Store
from sync.messages import Refused
from sync.upstream import parse_batch

DOOR, LAST = "front-gate", 150
OTHER_EPOCH, OTHER_KEY = b"else", bytes(range(16, 32))


class Upstream:
    """Ingest with its store, and what it answered."""

    def __init__(self):
        keys = KeyFile("garden")
        keys.add(DOOR, bytes(32), {EPOCH: KEY, OTHER_EPOCH: OTHER_KEY})
        self.store = Store(":memory:")
        self.ingest = Ingest(self.store, keys)
        self.now = 0

    def take(self, payload):
        self.now += 20  # a door's patience, before it says the same again
        return self.ingest.take(DOOR, parse_batch(payload), self.now).ack

    def events(self):
        return [(event.seq, event.raw) for event in self.store.events(DOOR)]

    def damaged(self):
        return [(wreck.seq, wreck.raw) for wreck in self.store.damaged(DOOR)]

    def findings(self):
        return [(kind, text) for _, kind, text in self.store.findings(DOOR)]


@pytest.fixture(scope="module")
def made():
    """Return the door's journal, one that differs from record 2 on, and one of another epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch_time(patch)
        yield [write(LAST)[0], write(LAST, branch_at=2)[0], write(LAST, OTHER_KEY, OTHER_EPOCH)[0]]


@pytest.fixture(scope="module")
def truth(made):
    return Truth(records_of(made[0]))


def records_of(journal):
    return [group for batch in stream(journal, [32]) for group in split(batch)[1]]


sizes = st.lists(st.integers(4, 32), min_size=1, max_size=4)


def deliver(upstream, batches):
    for payload in batches:
        upstream.take(payload)


def prepare(data, made, sizes):
    """Batches, which one is altered, and an upstream that has those before it."""
    batches = stream(made[0], sizes)
    index = data.draw(st.integers(0, len(batches) - 1), label="batch")
    upstream = Upstream()
    deliver(upstream, batches[:index])
    assert upstream.findings() == []
    return batches, index, upstream


def finish(truth, upstream, batches, index):
    """The door sends the rest, and what was altered again: then all is there."""
    truth.check(upstream.events(), upstream.damaged())
    deliver(upstream, batches[index:])
    truth.check(upstream.events(), upstream.damaged())
    truth.complete(upstream.events(), LAST)
    assert upstream.store.apart(DOOR) == []


@settings(deadline=None, max_examples=150)
@given(st.data(), sizes)
def test_any_flipped_bit_of_a_record(made, truth, data, sizes):
    batches, index, upstream = prepare(data, made, sizes)
    payload = batches[index]
    head, groups = split(payload)
    victim = data.draw(st.integers(0, len(groups) - 1), label="record")
    bit = data.draw(st.integers(0, 8 * len(groups[victim]) - 1), label="bit")
    bad = flip(groups[victim], bit)
    seq = first_of(payload) + victim
    ack = upstream.take(join(head, [*groups[:victim], bad, *groups[victim + 1 :]]))
    last = victim == len(groups) - 1
    kind, text = upstream.findings()[0]
    assert len(upstream.findings()) == 1
    assert kind == ("changed" if last else "damaged")
    assert text.startswith(f"epoch {EPOCH.hex()}, record {seq}: ")
    assert "flipped" in text
    upto = seq - 1 if last else first_of(payload) + len(groups) - 1
    truth.complete(upstream.events(), upto, () if last else {seq})
    assert upstream.damaged() == ([] if last else [(seq, bad)])
    # The chain value that stands in the door's flash.
    assert ack == ((EPOCH, upto, truth.records[upto - 1][25:32]) if upto >= first_of(payload) else None)
    finish(truth, upstream, batches, index)


@settings(deadline=None, max_examples=100)
@given(st.data(), sizes)
def test_any_flipped_bit_of_a_header(made, truth, data, sizes):
    batches, index, upstream = prepare(data, made, sizes)
    before = upstream.events()
    payload = batches[index]
    bit = data.draw(st.integers(0, 24 * 8 - 1), label="bit")
    try:
        upstream.take(flip(payload, bit))
    except Refused:
        assert upstream.events() == before
    else:
        (finding,) = upstream.findings()
        if bit >> 3 in range(4, 8):
            assert finding[0] == "no key"
        if 12 <= bit >> 3 < 23:  # generation and chain value are known from the record before
            truth.complete(upstream.events(), first_of(payload) + len(split(payload)[1]) - 1)
            assert finding[0] == "changed"
        else:
            assert upstream.events() == before
    finish(truth, upstream, batches, index)


@settings(deadline=None, max_examples=250)
@given(st.data(), sizes, st.sampled_from(["drop", "repeat", "swap", "cut", "half", "branch", "epoch"]))
def test_any_other_alteration(made, truth, data, sizes, how):
    batches, index, upstream = prepare(data, made, sizes)
    head, groups = split(batches[index])
    first, count = first_of(head), len(groups)
    at = data.draw(st.integers(0, count - 1), label="record")
    seq = first + at
    kinds = set()
    if how == "drop":
        altered = groups[:at] + groups[at + 1 :]
        kinds = {"missing"} if at < count - 1 else set()
    elif how == "repeat":
        altered = groups[: at + 1] + groups[at:]
        seq += 1
        kinds = {"repeated"}
    elif how == "swap":
        to = data.draw(st.integers(0, count - 1), label="with")
        altered = groups[:]
        altered[at], altered[to] = groups[to], groups[at]
        seq = first + min(at, to)
        kinds = {"reordered"} if at != to else set()
    elif how == "cut":
        altered = groups[:at]
    elif how == "half":
        longs = [number for number in range(count) if len(groups[number]) == 64]
        if not longs:
            return
        at = data.draw(st.sampled_from(longs), label="long record")
        seq = first + at
        start = data.draw(st.sampled_from([0, 32]), label="half")
        altered = [*groups[:at], groups[at][start : start + 32], *groups[at + 1 :]]
        kinds = {"half record"}
    else:
        other = made[1] if how == "branch" else made[2]
        foreign = [group for batch in stream(other, [32]) for group in split(batch)[1]]
        altered = groups[:at] + foreign[seq - 1 : first + count - 1]
        kinds = {"changed"}
        if how == "branch" and seq <= 2:
            return  # nothing says which of two that follow the same record was first
    if not altered or len(b"".join(altered)) > 32 * 32:
        return
    upstream.take(join(head, altered))
    found = upstream.findings()
    assert {kind for kind, _ in found} == kinds
    for _, text in found:
        assert text.startswith(f"epoch {EPOCH.hex()}, record {seq}: ")
    truth.check(upstream.events(), upstream.damaged())
    assert upstream.damaged() == []
    truth.complete(upstream.events(), min(seq - 1 if kinds else first + len(altered) - 1, first + count - 1))
    finish(truth, upstream, batches, index)


def test_a_whole_branch_is_kept_apart_and_named_once(made, truth):
    upstream = Upstream()
    deliver(upstream, stream(made[0], [32]))
    for _ in range(2):
        deliver(upstream, stream(made[1], [32]))
    assert [kind for kind, _ in upstream.findings()] == ["fork"]
    assert f"epoch {EPOCH.hex()}, record 2: " in upstream.findings()[0][1]
    truth.complete(upstream.events(), LAST)
    truth.check(upstream.events())
    branch = Truth(records_of(made[1]))
    kept = [(event.seq, event.raw) for event in upstream.store.apart(DOOR)]
    branch.check(kept)
    assert len(kept) == LAST - 1


# In flash


def upload(journal, upstream, rounds=6):
    """The door's link: two batches under way, then what was acknowledged."""
    for _ in range(rounds):
        acks = []
        sent = journal.acked
        for _ in range(2):
            if sent < journal.head:
                acks.append(upstream.take(take(journal, sent + 1)))
                sent = journal.last_in_batch
        for ack in filter(None, acks):
            journal.ack(*ack)


def place_of(region, raw):
    at = bytes(region.data).find(raw)
    assert at > 0
    return at


@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(1, 90), st.integers(0, 60), st.booleans())
def test_a_flipped_bit_in_flash_does_not_stop_the_upload(data, victim, later, restart):
    with pytest.MonkeyPatch.context() as patch:
        patch_time(patch)
        journal, region = write(90 + 3)
        upstream = Upstream()
        raw = split(take(journal, victim))[1][0]
        bit = data.draw(st.integers(0, 8 * len(raw) - 1), label="bit")
        at = place_of(region, raw)
        region.data[at : at + len(raw)] = flip(raw, bit)
        if restart:
            journal = mount(region)
        journal._page_at = -1
        head = 93 + later
        for number in range(94, head + 1):
            append(journal, number)
        upload(journal, upstream, 10)
        assert journal.acked == journal.head == head
        missing = set(range(1, head + 1)) - {seq for seq, _ in upstream.events()}
        assert missing == {victim}
        assert upstream.damaged() == [(victim, flip(raw, bit))]
        assert apart(upstream.damaged()[0][1], raw) == 1
        assert {kind for kind, _ in upstream.findings()} <= {"damaged", "changed"}
        assert all(f"record {victim}: " in text for _, text in upstream.findings())
        for seq, whole in upstream.events():
            assert int.from_bytes(whole[14:21], "big") == seq


@settings(deadline=None, max_examples=30)
@given(st.data(), st.integers(1, 88), st.integers(1, 2))
def test_a_record_of_which_nothing_is_left_does_not_stop_it_either(data, victim, count):
    """What follows cannot be tied to it: the door has to say so twice. The record after it cannot be proven."""
    with pytest.MonkeyPatch.context() as patch:
        patch_time(patch)
        journal, region = write(93)
        upstream = Upstream()
        for raw in [split(take(journal, victim + i))[1][0] for i in range(count)]:
            noise = data.draw(st.binary(min_size=31, max_size=31), label="noise")
            at = place_of(region, raw)
            region.data[at + 1 : at + 32] = noise
        journal._page_at = -1
        upload(journal, upstream, 10)
        assert journal.acked == 93
        missing = set(range(1, 94)) - {seq for seq, _ in upstream.events()}
        assert set(range(victim, victim + count)) <= missing <= set(range(victim, victim + count + 1))
        assert {seq for seq, _ in upstream.damaged()} == missing
        # The header of a later batch may name a wrong key generation: the door counts it by what stands in flash.
        found = [text for kind, text in upstream.findings() if kind != "unverified" and "key generation" not in text]
        named = {text.split(": ")[0] for text in found}
        assert named == {f"epoch {EPOCH.hex()}, record {seq}" for seq in missing}


@pytest.mark.parametrize("bit", [0, 31, 8 * 14, 8 * 25, 8 * 31 + 7])
def test_a_record_that_is_damaged_after_it_was_stored(made, bit, monkeypatch):
    """The acknowledgement was lost, and then the bit flipped: the upload goes on all the same."""
    patch_time(monkeypatch)
    journal, region = write(40)
    upstream = Upstream()
    upstream.take(take(journal, 1))
    last = journal.last_in_batch
    raw = split(take(journal, last))[1][0]
    at = place_of(region, raw)
    region.data[at : at + len(raw)] = flip(raw, bit)
    journal._page_at = -1
    upload(journal, upstream)
    assert journal.acked == 40
    assert [seq for seq, _ in upstream.events()] == list(range(1, 41))
    assert upstream.damaged() == []
