"""The way out is hardware: whatever the firmware does, exit and fire release the lock within 50 ms, of either kind."""

import asyncio

import pytest
from system.way_out import BY_SOFTWARE, GIVEN_UP_S, LIMIT_US, STATES, WAYS, measure


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """All of them, measured once."""
    return asyncio.run(measure(tmp_path_factory.mktemp("way_out")))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fail_safe", [False, True])
def test_it_releases(figures, fail_safe, state, way):
    """Within 50 ms of the contact."""
    measured_us = figures[fail_safe, state, way]
    assert measured_us is not None
    assert 0 < measured_us <= LIMIT_US


@pytest.mark.parametrize("fail_safe", [False, True])
def test_the_states_are_what_they_are_called(figures, fail_safe):
    """A button that only the firmware senses shows it: never, or as late as the state lasts."""
    waits = {state: figures[fail_safe, state, BY_SOFTWARE] for state in STATES}
    assert waits["endless loop"] is None
    assert waits["stopped"] is None
    assert waits["handshake"] is not None
    assert 1_000_000 < waits["handshake"] < GIVEN_UP_S * 1_000_000
    assert waits["erase"] > 200_000
    assert waits["boot"] > 200_000
    assert waits["in service"] < waits["erase"]
