"""Power goes at every flash operation of random workloads, and again during recovery (docs/architecture.md)."""

import os

import pytest
from workloads import Tally, Worker, prove

SEED = int(os.getenv("MENWEI_SEED") or 20200101)
POINTS = {
    "cards": 900,
    "journal": 600,
    "settings": 500,
    "parcels": 200,
}  # distinct cut points to pass
ROUND = 3  # workloads between two looks at the count
SHARE = float(os.getenv("MENWEI_CUT_SHARE") or 1)  # of the points; tests.mutants asks for less
SHRINK = not os.getenv("MENWEI_NO_SHRINK")


def test_enough():
    assert sum(POINTS.values()) >= 2000


@pytest.mark.parametrize("store", sorted(POINTS))
def test_whatever_is_done(store):
    tally = Tally()
    points = POINTS[store] * SHARE
    number = SEED
    print(f"seed {SEED}; again: MENWEI_SEED={SEED} .venv/bin/pytest tests/storage/test_power_cuts.py -k {store}")
    with Worker() as worker:
        while tally.points < points:
            assert number < SEED + 100, f"{tally}: {points} points are out of reach"
            prove(worker, store, number, tally, ROUND, SHRINK)
            number += 1
    print(tally)
    assert tally.second > points / 20
