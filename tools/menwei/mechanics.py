"""The door's mechanics as a process of their own: they go on when the firmware hangs. Real time only.

    mechanics = Mechanics(folder)
    await mechanics.start()
    await mechanics.ask("pull")
    await mechanics.stop()

docs/simulator.md, "The mechanics' wires over TCP", describes the lines.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from menwei.build import ROOT, build
from menwei.control import LINE_LIMIT, Control, SimError
from menwei.unixport import command, environment

# What people do at the leaf and at the contacts; everything else is asked of the door's process.
MECHANICS_VERBS = frozenset(
    (
        *("pull", "push", "force", "closer", "hold", "exit", "fire", "intercom", "key", "handle", "tamper", "ajar"),
        *("stuck", "wire", "eol"),
    )
)

_READY_S = 10
_TRY_S = 0.05


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Mechanics:
    """Starts the process and speaks with it as host."""

    def __init__(self, folder: Path, fail_safe: bool | None = None) -> None:
        self._kind = [] if fail_safe is None else [f"fail_safe={int(fail_safe)}"]  # else that of the board
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._control = Control("the mechanics")
        self._serving: asyncio.Task | None = None
        self.address = ""

    async def start(self) -> None:
        """Start the process and connect to it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        build()
        port = _free_port()
        self.address = f"127.0.0.1:{port}"
        with (self._folder / "mechanics.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command("boards.sim.mechanics_server", f"listen={port}", *self._kind),
                env=environment(), cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        reader, writer = await self._connect(port)
        writer.write(b"hello host\n")
        self._serving = asyncio.create_task(self._control.serve(reader, writer))
        await asyncio.sleep(0)
        await self.ask("state")

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(int(_READY_S / _TRY_S)):
            if self._process.returncode is not None:
                break
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port, limit=LINE_LIMIT)
            await asyncio.sleep(_TRY_S)
        await self.stop()
        raise SimError(
            f"the mechanics' process does not answer; it said:\n{(self._folder / 'mechanics.log').read_text()}"
        )

    async def ask(self, verb: str, *arguments: object):
        """Do one thing at the door, or ask for its `state`."""
        return await self._control.ask(verb, *arguments, timeout_s=_READY_S)

    async def stop(self) -> None:
        """End the process; it has nothing to save."""
        self._control.close()
        if self._serving:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _READY_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
