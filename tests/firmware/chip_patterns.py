"""No two meanings of the lights and sounds can be mixed up, by who does not hear, not see, or not tell colours apart.

Each pattern is played on three wires, millisecond by millisecond; what is judged is what the wires did.
"""

from time import ticks_add
from unittest import TestCase

from drivers.signals import Player
from firmware import patterns
from storage import record

STEP_MS = 10
WATCHED_MS = 8000
LEAST_MS = 140  # shorter differences go unnoticed
TWICE = 1.9

ANSWERS = ("GRANTED", "GRANTED_SOON", "REFUSED", "NOT_NOW", "AGAIN", "CANCELLED")
REFUSALS = ANSWERS[2:]
STANDING = ("HELD", "ALARM", "FIRE", "RESET_ASKED", "LOCKED_DOWN", "FREE", "FAULT")
# How each is come by.
PATTERNS = {
    "GRANTED": patterns.answer(record.OK),
    "GRANTED_SOON": patterns.answer(record.OK, True),
    "REFUSED": patterns.answer(record.UNKNOWN),
    "NOT_NOW": patterns.answer(record.LOCKED_DOWN),
    "AGAIN": patterns.answer(record.SEVERAL_CARDS),
    "CANCELLED": patterns.answer(record.CANCELLED),
    "HELD": patterns.standing({record.ALARM_HELD_WARNING}, ()),
    "ALARM": patterns.standing({record.ALARM_FORCED}, ()),
    "FIRE": patterns.standing({record.ALARM_FIRE}, ()),
    "RESET_ASKED": patterns.standing({record.ALARM_FIRE}, {record.MODE_RESET_ASKED}),
    "LOCKED_DOWN": patterns.standing((), {record.MODE_LOCKED_DOWN}),
    "FREE": patterns.standing((), {record.MODE_FREE}),
    "FAULT": patterns.standing({record.ALARM_READER}, ()),
}

SILENT = ("LOCKED_DOWN", "FREE", "FAULT")


class Wire:
    level = 0

    def __call__(self, level):
        self.level = level


def seen(name):
    """What the three outputs did, every 10 ms from the moment of play() on: a list of bits."""
    wires = Wire(), Wire(), Wire()
    player = Player(*wires)
    pattern = PATTERNS[name]
    if name in STANDING:
        player.rest(pattern, 0)
    else:
        player.play(pattern, 0)
    row = []
    for at_ms in range(0, WATCHED_MS, STEP_MS):
        player.tick(ticks_add(0, at_ms))
        row.append(wires[0].level | wires[1].level << 1 | wires[2].level << 2)
    return row


def rhythm(row, outputs):
    """Return milliseconds on, off, on… of these outputs together, from their first on; the last off is left out."""
    lengths = []
    on = False
    for bits in row:
        if bool(bits & outputs) != on:
            on = not on
            lengths.append(0)
        if lengths:
            lengths[-1] += STEP_MS
    if lengths and not on:
        lengths.pop()
    return lengths


def differ(one, other):
    """Whether a person who counts and knows short from long tells two rhythms apart."""
    if len(one) != len(other):
        return True
    return any(
        abs(first - second) >= LEAST_MS and max(first, second) >= TWICE * min(first, second)
        for first, second in zip(one, other)
    )


