"""The seconds of each hour: exactly 3,600, and those that a slow reference finds, whatever clock and power do."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_rate import HOUR_S, QUANTUM_MS, UNKNOWN, Reference

from firmware import door as doors
from firmware import hourly
from firmware import rate as rates
from firmware.rate import Rate
from storage import hours

CLOSED, OPEN_CARD, FORCED, PROPPED, AJAR = 0, 5, 4, 2, 3
NOON_S = 300_002_400  # a full hour
TOLERANCE_S = 3  # milliseconds carried from hour to hour, by up to thirteen categories
assert NOON_S % HOUR_S == 0


class Door:
    """The clock of a door and its time since boot, in milliseconds; feeds the rate and the reference."""

    def __init__(self, now_s):
        self.rate = Rate()
        self.reference = Reference()
        self.uptime_ms = 0
        self.offset_s = now_s
        self.written = []
        self._look()
        self.kept = b""

    @property
    def now_s(self):
        return self.offset_s + self.uptime_ms // 1000

    def run(self, category, ms, piece_ms=1000):
        """Let time pass; rate.add is called once for each piece."""
        while ms > 0:
            some = min(ms, piece_ms)
            for _ in range(some // QUANTUM_MS):
                self.reference.quantum(category, self.now_s)
                self.uptime_ms += QUANTUM_MS
            self._add(category, some)
            ms -= some

    def step(self, seconds):
        """Somebody sets the clock."""
        self.offset_s = max(self.offset_s + seconds, 1)
        self._look()

    def reset(self, down_ms):
        """Watchdog or software reset; the RTC goes on, and its memory is there."""
        self.rate.save(self._memory, 0)
        self.rate = Rate()
        hourly.resume(self.rate, self.kept)
        self._down(down_ms)
        self.reference.reset(self.now_s)
        self._look()

    def power(self, down_ms):
        """The power is cut; an RTC chip goes on."""
        self.rate = Rate()
        self._down(down_ms)
        self.reference.power()
        self._look()

    def _down(self, down_ms):
        self.offset_s = self.now_s + down_ms // 1000
        self.uptime_ms = 0

    def _look(self):
        self.reference.quantum(CLOSED, self.now_s, 0)
        self._add(CLOSED, 0)

    def _memory(self, data):
        self.kept = bytes(data)

    def _add(self, category, elapsed_ms):
        if not self.rate.add(category, elapsed_ms, self.now_s):
            for hour, counts in hourly.catch_up(self.rate, category, elapsed_ms, self.now_s):
                counts = hours.unpack(hours.pack(counts))  # raises if they do not add up
                self.written.append((hour, counts[: hours.SECONDS]))


def test_a_quiet_hour():
    door = Door(NOON_S)
    door.run(CLOSED, 100, 100)
    door.run(CLOSED, 3_600_000)
    assert door.written == [(NOON_S // HOUR_S, [3600] + [0] * 12)]


def test_short_openings_are_not_lost():
    """Openings of 300 ms: a sample each second would see none of them, or all as a whole second."""
    door = Door(NOON_S)
    door.run(CLOSED, 100, 100)
    for _ in range(1000):
        door.run(OPEN_CARD, 300, 100)
        door.run(CLOSED, 3300, 100)
    door.run(CLOSED, 1000, 100)
    ((_, counts),) = door.written
    assert abs(counts[OPEN_CARD] - 300) <= 1
    assert counts[CLOSED] + counts[OPEN_CARD] == 3600


def test_before_the_start_nothing_is_known():
    door = Door(NOON_S + 600)
    door.run(CLOSED, 3_100_000)
    ((_, counts),) = door.written
    assert counts[CLOSED] in (2999, 3000)
    assert counts[UNKNOWN] == 3600 - counts[CLOSED]


def test_a_reset_keeps_the_hour_and_a_power_cut_loses_it():
    for cut, known_s in (("reset", 3580), ("power", 1780)):
        door = Door(NOON_S)
        door.run(OPEN_CARD, 1_800_000)
        getattr(door, cut)(20_000)
        door.run(CLOSED, 1_790_000)
        ((_, counts),) = door.written
        assert abs(3600 - counts[UNKNOWN] - known_s) <= 2
        assert counts[OPEN_CARD] == (1800 if cut == "reset" else 0) or (cut == "reset" and counts[OPEN_CARD] == 1799)


def test_seconds_that_come_again_are_not_counted_again():
    door = Door(NOON_S)
    door.run(OPEN_CARD, 1_000_000)
    door.step(-300)
    door.run(CLOSED, 300_000)
    door.run(CLOSED, 2_601_000)
    ((_, counts),) = door.written
    assert abs(counts[OPEN_CARD] - 1000) <= 1
    assert abs(counts[CLOSED] - 2600) <= 1


def test_a_correction_is_unknown_and_a_wrong_clock_moves_the_hour():
    door = Door(NOON_S)
    door.run(CLOSED, 600_000)
    door.step(20)
    door.run(CLOSED, 2_981_000)
    assert door.written[0][1][UNKNOWN] in (20, 21)
    # The floor: ten minutes watched, then upstream tells that it is 20 minutes past another hour.
    door = Door(NOON_S)
    door.run(OPEN_CARD, 600_000)
    door.step(30 * HOUR_S + 600)
    door.run(CLOSED, 2_401_000)
    ((hour, counts),) = door.written
    assert hour == NOON_S // HOUR_S + 30
    assert abs(counts[OPEN_CARD] - 600) <= 1
    assert abs(counts[CLOSED] - 2400) <= 1
    assert abs(counts[UNKNOWN] - 600) <= 1


def test_a_clock_ten_years_ahead_and_its_correction():
    door = Door(NOON_S)
    door.run(CLOSED, 300_000)
    door.step(315_000_000)
    door.run(CLOSED, 7_200_000)
    door.step(-315_000_000)
    door.run(CLOSED, 7_200_000)
    assert [hour for hour, _ in door.written[-2:]] == [NOON_S // HOUR_S + 2, NOON_S // HOUR_S + 3]
    assert door.written[-1][1][CLOSED] == 3600


def test_the_latest_day():
    door = Door(NOON_S)
    door.run(CLOSED, 100, 100)
    for _ in range(30):
        door.run(CLOSED, 3_000_000, 60_000)
        door.run(FORCED, 600_000, 60_000)
    closed_s, known_s = door.rate.latest
    assert abs(closed_s - 24 * 3000) <= 24
    assert known_s == 24 * 3600


@dataclass
class Leaf:
    """What a door says of itself."""

    state: int = 0
    cause: int = 0
    sensed: bool = True
    orders: int = 0
    ajar: bool = False


@pytest.mark.parametrize(
    ("leaf", "which"),
    [
        (Leaf(), hours.CLOSED),
        (Leaf(state=1, cause=1), hours.CLOSED),
        (Leaf(state=2, cause=1), hours.OPEN + 1),
        (Leaf(state=3, cause=3), hours.OPEN + 3),
        (Leaf(state=4), hours.OPEN),
        (Leaf(state=2, cause=8), hours.OPEN + 8),
        (Leaf(state=2, cause=1, orders=doors.PROPPED), hours.PROPPED),
        (Leaf(orders=doors.PROPPED), hours.CLOSED),
        (Leaf(ajar=True), hours.AJAR),
        (Leaf(sensed=False), hours.UNKNOWN),
        (Leaf(state=2, cause=1, sensed=False), hours.UNKNOWN),
    ],
)
def test_categories(leaf, which):
    """A faulty sensor is unknown, whatever else seems to be; a release is not an opening."""
    assert rates.category(leaf) == which


def clear_cut(step_s):
    """Not so near to a correction's limit that the fraction of a second decides."""
    return not 58 < abs(step_s) < 64


