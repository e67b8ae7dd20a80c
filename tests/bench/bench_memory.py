"""Memory of a whole door: bytecode, the heap of a 32-bit MicroPython after start, what one tap allocates.

The heap is read on the WebAssembly build of MicroPython, whose objects have the chip's sizes, running under Node
(heap32.mjs). That build lacks asyncio's streams. An official ESP32 image has them frozen, as the unix port has: what
their import costs there is measured, and scaled by what the same kind of objects costs on both (frozen_objects.py).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from menwei.build import DOOR, ROOT, SERVICE
from tests.bench.door_names import as_on_a_door
from tests.bench.unix_port import TURN

FOLDER = Path(__file__).parent
NODE_FOLDER = ROOT / "build" / "node"
INTERPRETER = NODE_FOLDER / "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs"
BIN = Path(sys.executable).parent
INSTALLING = threading.Lock()


def install_interpreter():
    """Install the pinned interpreter below build/, once.

    Raises:
        SystemExit: with what npm said.
    """
    with INSTALLING:
        if not INTERPRETER.exists():
            _install()


def _install():
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(FOLDER / name, NODE_FOLDER / name)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    npm = subprocess.run(
        [BIN / "npm", "ci"], cwd=NODE_FOLDER, env=environment, capture_output=True, text=True, check=False
    )
    if npm.returncode:
        sys.exit(f"npm ci failed, and the 32-bit heap cannot be measured without it:\n{npm.stderr}")


def run32(script, folder, short=None):
    """Run a script on the 32-bit build with the modules in `folder`; `short` as in tests/bench/door_names.py.

    Returns:
        dict of the names and numbers that it printed behind `@`.
    """
    text = as_on_a_door((FOLDER / script).read_text(), short)
    target = Path(folder) / script
    target.write_text(text)
    with TURN:
        process = subprocess.run(
            [BIN / "node", FOLDER / "heap32.mjs", INTERPRETER, target, folder],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    figures = dict(line[1:].split() for line in process.stdout.splitlines() if line.startswith("@"))
    if process.returncode or not figures:
        sys.exit(f"{script} failed:\n{process.stdout[-3000:]}{process.stderr[-1000:]}")
    return {name: int(value) for name, value in figures.items()}


def _unix(*words):
    process = subprocess.run([BIN / "micropython", *words], capture_output=True, text=True, check=True)
    return int(process.stdout.split()[-1])


def streams_bytes():
    """Return what asyncio's frozen streams take in a 32-bit heap; their names are frozen, too."""
    code = "import gc,asyncio;gc.collect();a=gc.mem_alloc();import asyncio.stream;gc.collect();print(gc.mem_alloc()-a)"
    streams64 = _unix("-c", code)
    objects64 = _unix(str(FOLDER / "frozen_objects.py"))
    with tempfile.TemporaryDirectory() as folder:
        objects32 = run32("frozen_objects.py", folder)["objects"]
    return -(-streams64 * objects32 // objects64)


def heap(board, from_source=False):
    """Return the heap of a door in bytes, and the modules loaded in service.

    The heap is that in service, while its list changes, and while the order to apply a parcel is carried out.
    """
    root, ending = (ROOT, ".py") if from_source else (DOOR, ".mpy")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        shutil.copy(ROOT / "boards" / board / "board.py", target)
        for path in root.rglob("*" + ending):
            path = path.relative_to(root)
            if path.parts[0] in SERVICE or len(path.parts) == 1:
                (target / path).parent.mkdir(exist_ok=True)
                shutil.copy(root / path, target / path)
        figures = run32("heap_door32.py", folder, {} if from_source else None)
    names = [name.removeprefix("loaded.").replace(".", "/") + ending for name in figures if name.startswith("loaded.")]
    loaded = [root / name for name in names if (root / name).exists()]
    heaps = figures["heap"], figures["changing"], figures["ordered"]
    return heaps, sum(path.stat().st_size for path in loaded)


def tap():
    """Return what a tap allocates in bytes: with hashing prepared, and without."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        for path in DOOR.rglob("*.mpy"):
            places = [path.relative_to(DOOR)]
            if places[0].parts[:2] == ("boards", "sim"):
                places.append(Path(path.name))
            for place in places:
                (target / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target / place)
        figures = run32("tap_door32.py", folder)
    return figures["tap"], figures["tap_unprepared"]


def measure():
    """Return the figures."""
    install_interpreter()
    streams = streams_bytes()
    heaps, size = heap("esp32_wroom_4mb")
    source_heaps, source_size = heap("esp32_wroom_4mb", from_source=True)
    names = "boot.heap32_bytes", "boot.heap32_changing_bytes", "boot.heap32_ordered_bytes"
    return {
        "boot.modules_bytes": (size, source_size),
        **{
            name: (door + streams, source + streams)
            for name, door, source in zip(names, heaps, source_heaps, strict=True)
        },
        "tap.alloc_bytes": tap(),
    }
