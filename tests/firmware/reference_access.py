"""A slow reference of the access decision, written from docs/policy.md. Imports nothing of the code under test.

A schedule is judged by asking each minute in which the present may lie, with real dates, whether an interval of the
settings as they stand in the file has it.
"""

from datetime import datetime, timedelta
from functools import lru_cache

BEGINNING = datetime(2020, 1, 1)
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK_MIN = 7 * 24 * 60
DAY_MIN = 24 * 60


@lru_cache(maxsize=100_000)
def minutes_of(text):
    """ "22:00-06:00" as (begin, end) in minutes after midnight; an end on the next day is beyond 24 h."""
    begin, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in text.split("-"))
    return begin, end if end > begin else end + DAY_MIN


@lru_cache(maxsize=100_000)
def days_of(text):
    """The names of days in "mon-wed,sat"."""
    named = set()
    for part in text.split(","):
        if "-" in part:
            first, last = part.split("-")
            number = DAYS.index(first)
            while DAYS[number % 7] != last:
                named.add(DAYS[number % 7])
                number += 1
            named.add(last)
        else:
            named.add(part)
    return named


def has(text, date):
    """Whether "2026-10-01" or "2026-10-01/2026-10-07" has this date."""
    first, _, last = text.partition("/")
    return first <= date.strftime("%Y-%m-%d") <= (last or first)


def begun_on(policy, week, holidays, date):
    """The intervals (begin, end) that begin on this date."""
    name = DAYS[date.weekday()]
    if holidays != "ignored":
        exceptions = [what for text, what in policy.get("exceptions", {}).items() if has(text, date)]
        if exceptions and isinstance(exceptions[0], list):
            return [minutes_of(text) for text in exceptions[0]]
        if exceptions:
            name = exceptions[0]
        elif any(has(text, date) for text in policy.get("holidays", [])):
            if holidays == "closed":
                return []
            name = "sun"
    found = []
    for text in week:
        named, _, hours = text.rpartition(" ")
        if not named or name in days_of(named):
            found.append(minutes_of(hours))
    return found


class Hours:
    """The hours of one schedule, minute by minute."""

    def __init__(self, policy, week, holidays):
        self._policy, self._week, self._holidays = policy, week, holidays
        self._offset = timedelta(minutes=policy.get("utc_offset_min", 480))
        self._begun = {}

    def ends(self, minute):
        """When the intervals end that have this minute, in minutes like it."""
        now = BEGINNING + timedelta(minutes=minute) + self._offset
        found = []
        for back in (0, 1):
            date = (now - timedelta(days=back)).replace(hour=0, minute=0)
            if date not in self._begun:
                self._begun[date] = begun_on(self._policy, self._week, self._holidays, date)
            for begin, end in self._begun[date]:
                if date + timedelta(minutes=begin) <= now < date + timedelta(minutes=end):
                    found.append(minute + (date + timedelta(minutes=end) - now) // timedelta(minutes=1))
        return found

    def open(self, earliest, latest):
        """Whether all minutes that may be now are in an interval."""
        return latest - earliest <= WEEK_MIN and all(self.ends(minute) for minute in range(earliest, latest + 1))


def group_of(settings, number):
    """What the settings say of a group, complete."""
    given = settings["policy"].get("groups", {}).get(str(number), {})
    resident = number in settings["residents"]
    return {
        "resident": resident,
        "week": given.get("week"),
        "holidays": given.get("holidays", "ignored"),
        "open_s": given.get("open_s", settings["open_s"]),
        "grace": given.get("grace_days", 0),
        "at_floor": given.get("at_floor", resident),
        "exempt": given.get("exempt_lockdown", False),
    }


def free_now(settings, earliest, latest, floor, locked_down):
    """Whether free passage would be on, first card or not."""
    policy = settings["policy"]
    hours = Hours(policy, policy.get("free", []), policy.get("free_holidays", "closed"))
    return not floor and not locked_down and hours.open(earliest, latest)


def decide(settings, card, earliest, latest, floor=False, locked_down=False, accepted=True, proven=True, back=False):
    """Return (reason, set of reservations).

    Args:
        settings: dict of residents, open_s and policy as in the settings of a door.
        card: None, or a dict of state, from, until, limited, uses, group.
        earliest, latest: the minutes between which the present lies; with `floor` the latter says nothing.
        floor, locked_down: how clock and door stand.
        accepted: the door takes this kind of credential.
        proven: the credential has proved itself.
        back: it went through on this side already.
    """
    if card is None:
        return "unknown", set()
    group = group_of(settings, card["group"])
    grace_min = 0 if card["limited"] else group["grace"] * DAY_MIN
    end = card["until"] + grace_min
    favoured = group["resident"] and not card["limited"]
    hours = None if group["week"] is None else Hours(settings["policy"], group["week"], group["holidays"])
    answers = [
        ("cancelled", card["state"] == "cancelled"),
        ("suspended", card["state"] == "suspended"),
        ("too weak", not accepted),
        ("not proven", not proven),
        ("expired", earliest >= end or card["from"] >= card["until"]),
        ("not yet valid", not floor and latest < card["from"]),
        ("clock unknown", floor and (card["limited"] or not group["at_floor"])),
        ("expired", not floor and not favoured and latest >= end),
        ("not yet valid", not floor and not favoured and earliest < card["from"]),
        ("uses exhausted", card["limited"] and card["uses"] == 0),
        ("outside schedule", not floor and hours and not hours.open(earliest, latest)),
        ("locked down", locked_down and not group["exempt"]),
        ("passed back", back),
    ]
    for reason, applies in answers:
        if applies:
            return reason, set()
    reservations = set()
    if floor or earliest < card["from"] or latest >= end:
        reservations.add("above floor")
    if grace_min and (earliest if floor else latest) >= card["until"]:
        reservations.add("in grace")
    return "ok", reservations
