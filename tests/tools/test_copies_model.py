"""The comparison of counters against a slow one that looks at every pair, and against what really happened."""

from hypothesis import given, settings
from hypothesis import strategies as st
from test_copies import DOORS, KEYS, UID, pseudonym

from menwei.copies import Cards, CopyCheck
from menwei.keyfile import KeyFile
from menwei.store import Event, Store
from storage import record

START_S = 200_000_000

# What happens: (the card or its copy, door, the counter moves on, seconds since the last passage, trust of the time)
passages = st.lists(
    st.tuples(
        st.sampled_from(["card", "card", "copy"]),
        st.sampled_from(DOORS),
        st.sampled_from([True, True, False]),
        st.integers(0, 60),
        st.sampled_from([record.SYNCHRONISED, record.HELD, record.FLOOR]),
    ),
    max_size=40,
)


def passed_doors(happened, errors):
    """Events as doors record them; `errors` are the seconds by which their clocks are wrong."""
    held = {"card": 5, "copy": 5}
    now_s, events = START_S, []
    for seq, (who, door, counts, pause_s, trust) in enumerate(happened, 1):
        now_s += pause_s
        held[who] += counts
        detail = record.evidence(0, record.KIND_CLASSIC, 1, counts, held[who])
        told_s = START_S if trust == record.FLOOR else now_s + errors[door]
        uncertainty = 31 if trust == record.FLOOR else 2
        pseudo = pseudonym(door, UID)
        events.append(
            Event(door, "01", seq, 1, told_s, trust, uncertainty, record.GRANTED, 0, pseudo, detail, 0, b"", b"")
        )
    return events


def contradict(one, two):
    """The slow way: two events, by docs/security.md."""
    (one_held, one_counts), (two_held, two_counts) = ((e.detail >> 12, e.detail >> 11 & 1) for e in (one, two))
    if one_counts and two_counts and one_held == two_held:
        return True
    for before, after in ((one, two), (two, one)):
        if before.door == after.door:
            order = before.seq < after.seq
        elif after.trust == record.FLOOR:
            order = before.trust != record.FLOOR and before.time + 4 < after.time
        else:
            order = before.trust != record.FLOOR and before.time + 4 < after.time - 4
        if order and (after.detail >> 12) - (after.detail >> 11 & 1) < before.detail >> 12:
            return True
    return False


def found(events):
    """The events at which a finding comes."""
    keys = KeyFile("garden")
    for door, key in KEYS.items():
        keys.add(door, key, {})
    store = Store(":memory:")
    try:
        check = CopyCheck(store, Cards(keys, [("classic", UID)]))
        return [event for event in events if list(check.take(event))]
    finally:
        store.close()


@settings(deadline=None, max_examples=300)
@given(passages, st.tuples(*[st.integers(-90, 90)] * 3), st.randoms(use_true_random=False))
def test_a_finding_comes_with_each_event_that_contradicts_one_that_is_there(happened, errors, order):
    events = passed_doors(happened, dict(zip(DOORS, errors, strict=True)))
    order.shuffle(events)
    expected = [event for at, event in enumerate(events) if any(contradict(event, other) for other in events[:at])]
    assert found(events) == expected


@settings(deadline=None, max_examples=200)
@given(passages, st.tuples(*[st.integers(-4, 4)] * 3), st.randoms(use_true_random=False))
def test_a_card_alone_is_never_suspected(happened, errors, order):
    alone = [("card", *rest) for _, *rest in happened]
    events = passed_doors(alone, dict(zip(DOORS, errors, strict=True)))
    order.shuffle(events)
    assert found(events) == []


def test_a_clock_that_is_set_back_makes_no_copy_at_its_own_door():
    """Its journal knows the order; the operator's error of an hour must not accuse a resident."""
    events = passed_doors([("card", "front", True, 60, record.SYNCHRONISED)] * 3, {"front": 0})
    moved = Event(**{**vars(events[2]), "time": events[2].time - 3600})
    assert found([*events[:2], moved]) == []


def test_an_emulator_that_never_counts_is_named_however_often_it_was_there_before():
    before = [("copy", "front", False, 60, record.SYNCHRONISED)] * 30
    after = [("card", "yard", True, 60, record.SYNCHRONISED)] * 3 + [before[0]]
    events = passed_doors(before + after, dict.fromkeys(DOORS, 0))
    assert found(events) == events[-1:]
