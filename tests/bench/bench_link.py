"""The link with upstream: bytes on the wire, a backlog, a revocation, its heap, and for how long it blocks the loop."""

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from menwei.build import DOOR, LINES, compile_file
from menwei.flashmap import board_region
from menwei.simdoor import SimDoor
from sync.messages import PUT, REVOKE
from sync.upstream import pack_change
from tests.bench.bench_memory import install_interpreter, run32
from tests.bench.door_names import as_on_a_door
from tests.bench.link_world import DOOR_KEY, EPOCH, JOURNAL_KEY, CountingWire, mosquitto, upstream
from tests.bench.peers import MQTT_ASYNC, UMQTT_SIMPLE, fetch
from tests.bench.unix_port import FOLDER, MICROPYTHON, TURN
from tests.tls_site import Mosquitto, TlsSite

# What the link needs and a door has anyway.
SHARED = ("storage.mac", "storage.ondemand")
ENTRY = 16
LIST = 1_000
SEED = 1
WAIT_S = 120
STOPPED_S = 3
EVENTS = 10_000
SINGLES = 1_000
REVOCATIONS = 200
BOTH = threading.Lock()


def _part(folder, wanted):
    """Compile those lines of a door's resident module that come from some modules, under the same name."""
    origins = json.loads(LINES.read_text())["door"]
    lines = (DOOR / "door.py.txt").read_text().splitlines(keepends=True)
    text = "".join(line for line, (module, *_) in zip(lines, origins, strict=True) if wanted(module))
    path = Path(folder) / "part.py"
    path.write_text("import asyncio\nfrom micropython import const\nfrom hashlib import sha256\n" + text)
    compile_file(path, path.with_name("door.mpy"), "door")
    path.unlink()


def link_heap():
    """Return the bytes of a 32-bit heap: `code`, `constructed`, `connected`, each with what comes before."""
    figures = []
    for wanted in (lambda module: module in SHARED or module.startswith("sync."), lambda module: module in SHARED):
        with tempfile.TemporaryDirectory() as folder:
            _part(folder, wanted)
            if wanted("sync.link"):  # these are no part of the resident module
                (Path(folder) / "sync").mkdir()
                for name in ("dialling", "tlsstream"):
                    shutil.copy(DOOR / f"sync/{name}.mpy", Path(folder) / "sync")
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
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 24,
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


class FlashEntry:
    """One card's entry in a door's flash file. All of its pseudonym but a byte stands in it (flash-formats.md)."""

    def __init__(self, path, pseudonym):
        self._file = path.open("rb", buffering=0)
        offset, size = board_region("cards")
        at = os.pread(self._file.fileno(), size, offset).find(pseudonym[1:])
        if at < 0:
            sys.exit("the card's entry is not in the flash file")
        self._at = offset + at // ENTRY * ENTRY
        self._before = self._read()

    def _read(self):
        return os.pread(self._file.fileno(), ENTRY, self._at)

    async def changed(self):
        """Wait until it is programmed."""
        async with asyncio.timeout(WAIT_S):
            while self._read() == self._before:
                await asyncio.sleep(0.0005)
        self._file.close()


async def revocations(count):
    """Milliseconds from each cancellation at the office to the programmed entry; the same behind the whole list."""
    random.seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        site = TlsSite(folder, "bench")
        broker = Mosquitto(site, plain=True)
        await broker.start()
        try:
            async with upstream(folder, broker.plain_port, "bench", "one") as office:
                door = SimDoor(Path(folder) / "door", mode="real", start_unix=int(time.time()), seed=SEED)
                door.folder.mkdir()
                settings = {"site": "bench", "door": "one", "host": "127.0.0.1", "port": broker.port, "tls": True}
                keys = {"door_key": DOOR_KEY.hex(), "journal_key": JOURNAL_KEY.hex(), "journal_epoch": EPOCH.hex()}
                tls = site.door("one", key=DOOR_KEY).provision()
                settings["wifi_ssid"] = "bench"
                door.provision({**keys, "wifi_secret": "secret", "settings": settings, "tls": tls})
                await door.start()
                try:
                    return await _revoke(office, door.flash, count)
                finally:
                    await door.stop()
        finally:
            await broker.stop()


async def _revoke(office, flash, count):
    def session():
        return office.sessions.get("one")

    async def reached(revision):
        async with asyncio.timeout(WAIT_S):
            while not (session() and session().time_done and session().revision >= revision):
                await asyncio.sleep(0.002)

    cards = [random.randbytes(7) for _ in range(LIST)]
    for card in cards[:-1]:
        office.change("one", pack_change(PUT, card))
    await reached(office.change("one", pack_change(PUT, cards[-1])))
    took = []
    for card in cards[:count]:
        await asyncio.sleep(random.uniform(0, 0.2))  # at any moment of the door's work
        entry = FlashEntry(flash, card)
        start = time.perf_counter()
        revision = office.change("one", pack_change(REVOKE, card))
        await entry.changed()
        took.append(1000 * (time.perf_counter() - start))
        await reached(revision)
    # An office that sends a door its whole list again, as those do that know no changes
    entry = FlashEntry(flash, cards[-1])
    start = time.perf_counter()
    for card in cards[count:-1]:
        office.change("one", pack_change(PUT, card, valid_until=9_000_000))
    office.change("one", pack_change(REVOKE, cards[-1]))
    await entry.changed()
    return took, 1000 * (time.perf_counter() - start)


