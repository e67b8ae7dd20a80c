"""The policy on MicroPython: what is wrong with settings is said with its place, and nothing is allocated to judge."""

import gc
from array import array
from unittest import TestCase

from firmware import access, config, policysource
from firmware.config import DEFAULTS
from storage import record

DAY = 1440
MONDAY = 2469 * DAY  # 2026-10-05


def settings(given, residents=(0,)):
    made = dict(DEFAULTS)
    made["policy"] = given
    made["residents"] = list(residents)
    return made


def made(given, residents=(0,)):
    return policysource.policy(settings(given, residents))


def at(day, hour, minute=0):
    """UTC of a time in China, days after the Monday."""
    return MONDAY + day * DAY + hour * 60 + minute - 480


class Refusals(TestCase):
    def refused(self, given, *words):
        try:
            config.validate({"policy": given})
        except ValueError as error:
            for word in words:
                self.assertTrue(word in str(error), str(error))
        else:
            self.fail("accepted: %r" % given)

    def test_the_place_is_named(self):
        self.refused({"weeks": []}, "policy.weeks: no such setting", "groups")
        self.refused({"groups": []}, "policy.groups: must be an object")
        self.refused({"groups": {"3": {"weak": []}}}, "policy.groups.3.weak: no such setting")
        self.refused({"groups": {"3": []}}, "policy.groups.3: must be an object")
        for group in ("64", "03", "x", "", "-1"):
            self.refused({"groups": {group: {}}}, "policy.groups.%s: groups are numbers" % group)

    def test_intervals(self):
        for text in (
            "",
            "8:00-12:00",
            "08:00",
            "08:00-12:00-13:00",
            "08:00-08:00",
            "24:00-06:00",
            "08:00-24:01",
            "08:60-12:00",
            "-1:00-12:00",
            "mo 08:00-12:00",
            "mon-fri",
            "mon- 08:00-12:00",
            "mon,,tue 08:00-12:00",
            "mon fri 08:00-12:00",
            "mon  08:00-12:00",
        ):
            self.refused({"groups": {"3": {"week": [text]}}}, "policy.groups.3.week: ", "is no interval")
        self.refused({"groups": {"3": {"week": "08:00-12:00"}}}, "policy.groups.3.week: a list")
        self.refused({"free": [8]}, "policy.free: a list")
        self.refused({"exceptions": {"2026-12-31": ["mon 08:00-12:00"]}}, "policy.exceptions.2026-12-31: ")
        many = ["%02d:%02d-23:59" % (number // 60, number % 60) for number in range(251)]
        self.refused({"groups": {"3": {"week": many}}}, "at most 250 intervals")
        config.validate({"policy": {"groups": {"3": {"week": many[:250]}}}})

    def test_dates(self):
        for text in (
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "26-01-01",
            "2026-1-1",
            "2019-12-31",
            "2026-10-01/",
            "",
            "x",
        ):
            self.refused({"holidays": [text]}, "policy.holidays: ", "is no date")
            self.refused({"exceptions": {text: "fri"}}, "is no date")
        self.refused({"holidays": ["2051-01-01"]}, "2050")
        self.refused({"holidays": ["2026-10-07/2026-10-01"]}, "after the first")
        self.refused({"holidays": ["2026-01-01/2026-12-31"]}, "at most 255 days")
        self.refused({"exceptions": {"2026-10-10": "friday"}}, "policy.exceptions.2026-10-10: ")
        self.refused({"exceptions": []}, "policy.exceptions: ")
        self.refused({"exceptions": {"2026-10-01/2026-10-03": "fri", "2026-10-03": []}}, "another exception")
        self.refused({"holidays": ["2026-10-01"] * 101}, "at most 100")
        config.validate({"policy": {"holidays": ["2028-02-29", "2020-01-01", "2050-12-31"] * 33}})

    def test_numbers_and_words(self):
        for name, low, high in (("open_s", 1, 120), ("grace_days", 0, 255)):
            for value in (low - 1, high + 1, "5", True, 1.5, None):
                self.refused({"groups": {"3": {name: value}}}, "policy.groups.3.%s: a whole number" % name)
        for name, low, high in (("utc_offset_min", -720, 840), ("expiry_soon_days", 0, 255)):
            for value in (low - 1, high + 1, "5", True):
                self.refused({name: value}, "policy.%s: a whole number from %d to %d" % (name, low, high))
        for name in ("at_floor", "exempt_lockdown"):
            self.refused({"groups": {"3": {name: 1}}}, "policy.groups.3.%s: true or false" % name)
        self.refused({"first_in": "yes"}, "policy.first_in: true or false")
        self.refused({"free_holidays": "open"}, "policy.free_holidays: ")
        self.refused({"groups": {"3": {"week": [], "holidays": 1}}}, "policy.groups.3.holidays: ")
        self.refused(
            {"groups": {"3": {"holidays": "closed"}}}, "policy.groups.3.holidays: only for a group with a week"
        )

    def test_anti_passback_needs_two_readers(self):
        self.refused({"antipassback": "on"}, "policy.antipassback: needs two readers")
        self.refused({"antipassback": True}, 'policy.antipassback: "off" or "on"')
        config.validate({"policy": {"antipassback": "off"}})


def row_of(table, group):
    return table[group - access.GROUPS] * access.ROW


class Tables(TestCase):
    def test_without_a_policy_everybody_passes_at_any_hour(self):
        table, hours = made({})
        self.assertEqual(hours, None)
        for group in range(64):
            row = row_of(table, group)
            expected = access.ALWAYS | (access.RESIDENT | access.AT_FLOOR if group == 0 else 0)
            self.assertEqual(list(table[row : row + access.ROW]), [expected, 5, 0, 2, 0, 0])
        self.assertEqual(table[access.SOON], 7)

    def test_sixty_four_groups_that_differ(self):
        table, _ = made({"groups": {str(group): {"grace_days": group, "open_s": group + 1} for group in range(64)}})
        for group in range(64):
            row = row_of(table, group)
            self.assertEqual((table[row + access.GRACE], table[row + access.OPEN_S]), (group, group + 1))

    def test_it_is_small(self):
        given = {
            "groups": {"0": {"grace_days": 3}, "1": {"week": ["mon-fri 07:30-18:30", "sat 08:00-12:00"]}},
            "holidays": ["2026-10-01/2026-10-07"],
            "free": ["mon-fri 08:00-18:00"],
        }
        table, spans, dates, *_ = policysource.compiled(settings(given))
        self.assertEqual((len(table), len(spans), len(dates)), (5 * access.ROW + 64, 3, 1))
        self.assertEqual(type(spans), array)

    def is_open(self, made, group, *minutes):
        return made[1].open(row_of(made[0], group), minutes[0], minutes[-1])

    def test_a_group_that_is_never_let_in_has_hours(self):
        self.assertFalse(self.is_open(made({"groups": {"3": {"week": []}}}), 3, at(0, 12)))

    def test_a_night_shift(self):
        found = made({"groups": {"3": {"week": ["mon-fri 22:00-06:00"]}}})
        expected = {
            (0, 5): False,
            (0, 22): True,
            (1, 5): True,
            (1, 6): False,
            (5, 5): True,
            (5, 22): False,
            (6, 5): False,
        }
        for (day, hour), is_open in expected.items():
            self.assertEqual(self.is_open(found, 3, at(day, hour)), is_open)
        self.assertTrue(self.is_open(found, 3, at(0, 22), at(1, 5, 59)))
        self.assertFalse(self.is_open(found, 3, at(0, 22), at(1, 6)))
        self.assertFalse(self.is_open(found, 3, at(0, 21, 59), at(0, 22)))

    def test_a_holiday_and_a_working_saturday(self):
        group = {"week": ["mon-fri 22:00-06:00"], "holidays": "closed"}
        found = made({"groups": {"3": group}, "holidays": ["2026-10-07"], "exceptions": {"2026-10-10": "fri"}})
        self.assertTrue(self.is_open(found, 3, at(2, 5)))  # Tuesday's shift goes on
        self.assertFalse(self.is_open(found, 3, at(2, 23)))
        self.assertFalse(self.is_open(found, 3, at(3, 5)))
        self.assertTrue(self.is_open(found, 3, at(5, 23)))

    def test_judging_allocates_nothing(self):
        given = {
            "groups": {"3": {"week": ["mon-sat 08:00-12:00", "sun 00:00-24:00", "12:00-08:00"], "holidays": "sunday"}},
            "holidays": ["2026-10-07"],
            "exceptions": {"2026-10-08": ["00:00-24:00", "12:00-08:00"]},
            "free": ["00:00-24:00"],
            "first_in": True,
        }
        table, hours = made(given)
        row = row_of(table, 3)
        first, last = at(0, 0), at(6, 23)
        gc.collect()
        before = gc.mem_alloc()
        answer = hours.open(row, first, last)
        hours.entered(first, first, record.HELD)
        hours.turns(first, first, record.HELD, False)
        after = gc.mem_alloc()
        self.assertTrue(answer and hours.free)
        self.assertEqual(after - before, 0)

    def test_alarms_are_heard_always_or_in_their_intervals(self):
        _, hours = made({"free": ["08:00-09:00"]})
        self.assertTrue(hours.armed(at(0, 3), at(0, 3), record.SYNCHRONISED))
        _, hours = made({"armed": ["mon-fri 22:00-06:00"], "free": ["08:00-09:00"]})
        for day, hour, armed in ((0, 21, False), (0, 22, True), (1, 5, True), (1, 6, False), (5, 23, False)):
            minute = at(day, hour)
            self.assertEqual(bool(hours.armed(minute, minute, record.SYNCHRONISED)), armed)
        # whoever does not know the time lets them be heard
        self.assertTrue(hours.armed(at(0, 12), at(0, 12), record.FLOOR))
        self.assertTrue(hours.armed(at(0, 20), at(0, 22), record.HELD))
        _, hours = made({"armed": []})
        self.assertFalse(hours.armed(at(0, 3), at(0, 3), record.SYNCHRONISED))
