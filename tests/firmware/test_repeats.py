"""Folding of refusals against the plainest counting there is."""

from hypothesis import given
from hypothesis import strategies as st

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
def test_an_interval_has_few_records_and_the_first_of_each_always(steps):
    series = Series(LIMIT)
    now_s = began_s = 0
    length_s = FIRST_S
    records = folded = 0
    for pause_s, reason, card in steps:
        now_s += pause_s
        if records and now_s >= began_s + length_s:
            assert series.over(now_s)
            assert (series.count, records <= LIMIT) == (folded, True)
            length_s = min(2 * length_s, LONGEST_S) if folded else FIRST_S
            series.close()
            records = folded = 0
        else:
            assert not series.over(now_s)
        if not records:
            began_s = now_s
            assert not series.folds(reason, card, now_s)
            records = 1
        elif series.folds(reason, card, now_s):
            folded += 1
            assert (series.reason, bytes(series.pseudonym)) == (reason, card)
        else:
            records += 1


def test_the_same_card_again_is_folded_at_once():
    series = Series(LIMIT)
    assert [series.folds(3, b"7 bytes", second) for second in range(3)] == [False, True, True]
    assert not series.folds(3, b"another", 3)
    assert not series.folds(5, b"another", 3)
