"""A door with everything around it that can fail: real mosquitto, upstream in a process of its own, a bad wire.

async with Site(folder, seed=7) as site:
    await site.power(True)
    await site.broker.kill(); await site.broker.start()
    await site.upstream.kill(); await site.upstream.start()
    site.wire.set(up=Faults(drop=0.3))
    await site.pass_time(3600)
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from chaos import Chaos
from interpreter import micropython_environment
from tls_site import Mosquitto, TlsSite

from menwei.build import build
from menwei.control import SimError
from menwei.epoch import UNIX_2020
from menwei.simdoor import EXIT_RESET, PowerLost, SimDoor

SITE, DOOR = "faults", "gate"
HERE = Path(__file__).parent
NAP_S = 7140
_NAP_PIECE_S = 43200
_STRETCH_S = 6
_PROMPT_S = 3
_ANSWER_S = 20
DAY_S = 86_400


async def ended(process):
    """Kill a process that this test started, and wait for its end."""
    if process and process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class UpstreamProcess:
    """upstream_process.py, which can be killed and goes on with its database."""

    def __init__(self, folder, port, clock, pki=None):
        self.database = folder / "upstream.db"
        self._options = {
            "database": str(self.database), "keys": str(folder / "keys.json"), "host": "127.0.0.1", "port": port,
            "pki": pki,
        }  # fmt: skip
        self._log = folder / "upstream.log"
        self._clock = clock
        self._waiting = {}
        self._number = 0
        self.process = None
        self._reading = None

    async def start(self, **options):
        with self._log.open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, HERE / "upstream_process.py", json.dumps(self._options | options),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self.process))

    async def connected(self):
        for _ in range(500):
            if (await self.ask("status", door=DOOR))["connected"]:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("upstream has no broker: " + self._log.read_text()[-2000:])

    async def kill(self):
        """As with `kill -9`."""
        await ended(self.process)
        if self._reading:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, process):
        answers = set()
        while line := await process.stdout.readline():
            message = json.loads(line)
            if "clock" in message:
                task = asyncio.create_task(self._tell(process, message["clock"]))
                answers.add(task)
                task.add_done_callback(answers.discard)
            elif (waiting := self._waiting.pop(message["id"], None)) and not waiting.done():
                waiting.set_result(message)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result({"error": "killed"})
        self._waiting.clear()

    async def _tell(self, process, number):
        now = await self._clock()
        with suppress(OSError):
            process.stdin.write(json.dumps({"now": now, "for": number}).encode() + b"\n")

    async def ask(self, do, **arguments):
        """Have something done; OSError tells why it was not."""
        self._number += 1
        self._waiting[self._number] = answer = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"id": self._number, "do": do, **arguments}).encode() + b"\n")
        async with asyncio.timeout(_ANSWER_S):
            message = await answer
        if "error" in message:
            raise OSError(message["error"])
        return message["ok"]


class PatientDoor(SimDoor):
    """Before it naps everybody gets more time than in a stage: upstream and broker are processes of their own."""

    CATCH_UP_S = 0.02

    async def _let_nap(self):
        await asyncio.sleep(self.CATCH_UP_S)
        with suppress(PowerLost, SimError):
            await self.ask("nap")


def _own_certificate(tls_site, door_key):
    return tls_site.door(DOOR, key=door_key)


class Site:
    """Everything; use it with `async with`.

    Args:
        tls: for the door and for upstream.
        certificate: function of (TlsSite, door key) that makes the door's.
    """

    def __init__(self, folder, seed, start_unix, settings=None, tls=True, certificate=None):
        self.folder, self.seed = folder, seed
        self.settings = settings or {}
        folder.mkdir(parents=True, exist_ok=True)
        draw = random.Random(seed)
        self.door_key, self.journal_key, self.epoch = draw.randbytes(32), draw.randbytes(16), draw.randbytes(4)
        self.tls_site = TlsSite(folder, SITE)
        self.keys = self.tls_site.keys
        self.keys.add(DOOR, self.door_key, {self.epoch: self.journal_key})
        self.keys.save(folder / "keys.json")
        self.broker = Mosquitto(self.tls_site, plain=True)
        self.certificate = None
        if tls:
            self.certificate = (certificate or _own_certificate)(self.tls_site, self.door_key)
        port = self.broker.port if tls else self.broker.plain_port
        self.wire = Chaos("127.0.0.1", port, seed, tls)
        port = self.broker.upstream_port if tls else self.broker.plain_port
        pki = str(self.tls_site.pki.folder) if tls else None
        self.upstream = UpstreamProcess(folder, port, self.exact_now, pki)
        self.door = PatientDoor(folder, start_unix=start_unix, seed=seed, quiet_ms=4)
        self.net = True

    async def __aenter__(self):
        build()
        await self.broker.start()
        await self.wire.start()
        await self.upstream.start()
        await self.upstream.connected()
        self.door.provision(
            {
                "door_key": self.door_key.hex(),
                "journal_key": self.journal_key.hex(),
                "journal_epoch": self.epoch.hex(),
                "wifi_secret": "simulated",
                **({"tls": self.certificate.provision()} if self.certificate else {}),
                "settings": {
                    "site": SITE,
                    "door": DOOR,
                    "host": "127.0.0.1",
                    "port": self.wire.port,
                    "wifi_ssid": "building",
                    "keepalive_s": 600,
                    "tls": bool(self.certificate),
                    **self.settings,
                },
            }
        )
        await self.door.start()
        await self.door.run(8)  # the first start erases and formats
        return self

    async def __aexit__(self, *_):
        await self.door.stop()
        await self.upstream.kill()
        await self.wire.stop()
        await self.broker.kill()

    async def exact_now(self):
        """The world's time, also in the middle of an hour that passes."""
        if self.door.running_s > 2:
            with suppress(SimError, PowerLost):
                return float((await self.door.state())["unix"])
        return float(self.door.unix)

    async def pass_time(self, seconds, *, pace=None, nap=NAP_S):
        """Let time pass; a door that resets itself or loses its power is started again.

        Returns how often that was.
        """
        starts = 0
        until = self.door.unix + seconds
        while (left := until - self.door.unix) > 0:
            stretch = None
            piece = min(left, _NAP_PIECE_S)
            if left > _PROMPT_S and pace is None:
                stretch, piece = _STRETCH_S, min(piece, left - _PROMPT_S)
            try:
                await self.door.run(piece, pace=pace, stretch=stretch, nap=nap if stretch else None)
            except PowerLost:
                await self.revive(after_s=5)
                starts += 1
            except SimError:
                if self.door.exit_code != EXIT_RESET:
                    raise
                await self.revive(after_s=0)
                starts += 1
        return starts

    async def age(self, days, count, kinds):
        """Power is off, and the journal becomes what it would be after so many days without a link.

        Returns how many records of each of `kinds`, (kind, reason, share), were made, stored or only counted.
        """
        await self.door.cut()
        await self.door.ended()
        start = self.door.unix - UNIX_2020
        words = [self.door.flash, start, start + days * DAY_S, count, *(",".join(map(str, kind)) for kind in kinds)]
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("micropython"), HERE / "age_journal.py", *map(str, words)),
            env=micropython_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert not process.returncode, said.decode()
        await self.revive(after_s=days * DAY_S)
        *made, filled = map(int, said.split())
        assert filled > 90, "the journal did not overflow"
        return made

    async def revive(self, after_s):
        """Start the door again."""
        await self.door.ended()
        await self.door.start(unix=self.door.unix + int(after_s))
        if not self.net:
            await self.door.ask("net", 0)

    async def network(self, there):
        self.net = there
        (self.wire.back if there else self.wire.away)()
        if self.door.running:
            await self.door.ask("net", int(there))
