"""Where the unix port of MicroPython is, and where it finds our bytecode."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from menwei.build import DOOR, ROOT

# More than a plain ESP32 has, 96wK: the simulated board takes what is left over before the firmware starts
# (docs/simulator.md).
HEAP = "220wK"


def command(module: str, *words: str) -> list[str]:
    """The command line that runs one of our modules with room for the simulated board."""
    path = Path(sys.executable).with_name("micropython")
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; run: make setup")
    return [str(path), "-X", f"heapsize={HEAP}", "-m", module, *words]


def environment(first: Path | None = None) -> dict[str, str]:
    """Environment variables for such a process: it finds the modules as a door carries them, after those in `first`."""
    path = (*([first] if first else []), DOOR, DOOR / "boards" / "sim", ROOT / "build" / "lib", ".frozen")
    return {**os.environ, "MICROPYPATH": ":".join(str(entry) for entry in path)}
