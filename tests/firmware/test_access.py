"""The access decision against a slow reference, over random policies, cards and clocks."""

import policies
import reference_access
from hypothesis import example, given, settings
from hypothesis import strategies as st
from policies import DAY_MIN, FOREVER_MIN, NO_END, compiled, entry_of, moments, named, plain_cards, row_of

from firmware import access, config, policysource
from firmware.passback import PassBack
from storage import record

TRUSTS = st.sampled_from([record.FLOOR, record.HELD, record.SYNCHRONISED])
NO_POLICY = {"residents": [0], "open_s": 5, "policy": {}}


def decide(door, card, earliest, latest, trust, locked_down=False, accepted=True, proven=True, back=False):
    """Call the code under test."""
    policy = compiled(door)
    policy.locked_down = locked_down
    return access.decide(entry_of(card), earliest, latest, trust, policy, accepted, proven, back)


def bounds(earliest, width, trust):
    """Return the latest minute."""
    return FOREVER_MIN if trust == record.FLOOR else earliest + (width if trust == record.HELD else 0)


ALL_WELL = (False, True, True, False)  # no lock-down, accepted, proven, not passed back


def check(door, card, when, width, trust, rest):
    """The code and the reference agree."""
    earliest = policies.moment_of(card, when)
    latest = bounds(earliest, width, trust)
    locked_down, accepted, proven, back = rest
    floor = trust == record.FLOOR
    expected = reference_access.decide(door, card, earliest, latest, floor, locked_down, accepted, proven, back)
    assert named(decide(door, card, earliest, latest, trust, locked_down, accepted, proven, back)) == expected


