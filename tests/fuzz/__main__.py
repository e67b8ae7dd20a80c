"""Feed generated card answers to everything that reads cards, and generated messages to door and upstream.

    python -m tests.fuzz [PART OF A NAME...]       # FUZZ_COUNT cases of each, from FUZZ_SEED on

Each `chip_fuzz_*.py` in this folder is one fuzzer: a chip test that takes COUNT and SEED from settings.py, case n
having the seed SEED + n. `test_fuzz_*.py` are the same on CPython. Here those of cards get a million, those of messages
100,000, in pieces, each in a fresh interpreter.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

PIECE = 20_000
MESSAGES = ("chip_fuzz_link", "chip_fuzz_packets", "test_fuzz_upstream")
FOLDER = Path(__file__).parent


def main(wanted):
    """Run all pieces; exit 1 at the first failure, which tells how to play it again."""
    first = int(os.getenv("FUZZ_SEED") or time.time_ns() % 1_000_000)
    for path in sorted(FOLDER.glob("*_fuzz_*.py")):
        if wanted and not any(part in path.stem for part in wanted):
            continue
        count = int(os.getenv("FUZZ_COUNT") or (100_000 if path.stem in MESSAGES else 1_000_000))
        for seed in range(first, first + count, PIECE):
            piece = min(PIECE, first + count - seed)
            environment = {**os.environ, "FUZZ_COUNT": str(piece), "FUZZ_SEED": str(seed)}
            command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--no-summary", str(path)]
            process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            print(f"{path.stem}: seed {seed}, {piece} cases, code {process.returncode}", flush=True)
            if process.returncode:
                sys.exit(process.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
