"""One simulated door: the firmware on the unix port of MicroPython, in a process of its own.

    door = SimDoor(Path("run"), start_unix=1_772_434_800)
    door.provision({...})
    await door.start()
    await door.card("04A1B2C3")
    await door.run(5)
    await door.cut()           # power is lost; flash and world stay
    await door.start(unix=door.unix + 60)
    await door.stop()

docs/simulator.md describes the process and its control lines.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from menwei.build import ROOT
from menwei.control import LINE_LIMIT, Control, SimError
from menwei.mechanics import MECHANICS_VERBS, Mechanics
from menwei.unixport import command, environment

EXIT_QUIT = 0
EXIT_POWER_CUT = 86
EXIT_RESET = 87

_READY_S = 20
_ANSWER_S = 120
_CATCH_UP_S = 0.005


class PowerLost(Exception):
    """The door's process ended with a power cut while it was asked something."""


class SimDoor:
    """Starts, works, kills and restarts one door process.

    Args:
        folder: where flash image, world file, provisioning and serial log lie.
        mode: "virtual" or "real" time.
        start_unix: the world's time at the first start.
        mechanics: the mechanics as a process of their own, real time only.
        on_serial: called with each line that the door prints.
        code: folder with modules that are found before the door's own, for tests.
        terminal: file descriptor of a pseudo terminal that is the door's serial port; its lines are not kept then.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: str = "virtual",
        start_unix: int | None = None,
        seed: int = 0,
        quiet_ms: int | None = None,
        mechanics: Mechanics | None = None,
        on_serial: Callable[[str], None] | None = None,
        terminal: int | None = None,
        code: Path | None = None,
    ) -> None:
        self._code = code
        self._terminal = terminal
        self.folder = folder
        self.flash = folder / "flash.img"
        self.world = folder / "world.json"
        self.mode = mode
        self.seed = seed
        self._quiet_ms = quiet_ms
        self.exit_code: int | None = None
        self.starts = 0
        self.lines: list[str] = []
        self._unix: float | None = start_unix
        self.running_s: float = 0  # length of the `run` under way
        self._mechanics = mechanics
        self._on_serial = on_serial
        self._process: asyncio.subprocess.Process | None = None
        self._control = Control("the door", self._notice)
        self._tasks: list[asyncio.Task] = []
        self._ready = asyncio.Event()
        self._napping: asyncio.Task | None = None

    # Process

    @property
    def running(self) -> bool:
        """Whether the door has power."""
        return self._process is not None and self._process.returncode is None and self.exit_code is None

    @property
    def process_id(self) -> int:
        """Number of the running process, to be stopped and continued."""
        return self._process.pid

    @property
    def unix(self) -> int:
        """The world's time; while a `run` is under way, that of its start."""
        return int(self._unix or 0)

    def provision(self, content: dict) -> None:
        """Keys and settings that the door takes over at its first start."""
        path = Path(f"{self.flash}.provision")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file)

    async def start(self, unix: int | None = None) -> None:
        """Start the process and wait until it is ready; `unix` moves the world's clock forward to that time."""
        if self.running:
            raise SimError("the door runs already")
        if unix is not None:
            self._unix = unix
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ready.clear()
        self.exit_code = None
        self.starts += 1
        server = await asyncio.start_server(self._control.serve, "127.0.0.1", 0, limit=LINE_LIMIT)
        port = server.sockets[0].getsockname()[1]
        words = [f"flash={self.flash}", f"world={self.world}", f"control=127.0.0.1:{port}", f"mode={self.mode}"]
        words.append(f"seed={self.seed + self.starts}")
        if self._unix is not None:
            words.append(f"unix={int(self._unix)}")
        if self._quiet_ms is not None:
            words.append(f"quiet={self._quiet_ms}")
        if self._mechanics:
            words.append(f"door={self._mechanics.address}")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command("boards.sim.start", *words), env=environment(self._code),
                stdin=asyncio.subprocess.DEVNULL if self._terminal is None else self._terminal,
                stdout=asyncio.subprocess.PIPE if self._terminal is None else self._terminal,
                stderr=asyncio.subprocess.STDOUT, cwd=ROOT, limit=LINE_LIMIT,
            )  # fmt: skip
            waiting = asyncio.create_task(self._wait(self._process))
            self._tasks = [waiting]
            if self._terminal is None:
                self._tasks.append(asyncio.create_task(self._serial(self._process)))
            await self._first(self._ready.wait(), waiting, _READY_S)
        except TimeoutError:
            await self.kill()
            raise SimError(f"the door was not ready within {_READY_S} s; its last words:\n{self.tail()}") from None
        finally:
            server.close()
        if self.exit_code is not None:
            raise SimError(f"the door ended with code {self.exit_code} at its start; its last words:\n{self.tail()}")
        self._unix = (await self.state())["unix"]

    async def _first(self, waiting, ending: asyncio.Task, timeout_s: float) -> None:
        """Wait for one thing, but no longer than the process lives."""
        task = asyncio.ensure_future(waiting)
        done, _ = await asyncio.wait((task, ending), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
        if not done:
            raise TimeoutError

    async def _serial(self, process: asyncio.subprocess.Process) -> None:
        while raw := await process.stdout.readline():
            self.say(raw.decode(errors="replace").rstrip("\r\n"))

    def say(self, line: str) -> None:
        """Take a line into the serial log; the door's own, or a remark between two starts."""
        self.lines.append(line)
        with (self.folder / "serial.log").open("a") as log:
            log.write(line + "\n")
        if self._on_serial:
            self._on_serial(line)

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self.exit_code = code
        self._control.fail(self._ended(code))

    def _ended(self, code: int) -> Exception:
        if code == EXIT_POWER_CUT:
            return PowerLost()
        return SimError(f"the door ended with code {code}; its last words:\n{self.tail()}")

    def tail(self, count: int = 12) -> str:
        """The last lines that the door printed."""
        return "\n".join(self.lines[-count:]) or "(it said nothing)"

    async def ended(self, timeout_s: float = _READY_S) -> int:
        """Wait for the process to end and return its exit code."""
        try:
            await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=True), timeout_s)
        except TimeoutError:
            await self.kill()
            raise SimError(f"the door's process did not end within {timeout_s} s") from None
        if self.mode == "virtual" and self.world.exists():
            self._unix = int(json.loads(self.world.read_text())["unix"])
        return self.exit_code

    async def kill(self) -> None:
        """End the process at once, however it is; nothing is saved."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Quit, saving the world."""
        if self.running:
            try:
                await self._leave("quit")
            except (SimError, OSError):
                await self.kill()

    # Control lines

    def _notice(self, text: str) -> None:
        word = text.split()[0:1]
        if word == ["ready"]:
            self._ready.set()
        elif word == ["nap"]:
            self._napping = asyncio.create_task(self._let_nap())

    async def _let_nap(self) -> None:
        """Broker and upstream run in this loop: let them finish what they have heard, before an hour passes."""
        await asyncio.sleep(_CATCH_UP_S)
        with suppress(PowerLost, SimError):
            await self.ask("nap")

    async def ask(self, verb: str, *arguments: object, timeout_s: float = _ANSWER_S):
        """Send one control line and wait for its answer.

        What people do at the leaf goes to the mechanics' process if there is one.

        Raises:
            PowerLost: the power was cut meanwhile.
            SimError: the door refused, or its process ended otherwise.
        """
        if self._mechanics and verb in MECHANICS_VERBS:
            return await self._mechanics.ask(verb, *arguments)
        if not self.running:
            raise SimError(f"the door does not run; {verb!r} cannot be done")
        return await self._control.ask(verb, *arguments, timeout_s=timeout_s)

    async def _leave(self, verb: str, *arguments: object) -> int:
        # The process may end before it answers, and with any code: that is what was asked for.
        with suppress(PowerLost, SimError):
            await self.ask(verb, *arguments, timeout_s=_READY_S)
        return await self.ended()

    async def state(self) -> dict:
        """What an onlooker sees: docs/simulator.md."""
        answer = await self.ask("state")
        if self._mechanics:
            answer |= await self._mechanics.ask("state")
        return answer

    async def run(
        self, seconds: float, *, pace: float | None = None, stretch: float | None = None, nap: float | None = None
    ) -> None:
        """Let time pass: virtual, or simply wait when the clock is real."""
        if self.mode == "real":
            await asyncio.sleep(seconds)
        else:
            options = [
                f"{name}={value}" for name, value in (("pace", pace), ("stretch", stretch), ("nap", nap)) if value
            ]
            self.running_s = seconds
            try:
                await self.ask("run", seconds, *options)
            finally:
                self.running_s = 0
            self._unix += seconds  # exactly, in the long run: what one `run` takes too much the next one lacks

    async def card(self, card: str | Path, seconds: float | str = 0.6, *, further: bool = False) -> None:
        """Put a card to the reader: a UID in hex, or the file of a card; `-` for until it is taken away.

        A `further` card joins those that are there.
        """
        name = str(card.resolve()) if isinstance(card, Path) else card
        await self.ask("card+" if further else "card", name, seconds)

    async def fault(self, name: str, value: str | int | None = None) -> None:
        """Bring about a fault of the reader, or mend it: docs/simulator.md."""
        await self.ask("fault", name, *(() if value is None else (value,)))

    async def cut(self) -> int:
        """Power is lost now; returns the exit code."""
        return await self._leave("cut")

    async def reset(self, kind: str) -> int:
        """The chip resets: `soft`, `watchdog` or `panic`; returns the exit code."""
        return await self._leave("reset", kind)
