"""Times put right upstream, against a small world in which the truth is known."""

import io
from collections import deque
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from menwei.corrected import corrected, new_time
from menwei.listen import event_table
from menwei.store import Event
from storage import record

BUILT_S = 215_000_000
DAY_S = 86_400
YEARS_S = 3650 * DAY_S


class Door:
    """A door's clock and journal: stamps come from it, `truths` from the world."""

    def __init__(self, ppm=0):
        self.truth = BUILT_S + 30 * DAY_S
        self.ppm = ppm  # + is slow
        self.items, self.truths = [], []
        self.boot = 0
        self.floor = BUILT_S
        self.start()

    def start(self, off_s=0, chip=False):
        now = self.now() if chip else None
        self.truth += off_s
        self.boot += 1
        self.at, self.trust, self.error = self.truth, record.FLOOR, 0
        self.stamp = self.floor
        if chip:
            self.stamp, self.trust, self.error = now + off_s, record.HELD, self.error + 5

    def now(self):
        age = self.truth - self.at
        return self.stamp + age - age * self.ppm // 1_000_000

    def note(self, kind=record.GRANTED, reason=0, detail=0, argument=None):
        error = self.error + (self.truth - self.at) * 50 // 1_000_000 + 1
        exponent = 31 if self.trust == record.FLOOR else max(error - 1, 0).bit_length()
        raw = bytes(32)
        if argument is not None:
            raw = bytes(41) + argument.to_bytes(4, "little") + bytes(19)
        item = SimpleNamespace(seq=len(self.items) + 1, boot=self.boot, time=self.now(), trust=self.trust)
        item.uncertainty, item.kind, item.reason, item.detail, item.raw = exponent, kind, reason, detail, raw
        self.items.append(item)
        self.truths.append(self.truth)
        if self.trust != record.FLOOR:
            self.floor = self.now() - error

    def set(self, time=None, lower=False):
        time = self.truth if time is None else time
        reason = self.trust | (record.LOWERED if lower else 0)
        self.note(record.CLOCK, reason, abs(time - self.now()), time)
        self.stamp, self.at, self.trust, self.error, self.floor = time, self.truth, record.HELD, 4, time

    def moments(self):
        return corrected(self.items)

    def check(self):
        moments = self.moments()
        assert [moment.record for moment in moments] == self.items
        for moment, truth in zip(moments, self.truths, strict=True):
            assert moment.earliest is None or moment.earliest <= truth, (moment, truth)
            assert moment.latest is None or truth <= moment.latest, (moment, truth)
        return moments


def test_records_before_the_first_setting():
    """The time since the floor shifts them all by the same, whatever it is."""
    door = Door()
    for _ in range(5):
        door.note()
        door.truth += 1000
    door.set()
    door.truth += 60
    door.note()
    moments = door.check()
    assert [moment.time for moment in moments] == door.truths
    assert [moment.changed for moment in moments] == [True] * 6 + [False]
    assert all(moment.within <= 8 for moment in moments)


def test_two_settings_in_one_start():
    """Between them the clock was slow by more and more."""
    door = Door(ppm=40)
    door.note()
    door.truth += 100
    door.set()
    for _ in range(20):
        door.truth += 5 * DAY_S
        door.note()
    door.set()
    moments = door.check()
    assert [abs(moment.time - truth) <= 1 for moment, truth in zip(moments, door.truths, strict=True)] == [True] * 23
    assert door.items[-2].time - door.truths[-2] < -340
    assert 340 < moments[-2].within < 360


def test_a_start_without_a_setting_has_bounds():
    door = Door()
    door.set()
    door.truth += 1000
    door.note()
    door.start(off_s=5000)
    door.note()
    door.start(off_s=7000)
    door.truth += 10
    door.set()
    moments = door.check()
    lonely = moments[2]
    assert lonely.time is None and not lonely.changed
    assert lonely.earliest == door.items[2].time and lonely.latest >= door.truths[2]
    assert lonely.latest - door.truths[2] < 7020
    alone = corrected(door.items[2:3])[0]
    assert (alone.time, alone.latest, alone.within) == (None, None, None)


