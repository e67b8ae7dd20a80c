"""The access decision against a slow reference, over random cards and clocks."""

from types import SimpleNamespace

import reference_access
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware import access
from storage import entry as entries
from storage import record

NAMES = {
    record.OK: "ok",
    record.UNKNOWN: "unknown",
    record.NOT_YET_VALID: "not yet valid",
    record.EXPIRED: "expired",
    record.SUSPENDED: "suspended",
    record.CANCELLED: "cancelled",
    record.CLOCK_UNKNOWN: "clock unknown",
    record.USES_EXHAUSTED: "uses exhausted",
    record.NOT_PROVEN: "not proven",
    record.TOO_WEAK: "too weak",
}
STATES = {"live": entries.LIVE, "suspended": entries.SUSPENDED, "cancelled": entries.REVOKED}
FOREVER_MIN = 0x3FFFFFFF // 60
minutes = st.integers(0, 40)
cards = st.none() | st.fixed_dictionaries(
    {
        "state": st.sampled_from(sorted(STATES)),
        "from": minutes,
        "until": minutes | st.just(reference_access.FOREVER),
        "limited": st.booleans(),
        "uses": st.integers(0, 2),
        "group": st.integers(0, 2),
    }
)


def decide(card, earliest, latest, trust, residents, accepted=True, proven=True):
    """Call the code under test with an entry like the allowlist's."""
    entry = card and SimpleNamespace(
        state=STATES[card["state"]],
        valid_from=card["from"],
        valid_until=card["until"],
        group=card["group"],
        limited=card["limited"],
        uses_left=card["uses"],
    )
    return access.decide(entry, earliest, latest, trust, residents, accepted, proven)


@settings(max_examples=3000)
@given(
    cards,
    minutes,
    st.integers(0, 10),
    st.sampled_from([record.FLOOR, record.HELD, record.SYNCHRONISED]),
    st.sampled_from([(True, True), (True, True), (True, False), (False, True), (False, False)]),
)
@example(None, 0, 0, record.FLOOR, (True, True))
def test_decision_equals_the_reference(card, earliest, width, trust, credential):
    """Same verdict for every card, interval and grade."""
    floor = trust == record.FLOOR
    if trust == record.SYNCHRONISED:
        width = 0
    latest = FOREVER_MIN if floor else earliest + width
    known = range(earliest, earliest + 1 if floor else latest + 1)
    resident = bool(card) and card["group"] == 0
    expected = reference_access.decide(card, known, floor, resident, *credential)
    assert NAMES[decide(card, earliest, latest, trust, [0], *credential)] == expected


@given(cards, minutes, st.booleans())
def test_nothing_opens_without_its_proof_or_of_a_kind_that_is_not_taken(card, now, proven):
    """Whatever else is right."""
    assert decide(card, now, now, record.SYNCHRONISED, [0], not proven, proven) != record.OK


@given(cards, minutes, st.integers(0, 10), st.sampled_from([record.FLOOR, record.HELD, record.SYNCHRONISED]))
def test_no_grade_of_trust_opens_for_an_expired_cancelled_or_suspended_card(card, earliest, width, trust):
    """Whatever the clock knows: what its own knowledge refuses is refused."""
    latest = FOREVER_MIN if trust == record.FLOOR else earliest + width
    if decide(card, earliest, latest, trust, [0]) == record.OK:
        assert card["state"] == "live"
        assert earliest < card["until"]


@given(cards, minutes, st.integers(0, 10), st.sampled_from([record.FLOOR, record.HELD, record.SYNCHRONISED]))
def test_a_valid_resident_is_never_locked_out(card, now, error, trust):
    """If the true time lies in the card's validity, an interval around it never refuses a resident."""
    if card and card["state"] == "live" and not card["limited"] and card["from"] <= now < card["until"]:
        latest = FOREVER_MIN if trust == record.FLOOR else now + error
        assert decide({**card, "group": 0}, max(0, now - error), latest, trust, [0]) == record.OK