async def loop_gaps():
    """Gaps of a ticker in the door's loop, in microseconds, by phase: connecting over TLS, at work, broker stopped."""
    with tempfile.TemporaryDirectory() as folder:
        site = TlsSite(folder, "bench")
        certificate = site.door("one", key=DOOR_KEY)
        (Path(folder) / "certificate.json").write_text(
            json.dumps(
                [
                    certificate.serial,
                    certificate.until,
                    certificate.ca.hex(),
                    certificate.certificate.hex(),
                    certificate.key.hex(),
                ]
            )
        )
        broker = Mosquitto(site, plain=True)
        await broker.start()
        try:
            async with upstream(folder, broker.plain_port, "bench", "one") as office:
                door = await start_door("backlog_door.py", broker.port, "bench", "one", 2_000, "ticker", folder=folder)
                async for raw in door.stdout:
                    line = raw.decode().strip()
                    if line == "connected":
                        for _ in range(LIST):
                            office.change("one", pack_change(PUT, os.urandom(7)))
                    elif line == "pause":
                        broker.pause()
                        await asyncio.sleep(STOPPED_S)
                        broker.resume()
                        await asyncio.sleep(1)
                        await broker.kill()
                        await asyncio.sleep(1)
                        await broker.start()
                    elif line.startswith("{"):
                        return json.loads(line)
                    else:
                        print("door:", line)
            sys.exit("the door with the ticker ended")
        finally:
            await broker.stop()


async def peer_gaps():
    """The same of umqtt.simple while it connects to a broker that is stopped for as long."""
    with tempfile.TemporaryDirectory() as folder:
        site = TlsSite(folder, "bench")
        broker = Mosquitto(site, plain=True)
        await broker.start()
        try:
            (Path(folder) / "umqtt_simple.py").write_bytes(fetch(*UMQTT_SIMPLE).read_bytes())
            door = await start_door("backlog_door.py", broker.plain_port, "bench", "one", 0, "peer", folder=folder)
            broker.pause()
            async for raw in door.stdout:
                line = raw.decode().strip()
                if line == "pause":
                    await asyncio.sleep(STOPPED_S)
                    broker.resume()
                elif line.startswith("{"):
                    return json.loads(line)
                else:
                    print("peer:", line)
            sys.exit("umqtt.simple ended")
        finally:
            await broker.stop()


def p999(gaps):
    """The 99.9th percentile in milliseconds; of fewer than a thousand gaps the longest."""
    return round(gaps[min(len(gaps) - 1, len(gaps) * 999 // 1000)] / 1000, 1)


async def _measure():
    """What takes time, one after the other."""
    site, door = "s" * 32, "d" * 32
    _, ours, _ = await backlog(site, door, 2_048, "batches", counted=True)
    _, theirs, _ = await backlog(site, door, 128, "singles", counted=True)
    # The better of two of each: this machine may have other work to do.
    took_ms = min([(await backlog(site, door, EVENTS, "batches"))[0] for _ in range(2)])
    single_ms = min([(await backlog(site, door, SINGLES, "singles"))[0] for _ in range(2)])
    puback_ms, _, _ = await backlog(site, door, EVENTS, "publishes")
    print(
        f"link: {EVENTS:,} events stored and acknowledged in {took_ms:,} ms, {SINGLES:,} one by one in {single_ms:,} ms"
    )
    print(f"link: {EVENTS:,} publishes in {puback_ms:,} ms if the broker's PUBACK is enough and nobody stores them")
    revoked, whole_ms = await revocations(REVOCATIONS)
    revoked.sort()
    print(f"link: {REVOCATIONS} revocations, median {revoked[len(revoked) // 2]:.1f} ms, longest {revoked[-1]:.1f} ms")
    gaps = await loop_gaps()
    for phase, found in gaps.items():
        print(f"link: {phase}: {len(found):,} turns, 99.9 % below {p999(found)} ms, longest {found[-1] / 1000:.1f} ms")
    peer = await peer_gaps()
    return {
        "uplink.bytes_per_event": (round(ours / 2_048, 2), round(theirs / 128, 2)),
        # The same client, the same broker, upstream and database: what is not stored is not acknowledged, either way.
        "uplink.backlog_10k.speedup": (round(single_ms / SINGLES * EVENTS / took_ms, 1), 1),
        "revoke.online_ms": (round(revoked[len(revoked) * 99 // 100], 1), round(whole_ms, 1)),
        "link.loop_block_ms": (max(map(p999, gaps.values())), p999(peer["connecting"])),
    }


def measure():
    """Return the figures. What takes time has both turns: nobody else works hard meanwhile."""
    install_interpreter()
    heap = link_heap()
    print(f"link: code {heap['code']:,} bytes, constructed {heap['constructed']:,}, connected {heap['connected']:,}")
    figures = {"link.heap_bytes": (heap["constructed"], peer_heap())}
    with BOTH, TURN, TURN:
        return figures | asyncio.run(_measure())