def test_ten_years_ahead_and_lowered_in_one_start():
    """What came before the wrong setting was right; what came after it is ten years too late."""
    door = Door()
    door.set()
    door.truth += 1000
    door.note()
    door.set(door.truth + YEARS_S)
    door.truth += 1000
    door.note()
    door.truth += 50
    door.set(lower=True)
    door.note()
    moments = door.check()
    assert [moment.time for moment in moments] == door.truths
    assert door.items[3].time - door.truths[3] == YEARS_S
    assert all(moment.within <= 20 for moment in moments)


def test_ten_years_ahead_and_lowered_after_a_power_cut():
    door = Door()
    door.set()
    door.truth += 1000
    door.note()
    door.set(door.truth + YEARS_S)
    door.truth += 1000
    door.note()
    door.start(off_s=600)
    door.note()
    door.truth += 30
    door.set(lower=True)
    moments = door.check()
    assert [moment.time for moment in moments] == door.truths


def test_wrong_from_the_first_setting_on_and_nobody_knows_by_how_much():
    """Set wrongly at the floor, and lowered after a power cut: bounds are all that is left."""
    door = Door()
    door.note()
    door.truth += 30
    door.set(door.truth + YEARS_S)
    door.note()
    door.start(off_s=600)
    door.truth += 30
    door.set(lower=True)
    moments = door.check()
    assert [moment.time is None for moment in moments] == [True, True, True, False]
    assert moments[2].latest < BUILT_S + 31 * DAY_S


def test_without_the_second_half_of_the_record_the_step_tells():
    item = SimpleNamespace(time=500, reason=record.FLOOR, detail=70, raw=bytes(32))
    assert new_time(item) == 570
    item.reason = record.LOWERED | record.HELD
    assert new_time(item) == 430


def test_listen_shows_times_that_were_put_right():
    def event(seq, time, kind=record.GRANTED, argument=0):
        raw = bytes(41) + argument.to_bytes(4, "little") + bytes(19)
        return Event("front-gate", "01", seq, 1, time, record.FLOOR, 31, kind, 0, "00", 0, 0, b"", raw)

    events = [event(1, 215_654_400), event(2, 215_654_460, record.CLOCK, 218_000_060)]
    out = io.StringIO()
    Console(file=out, width=160).print(event_table(deque(events)))
    assert "≈ 2026-11-28 03:33:20" in out.getvalue()
    out = io.StringIO()
    Console(file=out, width=160).print(event_table(deque(events[:1])))
    assert "≈" not in out.getvalue() and "2026-11-01 00:00:00" in out.getvalue()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 30 * DAY_S)),
        st.tuples(st.just("note"), st.none()),
        st.tuples(st.just("set"), st.integers(0, 4)),
        st.tuples(st.just("cut"), st.integers(1, 90 * DAY_S)),
        st.tuples(st.just("reset"), st.integers(0, 5)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS, st.integers(-45, 45))
def test_the_truth_lies_within_the_bounds(steps, ppm):
    """Whatever happens at a door whose upstream is right, and late by up to 4 s."""
    door = Door(ppm)
    for what, value in steps:
        if what == "pass":
            door.truth += value
        elif what == "note":
            door.note()
        elif what == "set":
            if door.truth - value >= door.floor:
                door.set(door.truth - value)
        elif what == "cut":
            door.start(value)
        elif door.trust != record.FLOOR:
            error = door.error + (door.truth - door.at) * 50 // 1_000_000 + 1
            door.start(value, chip=True)
            door.error = error + 5
    moments = door.check()
    for moment, truth in zip(moments, door.truths, strict=True):
        if moment.time is not None and moment.within is not None:
            assert abs(moment.time - truth) <= moment.within
