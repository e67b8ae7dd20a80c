"""An NTAG 424 DNA proves itself: from the look that sees it, UID, RATS, application and AuthenticateEV2First.

Virtual time; the card takes 2 ms for each command, an assumption: NXP publishes no figure. What it costs the card more
comes on top three times: so the other lines printed.
"""

from tests.bench.unix_port import run_all

RUNS = 400
SEED = 1
BUSY_US = 2_000


def measure():
    """Return the figure, beside the same proof of a card that is not held, with waits of 10 ms."""
    jobs = [(0, 1, BUSY_US), (10, 0, BUSY_US), (0, 1, 0), (0, 1, 5_000)]
    results = run_all(*(("ntag424_door.py", RUNS, SEED, *job) for job in jobs))
    for result, (sleep_ms, held, busy_us) in zip(results, jobs, strict=True):
        print(
            f"ntag424: waits {sleep_ms or 1} ms, held {held}, card {busy_us} us a command:",
            f"mean {result['mean']:.1f} ms, 99 % {result['p99']:.1f} ms",
        )
    ours, plain, *_ = results
    return {"reader.ntag424.ms": (round(ours["mean"], 2), round(plain["mean"], 2))}
