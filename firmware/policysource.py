"""Makes compact tables of the policy in the settings. Needed at start and for a check, and not kept in memory.

    table, hours = policysource.policy(settings)            # ValueError: "policy.groups.3.week: …"

docs/policy.md describes the settings.
"""

from array import array

from micropython import const

from firmware import access

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOLIDAYS = {"ignored": 0, "closed": access.CLOSED, "sunday": access.SUNDAY}
_KEYS = (
    "groups",
    "utc_offset_min",
    "holidays",
    "exceptions",
    "free",
    "free_holidays",
    "first_in",
    "armed",
    "armed_holidays",
    "expiry_soon_days",
    "antipassback",
)
_GROUP_KEYS = ("week", "open_s", "grace_days", "at_floor", "exempt_lockdown", "holidays")
_MOST_SPANS = const(250)  # an index is a byte
_MOST_DATES = const(100)
_MOST_OPEN_S = const(120)
_MOST_DAYS = const(255)
_LAST_YEAR = const(2050)


def _refuse(place, why):
    raise ValueError("policy%s: %s" % (place, why))


def _whole(place, value, low, high):
    if type(value) is not int or not low <= value <= high:
        _refuse(place, "a whole number from %d to %d" % (low, high))
    return value


def _bool(place, value):
    if type(value) is not bool:
        _refuse(place, "true or false")
    return value


def _keys(place, value, known):
    if not isinstance(value, dict):
        _refuse(place, "must be an object")
    for key in value:
        if key not in known:
            _refuse("%s.%s" % (place, key), "no such setting; there are " + ", ".join(known))
    return value


def _list(place, value):
    if not isinstance(value, list) or any(not isinstance(item, str) for item in value):
        _refuse(place, "a list of texts")
    return value


def _holidays(place, value):
    if not isinstance(value, str) or value not in _HOLIDAYS:
        _refuse(place, '"closed", "sunday" or "ignored"')
    return _HOLIDAYS[value]


def _digits(text, length):
    if len(text) != length or not text.isdigit():
        raise ValueError
    return int(text)


def _clock(text):
    hour, minute = text.split(":")
    hour, minute = _digits(hour, 2), _digits(minute, 2)
    if minute > 59 or hour * 60 + minute > access.DAY_MIN:
        raise ValueError
    return hour * 60 + minute


def _days(text):
    """Return a bit for each day of "mon-fri,sun"."""
    bits = 0
    for part in text.split(","):
        first, dash, last = part.partition("-")
        day = _DAYS.index(first)
        last = _DAYS.index(last) if dash else day
        bits |= 1 << last
        while day != last:
            bits |= 1 << day
            day = (day + 1) % 7
    return bits


def _span(text, days):
    """Return "mon-fri 22:00-06:00" as begin and length above the bits of its days; `days` if that is not None."""
    named, _, hours = text.rpartition(" ")
    if days is None:
        days = _days(named) if named else 127
    elif named:
        raise ValueError
    begin, end = hours.split("-")
    begin, end = _clock(begin), _clock(end)
    if begin in (end, access.DAY_MIN):
        raise ValueError
    return days | begin << 7 | (end - begin if end > begin else end + access.DAY_MIN - begin) << 18


def _spans(place, texts, days=None):
    spans = []
    for text in _list(place, texts):
        try:
            spans.append(_span(text, days))
        except ValueError:
            form = "08:00-12:00, 22:00-06:00" if days is not None else "mon-fri 08:00-18:00, sat,sun 22:00-06:00"
            _refuse(place, "%s is no interval; write them like %s, and a whole day as 00:00-24:00" % (text, form))
    return spans


def _day(text):
    """Return the days since 2020-01-01 of "2026-10-01"."""
    year, month, day = text.split("-")
    year, month, day = _digits(year, 4), _digits(month, 2), _digits(day, 2)
    leap = year % 4 == 0  # up to 2099
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 2020 <= year <= _LAST_YEAR or not 1 <= month <= 12 or not 1 <= day <= lengths[month - 1]:
        raise ValueError
    return (year - 2020) * 365 + (year - 2017) // 4 + sum(lengths[: month - 1]) + day - 1


def _dates(place, text):
    """Return (first day, days that follow) of "2026-10-01" or "2026-10-01/2026-10-07"."""
    first, slash, last = text.partition("/")
    try:
        first = _day(first)
        following = _day(last) - first if slash else 0
    except ValueError:
        _refuse(place, "%s is no date; write 2026-10-01, or 2026-10-01/2026-10-07, up to 2050" % text)
    if not 0 <= following <= _MOST_DAYS:
        _refuse(place, "%s: the last day comes after the first, by at most 255 days" % text)
    return first, following


