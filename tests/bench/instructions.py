"""Instructions that a look of the reader takes, counted by valgrind on MicroPython's unix port.

    python -m tests.bench.instructions        # or: make instructions

Prints, for a 4-byte UID, a 7-byte UID and an idle look with the answer ready at the first status poll, one whole
`await cards.find(uid)`, asyncio included: with a bus written in Python, and with one of built-in functions as far as
possible; from the UID of a card on the list to the relay, hashing, look-up, decision and record included, on flash in
memory; and one sleep of asyncio, of which a look has one for each exchange. docs/reader.md tells what the figures
mean on another processor. No part of `make bench`, because it needs valgrind.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from menwei.build import DOOR, build
from tests.bench.door_names import as_on_a_door
from tests.bench.unix_port import FOLDER, MICROPYTHON

SCRIPT = "instructions_door.py"
FEW, MANY = 20, 40  # looks; of MANY, the most that the script makes, FEW are subtracted
LIMITS = {"uid4": 250_000, "uid7": 420_000, "idle": 120_000}  # on a 32-bit RISC-V chip
RELAY_LIMIT = 600_000  # from a UID to the relay, with software SHA-256


def counted(script, what, how, count):
    """Return the instructions of one whole run of the interpreter."""
    process = subprocess.run(
        # The interpreter is a shared library of Python's; with one seed it starts the same way every time
        [
            *("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
            *(sys.executable, MICROPYTHON, script, what, how, str(count)),
        ],
        env={**os.environ, "MICROPYPATH": f"{DOOR}:.frozen", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    total = re.search(r"I +refs: +([\d,]+)", process.stderr)
    if process.returncode or not total:
        sys.exit(f"{script.name} {what} {how} failed:\n{process.stdout[-2000:]}{process.stderr[-2000:]}")
    return int(total[1].replace(",", ""))


def look(script, what, how):
    """Return the instructions of one look: the difference of two runs."""
    return (counted(script, what, how, MANY) - counted(script, what, how, FEW)) // (MANY - FEW)


def main():
    """Count and print."""
    if not shutil.which("valgrind"):
        sys.exit("Instructions are counted by valgrind: install it first, e.g. apt-get install valgrind.")
    build()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / SCRIPT
        script.write_text(as_on_a_door((FOLDER / SCRIPT).read_text()))
        jobs = [(script, what, how) for what in LIMITS for how in ("whole", "lean")]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            others = [(script, what, "whole") for what in ("relay4", "relay7", "sleep")]
            *figures, relay4, relay7, sleep = pool.map(lambda job: look(*job), [*jobs, *others])
    for index, (what, limit) in enumerate(LIMITS.items()):
        whole, lean = figures[2 * index : 2 * index + 2]
        print(f"{what}: {whole:,} instructions, with a lean bus {lean:,}; limit on RISC-V {limit:,}")
    for what, count in (("4", relay4), ("7", relay7)):
        print(f"{what}-byte UID to relay: {count:,} instructions; limit on RISC-V {RELAY_LIMIT:,}")
    print(f"one sleep of asyncio: {sleep:,}")


if __name__ == "__main__":
    main()