PASS = st.tuples(
    st.just("run"),
    st.sampled_from(range(13)),
    st.one_of(st.integers(1, 200), st.integers(1, 25_000)).map(lambda count: count * QUANTUM_MS),
    st.sampled_from([100, 200, 1000, 5000, 60_000, 3_600_000]),
)
STEP = st.tuples(
    st.just("step"),
    st.one_of(st.integers(-58, 58), st.integers(-8000, 8000), st.integers(-(10**8), 10**8)).filter(clear_cut),
)
RESET = st.tuples(st.sampled_from(["reset", "power"]), st.integers(0, 10_000).map(lambda s: s * 1000))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2 * HOUR_S), st.lists(st.one_of(PASS, PASS, PASS, STEP, RESET), min_size=1, max_size=14))
def test_every_hour_adds_up_and_is_what_the_reference_finds(start_s, moves):
    """Each record adds up to 3,600 exactly (Door.take raises otherwise) and is the reference's, but for roundings."""
    door = Door(NOON_S + start_s)
    boundaries = 0
    for verb, *arguments in moves:
        getattr(door, verb)(*arguments)
        boundaries += verb != "run"
    found, expected = door.written, door.reference.hours
    assert [hour for hour, _ in found] == [hour for hour, _ in expected]
    total = [0] * 13
    for (_, counts), (_, sums) in zip(found, expected, strict=True):
        assert sum(counts) == HOUR_S
        for which in range(13):
            over_s = counts[which] - sums.get(which, 0) / 1000
            total[which] += over_s
            assert abs(over_s) <= TOLERANCE_S + boundaries, (which, counts, sums)
    assert max(map(abs, total)) <= TOLERANCE_S + boundaries
    # One flash write an hour, and one more at most each time that somebody sets the clock or the door starts.
    elapsed_s = sum(move[2] for move in moves if move[0] == "run") / 1000
    elapsed_s += sum(move[1] for move in moves if move[0] in ("reset", "power")) / 1000
    assert len(found) <= 1 + elapsed_s / HOUR_S + boundaries
