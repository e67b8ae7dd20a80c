"""The link with upstream: bytes on the wire, a backlog, a revocation, its heap, how long it holds up the door's loop."""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from menwei.build import DOOR, LINES, compile_file
from tests.bench.bench_memory import install_interpreter, run32
from tests.bench.door_names import as_on_a_door
from tests.bench.link_world import CountingWire, mosquitto, upstream
from tests.bench.peers import MQTT_ASYNC, fetch
from tests.bench.unix_port import FOLDER, MICROPYTHON

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


async def run_door(script, *arguments, folder):
    """Run a script on the unix port with the modules that a door carries; the JSON object in its last line."""
    process = await start_door(script, *arguments, folder=folder)
    said, _ = await process.communicate()
    if process.returncode:
        sys.exit(f"{script} {arguments} failed:\n{said.decode()[-3000:]}")
    return json.loads(said.splitlines()[-1])


async def start_door(script, *arguments, folder):
    """Start it only."""
    path = Path(folder) / script
    path.write_text(as_on_a_door((FOLDER / script).read_text()))
    return await asyncio.create_subprocess_exec(
        MICROPYTHON, "-X", "heapsize=64M", path, *map(str, arguments), cwd=folder,
        env={**os.environ, "MICROPYPATH": f"{DOOR}:{DOOR}/boards/sim:.frozen"},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def backlog(site, door, events, how, counted=False):
    """One backlog from flash to upstream: (milliseconds, bytes of the publishes on the wire, how many they were)."""
    with tempfile.TemporaryDirectory() as folder:
        async with mosquitto(folder) as port, upstream(folder, port, site, door) as office:
            async with CountingWire(port, b"/event") as wire:
                words = wire.port if counted else port, site, door, events, how
                result = await run_door("backlog_door.py", *words, folder=folder)
            stored = len(office.store.events(door))
    if stored != events and how != "publishes":
        sys.exit(f"{stored} of {events} events are stored")
    return result["ms"], wire.bytes, wire.packets