@settings(max_examples=1000, deadline=None)
@given(
    policies.doors,
    st.none() | plain_cards,
    moments | policies.edges,
    policies.widths,
    TRUSTS,
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
@example(NO_POLICY, None, 0, 0, record.FLOOR, ALL_WELL)
def test_decision_equals_the_reference(door, card, when, width, trust, rest):
    """Same reason, and same reservations, for every policy, card, interval and grade."""
    check(door, card, when, width, trust, rest)


@settings(max_examples=1200, deadline=None)
@given(
    policies.doors_of_one_group,
    policies.good_cards,
    policies.edges,
    st.sampled_from((0, 1, 59, 61, 1500)),
    TRUSTS,
    st.sampled_from([ALL_WELL, ALL_WELL, (True, True, True, False), (False, True, True, True)]),
)
def test_the_edges_of_validity_equal_the_reference(door, card, when, width, trust, rest):
    """Where nothing else is wrong with the card, so that begin, end, grace and their reservations are what matters."""
    check(door, card, when, width, trust, rest)


@settings(max_examples=700, deadline=None)
@given(policies.doors, policies.scheduled, moments, st.just(0) | st.integers(0, 2000))
def test_schedules_equal_the_reference(door, given_group, earliest, width):
    """The same hours, minute by minute; no refusal of a card hides them."""
    number = 1
    door["policy"].setdefault("groups", {})["1"] = given_group
    group = reference_access.group_of(door, number)
    expected = reference_access.Hours(door["policy"], group["week"], group["holidays"]).open(earliest, earliest + width)
    policy = compiled(door)
    row = row_of(policy, number)
    assert policy.hours.open(row, earliest, earliest + width) == expected
    assert policy.table[row + access.OPEN_S] == group["open_s"]


@settings(deadline=None)
@given(policies.doors, plain_cards, moments, st.booleans())
def test_nothing_opens_without_its_proof_or_of_a_kind_that_is_not_taken(door, card, now, proven):
    """Whatever else is right."""
    reason = decide(door, card, now, now, record.SYNCHRONISED, False, not proven, proven)
    assert named(reason)[0] in ("cancelled", "suspended", "not proven", "too weak")


@settings(deadline=None)
@given(policies.doors, plain_cards, moments, policies.widths, TRUSTS)
def test_no_grade_of_trust_opens_for_an_expired_cancelled_or_suspended_card(door, card, earliest, width, trust):
    """Whatever the clock knows: what its own knowledge refuses is refused."""
    reason = decide(door, card, earliest, bounds(earliest, width, trust), trust)
    if not reason & access.REFUSALS:
        grace = reference_access.group_of(door, card["group"])["grace"] * DAY_MIN
        assert card["state"] == "live"
        assert earliest < card["until"] + (0 if card["limited"] else grace)


@settings(deadline=None)
@given(policies.doors, policies.groups, moments, st.integers(0, 5000), st.integers(1, 5000), policies.widths, TRUSTS)
def test_a_valid_resident_is_never_locked_out(door, group, now, before, after, error, trust):
    """If the true time lies in the card's validity, an interval around it never refuses a resident without schedule."""
    door["policy"].setdefault("groups", {})["0"] = {**group, "at_floor": True}
    door["residents"] = [0]
    card = {"state": "live", "from": now - before, "until": now + after, "limited": False, "uses": 0, "group": 0}
    latest = FOREVER_MIN if trust == record.FLOOR else now + error
    assert not decide(door, card, now - error, latest, trust) & access.REFUSALS


@given(st.integers(0, 3), st.integers(0, 255), st.booleans())
def test_the_first_start_in_the_year_2000(group, soon, limited):
    """The floor is the build time of the software: no card that ended before opens, residents with another get in."""
    door = {"residents": [0], "open_s": 5, "policy": {"expiry_soon_days": soon}}
    built = policies.BASE_MIN
    card = {"state": "live", "from": 0, "until": built, "limited": limited, "uses": 1, "group": group}
    assert decide(door, card, built, FOREVER_MIN, record.FLOOR) == record.EXPIRED
    reason = decide(door, {**card, "until": built + 1}, built, FOREVER_MIN, record.FLOOR)
    assert reason == (record.ABOVE_FLOOR if group == 0 and not limited else record.CLOCK_UNKNOWN)


@settings(max_examples=500, deadline=None)
@given(
    policies.doors,
    st.lists(st.tuples(st.integers(0, 700), st.booleans(), st.booleans(), st.integers(0, 90)), max_size=12),
)
def test_free_passage_equals_the_reference(door, steps):
    """With and without a first card, over hours and days."""
    free_hours = compiled(door).hours
    given_policy = door["policy"]
    if not free_hours:
        assert not given_policy.get("free")
        return
    reference = reference_access.Hours(
        given_policy, given_policy.get("free", []), given_policy.get("free_holidays", "closed")
    )
    now = policies.BASE_MIN
    until = 0
    was = False
    for pause, tap, locked_down, width in steps:
        now += pause
        latest = now + width
        if tap:
            free_hours.entered(now, latest, record.HELD)
            if reference.open(now, latest):
                until = max(reference.ends(latest))
        expected = reference_access.free_now(door, now, latest, False, locked_down)
        if given_policy.get("first_in"):
            expected = expected and latest < until
        assert free_hours.turns(now, latest, record.HELD, locked_down) == (expected != was)
        assert free_hours.free == expected
        was = expected
    free_hours.turns(now, latest if steps else now, record.FLOOR, False)
    assert not free_hours.free


def free(hours, minute, trust=record.SYNCHRONISED):
    """Whether there is free passage in this minute."""
    hours.turns(minute, FOREVER_MIN if trust == record.FLOOR else minute, trust, False)
    return hours.free


def test_a_clock_that_was_set_back_finds_no_first_card_in_the_future():
    door = {"residents": [0], "open_s": 5, "policy": {"free": ["08:00-18:00"], "first_in": True, "utc_offset_min": 0}}
    hours = compiled(door).hours
    nine = policies.BASE_MIN + 9 * 60
    hours.entered(nine, nine, record.SYNCHRONISED)
    assert free(hours, nine)
    assert not free(hours, nine - 2000 * DAY_MIN)


def test_a_first_card_frees_the_door_to_the_end_of_the_longest_interval():
    for week in (["08:00-12:00", "08:00-10:00"], ["08:00-10:00", "08:00-12:00"]):
        door = {"residents": [0], "open_s": 5, "policy": {"free": week, "first_in": True, "utc_offset_min": 0}}
        hours = compiled(door).hours
        nine = policies.BASE_MIN + 9 * 60
        hours.entered(nine, nine, record.SYNCHRONISED)
        assert free(hours, nine + 120)
        assert not free(hours, nine + 180)


def test_every_range_of_days():
    """All 49, those that go round the end of the week, too."""
    for first in reference_access.DAYS:
        for last in reference_access.DAYS:
            text = f"{first}-{last}"
            days = policysource._days(text)
            named_days = {reference_access.DAYS[day] for day in range(7) if days >> day & 1}
            assert named_days == reference_access.days_of(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("mon-fri 0123:./", max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("0", "week", "2026-10-01")), inner),
    max_leaves=4,
)
PLACES = ("groups", "utc_offset_min", "holidays", "exceptions", "free", "free_holidays", "first_in", "antipassback")


