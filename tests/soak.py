"""Power cuts without end: fresh random workloads until Ctrl-C or for SOAK_SECONDS; stops at the first failure.

    python -m tests.soak             # MENWEI_SEED=… begins where a run before did
    python -m tests.soak FILE        # run a workload that failed once more

A workload that fails is made as small as hypothesis can and kept in build/soak/ with what went wrong.
"""

import contextlib
import json
import os
import random
import sys
import time
from pathlib import Path

from menwei.build import ROOT, build

HERE = ROOT / "tests"
sys.path[:0] = [str(HERE), str(HERE / "storage")]  # as pytest has them

from workloads import STORES, Broken, Tally, Worker, prove  # noqa: E402

KEPT = ROOT / "build" / "soak"
EXAMPLES = 5  # workloads between two looks at the clock
REPORT_S = 30


def keep(store, number, broken):
    """Write what is needed to repeat a failure; return the file."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{store}-{number}.json"
    path.write_text(json.dumps({**broken.workload, "seed": number, "answer": broken.answer}, indent=1) + "\n")
    return path


def again(path):
    """Run a kept workload; return the exit code."""
    workload = json.loads(Path(path).read_text())
    for name in ("seed", "answer"):
        workload.pop(name, None)
    with Worker() as worker:
        try:
            print(worker.run(workload))
        except Broken as broken:
            print(broken)
            return 1
    return 0


def soak(seconds, number):
    """Prove until the time is over; return the exit code."""
    tallies = {store: Tally() for store in STORES}
    began = reported = time.monotonic()
    print(f"soak: seed {number}; again: MENWEI_SEED={number} make soak", flush=True)

    def report():
        for store, tally in tallies.items():
            print(f"soak: {time.monotonic() - began:7.0f} s  {store:9s} {tally}", flush=True)

    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        workers = {store: stack.enter_context(Worker()) for store in STORES}
        while seconds is None or time.monotonic() - began < seconds:
            for store, worker in workers.items():
                try:
                    prove(worker, store, number, tallies[store], EXAMPLES)
                except Broken as broken:
                    path = keep(store, number, broken)
                    report()
                    print(f"{broken}\nsoak: seed {number}, kept in {path}\nsoak: again: make soak ARGS={path}")
                    return 1
            number += 1
            if time.monotonic() - reported > REPORT_S:
                reported = time.monotonic()
                report()
    report()
    print(f"soak: {sum(tally.points for tally in tallies.values())} distinct cut points passed")
    return 0


def main(arguments):
    """Soak, or run the named workload."""
    build()
    if arguments:
        return again(arguments[0])
    seconds = os.getenv("SOAK_SECONDS")
    number = os.getenv("MENWEI_SEED")
    return soak(float(seconds) if seconds else None, int(number) if number else random.SystemRandom().getrandbits(31))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
