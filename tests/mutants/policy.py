"""Lines of firmware/ that decide who may pass, and must not be otherwise; `python -m tests.mutants` tells the form."""

_DECISION = (
    "tests/firmware/test_access.py::test_the_edges_of_validity_equal_the_reference",
    "tests/firmware/test_access.py::test_decision_equals_the_reference",
)
_SCHEDULES = ("tests/firmware/test_access.py::test_schedules_equal_the_reference",)
_FREE = (
    "tests/firmware/test_access.py::test_free_passage_equals_the_reference"
    " tests/firmware/test_access.py::test_a_clock_that_was_set_back_finds_no_first_card_in_the_future"
    " tests/firmware/test_access.py::test_a_card_at_the_floor_is_no_first_card"
    " tests/firmware/test_access.py::test_a_first_card_frees_the_door_to_the_end_of_the_longest_interval",
)
_HISTORIES = ("tests/firmware/test_histories.py",)
_TRIES = ("tests/firmware/test_repeats.py",)
_PASSAGE = ("tests/firmware/chip_passage.py",)
_MODES = ("tests/firmware/chip_modes.py",)

MUTANTS = [
    # --- access ---
    (
        "firmware/access.py",
        "if entry.state != entries.LIVE:",
        "if entry.state == entries.DEAD:",
        "a suspended card opens",
        _DECISION,
    ),
    (
        "firmware/access.py",
        "if earliest_min >= end or entry.valid_from >= until:",
        "if earliest_min > end or entry.valid_from >= until:",
        "a card is let in a minute after its end",
        _DECISION,
    ),
    (
        "firmware/access.py",
        "end = until if limited else until + table[row + GRACE] * DAY_MIN",
        "end = until + table[row + GRACE] * DAY_MIN",
        "a visitor's card has grace",
        _DECISION,
    ),
    (
        "firmware/access.py",
        "if limited or not flags & AT_FLOOR:",
        "if not flags & AT_FLOOR:",
        "a visitor's card opens while nobody knows the time",
        _DECISION,
    ),
    (
        "firmware/access.py",
        "if until <= latest_min and until < end:",
        "if until < earliest_min and until < end:",
        "a grant in grace is not flagged",
        _DECISION,
    ),
    (
        "firmware/access.py",
        "if limited or not flags & RESIDENT:",
        "if limited:",
        "everybody is judged as residents are",
        _DECISION,
    ),
    (
        "firmware/access.py",
        "return record.EXPIRED if latest_min >= end else record.NOT_YET_VALID",
        "return record.NOT_YET_VALID",
        "the wrong reason is given",
        _DECISION,
    ),
    (
        "firmware/access.py",
        "if policy.locked_down and not flags & EXEMPT:",
        "if policy.locked_down and flags & EXEMPT:",
        "a lock-down locks out who is exempt",
        _DECISION,
    ),
    # --- hours ---
    (
        "firmware/hours.py",
        "for back in range(2):",
        "for back in range(1):",
        "no interval goes over midnight",
        _SCHEDULES,
    ),
    (
        "firmware/hours.py",
        "if last - minute > _WIDEST_MIN:",
        "if last - minute >= _WIDEST_MIN:",
        "the limit of the uncertainty is another one",
        ("tests/firmware/test_access.py::test_an_uncertainty_of_a_week_is_the_widest",),
    ),
    (
        "firmware/hours.py",
        "while minute <= last:",
        "while minute < last:",
        "the last minute of the uncertainty is not looked at",
        _SCHEDULES,
    ),
    (
        "firmware/hours.py",
        "if code == access.HOLIDAY and holidays == access.SUNDAY:",
        "if code == access.HOLIDAY:",
        "every holiday is a Sunday",
        _SCHEDULES,
    ),
    (
        "firmware/hours.py",
        "if 0 <= day - (date >> 16) <= date >> 8 & 255:",
        "if 0 <= day - (date >> 16) < date >> 8 & 255:",
        "the last day of a holiday is none",
        _SCHEDULES,
    ),
    (
        "firmware/hours.py",
        "if begin <= minute < begin + (span >> 18):",
        "if begin <= minute <= begin + (span >> 18):",
        "an interval is a minute too long",
        _SCHEDULES,
    ),
    (
        "firmware/hours.py",
        "end = max(end, begin + (span >> 18))",
        "end = begin + (span >> 18)",
        "of two intervals that overlap the one that ends first may count: the first card frees the door too short",
        _FREE,
    ),
    (
        "firmware/hours.py",
        "and (not self._first_in or 0 < left_min <= access.DAY_MIN)",
        "and (not self._first_in or 0 < left_min)",
        "a clock that is set back opens the door to all",
        _FREE,
    ),
    (
        "firmware/hours.py",
        "trust != record.FLOOR",
        "trust >= record.FLOOR",
        "free passage while nobody knows the time",
        _FREE,
    ),
    ("firmware/hours.py", "and not locked_down", "and True", "free passage in a lock-down", _FREE),
    # --- policysource ---
    (
        "firmware/policysource.py",
        "day = (day + 1) % 7",
        "day = day + 1 if day < 6 else last",
        "sat-tue is not four days",
        ("tests/firmware/test_access.py::test_every_range_of_days",),
    ),
    (
        "firmware/policysource.py",
        "return (year - 2020) * 365 + (year - 2017) // 4 + sum(lengths[: month - 1]) + day - 1",
        "return (year - 2020) * 365 + (year - 2020) // 4 + sum(lengths[: month - 1]) + day - 1",
        "holidays are a day early",
        _SCHEDULES,
    ),
    # --- the passage ---
    (
        "firmware/passage.py",
        "if link and not link.connected:",
        "if link and link.connected:",
        "a grant that a cancellation may have missed is not flagged",
        _HISTORIES,
    ),
    (
        "firmware/passage.py",
        "self._tries[repeats.COUNT] = 0",
        "",
        "the fifth wrong try of a year alarms, whoever was let in between",
        _PASSAGE,
    ),
    (
        "firmware/passage.py",
        "if reason & access.REFUSALS:",
        "if reason & 7:",
        "a card that is locked down, used up or not proven opens",
        _PASSAGE,
    ),
    ("firmware/passage.py", "self.notice = SILENT", "pass", "every unknown card is answered", _PASSAGE),
    (
        "firmware/reader.py",
        "if self._magic_alarm and passage.notice != SILENT and kind == UID and cards.sak & _SAK_CLASSIC:",
        "if self._magic_alarm and not passage.notice and kind == UID and cards.sak & _SAK_CLASSIC:",
        "a rewritable card that ends soon is not noticed",
        ("tests/firmware/chip_reader.py",),
    ),
    (
        "firmware/repeats.py",
        "if count == _TRIES and uptime_s - tries[_WRONG_S] >= _QUIET_S:",
        "if count == _TRIES:",
        "every fifth wrong try is an alert",
        _TRIES,
    ),
    (
        "firmware/repeats.py",
        "if over_s <= 0:  # whole seconds: with < it could be one second too few",
        "if over_s < 0:",
        "unknown cards are answered twice in 2 s",
        _TRIES,
    ),
    # --- lock-down ---
    (
        "firmware/commands.py",
        'if begins > 1 or not _recorded(service, command) or not service.kept.set("lockdown", begins):',
        "if begins > 1 or not _recorded(service, command):",
        "a lock-down ends with the next power cut",
        _MODES,
    ),
    (
        "firmware/commands.py",
        "service.follow_hours()",
        "",
        "a lock-down begins with the door free",
        _MODES,
    ),
]
