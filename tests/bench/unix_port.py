"""Runs the benches' scripts on MicroPython's unix port, with the modules that a door carries.

    result = run("cards_door.py", "capacity", 128, 1)     # the JSON object in the last line that it prints

Figures are counts, so it does not matter that two processes run at a time; what several benches ask for is run once.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from menwei.build import DOOR
from storage import record
from tests.bench.door_names import as_on_a_door

FOLDER = Path(__file__).parent
MICROPYTHON = Path(sys.executable).with_name("micropython")
TURN = threading.Semaphore(2)  # whoever starts a process that works hard holds one

# A door's bytecode has the numbers of records, not their names.
_NAMES = json.dumps({name: value for name, value in vars(record).items() if name.isupper() and isinstance(value, int)})


_jobs = {}  # what was asked for, and its result to come
_asking = threading.Lock()


def run(script, *arguments, folder=None):
    """Run a script of this folder to its end.

    Args:
        script: its file name.
        arguments: what it wants on its command line.
        folder: where it works, for who needs its flash images afterwards; else a scratch folder.

    Raises:
        SystemExit: with what it printed, if it fails.
    """
    key = script, arguments, folder
    with _asking:
        mine = key not in _jobs
        job = _jobs.setdefault(key, Future())
    if mine:
        try:
            job.set_result(_run(*key))
        except BaseException as error:
            job.set_exception(error)
    return job.result()


def _run(script, arguments, folder):
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as scripts, TURN:
        for path in FOLDER.glob("*_door.py"):
            (Path(scripts) / path.name).write_text(as_on_a_door(path.read_text()))
        process = subprocess.run(
            [MICROPYTHON, "-X", "heapsize=64M", Path(scripts) / script, *map(str, arguments)],
            cwd=folder or scratch,
            env={**os.environ, "MICROPYPATH": f"{DOOR}:{DOOR}/boards/sim:.frozen", "RECORD_NAMES": _NAMES},
            capture_output=True,
            text=True,
            check=False,
        )
    title = " ".join(map(str, (script, *arguments)))
    *said, result = process.stdout.splitlines() or [""]
    if process.returncode:
        sys.exit(f"{title} failed:\n{process.stdout[-3000:]}{process.stderr[-1000:]}")
    print(title, *said, sep=" | ", flush=True)
    return json.loads(result)


def run_all(*jobs, folder=None):
    """Run (script, argument…) jobs, as many at a time as there are turns; their results in the same order."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(lambda job: run(*job, folder=folder), jobs))