class Meanings(TestCase):
    def tell_apart(self, names, outputs):
        rhythms = [(name, rhythm(seen(name), outputs)) for name in names]
        for index, (name, one) in enumerate(rhythms):
            self.assertTrue(len(one) > 0, name)
            for other_name, other in rhythms[:index]:
                self.assertTrue(differ(one, other), "%s %s and %s %s" % (name, one, other_name, other))

    def test_by_sound_alone(self):
        self.tell_apart([name for name in ANSWERS + STANDING if name not in SILENT], 4)

    def test_by_light_alone_without_telling_colours_apart(self):
        self.tell_apart(ANSWERS + STANDING, 3)

    def test_what_makes_no_sound_wants_nothing_from_anybody(self):
        for name in SILENT:
            self.assertEqual(rhythm(seen(name), 4), [])

    def test_one_beep_and_a_light_that_stays_is_come_in(self):
        for name in ("GRANTED", "GRANTED_SOON"):
            row = seen(name)
            self.assertEqual(len(rhythm(row, 4)), 1)
            self.assertTrue(rhythm(row, 3)[0] >= 1000)
            self.assertEqual(rhythm(row, 2), [])  # never red

    def test_several_beeps_and_blinks_are_no(self):
        for name in REFUSALS:
            row = seen(name)
            self.assertTrue(len(rhythm(row, 4)) >= 3, name)
            self.assertEqual(rhythm(row, 4), rhythm(row, 3))  # light and sound say the same
            self.assertTrue(max(rhythm(row, 3)) < 1000)
            self.assertEqual(rhythm(row, 3), rhythm(row, 2))  # red, at least

    def test_an_answer_begins_at_once_and_a_refusal_is_short(self):
        for name in ANSWERS:
            row = seen(name)
            self.assertEqual(row[0] & 4, 4)
            self.assertTrue(row[0] & 3)
            spent_ms = sum(rhythm(row, 7))
            self.assertTrue(spent_ms <= (2000 if name in REFUSALS else 4000), name)
            self.assertEqual(row[spent_ms // STEP_MS :], [0] * (len(row) - spent_ms // STEP_MS))

    def test_what_stands_goes_on_and_begins_at_once(self):
        for name in STANDING:
            row = seen(name)
            self.assertTrue(row[0])
            self.assertTrue(any(row[-400:]))

    def test_no_light_flashes_more_than_three_times_in_a_second(self):
        # WCAG 2.1, success criterion 2.3.1
        for name in ANSWERS + STANDING:
            row = seen(name)
            for output in (1, 2, 3):
                before = [0] + row
                starts = [index for index in range(len(row)) if row[index] & output and not before[index] & output]
                for index, start in enumerate(starts[3:]):
                    self.assertTrue(start - starts[index] >= 1000 // STEP_MS, name)

    def test_fire_has_the_rhythm_of_iso_8201(self):
        # three times 0.5 s on and 0.5 s off, then 1.5 s off in place of the last 0.5 s
        self.assertEqual(rhythm(seen("FIRE"), 4)[:8], [500, 500, 500, 500, 500, 1500, 500, 500])


class Reasons(TestCase):
    def reasons(self):
        return range(1, record.PASSED_BACK + 1)

    def test_granted(self):
        self.assertEqual(patterns.answer(record.OK), PATTERNS["GRANTED"])
        self.assertEqual(patterns.answer(record.OK, True), PATTERNS["GRANTED_SOON"])

    def test_every_refusal_has_its_answer_and_none_looks_like_a_grant(self):
        refusals = [PATTERNS[name] for name in REFUSALS]
        given = [patterns.answer(reason) for reason in self.reasons()]
        self.assertTrue(all(pattern in refusals for pattern in given))
        self.assertTrue(all(pattern in given for pattern in refusals))
        self.assertEqual(given, [patterns.answer(reason, True) for reason in self.reasons()])
        self.assertEqual(patterns.answer(record.PASSED_BACK + 1), PATTERNS["REFUSED"])  # of newer software
        self.assertEqual(patterns.answer(255), PATTERNS["REFUSED"])

    def test_what_the_holder_can_do_about_it_decides(self):
        self.assertEqual(patterns.answer(record.CANCELLED), PATTERNS["CANCELLED"])
        for reason in (record.UNKNOWN, record.EXPIRED, record.SUSPENDED, record.USES_EXHAUSTED, record.TOO_WEAK):
            self.assertEqual(patterns.answer(reason), PATTERNS["REFUSED"])
        for reason in (record.OUTSIDE_SCHEDULE, record.LOCKED_DOWN, record.CLOCK_UNKNOWN, record.NOT_YET_VALID):
            self.assertEqual(patterns.answer(reason), PATTERNS["NOT_NOW"])
        for reason in (record.SEVERAL_CARDS, record.NOT_PROVEN):
            self.assertEqual(patterns.answer(reason), PATTERNS["AGAIN"])


class Standing(TestCase):
    def test_nothing(self):
        self.assertEqual(patterns.standing(set(), set()), b"")

    def test_an_alert_about_a_card_stands_for_nothing(self):
        for alarm in (record.ALARM_CANCELLED_CARD, record.ALARM_COPY_SUSPECTED, record.ALARM_JOURNAL_FULL):
            self.assertEqual(patterns.standing({alarm}, set()), b"")

    def test_the_most_urgent_wins(self):
        alarms = set()
        modes = set()
        for add, number, expected in (
            (modes, record.MODE_FREE, "FREE"),
            (modes, record.MODE_LOCKED_DOWN, "LOCKED_DOWN"),
            (alarms, record.ALARM_SELF_TEST, "FAULT"),
            (alarms, record.ALARM_HELD_WARNING, "HELD"),
            (alarms, record.ALARM_HELD_OPEN, "ALARM"),
            (alarms, record.ALARM_FIRE, "FIRE"),
            (modes, record.MODE_RESET_ASKED, "RESET_ASKED"),
        ):
            add.add(number)
            self.assertEqual(patterns.standing(alarms, modes), PATTERNS[expected])

    def test_which_alarms_sound(self):
        for alarm in (record.ALARM_FORCED, record.ALARM_HELD_OPEN, record.ALARM_TAMPER):
            self.assertEqual(patterns.standing({alarm}, set()), PATTERNS["ALARM"])

    def test_which_alarms_are_a_fault_of_the_door(self):
        for alarm in (
            record.ALARM_READER,
            record.ALARM_KEYS_LOST,
            record.ALARM_LOCK_FAULT,
            record.ALARM_SENSOR_FAULT,
            record.ALARM_SELF_TEST,
        ):
            self.assertEqual(patterns.standing({alarm}, set()), PATTERNS["FAULT"])
