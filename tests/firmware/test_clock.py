"""The decision clock: grades of trust, bounds, and what it refuses."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.clock import Clock, Uptime
from storage import record

FLOOR_S = 200_000_000
DAY_S = 86_400


def test_starts_at_the_floor_and_knows_no_upper_bound():
    """Nothing but the floor is known; the floor moves with the time since boot."""
    clock = Clock(FLOOR_S, 50)
    clock.update(600)
    assert clock.trust == record.FLOOR
    assert clock.earliest_min == (FLOOR_S + 600) // 60
    assert clock.latest_min == 0x3FFFFFFF // 60
    assert clock.uncertainty == 31


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


@given(st.integers(0, 10**8), st.integers(1, 1000), st.integers(-1000, 1000))
def test_the_true_time_lies_within_the_bounds(age_s, drift_ppm, share):
    """An oscillator that is off by no more than its bound never carries the truth out of the interval."""
    clock = Clock(FLOOR_S, drift_ppm)
    clock.synchronise(FLOOR_S, 0)
    truth_s = FLOOR_S + age_s + age_s * drift_ppm * share // 1_000_000_000
    clock.update(age_s)
    if clock.trust == record.HELD:
        assert clock.earliest_min <= truth_s // 60 <= clock.latest_min
        assert 2**clock.uncertainty >= abs(truth_s - clock.now_s)


@given(st.lists(st.integers(0, 5000)))
def test_uptime_loses_no_millisecond(steps):
    """Seconds are exact however the time is cut into pieces."""
    uptime = Uptime()
    for step in steps:
        uptime.advance(step)
    assert uptime.seconds == sum(steps) // 1000
