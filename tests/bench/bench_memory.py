"""Memory of a whole door: bytecode, the heap of a 32-bit MicroPython after start, what one tap allocates.

The heap is read on the WebAssembly build of MicroPython, whose objects have the chip's sizes, running under Node
(heap32.mjs, door32.py). That build lacks asyncio's streams; what they cost is measured on the unix port and added.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from menwei.build import DOOR, ROOT, SERVICE, SHORT, sources

FOLDER = Path(__file__).parent
NODE_FOLDER = ROOT / "build" / "node"
INTERPRETER = NODE_FOLDER / "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs"
BIN = Path(sys.executable).parent
RARELY = {"firmware/provision.py"}  # loaded once in a door's life and dropped again


def install_interpreter():
    """Install the pinned interpreter below build/, once.

    Raises:
        SystemExit: with what npm said.
    """
    if INTERPRETER.exists():
        return
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(FOLDER / name, NODE_FOLDER / name)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    npm = subprocess.run(
        [BIN / "npm", "ci"], cwd=NODE_FOLDER, env=environment, capture_output=True, text=True, check=False
    )
    if npm.returncode:
        sys.exit(f"npm ci failed, and the 32-bit heap cannot be measured without it:\n{npm.stderr}")


def run_door32(folder, short):
    """Run door32.py with the modules in `folder`, whose private names are shortened by the dict `short`.

    Returns:
        dict of name to int.
    """
    text = re.sub(r"\b_\w+", lambda match: short.get(match[0], match[0]), (FOLDER / "door32.py").read_text())
    script = Path(folder) / "door32.py"
    script.write_text(text)
    process = subprocess.run(
        [BIN / "node", FOLDER / "heap32.mjs", INTERPRETER, script, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    figures = dict(line[1:].split() for line in process.stdout.splitlines() if line.startswith("@"))
    if process.returncode or "heap" not in figures or "tap" not in figures:
        sys.exit(f"door32.py failed:\n{process.stdout[-3000:]}{process.stderr[-1000:]}")
    return {name: int(value) for name, value in figures.items()}


def streams_bytes():
    """Return what asyncio's streams take on the unix port: 64-bit, so an upper bound for the chip."""
    code = "import gc,asyncio;gc.collect();a=gc.mem_alloc();import asyncio.stream;gc.collect();print(gc.mem_alloc()-a)"
    return int(subprocess.run([BIN / "micropython", "-c", code], capture_output=True, check=True).stdout)


def flatten(root, target, suffix):
    """Copy a tree of modules so that /lib of the interpreter looks like the path of a simulated door."""
    for path in root.rglob(f"*{suffix}"):
        relative = path.relative_to(root)
        places = [relative]
        if relative.parts[:2] == ("boards", "sim"):
            places.append(Path(relative.name))
        for place in places:
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / place)


def measure():
    """Return the figures."""
    install_interpreter()
    service = [path for path in sources(SERVICE) if str(path) not in RARELY]
    size = sum((DOOR / path.with_suffix(".mpy")).stat().st_size for path in service)
    source_size = sum((ROOT / path).stat().st_size for path in service)
    with tempfile.TemporaryDirectory() as precompiled, tempfile.TemporaryDirectory() as from_source:
        flatten(DOOR, Path(precompiled), ".mpy")
        short = {name: short for short, name in json.loads(SHORT.read_text()).items()}
        door = run_door32(precompiled, short)
        flatten(DOOR, Path(from_source), ".mpy")
        for path in service:
            (Path(from_source) / path.with_suffix(".mpy")).unlink()
            shutil.copy(ROOT / path, Path(from_source) / path)
        source_door = run_door32(from_source, {})
    streams = streams_bytes()
    return {
        "boot.modules_bytes": (size, source_size),
        "boot.heap32_bytes": (door["heap"] + streams, source_door["heap"] + streams),
        "tap.alloc_bytes": (door["tap"], door["tap_unprepared"]),
    }
