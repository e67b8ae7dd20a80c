"""The decision clock: grades of trust, bounds, what it refuses, doubts and learns."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware import clockrules
from firmware.clock import Clock, Uptime
from firmware.clockrules import DOUBT, REFUSE, TAKE
from firmware.version import BUILT_S
from storage import record

FLOOR_S = 230_000_000
DAY_S = 86_400
YEAR_S = 365 * DAY_S
END_S = 0x3FFFFFFF


def take(clock, time_s, uptime_s):
    """What firmware/settime.py does with a time."""
    verdict = clockrules.judge(clock, time_s, uptime_s)
    if verdict == TAKE:
        clockrules.measure(clock, time_s, uptime_s)
        clock.synchronise(time_s, uptime_s)
    return verdict


# Grades


def test_starts_at_the_floor_and_knows_no_upper_bound():
    """Nothing but the floor is known; the floor moves with the time since boot."""
    clock = Clock(FLOOR_S, 50)
    clock.update(600)
    assert clock.trust == record.FLOOR
    assert clock.earliest_min == (FLOOR_S + 600) // 60
    assert clock.latest_min == END_S // 60
    assert clock.uncertainty == 31


@given(st.integers(0, 10**8), st.integers(1, 1000), st.integers(-1000, 1000))
def test_at_the_floor_the_time_is_a_lower_bound_whatever_the_oscillator_does(age_s, drift_ppm, share):
    """Records at this grade become the next floor: a fast oscillator must not carry it beyond the truth."""
    clock = Clock(FLOOR_S, drift_ppm)
    clock.update(age_s)
    truth_s = FLOOR_S + age_s * (1_000_000_000 - drift_ppm * share) / 1_000_000_000
    assert clock.now_s == clock.earliest_s <= truth_s + 1
    assert clock.now_s >= FLOOR_S + age_s - age_s * drift_ppm / 1_000_000 - 3


def test_synchronised_for_a_day_then_held():
    """The grade falls after 24 h, and the uncertainty grows with the drift from then on."""
    clock = Clock(FLOOR_S, 50)
    assert clock.synchronise(FLOOR_S + 1000, 10) == 990
    clock.update(10 + DAY_S)
    assert clock.trust == record.SYNCHRONISED
    assert clock.earliest_min == clock.latest_min == (FLOOR_S + 1000 + DAY_S) // 60
    clock.update(11 + DAY_S)
    assert clock.trust == record.HELD
    clock.update(10 + 100 * DAY_S)
    assert clock.trust == record.HELD
    drift_s = 100 * DAY_S * 50 // 1_000_000
    assert clock.earliest_s <= clock.now_s - drift_s
    assert clock.latest_min >= (clock.now_s + drift_s) // 60
    assert clock.latest_min - clock.earliest_min < 20


def test_time_before_the_floor_is_refused():
    """A message cannot turn the clock back behind what is known for certain."""
    clock = Clock(FLOOR_S, 50)
    assert clock.synchronise(FLOOR_S - 1, 0) is None
    assert clock.trust == record.FLOOR
    assert clock.synchronise(FLOOR_S + 5000, 0) is not None
    assert clock.synchronise(FLOOR_S + 4000, 3) is None
    clock.update(3)
    assert clock.now_s == FLOOR_S + 5003


def test_an_rtc_that_survived_is_held_and_one_that_did_not_is_ignored():
    """After a watchdog reset the time goes on as held; a time before the floor stays at the floor."""
    clock = Clock(FLOOR_S, 50)
    clock.resume(FLOOR_S + 500, 2, 5)
    assert clock.trust == record.HELD
    clock = Clock(FLOOR_S, 50)
    clock.resume(FLOOR_S - 500, 2, 5)
    clock.update(2)
    assert clock.trust == record.FLOOR


def test_a_clock_chip_is_synchronised_for_what_is_left_of_its_day():
    """It was set 20 h before the start: four hours are left."""
    clock = Clock(FLOOR_S, 50)
    clock.resume(FLOOR_S + 500, 2, 5, 4 * 3600)
    assert clock.trust == record.SYNCHRONISED
    clock.update(2 + 4 * 3600)
    assert clock.trust == record.SYNCHRONISED
    clock.update(3 + 4 * 3600)
    assert clock.trust == record.HELD
    assert clock.latest_min > clock.earliest_min or clock.uncertainty


@given(st.integers(0, 10**8), st.integers(1, 1000), st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_the_true_time_lies_within_the_bounds(age_s, drift_ppm, share, rate_ppm):
    """An oscillator that is off from its known rate by no more than its bound never carries the truth out."""
    clock = Clock(FLOOR_S, drift_ppm)
    clock.rate_ppm = rate_ppm
    clock.synchronise(FLOOR_S, 0)
    truth_s = FLOOR_S + age_s + age_s * rate_ppm // 1_000_000 + age_s * drift_ppm * share // 1_000_000_000
    clock.update(age_s)
    if clock.trust == record.HELD:
        assert clock.earliest_min <= truth_s // 60 <= clock.latest_min
        assert 2**clock.uncertainty >= abs(truth_s - clock.now_s) - 1


def test_time_ends_in_2054():
    """The clock stands then, and no number grows beyond 30 bits."""
    clock = Clock(FLOOR_S, 50)
    assert clock.synchronise(END_S, 0) is None
    assert clock.synchronise(END_S - 10, 0) is not None
    clock.update(1000 * DAY_S)
    assert clock.now_s == END_S
    assert max(clock.now_s, clock.earliest_s, clock.floor_s, clock.latest_min * 60) < 2**30 + 10**6
    clock = Clock(END_S - 5, 50)
    clock.update(DAY_S)
    assert clock.now_s <= END_S


@given(st.lists(st.integers(0, 5000)))
def test_uptime_loses_no_millisecond(steps):
    """Seconds are exact however the time is cut into pieces."""
    uptime = Uptime()
    for step in steps:
        uptime.advance(step)
    assert uptime.seconds == sum(steps) // 1000


# Steps


def test_a_door_that_was_off_for_a_year_is_synchronised_at_once():
    clock = Clock(FLOOR_S, 50)
    assert take(clock, FLOOR_S + YEAR_S, 60) == TAKE
    assert clock.trust == record.SYNCHRONISED


def test_a_new_door_may_run_an_old_release():
    """Its floor is the day of the release; five years later is no miracle, ten are."""
    for years, verdict in ((4, TAKE), (5, TAKE), (6, DOUBT), (10, DOUBT)):
        assert take(Clock(BUILT_S, 50), BUILT_S + years * YEAR_S, 60) == verdict


def test_a_spare_stored_for_years_is_synchronised_without_a_visit():
    """Ten minutes later, by the second message."""
    clock = Clock(FLOOR_S, 50)
    assert take(clock, FLOOR_S + 3 * YEAR_S, 60) == DOUBT
    assert clock.trust == record.FLOOR
    clock.update(600)
    assert clock.now_s == FLOOR_S + 600  # the old time goes on
    assert take(clock, FLOOR_S + 3 * YEAR_S + 599, 659) == DOUBT
    assert take(clock, FLOOR_S + 3 * YEAR_S + 600, 660) == TAKE
    assert clock.trust == record.SYNCHRONISED and clock.doubt is None


def test_ten_years_ahead_wait_for_their_confirmation_and_are_withdrawn_by_the_right_time():
    clock = Clock(FLOOR_S, 50)
    assert take(clock, FLOOR_S + DAY_S, 60) == TAKE
    wrong_s = FLOOR_S + DAY_S + 10 * YEAR_S
    assert take(clock, wrong_s, 120) == DOUBT
    clock.update(130)
    assert clock.now_s == FLOOR_S + DAY_S + 70 and clock.trust == record.SYNCHRONISED
    assert take(clock, FLOOR_S + DAY_S + 240, 300) == TAKE
    assert clock.doubt is None


def test_ten_years_ahead_are_taken_from_nobody_alone_at_any_grade():
    """However often upstream says so: residents get in all the time."""
    for grade in (record.FLOOR, record.HELD, record.SYNCHRONISED):
        clock = Clock(FLOOR_S, 50)
        uptime_s = 60
        if grade:
            take(clock, FLOOR_S + DAY_S, uptime_s)
        if grade == record.HELD:
            uptime_s += 2 * DAY_S
        clock.update(uptime_s)
        assert clock.trust == grade
        wrong_s = clock.now_s + 10 * YEAR_S
        for later_s in range(0, 20 * 3600, 3600):
            assert take(clock, wrong_s + later_s, uptime_s + later_s) == DOUBT
            clock.update(uptime_s + later_s)
            assert -4 <= clock.now_s - (wrong_s - 10 * YEAR_S + later_s) <= 0


def test_a_running_clock_is_confirmed_within_a_day_and_no_further():
    for step_s, verdict in ((3600, TAKE), (DAY_S - 10, TAKE), (DAY_S + 10, DOUBT)):
        clock = Clock(FLOOR_S, 50)
        take(clock, FLOOR_S + DAY_S, 0)
        assert take(clock, FLOOR_S + DAY_S + 60 + step_s, 60) == DOUBT
        assert take(clock, FLOOR_S + DAY_S + 700 + step_s, 700) == verdict


def test_two_wrong_times_that_do_not_agree_confirm_nothing():
    clock = Clock(FLOOR_S, 50)
    assert take(clock, FLOOR_S + 3 * YEAR_S, 120) == DOUBT
    assert take(clock, FLOOR_S + 4 * YEAR_S, 120 + 700) == DOUBT
    assert take(clock, FLOOR_S + 4 * YEAR_S + 700, 120 + 1400) == TAKE


def test_a_step_back_is_doubted_as_well_and_never_goes_behind_the_floor():
    clock = Clock(FLOOR_S, 50)
    take(clock, FLOOR_S + DAY_S, 0)
    assert take(clock, FLOOR_S + DAY_S + 3600 - 30, 3600) == DOUBT
    assert take(clock, FLOOR_S + DAY_S + 4300 - 30, 4300) == TAKE
    assert take(clock, FLOOR_S + DAY_S - 1, 4400) == REFUSE


@given(st.integers(0, 300 * DAY_S), st.integers(1, 1000), st.integers(-1000, 1000))
def test_what_drift_can_explain_is_taken_at_once(age_s, drift_ppm, share):
    clock = Clock(FLOOR_S, drift_ppm)
    take(clock, FLOOR_S + DAY_S, 0)
    truth_s = FLOOR_S + DAY_S + age_s + age_s * drift_ppm * share // 1_000_000_000
    if truth_s >= clock.floor_s:
        assert take(clock, truth_s, age_s) == TAKE


@given(st.integers(11, 10**8), st.booleans())
def test_what_it_cannot_explain_is_not(more_s, forward):
    clock = Clock(FLOOR_S, 50)
    take(clock, FLOOR_S + DAY_S, 0)
    clock.update(10 * DAY_S)
    step_s = 11 + (1 << clock.uncertainty) + more_s
    verdict = take(clock, clock.now_s + (step_s if forward else -step_s), 10 * DAY_S)
    assert verdict == (DOUBT if forward or clock.now_s - step_s >= clock.floor_s else REFUSE)
    assert clock.now_s == FLOOR_S + 11 * DAY_S


# Drift


def run_offline(ppm, late, days_online, days_offline, drift_ppm=50):
    """A crystal that is slow by `ppm`, messages late by what `late()` says, then none; return the error in s."""
    clock = Clock(FLOOR_S, drift_ppm)
    truth_s = 0
    for _ in range(days_online * 4 + 1):
        uptime_s = truth_s - truth_s * ppm // 1_000_000
        assert take(clock, FLOOR_S + DAY_S + truth_s - late(), uptime_s) == TAKE
        truth_s += 6 * 3600
    truth_s += days_offline * DAY_S - 6 * 3600
    clock.update(truth_s - truth_s * ppm // 1_000_000)
    error_s = clock.now_s - FLOOR_S - DAY_S - truth_s
    assert abs(error_s) <= 1 << clock.uncertainty
    return error_s, clock


def test_a_crystal_of_40_ppm_30_days_offline():
    """104 s without correction; with it what the lateness of the messages leaves, here a constant second: nothing."""
    error_s, _ = run_offline(40, lambda: 1, 0, 30)
    assert -106 <= error_s <= -103
    error_s, clock = run_offline(40, lambda: 1, 8, 30)
    assert abs(error_s) <= 4 and abs(clock.rate_ppm - 40) <= 1
    error_s, clock = run_offline(-40, lambda: 1, 30, 30)
    assert abs(error_s) <= 4 and abs(clock.rate_ppm + 40) <= 1


@settings(deadline=None, max_examples=60)
@given(st.integers(-40, 40), st.randoms(use_true_random=False), st.integers(9, 40))
def test_messages_that_are_late_by_chance_leave_less_than_a_second_a_day(ppm, random, days):
    """4 s of lateness in 8 days are 5.8 ppm, in whole ppm 7: 18 s in 30 days. GB 50396-2007 5.1.3: 10 s a day."""
    error_s, clock = run_offline(ppm, lambda: random.randint(0, 4), days, 30)
    assert abs(clock.rate_ppm - ppm) <= 7
    assert abs(error_s) <= 7 * 30 * DAY_S // 1_000_000 + 6


@settings(deadline=None, max_examples=100)
@given(st.integers(-50, 50), st.randoms(use_true_random=False), st.integers(0, 40), st.integers(5, 100))
def test_what_is_learnt_never_makes_the_bound_wrong(ppm, random, days, drift_ppm):
    """run_offline looks at it: whatever lateness feigns, the rest stays below `drift_ppm`."""
    if abs(ppm) <= drift_ppm:
        run_offline(ppm, lambda: random.randint(0, 4), days, 200, drift_ppm)


def test_what_lateness_feigns_in_a_day_is_no_drift():
    """4 s too late after six hours would be 185 ppm; it is not even a part of it."""
    for late_s, ages in ((4, (3600, 6 * 3600, DAY_S - 1)), (1, (100, 7200))):
        clock = Clock(FLOOR_S, 50)
        take(clock, FLOOR_S + DAY_S, 0)
        for age_s in ages:
            assert take(clock, FLOOR_S + DAY_S + age_s - late_s, age_s) == TAKE
            assert clock.rate_ppm == 0


def test_ten_seconds_in_a_day_are_taken_but_no_drift():
    """No oscillator is off by 115 ppm where 50 is the bound: it was upstream's clock that was set."""
    clock = Clock(FLOOR_S, 50)
    take(clock, FLOOR_S + DAY_S, 0)
    assert take(clock, FLOOR_S + 2 * DAY_S + 10, DAY_S) == TAKE
    assert clock.rate_ppm == 0 and clock.anchor[1] == DAY_S


