"""Every written bit of allowlist and journal flips, of settings and keys one in nine: detected or harmless."""

import os

from workloads import Worker

SEED = int(os.getenv("MENWEI_SEED") or 20200101)


def flips(store, **workload):
    """Run one and print what it did."""
    print(f"seed {SEED}; again: MENWEI_SEED={SEED} .venv/bin/pytest tests/storage/test_flipped_bits.py")
    with Worker() as worker:
        answer = worker.run({"store": store, "noise": SEED, **workload})
    print(answer)
    return answer


def test_allowlist():
    """No card is granted or revived, one at most is missing."""
    answer = flips("cards flips", erased=200)
    assert answer["points"] == 128 * answer["slots"] + 200
    assert answer["missing"] > 9 * 100  # each entry that counts, by each bit that its checks cover
    assert answer["healed"] > 200 and answer["repaired"] > 20


def test_journal():
    """The door starts with its key and appends, and upstream names the record."""
    answer = flips("journal flips", erased=200, sent=False)
    assert answer["sampled"] == 16  # 14 records, two of them long
    assert (
        256 * (answer["slots"] - 16) + 16 * 85 + 200 <= answer["points"] <= 256 * (answer["slots"] - 16) + 16 * 86 + 200
    )
    assert answer["named"] > 13 * 70
    assert answer["back"] <= 2  # the newest record, by the two bits of its key generation
    assert answer["headers"] >= 256 * 4


def test_journal_with_a_cursor():
    """No bit of a header acknowledges a record, takes the cursor back or costs anything else."""
    answer = flips("journal flips", erased=0, sent=True, headers=True)
    assert answer["points"] == answer["headers"] == 256 * answer["slots"] >= 256 * 4


def test_settings_and_keys():
    """A flipped bit is never taken for a setting or a key, and brings no key back that was replaced."""
    answer = flips("settings flips", prelude=[3, 3], every=9)
    assert answer["points"] > 500
    assert answer["older"] > 50 and answer["repaired"] > 100
