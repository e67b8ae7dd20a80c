"""Random policies, cards and times for the tests of the access decision, and calls of the code under test."""

from datetime import timedelta
from types import SimpleNamespace

import reference_access
from hypothesis import strategies as st

from firmware import access, policysource
from firmware.config import DEFAULTS
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
    record.OUTSIDE_SCHEDULE: "outside schedule",
    record.LOCKED_DOWN: "locked down",
    record.USES_EXHAUSTED: "uses exhausted",
    record.NOT_PROVEN: "not proven",
    record.TOO_WEAK: "too weak",
    record.PASSED_BACK: "passed back",
}
RESERVATIONS = {record.IN_GRACE: "in grace", record.ABOVE_FLOOR: "above floor", record.UNTOLD: "untold"}
STATES = {"live": entries.LIVE, "suspended": entries.SUSPENDED, "cancelled": entries.REVOKED}
FOREVER_MIN = 0x3FFFFFFF // 60
NO_END = 0xFFFFFF
DAY_MIN = 1440
BASE_DAY = 2465  # 2026-10-01, with a national holiday
BASE_MIN = BASE_DAY * DAY_MIN

# Times where the edges are: whole hours, midnights and the minutes beside them, over two weeks.
moments = st.builds(
    lambda hour, minute: BASE_MIN + hour * 60 + minute, st.integers(0, 14 * 24), st.sampled_from((-1, 0, 0, 1, 30))
)
clock_times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from((0, 0, 1, 30, 59)))
hours = st.tuples(clock_times, clock_times | st.just("24:00")).filter(lambda pair: pair[0] != pair[1]).map("-".join)
hours = hours | st.just("00:00-24:00")
day_names = st.sampled_from(reference_access.DAYS)
day_parts = day_names | st.tuples(day_names, day_names).map("-".join)
day_texts = st.lists(day_parts, min_size=1, max_size=3).map(",".join)
intervals = hours | st.tuples(day_texts, hours).map(" ".join)
weeks = st.lists(intervals, max_size=5)
dates = st.integers(0, 14).map(
    lambda day: (reference_access.BEGINNING + timedelta(days=BASE_DAY + day)).strftime("%Y-%m-%d")
)
ranges = dates | st.tuples(dates, dates).map(sorted).map("/".join)
holiday_modes = st.sampled_from(("closed", "sunday", "ignored"))
groups = st.fixed_dictionaries(
    {},
    optional={
        "open_s": st.integers(1, 120),
        "grace_days": st.integers(0, 4),
        "at_floor": st.booleans(),
        "exempt_lockdown": st.booleans(),
    },
)
scheduled = st.builds(lambda group, week, mode: {**group, "week": week, "holidays": mode}, groups, weeks, holiday_modes)
policies = st.fixed_dictionaries(
    {},
    optional={
        "utc_offset_min": st.sampled_from((480, 0, -720, 840, 345)),
        "groups": st.dictionaries(st.sampled_from(("0", "1", "2")), groups | scheduled),
        "holidays": st.lists(ranges, max_size=3),
        "exceptions": st.dictionaries(dates, day_names | st.lists(hours, max_size=2), max_size=3),
        "free": weeks,
        "free_holidays": holiday_modes,
        "first_in": st.booleans(),
        "expiry_soon_days": st.integers(0, 10),
    },
)
doors = st.fixed_dictionaries(
    {"residents": st.sampled_from(([0], [], [0, 1], [0, 1, 2])), "open_s": st.just(5), "policy": policies}
)
doors_of_one_group = st.builds(
    lambda resident, group: {"residents": [0] * resident, "open_s": 5, "policy": {"groups": {"0": group}}},
    st.booleans(),
    groups,
)
plain_cards = st.fixed_dictionaries(
    {
        "state": st.sampled_from(("live", "live", "live", "suspended", "cancelled")),
        "from": st.just(0) | moments,  # it may begin after its end
        "until": moments | st.just(NO_END),
        "limited": st.sampled_from((False, False, True)),
        "uses": st.integers(0, 2),
        "group": st.integers(0, 3),
    }
)
good_cards = st.fixed_dictionaries(
    {
        "state": st.just("live"),
        "from": st.just(0) | moments,
        "until": moments,
        "limited": st.sampled_from((False, False, True)),
        "uses": st.sampled_from((1, 1, 0)),
        "group": st.just(0),
    }
)
# When a card is shown: some time, or near where its validity begins or ends, or where its grace does, days later.
edges = st.tuples(
    st.sampled_from(("from", "until", "until", "until")), st.integers(0, 4), st.sampled_from((-60, -1, 0, 1, 60))
)


def moment_of(card, when):
    """Return the minute: `when` is one, or an edge of the card."""
    if isinstance(when, int) or not card or card[when[0]] in (0, NO_END):
        return when if isinstance(when, int) else BASE_MIN + when[2]
    return card[when[0]] + when[1] * DAY_MIN + when[2]


# How wide the bounds of the time are: synchronised, drift of days, hours, about the week that is the limit, years.
widths = (
    st.just(0) | st.integers(0, 59) | st.integers(60, 2000) | st.integers(10_000, 10_100) | st.integers(0, 2_000_000)
)


def compiled(door):
    """Return what the decision takes of these settings."""
    table, hours = policysource.policy({**DEFAULTS, **door})
    return SimpleNamespace(table=table, hours=hours, locked_down=False)


def row_of(policy, number):
    """Return the row of a group."""
    return policy.table[number - access.GROUPS] * access.ROW


def entry_of(card):
    """Return an entry like the allowlist's."""
    return card and SimpleNamespace(
        state=STATES[card["state"]],
        valid_from=card["from"],
        valid_until=card["until"],
        group=card["group"],
        limited=card["limited"],
        uses_left=card["uses"],
    )


def named(reason):
    """Return what the code decided in the words of the reference."""
    if reason & access.REFUSALS:
        return NAMES[reason], set()
    return "ok", {name for bit, name in RESERVATIONS.items() if reason & bit}
