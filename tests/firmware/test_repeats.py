"""Folding of refusals against the plainest counting there is."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from firmware import repeats
from firmware.repeats import Series

FIRST_S, LONGEST_S, LIMIT = 60, 960, 4
CARDS = st.integers(0, 9).map(lambda number: bytes([number] * 7))
STEPS = st.lists(st.tuples(st.integers(0, 400), st.sampled_from((1, 3, 5)), CARDS), max_size=80)


@given(STEPS)
def test_every_refusal_is_recorded_or_counted_once(steps):
    series = Series(LIMIT)
    now_s = recorded = counted = 0
    for pause_s, reason, card in steps:
        now_s += pause_s
        if series.over(now_s):
            counted += series.count
            series.close()
        if not series.folds(reason, card, now_s):
            recorded += 1
    assert recorded + counted + series.count == len(steps)


@given(STEPS)
def test_an_interval_has_few_records_and_each_card_once(steps):
    series = Series(LIMIT)
    now_s = 0
    began_s = ended_s = -LONGEST_S
    length_s = FIRST_S
    recorded, folded = set(), 0
    for pause_s, reason, card in steps:
        now_s += pause_s
        if recorded and now_s >= began_s + length_s:
            assert series.over(now_s)
            assert series.count == folded
            ended_s = began_s + length_s
            length_s = min(2 * length_s, LONGEST_S) if folded else FIRST_S
            series.close()
            recorded, folded = set(), 0
        else:
            assert not series.over(now_s)
        if not recorded:
            if now_s >= ended_s + length_s:
                length_s = FIRST_S
            began_s = now_s
        expected = (reason, card) in recorded or len(recorded) == LIMIT
        assert series.folds(reason, card, now_s) == expected
        assert (series.reason, bytes(series.pseudonym)) == (reason, card)
        if expected:
            folded += 1
        else:
            recorded.add((reason, card))


def test_cards_in_turn_are_folded_and_one_more_is_not():
    series = Series(LIMIT)
    cards = [b"expired", b"another"] * 20
    assert [series.folds(3, card, second) for second, card in enumerate(cards)] == [False] * 2 + [True] * 38
    assert not series.folds(5, b"expired", 41)
    assert not series.folds(5, b"another", 42)


def test_after_a_quiet_while_the_interval_is_short_again():
    series = Series(LIMIT)
    now_s = 0
    for _ in range(20):  # a double tap every hour
        assert [series.folds(1, b"7 bytes", now_s) for _ in range(2)] == [False, True]
        assert not series.over(now_s + FIRST_S - 1)
        assert series.over(now_s + FIRST_S)
        series.close()
        now_s += 3600


@given(st.lists(st.tuples(st.integers(0, 800), st.sampled_from((True, True, True, False))), max_size=60))
def test_the_fifth_in_a_row_alarms_and_no_other_of_its_series(steps):
    tries = repeats.tries()
    now_s = 0
    row = []  # when each was, since the last grant or the end of a series that alarmed
    for pause_s, wrong in steps:
        now_s += pause_s
        if not wrong:
            tries[repeats.COUNT] = 0
            row.clear()
            continue
        if len(row) >= 5 and now_s - row[-1] >= 600:
            row.clear()
        row.append(now_s)
        assert repeats.wrong(tries, now_s) == (len(row) == 5)


@given(st.lists(st.integers(0, 3) | st.integers(0, 25), max_size=60))
def test_unknown_cards_are_answered_after_pauses_that_grow_while_it_goes_on(steps):
    tries = repeats.tries()
    now_s = 0
    answered, pauses = [], [2]
    for pause_s in steps:
        now_s += pause_s
        expected = not answered or now_s - answered[-1] > pauses[-1]
        assert repeats.answered(tries, now_s) == expected
        if expected:
            if answered:
                gone_on = now_s - answered[-1] - pauses[-1] <= 10
                pauses.append(min(pauses[-1] * 2, 10) if gone_on else 2)
            answered.append(now_s)
    # Whole seconds: two answers n apart are more than n - 1 s apart.
    assert all(later - earlier - 1 >= 2 for earlier, later in pairwise(answered))


def test_a_card_tapped_every_second_is_answered_every_eleventh():
    tries = repeats.tries()
    assert [second for second in range(60) if repeats.answered(tries, second)] == [0, 3, 8, 17, 28, 39, 50]
