"""Random workloads for the power-cut proofs, and the MicroPython process that runs them.

    with Worker() as worker:
        answer = worker.run({"store": "cards", ...})      # raises Broken where something that must hold does not

A workload is plain JSON, so that one which fails can be kept and run again: `make soak ARGS=FILE`.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from conftest import MICROPYTHON, micropython_environment
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
HEAP = "heapsize=8m"  # a larger one is slower: the allocator searches it
NO_END = 0xFFFFFF

# --- allowlist ---

_names = st.integers(0, 45)
_values = st.tuples(
    st.sampled_from([0, 1, NO_END]),
    st.sampled_from([5, 90_000, NO_END]),
    st.integers(0, 63),
    st.integers(0, 3),
    st.sampled_from([0, 0, 1, 2, 16]),
)
_card_steps = st.one_of(
    st.builds(lambda name, values: ["put", name, *values], _names, _values),
    st.builds(
        lambda what, name, values: [what, name, *values], st.sampled_from(["suspend", "revoke"]), _names, _values
    ),
    st.builds(lambda what, name: [what, name], st.sampled_from(["forget", "use", "use"]), _names),
    st.builds(lambda far: ["revision", far], st.sampled_from([1, 1, 7, 0])),
    st.builds(lambda pieces, now: ["idle", pieces, now], st.sampled_from([1, 5, 60]), st.sampled_from([None, 140_000])),
    st.just(["restart"]),
)
# Seed, cards, changes of them, revision, whether the door was idle then: new, in use, a sector or the revisions full.
_card_preludes = st.sampled_from(
    [[1, 3, 0, 0, True], [2, 24, 10, 3, True], [3, 40, 180, 1, False], [4, 12, 0, 252, True], [5, 40, 60, 254, False]]
)

# --- journal ---

_kinds = st.sampled_from([(2, 0), (2, 1), (3, 1), (3, 3), (6, 0), (6, 3), (7, 3), (8, 1), (10, 2)])
_journal_steps = st.one_of(
    st.builds(lambda kind, count: ["append", *kind, count], _kinds, st.integers(1, 6)),
    st.builds(lambda count: ["long", count], st.integers(1, 2)),
    st.builds(lambda pieces: ["idle", pieces], st.sampled_from([1, 2, 6])),
    st.just(["wait"]),
    st.builds(
        lambda count, how: ["send", count, how], st.integers(1, 3), st.sampled_from(["in order", "late", "none"])
    ),
    st.sampled_from([["forge"], ["restart"]]),
)
# Records sent, records not sent, every how many of them is a long one (0: none), whether the door was never idle.
_journal_preludes = st.sampled_from(
    [
        [0, 0, 0, False],
        [26, 4, 5, False],
        [112, 6, 0, False],
        [0, 120, 3, True],
        [470, 12, 9, False],
        [55, 3, 2, True],
        [124, 1, 0, False],
        [0, 250, 4, False],
    ]
)


# --- settings and keys ---

_settings_steps = st.one_of(
    st.builds(
        lambda number, length: ["save", number, length], st.integers(1, 600), st.sampled_from([0, 40, 400, 5000])
    ),
    st.builds(lambda number: ["keys", number], st.integers(0, 2)),
    st.just(["restart"]),
)
# How often settings and keys were written.
_settings_preludes = st.sampled_from([[0, 0], [1, 1], [2, 3], [7, 1], [1, 36], [2, 37]])

# --- parcels: which content, how many holidays make it long, whether it gets no connection ---

_parcel_steps = st.one_of(
    st.builds(
        lambda which, days, failing: ["parcel", which, days, failing],
        st.integers(1, 7),
        st.sampled_from([0, 0, 60, 100]),
        st.booleans(),
    ),
    st.just(["back"]),
)

STORES = {
    "cards": (_card_preludes, _card_steps),
    "journal": (_journal_preludes, _journal_steps),
    "settings": (_settings_preludes, _settings_steps),
    "parcels": (st.just([]), _parcel_steps),
}


def workloads(store, most_steps=5):
    """Return the strategy for one of the stores."""
    prelude, step = STORES[store]
    return st.fixed_dictionaries(
        {
            "store": st.just(store),
            "sectors": st.sampled_from([5, 6]),
            "prelude": prelude,
            "steps": st.lists(step, min_size=1, max_size=most_steps),
            "noise": st.integers(0, 999_999),
            "tears": st.just(1 if store in ("settings", "parcels") else 2),
            "second": st.just(4),
        }
    )


class Broken(AssertionError):
    """After this workload something that must always hold does not; the message has all that repeats it."""

    def __init__(self, workload, answer):
        self.workload = workload
        self.answer = answer
        where = {name: answer[name] for name in ("cut", "again", "bit") if name in answer}
        super().__init__(f"{answer['failure']}\npower went: {where}\nworkload: {json.dumps(workload)}")


class Worker:
    """One MicroPython process that takes workloads."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        environment = micropython_environment(MENWEI_TMP=self._folder.name)
        environment["MICROPYPATH"] += f":{HERE}"
        self._process = subprocess.Popen(
            [MICROPYTHON, "-X", HEAP, HERE / "cuts_worker.py"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def run(self, workload):
        """Return the answer (cuts_worker.py).

        Raises:
            Broken: a check failed.
        """
        self._process.stdin.write(json.dumps(workload) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"failure": "the interpreter ended"}')
        if "failure" in answer:
            raise Broken(workload, answer)
        return answer


class Tally:
    """Distinct cut points: a workload that comes again counts once."""

    def __init__(self):
        self.points = self.second = self.operations = 0
        self._seen = set()

    def add(self, workload, answer):
        """Count what a workload's run passed."""
        text = json.dumps(workload, sort_keys=True)
        if text not in self._seen:
            self._seen.add(text)
            self.points += answer["points"]
            self.second += answer["second"]
            self.operations += answer["operations"]

    def __str__(self):
        return (
            f"{len(self._seen)} workloads, {self.operations} flash operations, {self.points} distinct cut points, "
            f"{self.second} of them with a second cut during recovery"
        )


def prove(worker, store, number, tally, examples, shrink=True):
    """Let hypothesis run so many workloads from this seed on; the smallest that fails is raised."""

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )
    @given(workloads(store))
    def each(workload):
        tally.add(workload, worker.run(workload))

    each()
