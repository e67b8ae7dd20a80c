"""Change one line of the code under test at a time; its tests must notice. Prints a table, fails on a survivor.

    python -m tests.mutants [PART OF A FILE OR LINE…]

A list is a module of this folder with MUTANTS, tuples of (file, line, replacement, why it matters, tests): `line`
stands exactly once in the file, indentation aside; `tests` are what pytest is given (_tests.py), the quickest first.
Each of the two workers has its own copy of the tree, so nothing here is touched. A test must first pass on the tree as
it is; a mutant under which it takes several times as long hangs, and counts as caught.
"""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from rich.console import Console
from rich.table import Table

from menwei.build import ROOT, CompileError, build, compile_file

WORKERS = 2
TIMEOUT_S = 600  # of a test on the tree as it is
HANGS = 3  # times as long
HANGS_AT_LEAST_S = 30
COPIED = (
    "boards",
    "build/lib",
    "build/mpy",
    "docs",
    "drivers",
    "firmware",
    "pyproject.toml",
    "storage",
    "sync",
    "tests",
    "tools",
)


class ListError(Exception):
    """The list does not fit the sources; the message says where."""


def mutants(words=()):
    """Return all mutants, or those with one of the words in file or line."""
    found = []
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        if not path.name.startswith("test_"):
            found += importlib.import_module(f"tests.mutants.{path.stem}").MUTANTS
    return [mutant for mutant in found if not words or any(word in f"{mutant[0]} {mutant[1]}" for word in words)]


def mutated(text, mutant):
    """Return the text of a file with one line replaced.

    Raises:
        ListError: the line is not there, or more than once.
    """
    file, line, replacement, *_ = mutant
    lines = text.splitlines(keepends=True)
    places = [i for i, old in enumerate(lines) if old.strip() == line]
    if len(places) != 1:
        raise ListError(f"{file}: {len(places)} lines are {line!r}; there must be exactly one: mend tests/mutants")
    old = lines[places[0]]
    indent = old[: len(old) - len(old.lstrip())]
    lines[places[0]] = f"{indent}{replacement}\n" if replacement else f"{indent}pass\n"
    return "".join(lines)


def copy_tree(folder):
    """Make a copy of what tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")
            )
        else:
            shutil.copy(source, folder / name)


def verdict(folder, test, timeout_s):
    """Return "passed", "failed" or "hung" for a test in this copy."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{folder / 'tools'}",
        "MENWEI_PREBUILT": "1",
        "MENWEI_NO_SHRINK": "1",
        "MENWEI_CUT_SHARE": "0.4",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *test.split()],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "hung"
    if process.returncode not in (0, 1):
        raise ListError(f"pytest {test} did not run:\n{output}")
    return "failed" if process.returncode else "passed"


class Baseline:
    """How long each test may take under a mutant before it hangs; found on the tree as it is, when first asked for."""

    def __init__(self):
        self._guard = threading.Lock()
        self._locks = {}
        self._limits = {}

    def limit_s(self, folder, test):
        """Run the test on an unchanged copy if that was not done.

        Raises:
            ListError: it fails there, and so proves nothing.
        """
        with self._guard:
            lock = self._locks.setdefault(test, threading.Lock())
        with lock:
            if test not in self._limits:
                began = time.monotonic()
                if verdict(folder, test, TIMEOUT_S) != "passed":
                    raise ListError(f"pytest {test} does not pass on the tree as it is: mend that first")
                self._limits[test] = max(HANGS_AT_LEAST_S, HANGS * (time.monotonic() - began))
        return self._limits[test]


def judge(folder, mutant, baseline):
    """Return the test that caught the mutant and how, or None, and the seconds it took."""
    file, *_, tests = mutant
    seconds = 0
    source = folder / file
    text = (ROOT / file).read_text()
    target = (folder / "build" / "mpy" / file).with_suffix(".mpy")
    for test in tests:
        limit_s = baseline.limit_s(folder, test)
        began = time.monotonic()
        try:
            source.write_text(mutated(text, mutant))
            compile_file(source, target, file)
            seen = verdict(folder, test, limit_s)
        except CompileError as error:
            raise ListError(f"a replacement is no Python: {error}") from error
        finally:
            source.write_text(text)
            shutil.copy((ROOT / "build" / "mpy" / file).with_suffix(".mpy"), target)
        seconds += time.monotonic() - began
        if seen != "passed":
            return test.removeprefix("tests/") + (" (hung)" if seen == "hung" else ""), seconds
    return None, seconds


def main(words):
    """Judge all, show them, return the exit code."""
    build()
    chosen = mutants(words)
    for mutant in mutants():
        mutated((ROOT / mutant[0]).read_text(), mutant)  # the whole list is checked first
    console = Console(width=160 if not sys.stdout.isatty() else None)
    began = time.monotonic()
    table = Table(title="mutants")
    for column in ("file", "line", "becomes", "caught by", "s"):
        table.add_column(column, overflow="fold")
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch, ThreadPoolExecutor(WORKERS) as pool:
        copies = Queue()
        for number in range(WORKERS):
            copies.put(Path(scratch) / str(number))
            copy_tree(Path(scratch) / str(number))

        def borrowing(work, *arguments):
            folder = copies.get()
            try:
                return work(folder, *arguments)
            finally:
                copies.put(folder)

        baseline = Baseline()
        judged = pool.map(lambda mutant: borrowing(judge, mutant, baseline), chosen)
        for mutant, (caught, seconds) in zip(chosen, judged, strict=True):
            survivors += caught is None
            print(f"{'caught  ' if caught else 'SURVIVED'} {seconds:5.1f} s  {mutant[0]}: {mutant[1]}", flush=True)
            row = (
                mutant[0],
                mutant[1],
                mutant[2] or "(nothing)",
                caught or f"[bold red]SURVIVED[/]: {mutant[3]}",
                f"{seconds:.0f}",
            )
            table.add_row(*row)
    console.print(table)
    console.print(f"{len(chosen) - survivors} of {len(chosen)} caught in {time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ListError as error:
        sys.exit(f"mutants: {error}")
