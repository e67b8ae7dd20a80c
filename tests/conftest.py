"""Collect chip tests: `chip_*.py` runs on MicroPython's unix port, in a fresh interpreter with a chip's heap."""

import ast
import os
import subprocess

import pytest
from interpreter import MICROPYTHON, micropython_environment

from menwei.build import ROOT, build

HEAP = "heapsize=96wK"
TIMEOUT_S = 900


def pytest_configure(config):
    """Compile once, before anything is collected: a module that does not compile fails the whole run."""
    # tests.mutants compiles one line itself.
    if not hasattr(config, "workerinput") and not os.getenv("MENWEI_PREBUILT"):
        build()


# Files that take longest: they begin first, or a core waits for the last of them.
SLOW = (
    *("test_door_key_rotation", "test_tls_changes", "test_single_faults", "test_faults"),
    *("test_taps", "test_power_cuts", "test_flipped_bits", "test_credentials", "test_day", "chip_allowlist_cuts"),
    *("test_month", "test_way_out", "chip_journal_retention", "chip_allowlist", "test_card_key_rotation"),
    *("test_old_images", "test_supervision", "chip_journal_cuts", "chip_journal_faults"),
)


def pytest_collection_modifyitems(items):
    """Put the slow files in front; the order inside a file stays."""
    place = {name: number for number, name in enumerate(SLOW)}
    items.sort(key=lambda item: place.get(item.path.stem, len(SLOW)))


def pytest_pycollect_makemodule(module_path, parent):
    """Take `chip_*.py` away from pytest's own collector."""
    return ChipFile.from_parent(parent, path=module_path) if module_path.name.startswith("chip_") else None


class ChipFile(pytest.File):
    """One test file; all of its tests that were asked for run together, in one interpreter."""

    def collect(self):
        """Find the test methods without importing the file, so that one which never ran is noticed."""
        found = 0
        for node in ast.parse(self.path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name.startswith("test"):
                        found += 1
                        yield ChipTest.from_parent(self, name=f"{node.name}.{method.name}")
        if not found:
            raise self.CollectError(f"{self.path.name} has no test")

    def results(self, folder):
        """Run the file once; return a dict of test name to (verdict, text printed before it)."""
        if not hasattr(self, "_results"):
            chosen = [item.name for item in self.session.items if item.parent is self]
            # The folder of the file comes last: no test module may shadow a product module.
            environment = micropython_environment(MENWEI_TMP=str(folder))
            environment["MICROPYPATH"] += f":{self.path.parent}"
            process = subprocess.run(
                [MICROPYTHON, "-X", HEAP, ROOT / "tests" / "run_chip.py", self.path.stem, *chosen],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
            self._results, text = {}, []
            for line in process.stdout.decode(errors="replace").splitlines():
                if line.startswith("@"):
                    verdict, name, *rest = line[1:].split(" ", 2)
                    self._results[name] = verdict, "\n".join([*text, *rest])
                    text = []
                else:
                    text.append(line)
            self._rest = f"interpreter ended with code {process.returncode}\n" + "\n".join(text)
        return self._results, self._rest


class ChipError(Exception):
    """A chip test failed; the message is what the interpreter printed."""


class ChipTest(pytest.Item):
    """One test method on the unix port."""

    def setup(self):
        """Give the file a scratch folder."""
        self._folder = self.config._tmp_path_factory.mktemp(self.path.stem)

    def runtest(self):
        """Look up this test's verdict."""
        results, rest = self.parent.results(self._folder)
        verdict, text = results.get(self.name, ("missing", rest))
        if verdict == "skip":
            pytest.skip(text)
        if verdict != "ok":
            raise ChipError(text or verdict)
        if text.strip():
            self.add_report_section("call", "chip", text)

    def repr_failure(self, excinfo, style=None):
        """Show what the interpreter printed, not our own stack."""
        if isinstance(excinfo.value, ChipError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        """Name the test in reports."""
        return self.path, 0, self.name
