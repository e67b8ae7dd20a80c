"""Control lines of a simulated process: `ID VERB [ARGUMENTS]` there, `ID ok [JSON]` or `ID error TEXT` back.

control = Control("the door", on_notice=print)
await control.serve(reader, writer)         # in a task, until the connection ends
state = await control.ask("state")
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

LINE_LIMIT = 1 << 20
_ANSWER_S = 120


class SimError(Exception):
    """A simulated process refused a control line, or ended in a way that it should not."""


class Control:
    """One connection; questions may overlap."""

    def __init__(self, name: str, on_notice: Callable[[str], None] | None = None) -> None:
        self.name = name
        self._on_notice = on_notice
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future] = {}
        self._next_id = 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read lines until the connection ends; those that begin with `*` are notices."""
        self._writer = writer
        with suppress(OSError):
            while raw := await reader.readline():
                self._line(raw.decode(errors="replace").strip())

    def _line(self, line: str) -> None:
        if line.startswith("*"):
            if self._on_notice:
                self._on_notice(line[1:].strip())
            return
        number, _, rest = line.partition(" ")
        future = self._answers.pop(int(number), None) if number.isdigit() else None
        if future is None or future.done():
            return
        verdict, _, rest = rest.partition(" ")
        if verdict == "ok":
            future.set_result(json.loads(rest) if rest else None)
        else:
            future.set_exception(SimError(rest))

    async def ask(self, verb: str, *arguments: object, timeout_s: float = _ANSWER_S):
        """Send one line and wait for its answer.

        Raises:
            SimError: it was refused, or not answered in time.
            whatever `fail` was told meanwhile.
        """
        if self._writer is None:
            raise SimError(f"{self.name} does not run; {verb!r} cannot be done")
        number = self._next_id
        self._next_id += 1
        future = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        line = " ".join((str(number), verb, *(str(argument) for argument in arguments)))
        self._writer.write(line.encode() + b"\n")
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise SimError(f"{self.name} did not answer {verb!r} within {timeout_s} s") from None
        finally:
            self._answers.pop(number, None)

    def fail(self, error: Exception) -> None:
        """The process has ended: nobody will answer any more."""
        answers, self._answers = self._answers, {}
        for future in answers.values():
            if not future.done():
                future.set_exception(error)
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._writer:
            self._writer.close()
            self._writer = None
