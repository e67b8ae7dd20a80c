"""The link with upstream: bytes on the wire, a backlog, a revocation, its heap, how long it holds up the door's loop."""

import json
import tempfile
from pathlib import Path

from menwei.build import DOOR, LINES, compile_file
from tests.bench.bench_memory import install_interpreter, run32
from tests.bench.peers import MQTT_ASYNC, fetch

# What the link needs and a door has anyway.
SHARED = ("storage.mac", "storage.ondemand")


def _part(folder, wanted):
    """Compile those lines of a door's resident module that come from some modules, under the same name."""
    origins = json.loads(LINES.read_text())["door"]
    lines = (DOOR / "door.py.txt").read_text().splitlines(keepends=True)
    text = "".join(line for line, (module, _) in zip(lines, origins, strict=True) if wanted(module))
    path = Path(folder) / "part.py"
    path.write_text("import asyncio\nfrom micropython import const\nfrom hashlib import sha256\n" + text)
    compile_file(path, path.with_name("door.mpy"), "door")
    path.unlink()


def link_heap():
    """Return the bytes of a 32-bit heap that a link takes: dict of `code`, `constructed`, `connected`, each with all before it."""
    figures = []
    for wanted in (lambda module: module in SHARED or module.startswith("sync."), lambda module: module in SHARED):
        with tempfile.TemporaryDirectory() as folder:
            _part(folder, wanted)
            figures.append(run32("link_door32.py", folder))
    return {name: value - figures[1][name] for name, value in figures[0].items()}


def peer_heap():
    """Return the same of a client from PyPI, code and objects."""
    with tempfile.TemporaryDirectory() as folder:
        compile_file(fetch(*MQTT_ASYNC), Path(folder) / "mqtt_async.mpy", "mqtt_async")
        return run32("peer_door32.py", folder, {})["client"]