def test_a_step_of_upstream_is_no_drift():
    """Its clock was set by an hour: confirmed, but nothing is learnt from it."""
    clock = Clock(FLOOR_S, 50)
    take(clock, FLOOR_S + DAY_S, 0)
    uptime_s = 9 * DAY_S
    assert take(clock, FLOOR_S + DAY_S + uptime_s + 3600, uptime_s) == DOUBT
    assert take(clock, FLOOR_S + DAY_S + uptime_s + 4300, uptime_s + 700) == TAKE
    assert clock.rate_ppm == 0 and clock.anchor[1] == uptime_s + 700


# The alarm


def test_lost_at_the_floor_after_ten_minutes_and_when_too_uncertain():
    clock = Clock(FLOOR_S, 50)
    clock.update(599)
    assert not clockrules.lost(clock, 599, 600)
    assert clockrules.lost(clock, 600, 600)
    take(clock, FLOOR_S + 5000, 600)
    assert not clockrules.lost(clock, 600, 600)
    clock.update(600 + 100 * DAY_S)  # 434 s, in the records 512
    assert not clockrules.lost(clock, 0, 600)
    clock.update(600 + 140 * DAY_S)  # 607 s
    assert clockrules.lost(clock, 0, 600)


# Everything in any order


class Clocks(RuleBasedStateMachine):
    """True time and uptime pass; upstream is right, late, or wrong; the door loses power and comes back.

    While upstream was never wrong for ten minutes together the truth lies within the bounds at every grade.
    """

    def __init__(self):
        super().__init__()
        self.truth_s = FLOOR_S + 1000
        self.ppm = 30
        self.floor_s = FLOOR_S
        self.start()

    def start(self):
        self.clock = Clock(self.floor_s, 50)
        self.booted_s = self.truth_s
        self.wrong_s = []

    def uptime(self):
        passed_s = self.truth_s - self.booted_s
        return passed_s - passed_s * self.ppm // 1_000_000

    @rule(seconds=st.integers(1, 40 * DAY_S))
    def time_passes(self, seconds):
        self.truth_s += seconds

    @rule(late_s=st.integers(0, 4))
    def upstream_is_right(self, late_s):
        time_s = self.truth_s - late_s
        verdict = take(self.clock, time_s, self.uptime())
        if self.truth_s - self.clock.floor_s < 300 * DAY_S and self.clock.trust == record.FLOOR and not late_s:
            assert verdict == TAKE
        if verdict == TAKE:
            self.wrong_s = []

    @precondition(lambda self: not self.wrong_s)
    @rule(years=st.integers(2, 12), back=st.booleans())
    def upstream_is_wrong_once(self, years, back):
        self.clock.update(self.uptime())
        before = self.clock.now_s, self.clock.trust
        verdict = take(self.clock, self.truth_s + (-1 if back else 1) * years * YEAR_S, self.uptime())
        assert verdict != TAKE
        assert (self.clock.now_s, self.clock.trust) == before
        self.wrong_s.append(years)

    @rule(ahead_s=st.integers(0, 10))
    def power_goes_and_comes(self, ahead_s):
        self.clock.update(self.uptime())
        self.floor_s = max(self.floor_s, self.clock.earliest_s - 2)  # the last record says so
        self.truth_s += ahead_s
        self.start()

    @invariant()
    def the_truth_lies_within(self):
        clock = self.clock
        clock.update(self.uptime())
        slack_s = 10  # what counts as exact: GB 50396-2007 5.1.3
        assert clock.earliest_s <= self.truth_s + slack_s
        assert clock.latest_min >= (self.truth_s - slack_s) // 60
        assert clock.floor_s <= self.truth_s + slack_s


TestClocks = Clocks.TestCase
TestClocks.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
