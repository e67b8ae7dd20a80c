"""Where MicroPython's unix port is, and what it needs to find our modules."""

import os
import sys
from pathlib import Path

from menwei.build import OUT, ROOT

MICROPYTHON = Path(sys.executable).with_name("micropython")


def micropython_environment(**extra):
    """Return the environment in which the unix port finds our bytecode first."""
    path = [OUT, OUT / "boards" / "sim", ROOT / "build" / "lib", ".frozen"]
    return {**os.environ, "MICROPYPATH": ":".join(str(entry) for entry in path), **extra}