@given(st.dictionaries(st.sampled_from((*PLACES, "expiry_soon_days", "x")), anything, max_size=2) | anything)
def test_whatever_stands_in_the_file_is_taken_or_refused_by_name(given_policy):
    """No other error: a door that meets one would not say what is wrong."""
    try:
        checked = config.validate({"policy": given_policy})
    except ValueError as error:
        assert str(error).startswith("policy")
    else:
        assert policysource.policy(checked)


def test_a_card_at_the_floor_is_no_first_card():
    door = {"residents": [0], "open_s": 5, "policy": {"free": ["00:00-24:00"], "first_in": True}}
    hours = compiled(door).hours
    hours.entered(policies.BASE_MIN, policies.BASE_MIN, record.FLOOR)
    assert not free(hours, policies.BASE_MIN)
    hours.entered(policies.BASE_MIN, policies.BASE_MIN, record.HELD)
    assert free(hours, policies.BASE_MIN)
    assert not free(hours, policies.BASE_MIN, record.FLOOR)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 3), st.integers(0, 20), st.booleans()),
        max_size=60,
    )
)
def test_anti_passback_equals_a_plain_dict(steps):
    """Six people, room for four: who is forgotten is let in."""
    passback = PassBack(30, exempt=(3,), places=4)
    seen, order, now = {}, [], 0
    for number, side, group, pause, goes in steps:
        now += pause
        person = bytes([number + 1]) * 7
        known = number in seen and seen[number][0] == side and now - seen[number][1] < 30
        assert passback.back(person, side, group, now) == (known and group != 3)
        if goes:
            passback.went(person, side, now)
            if number not in seen:
                order.append(number)
                if len(order) > 4:
                    del seen[order.pop(0)]
            seen[number] = side, now


def test_an_empty_memory_knows_nobody():
    """Not even a pseudonym of zeros."""
    assert not PassBack(30).back(bytes(7), 0, 0, 0)


def test_a_card_without_end_is_valid_until_2051():
    card = {"state": "live", "from": 0, "until": NO_END, "limited": False, "uses": 0, "group": 0}
    assert decide(NO_POLICY, card, NO_END - 1, NO_END - 1, record.SYNCHRONISED) == record.OK


def test_an_uncertainty_of_a_week_is_the_widest():
    door = {"residents": [0], "open_s": 5, "policy": {"groups": {"0": {"week": ["00:00-24:00"]}}}}
    card = {"state": "live", "from": 0, "until": NO_END, "limited": False, "uses": 0, "group": 0}
    now = policies.BASE_MIN
    assert decide(door, card, now, now + 7 * DAY_MIN, record.HELD) == record.OK
    assert decide(door, card, now, now + 7 * DAY_MIN + 1, record.HELD) == record.OUTSIDE_SCHEDULE
