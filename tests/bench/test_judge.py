"""The bench fails when it should."""

from tests.bench.__main__ import judge
from tests.bench.targets import TARGETS

ROWS = {"a.bytes": ("<=", 10, "bytes", "another way"), "b.events": (">=", 100, "events", "another way")}


def test_figures_that_reach_their_targets():
    results, complaints = judge({"a.bytes": (10, 50), "b.events": (100, 5)}, ROWS)
    assert complaints == []
    expected = {"value": 10, "unit": "bytes", "target": 10, "alternative": 50}
    assert results["a.bytes"] == {**expected, "comparison": "<=", "alternative_is": "another way"}


def test_a_figure_that_misses_its_target_is_named():
    _, complaints = judge({"a.bytes": (11, 50), "b.events": (99, 5)}, ROWS)
    assert [line.split(":")[0] for line in complaints] == ["a.bytes", "b.events"]


def test_a_name_without_a_target_is_named():
    _, complaints = judge({"a.bytes": (1, 1), "b.events": (100, 1), "c.ms": (1, 1)}, ROWS)
    assert complaints == ["c.ms: has no target in tests/bench/targets.py"]


def test_a_target_that_nobody_measured_is_named():
    _, complaints = judge({"a.bytes": (1, 1)}, ROWS)
    assert complaints == ["b.events: was not measured"]


def test_budgets_only_go_down():
    """The limits that the product began with; a change may lower them, never raise them."""
    for name, first in (("boot.modules_bytes", 49_152), ("boot.heap32_bytes", 86_016), ("tap.alloc_bytes", 1_024)):
        comparison, limit, _, _ = TARGETS[name]
        assert comparison == "<="
        assert limit <= first
