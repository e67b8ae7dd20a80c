"""What happens at a door, as the records that the firmware makes of it, and when. Runs on MicroPython.

    traffic = Traffic(journal, events_a_day=2000, seed=1)
    while traffic.days < 30:
        traffic.visit(append, idle)

Of 1,000 visits 520 are a card and a passage, 400 the exit button and a passage, 40 an unknown card, 15 a card that is
refused for another reason, 10 a card after which nobody enters, 10 a passage after which the leaf is held open, 3 a
cancelled card, 1 a forced leaf; 1 is a new revision of the list. The hours of the day have the weights of a residential
building. The journal's idle work is done as `firmware/service.py` does it: after ten quiet seconds.
"""

import json
import math
import os
import random
import sys

from boards.sim import chip_time, clock

sys.modules["time"] = chip_time  # before storage.journal asks for it: the days below pass in virtual time

_DAY_S = 86_400
_START_S = 2_281 * _DAY_S  # a day in 2026, seconds since 2020
_QUIET_S = 10
_KEY_MOVES_S = 900
_HOURS = (2, 1, 1, 1, 2, 10, 40, 80, 70, 45, 40, 45, 60, 45, 40, 45, 60, 90, 95, 75, 50, 35, 20, 8)
_PEAK = max(_HOURS)

# Names of storage/record.py and their numbers: a door carries the numbers only.
NAMES = json.loads(os.getenv("RECORD_NAMES"))
_NO_CAUSE = "CAUSE_NONE"

# (seconds since the visit began, kind, reason or None); firmware/passage.py, door.py and service.py make them so.
_PASSAGE = ((0, "GRANTED", "OK"), (2, "PASSED", "CAUSE_CARD"), (2, "OPENED", "CAUSE_CARD"))
_VISITS = (
    (520, _PASSAGE + ((7, "CLOSED", "CAUSE_CARD"),)),
    (400, ((0, "RELEASED", "CAUSE_EXIT"), (2, "OPENED", "CAUSE_EXIT"), (7, "CLOSED", "CAUSE_EXIT"))),
    (40, ((0, "REFUSED", "UNKNOWN"),)),
    (15, ((0, "REFUSED", "EXPIRED"),)),
    (10, ((0, "GRANTED", "OK"), (6, "NOT_PASSED", "CAUSE_CARD"))),
    (
        10,
        _PASSAGE
        + (
            (32, "ALARM", "ALARM_HELD_WARNING"),
            (45, "ALARM_ENDED", "ALARM_HELD_WARNING"),
            (45, "CLOSED", "CAUSE_CARD"),
        ),
    ),
    (3, ((0, "REFUSED", "CANCELLED"), (0, "ALARM", "ALARM_CANCELLED_CARD"))),
    (
        1,
        (
            (0, "OPENED", _NO_CAUSE),
            (0, "ALARM", "ALARM_FORCED"),
            (20, "ALARM_ENDED", "ALARM_FORCED"),
            (20, "CLOSED", _NO_CAUSE),
        ),
    ),
    (1, ((0, "LIST", "OK"),)),
)
_WEIGHTS = sum(weight for weight, _ in _VISITS)
_RECORDS = sum(weight * len(records) for weight, records in _VISITS)


class Traffic:
    """The visits of a door; time passes with them."""

    def __init__(self, journal, events_a_day, seed):
        random.seed(seed)
        print("seed", seed)
        self.events = 0  # records that the door wanted to make
        self._journal = journal
        self._now_s = 0
        self._next_s = 0.0
        # Candidates come at the rate of the busiest hour; in others only their share of them counts.
        visits_a_day = events_a_day * _WEIGHTS / _RECORDS
        self._gap_s = _DAY_S * sum(_HOURS) / (len(_HOURS) * _PEAK * visits_a_day)

    @property
    def days(self):
        """Days since the start."""
        return self._now_s / _DAY_S

    def visit(self, append, idle):
        """Let the time pass until the next visit, with idle work in it, and have its records appended.

        Args:
            append: function of kind, reason, pseudonym and detail.
            idle: function that does all the idle work that there is.
        """
        while True:
            self._next_s -= math.log(1 - random.random()) * self._gap_s
            if random.randrange(_PEAK) < _HOURS[int(self._next_s) // 3600 % 24]:
                break
        gap_s = max(0, int(self._next_s) - self._now_s)
        for pause_s in (_QUIET_S, _KEY_MOVES_S):
            if gap_s >= pause_s:
                self._pass(pause_s)
                gap_s -= pause_s
                idle()
        self._pass(gap_s)
        dice = random.randrange(_WEIGHTS)
        at = 0
        while dice >= _VISITS[at][0]:
            dice -= _VISITS[at][0]
            at += 1
        card = random.randrange(300).to_bytes(7, "little")
        begun_s = self._now_s
        for after_s, kind, reason in _VISITS[at][1]:
            self._pass(begun_s + after_s - self._now_s)
            self._journal.stamp(_START_S + self._now_s, NAMES["SYNCHRONISED"], 1)
            append(NAMES[kind], NAMES[reason], card if "CARD" in reason or reason == "OK" else None, 1)
            self.events += 1

    def _pass(self, seconds):
        self._now_s += seconds
        clock.charge_us(seconds * 1_000_000)
