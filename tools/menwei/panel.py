"""Work a simulated door from the terminal, and see what it does.

    await interact(stage, player, console)

On a terminal: a live panel and one key for each thing that people do. Without one (a pipe, a log): the serial lines
are printed, and each line of standard input is a step of the scenario language.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from contextlib import contextmanager, suppress

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from menwei.play import Player
from menwei.scenario import ScenarioError, parse_step
from menwei.session import NoSession
from menwei.simdoor import EXIT_POWER_CUT, EXIT_QUIT, EXIT_RESET, PowerLost, SimError
from menwei.stage import DOOR, Stage

_REFRESH_S = 0.2
_LINES = 12
_DARK_S = 3
_TOGGLES = {"f": ("fire", "fire"), "a": ("tamper", "tamper")}
_HELP = "  ".join(
    f"[b]{key}[/] {what}"
    for key, what in {
        "1-9": "tap a card", "p": "pull", "h": "hold", "o": "force", "e": "exit", "f": "fire", "k": "key",
        "a": "tamper", "n": "net", "c": "cut power", "u": "unlock", "r": "replay", "q": "quit",
    }.items()
)  # fmt: skip


class Hands:
    """Turns keys into steps and remembers what is held down."""

    def __init__(self, stage: Stage, player: Player) -> None:
        self.stage = stage
        self.player = player
        self.cards = list(player.scenario.cards)
        self.held: set[str] = set()
        self.message = ""

    def step(self, key: str) -> str | None:
        """The step that a key stands for."""
        if key.isdigit():
            index = int(key) - 1
            return f"tap {self.cards[index]}" if 0 <= index < len(self.cards) else None
        if key in _TOGGLES:
            return f"{_TOGGLES[key][1]} {'off' if self._toggle(key) else 'on'}"
        if key == "h":
            return "let go" if self._toggle(key) else "hold open"
        if key == "n":
            return "net off" if self.stage.net else "net on"
        return {
            "p": "pull", "o": "force", "e": "exit", "k": "key", "c": f"cut {_DARK_S}s", "u": "unlock remote",
            "r": "replay last unlock",
        }.get(key)  # fmt: skip

    def _toggle(self, key: str) -> bool:
        was = key in self.held
        self.held ^= {key}
        return was

    async def do(self, text: str) -> None:
        """Carry out one step; what goes wrong is shown, not raised."""
        self.message = text
        try:
            await self.player.do(parse_step(self.player.scenario, text))
        except (ScenarioError, ValueError, NoSession, SimError, PowerLost) as error:
            self.message = str(error).splitlines()[0] if str(error) else "the power is off"


def render(stage: Stage, hands: Hands, state: dict) -> Group:
    """The whole screen."""
    session = stage.upstream.sessions.get(DOOR)
    online, said = stage.store.door(DOOR) or (False, {})
    lamp = {True: "[bold {0}]●[/] {0}", False: "[dim]○ {0}[/]"}
    table = Table.grid(padding=(0, 3))
    for _ in range(4):
        table.add_column()
    lights = "  ".join(
        lamp[bool(state.get(name))].format(colour) for name, colour in (("green", "green"), ("red", "red"))
    )
    lock = "[bold green]released[/]" if state.get("bolt") == "withdrawn" else "[bold]locked[/]"
    stored = stage.stored()
    newest = stored[-1].seq if stored else "-"
    table.add_row("leaf", f"[b]{state.get('leaf', '?')}[/]", "lock", lock)
    table.add_row("lights", lights, "sounder", "[yellow]on[/]" if state.get("sounder") else "[dim]off[/]")
    table.add_row("clock", str(said.get("clock", "?")), "list", f"revision {session.revision if session else '-'}")
    link = "[green]connected[/]" if session and online else "[red]away[/]"
    table.add_row("link", link + ("" if stage.net else " (network cut)"), "alarms", str(said.get("alarms", [])))
    table.add_row(
        "journal",
        f"head {said.get('head', '-')}, acknowledged {said.get('acked', '-')}",
        "upstream",
        f"stored {newest}",
    )
    findings = stage.store.findings(DOOR)
    worst = Text("")
    if findings:
        _, kind, text = findings[-1]
        worst = Text(f"upstream found ({len(findings)}): {kind}: {text}", style="bold red")
    cards = "  ".join(f"[b]{number}[/] {name}" for number, name in enumerate(hands.cards[:9], 1))
    serial = Text("\n".join(stage.door.lines[-_LINES:]), no_wrap=True, overflow="ellipsis")
    power = "" if stage.door.running else " [red]no power[/]"
    return Group(
        Panel(table, title=f"door {DOOR}{power}", title_align="left"),
        Panel(serial, title="serial", title_align="left", height=_LINES + 2),
        worst,
        f"cards: {cards}",
        _HELP,
        Text(hands.message, style="yellow"),
    )


async def interact(stage: Stage, player: Player, console: Console) -> None:
    """Until the person quits."""
    hands = Hands(stage, player)
    if console.is_terminal and sys.stdin.isatty():
        await _with_keys(stage, hands, console)
    else:
        await _with_lines(stage, hands, console)


async def _with_keys(stage: Stage, hands: Hands, console: Console) -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    working: asyncio.Task | None = None
    with _keyboard(queue), Live(console=console, refresh_per_second=1 / _REFRESH_S) as live:
        while True:
            live.update(render(stage, hands, await _look(stage)))
            key = ""
            with suppress(TimeoutError):
                key = await asyncio.wait_for(queue.get(), _REFRESH_S)
            if key in ("q", "\x03", "\x04"):
                break
            text = hands.step(key) if key and (working is None or working.done()) else None
            if text:
                working = asyncio.create_task(hands.do(text))
            if stage.door.exit_code not in (None, EXIT_QUIT, EXIT_POWER_CUT) and (working is None or working.done()):
                working = asyncio.create_task(_again(stage, hands))
    if working:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _again(stage: Stage, hands: Hands) -> None:
    if not await stage.revive():
        hands.message = f"the door ended with code {stage.door.exit_code}; q quits"


async def _look(stage: Stage) -> dict:
    try:
        return await stage.door.state() if stage.door.running else {}
    except (SimError, PowerLost):
        return {}


@contextmanager
def _keyboard(queue: asyncio.Queue[str]):
    """Single keys without echo; the terminal is put back whatever happens."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()
    try:
        tty.setcbreak(number)
        loop.add_reader(number, lambda: [queue.put_nowait(key) for key in os.read(number, 64).decode(errors="ignore")])
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


async def _line(reader: asyncio.StreamReader, stage: Stage, hands: Hands) -> bytes:
    """The next line; meanwhile a door that was told to restart comes back."""
    while True:
        with suppress(TimeoutError):
            return await asyncio.wait_for(reader.readline(), _REFRESH_S)
        if stage.door.exit_code == EXIT_RESET:
            await _again(stage, hands)


async def _with_lines(stage: Stage, hands: Hands, console: Console) -> None:
    console.print(
        "each line of standard input is a step, for example: tap " + (hands.cards[0] if hands.cards else "anna")
    )
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while raw := await _line(reader, stage, hands):
            text = raw.decode(errors="replace").strip()
            if text in ("quit", "q"):
                break
            if text:
                await hands.do(text)
                if hands.message != text:
                    console.print(hands.message, style="yellow", highlight=False, markup=False, soft_wrap=True)
                state = await _look(stage)
                console.print(f"  leaf {state.get('leaf')}, bolt {state.get('bolt')}", highlight=False)
    finally:
        transport.close()