def _calendar(given, spans):
    """Return the table of dates, and add to `spans` what exceptions have of their own."""
    exceptions = given.get("exceptions", {})
    if not isinstance(exceptions, dict):
        _refuse(".exceptions", "must be an object of dates")
    found = []
    taken = -1
    for first, following, text in sorted([_dates(".exceptions", text) + (text,) for text in exceptions]):
        place = ".exceptions." + text
        if first <= taken:
            _refuse(place, "another exception has one of these days already")
        taken = first + following
        value = exceptions[text]
        if value in _DAYS:
            code = _DAYS.index(value)
        elif isinstance(value, list):
            number = len(found)
            code = access.OWN + number
            spans += _spans(place, value, number)
        else:
            _refuse(place, "a list of intervals, or the day that it is like, mon to sun")
        found.append(first << 16 | following << 8 | code)
    for text in _list(".holidays", given.get("holidays", [])):
        first, following = _dates(".holidays", text)
        found.append(first << 16 | following << 8 | access.HOLIDAY)
    if len(found) > _MOST_DATES:
        _refuse("", "at most %d holidays and exceptions; leave out those that are over" % _MOST_DATES)
    return array("I", found)


def _group(place, given, resident, open_s, kinds, spans):
    """Return the row of one group and add its intervals to `spans`."""
    _keys(place, given, _GROUP_KEYS)
    flags = access.RESIDENT if resident else 0
    if _bool(place + ".at_floor", given.get("at_floor", resident)):
        flags |= access.AT_FLOOR
    if _bool(place + ".exempt_lockdown", given.get("exempt_lockdown", False)):
        flags |= access.EXEMPT
    flags |= _holidays(place + ".holidays", given.get("holidays", "ignored"))
    first = count = 0
    if "week" in given:
        week = _spans(place + ".week", given["week"])
        first = len(spans)
        count = len(week)
        spans += week
    else:
        if "holidays" in given:
            _refuse(place + ".holidays", "only for a group with a week")
        flags |= access.ALWAYS
    return (
        flags,
        _whole(place + ".open_s", given.get("open_s", open_s), 1, _MOST_OPEN_S),
        _whole(place + ".grace_days", given.get("grace_days", 0), 0, _MOST_DAYS),
        kinds,
        first,
        count,
    )


def compiled(settings):
    """Return table, intervals, dates, number of the first interval of exceptions, offset, first-in.

    Raises:
        ValueError: with the place and what it may be, "policy.groups.3.week: …".
    """
    from firmware import config  # which needs this module for its own checks

    given = _keys("", settings["policy"], _KEYS)
    kinds = config.masks(settings)[1]
    residents = settings["residents"]
    groups = given.get("groups", {})
    if not isinstance(groups, dict):
        _refuse(".groups", "must be an object of group numbers")
    for name in groups:
        if not name.isdigit() or int(name) > 63 or str(int(name)) != name:
            _refuse(".groups." + name, "groups are numbers from 0 to 63, without zeros before them")
    spans = _spans(".free", given.get("free", []))
    holidays = _holidays(".free_holidays", given.get("free_holidays", "closed"))
    soon_days = _whole(".expiry_soon_days", given.get("expiry_soon_days", 7), 0, _MOST_DAYS)
    rows = [(holidays, 0, soon_days, 0, 0, len(spans))]
    armed = _spans(".armed", given.get("armed", []))
    flags = _holidays(".armed_holidays", given.get("armed_holidays", "ignored"))
    rows.append((flags if "armed" in given else access.ALWAYS, 0, 0, 0, len(spans), len(armed)))
    spans += armed
    numbers = bytearray(access.GROUPS)
    for group in range(access.GROUPS):
        name = str(group)
        given_group = groups.get(name, {})
        row = _group(".groups." + name, given_group, group in residents, settings["open_s"], kinds[group], spans)
        if row not in rows:
            rows.append(row)
        numbers[group] = rows.index(row)
    own = len(spans)
    dates = _calendar(given, spans)
    if len(spans) > _MOST_SPANS:
        _refuse("", "at most %d intervals, these are %d" % (_MOST_SPANS, len(spans)))
    if given.get("antipassback", "off") != "off":
        if given["antipassback"] != "on":
            _refuse(".antipassback", '"off" or "on"')
        _refuse(".antipassback", "needs two readers, and this version has one to a door; leave it off")
    return (
        b"".join([bytes(row) for row in rows]) + bytes(numbers),
        array("I", spans),
        dates,
        own,
        _whole(".utc_offset_min", given.get("utc_offset_min", 480), -720, 840),
        _bool(".first_in", given.get("first_in", False)),
    )


def policy(settings):
    """Return the table and the Hours, or None, of checked settings: `policy`, `residents`, `open_s` and the kinds."""
    parts = compiled(settings)
    table, spans = parts[:2]
    hours = None
    timed = len(spans) or not table[access.ARMED] & access.ALWAYS
    if timed or any(not table[row * access.ROW] & access.ALWAYS for row in table[-access.GROUPS :]):
        from firmware.hours import Hours

        hours = Hours(*parts)
    return table, hours
