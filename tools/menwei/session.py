"""What upstream remembers of a door's present connection, and of the commands it sent there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field


class NoSession(OSError):
    """The door is not there to be commanded."""


def number(value: object) -> int:
    """A number as a door has them; ValueError, OverflowError or TypeError for all else that JSON can say."""
    found = int(value)
    if not 0 <= found < 1 << 30:
        raise ValueError(f"{value!r:.40} is no number below 2^30")
    return found


def octets(value: object, length: int) -> bytes:
    """So many bytes in hex; ValueError or TypeError for all else."""
    data = bytes.fromhex(value)
    if len(data) != length:
        raise ValueError(f"{value!r:.40} has not {length} bytes")
    return data


@dataclass
class Command:
    """One command that was sent; `results` are the door's answers to it, the last one of a replay."""

    door: str
    operation: int
    nonce: bytes
    number: int
    raw: bytes
    results: list[int] = field(default_factory=list)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def result(self) -> int | None:
        """The first answer, or None."""
        return self.results[0] if self.results else None

    def answer(self, result: int) -> None:
        """Take an answer of the door."""
        self.results.append(result)
        self._answered.set()

    async def wait(self, timeout_s: float) -> int | None:
        """The first answer, or None if none came in time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), timeout_s)
        return self.result


@dataclass
class Session:
    """What upstream knows of one connection of one door."""

    nonce: bytes
    up: int  # the door's monotonic clock ...
    at: float  # ... at this time of ours
    began: float  # at the latest, by our clock
    clock: str
    revision: int
    office_epoch: bytes
    last_number: int = 0
    time_tries: int = 0
    time_done: bool = False
    time_doubted: bool = False  # it refused our time until that is confirmed
    time_sent_at: float = 0.0
    # Of its list, as its last state told it.
    page: tuple[bytes, int, int] | None = None  # full reconciliation under way: office epoch, revision, position
    digests: list[bytes] = field(default_factory=list)
    sectors: int = 0  # logical ones of its cards region
    held_cards: tuple[int, int] = (0, 0)  # live, cancelled
    alarms: list[int] = field(default_factory=list)
    journal: tuple[str, int] = ("", 0)  # epoch and newest record
    differs_at: float | None = None  # since when its digests are others than ours
    step: tuple | None = None  # the delta or page that was sent last
    step_at: float = 0.0
    step_tries: int = 0
    again: asyncio.Task | None = None
    commands: dict[int, Command] = field(default_factory=dict)
