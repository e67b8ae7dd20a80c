"""Run all benches: print each figure beside its target and the alternative, write `build/bench.json`.

    python -m tests.bench [PART OF A NAME…]

A bench is a module `bench_*.py` in this folder with a function `measure()` that returns a dict of
`name: (value, alternative)`; the alternative was measured in the same run.
"""

import importlib
import json
import operator
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from menwei.build import ROOT, build
from tests.bench.targets import TARGETS

FOLDER = Path(__file__).parent
RESULT = ROOT / "build" / "bench.json"
COMPARE = {"<=": operator.le, ">=": operator.ge}


def judge(measured, targets):
    """Join figures with their targets.

    Returns:
        (dict for bench.json, list of complaints). A name without a target is a complaint, and so is a target that
        nobody measured.
    """
    results, complaints = {}, []
    for name, (value, alternative) in measured.items():
        if name not in targets:
            complaints.append(f"{name}: has no target in tests/bench/targets.py")
            continue
        comparison, limit, unit, what = targets[name]
        results[name] = {
            "value": value,
            "unit": unit,
            "target": limit,
            "alternative": alternative,
            "comparison": comparison,
            "alternative_is": what,
        }
        if not COMPARE[comparison](value, limit):
            complaints.append(f"{name}: {value} {unit}, must be {comparison} {limit}")
    complaints += [f"{name}: was not measured" for name in targets if name not in measured]
    return results, complaints


def show(results):
    """Print the table."""
    table = Table(title="menwei bench")
    for column, justify in (
        ("figure", "left"),
        ("value", "right"),
        ("target", "right"),
        ("alternative", "right"),
        ("which is", "left"),
    ):
        table.add_column(column, justify=justify)
    for name, row in results.items():
        target = f"{row['comparison']} {row['target']:,} {row['unit']}"
        cells = (f"{row['value']:,}", target, f"{row['alternative']:,}", row["alternative_is"])
        table.add_row(name, *cells)
    Console(width=140).print(table)


def main(wanted):
    """Measure; exit 1 with the complaints if there are any."""
    build()
    names = sorted((path.stem for path in FOLDER.glob("bench_*.py")), reverse=True)  # the longest happens to be last
    modules = [importlib.import_module(f"tests.bench.{name}") for name in names]
    # All at once: what works hard waits for its turn (tests/bench/unix_port.py).
    with ThreadPoolExecutor(len(modules)) as pool:
        found = list(pool.map(lambda module: module.measure(), modules))
    measured = {name: row for figures in reversed(found) for name, row in figures.items()}
    results, complaints = judge(measured, TARGETS)
    if wanted:
        results = {name: row for name, row in results.items() if any(part in name for part in wanted)}
    show(results)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written: {RESULT.relative_to(ROOT)}")
    if complaints:
        sys.exit("\n".join(complaints))


if __name__ == "__main__":
    main(sys.argv[1:])
