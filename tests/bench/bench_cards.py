"""The allowlist: flash operations of lookups, cards that it takes, RAM.

Lookups are counted after a bulk load and after a year at 50 changes a day with the idle work between (changes_door.py),
a tenth of the cards being tombstones. Of RAM everything counts that a mounted list of 98,000 cards allocates, its
buffers included, at rest and with a survey of a sector under way; its code is part of `boot.heap32_*`.
"""

import shutil
import tempfile
from pathlib import Path

from menwei.build import DOOR
from tests.bench.bench_memory import install_interpreter, run32
from tests.bench.unix_port import run, run_all

SIZES = {1_000: 128, 24_000: 128, 48_000: 256, 98_000: 512}  # cards: sectors of the board that they are for
BOARDS = {"4mb": 128, "8mb": 256, "16mb": 512}
SEED = 1
CAPACITY_SEEDS = (1, 2, 3)
JSON_CARDS = 1_000
JSON_SECTORS = 256  # the region vfs of a 4 MB board


def ram(image):
    """Return what a list takes on the 32-bit build, at rest and during a survey, and a dict of 1,000 cards."""
    install_interpreter()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "storage").mkdir()
        for module in (*DOOR.glob("*.mpy"), *DOOR.glob("storage/*.mpy")):
            shutil.copy(module, Path(folder) / module.relative_to(DOOR))
        shutil.copy(image, folder)
        figures = run32("cards_door32.py", folder)
    return figures["cards"], figures["survey"], figures["dict"]


def lookups(sizes):
    """Figures of lookups from a dict of cards to results; a ratio is that of the worst size to 1,000 cards."""
    files, few = run_all(*(("littlefs_door.py", "cards", count, JSON_SECTORS) for count in (JSON_CARDS, 100)))
    measured = {}
    for count, result in sizes.items():
        print(f"changes refused in a year at {count} cards: {result['refused']}")
        for name in ("lookup", "aged"):
            for what in ("hit.reads", "hit.reads_p999", "hit.bytes", "miss.reads"):
                if (name, what) != ("aged", "hit.bytes"):
                    value = round(result[f"{name}_{what}"], 4)
                    measured[f"cards.{name}_{what}.{count}"] = value, round(files[what.replace(".", "_")], 4)
    for name in ("lookup_hit", "lookup_miss", "aged_hit", "aged_miss"):
        ratio = max(result[f"{name}.reads"] for result in sizes.values()) / sizes[1_000][f"{name}.reads"]
        what = name.split("_")[1] + "_reads"
        measured[f"cards.{name}.ratio"] = round(ratio, 4), round(files[what] / few[what], 4)
    return measured


def capacity():
    """How many cards are taken, by board; of the smallest the least of several tries."""
    jobs = [("16mb", SEED), ("8mb", SEED), *(("4mb", seed) for seed in CAPACITY_SEEDS)]
    results = run_all(*(("cards_door.py", "capacity", BOARDS[board], seed) for board, seed in jobs))
    files = run("littlefs_door.py", "card_room", BOARDS["4mb"])["cards"]
    least = {}
    for (board, _), result in zip(jobs, results, strict=True):
        least[board] = min(least.get(board, result["cards"]), result["cards"])
    scale = BOARDS["4mb"]
    return {f"cards.capacity_{board}": (cards, files * BOARDS[board] // scale) for board, cards in least.items()}


def measure():
    """Return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        counts = sorted(SIZES, reverse=True)
        results = run_all(*(("cards_door.py", "size", count, SIZES[count], SEED) for count in counts), folder=folder)
        sizes = dict(zip(counts, results, strict=True))
        rest, survey, table = ram(Path(folder) / "98000.img")
    return (
        lookups({count: sizes[count] for count in SIZES})
        | capacity()
        | {
            "cards.ram_bytes": (rest, table),
            "cards.ram_survey_bytes": (survey, table),
        }
    )
