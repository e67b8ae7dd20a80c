"""The command `menwei`: a simulated door, a listener, a broker, a flash image."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from menwei import cardcli
from menwei.broker import EmbeddedBroker, split_url
from menwei.scenario import STEPS, ScenarioError, parse
from menwei.simdoor import SimError

SCENARIOS = Path(__file__).with_name("scenarios")
BY_HAND = "by_hand"
_A_DAY = "a_day_at_a_door"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # there are keys among them
    help="menwei: a door, and the people around it.",
)
image = typer.Typer(no_args_is_help=True, help="Flash images of doors, read with esptool or kept by the simulator.")
app.add_typer(image, name="image")
app.add_typer(cardcli.app, name="card")
console = Console()


def scenario_path(name: str) -> Path:
    """A file, or the name of a scenario that comes with the package."""
    path = Path(name)
    if path.exists():
        return path
    own = SCENARIOS / f"{name}.scn"
    if own.exists():
        return own
    known = ", ".join(sorted(file.stem for file in SCENARIOS.glob("*.scn")))
    raise typer.BadParameter(f"{name} is no file; scenarios that come with menwei: {known}")


def _broker(url: str | None) -> str | None:
    if url is not None:
        try:
            split_url(url)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return url


@app.command()
def sim(
    script: Annotated[
        str | None, typer.Option(help="Play this scenario in virtual time and compare the result.")
    ] = None,
    expect: Annotated[Path | None, typer.Option(help="Expectation file; default: beside the scenario.")] = None,
    broker: Annotated[str | None, typer.Option(help="mqtt://HOST:PORT instead of an embedded broker.")] = None,
    db: Annotated[Path | None, typer.Option(help="Upstream's database; default: in the run's folder.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep flash, database, keys and serial log in this folder.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    steps: Annotated[bool, typer.Option("--steps", help="List the steps that a scenario may contain.")] = False,
) -> None:
    """Run a whole door on this computer: play a scenario, or work it by hand."""
    from menwei import run

    if steps:
        for form, meaning in STEPS.items():
            console.print(f"  {form:<24} {meaning}", markup=False, highlight=False)
        return
    seed = random.SystemRandom().randrange(1 << 30) if seed is None else seed
    folder = keep or Path(tempfile.mkdtemp(prefix="menwei-"))
    if keep and (keep / "flash.img").exists():
        raise typer.BadParameter(f"{keep} holds a door already; name another folder, or remove it")
    console.print(f"seed {seed}, folder {folder}", highlight=False)
    path = scenario_path(script or BY_HAND)
    code = 1
    try:
        if script:
            expectation = expect or path.with_suffix(".expected")
            work = run.play(parse(path), expectation, folder, seed, _broker(broker), db, console)
        else:
            work = run.by_hand(parse(path), folder, seed, _broker(broker), db, console)
        code = 0 if asyncio.run(work) else 1
        if script == _A_DAY and code == 0:
            console.print("a whole month: make sim SCENARIO=a_month_at_a_door", highlight=False)
    except (ScenarioError, SimError, OSError, ValueError) as error:
        console.print(f"[bold red]{type(error).__name__}[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        code = 130
    if keep is None and code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    elif code:
        console.print(f"what happened lies in {folder}", highlight=False)
    raise typer.Exit(code)


@app.command()
def listen(
    broker: Annotated[str, typer.Option(help="mqtt://HOST:PORT")],
    keys: Annotated[Path, typer.Option(help="Key file of the doors (mode 0600).")],
    db: Annotated[Path, typer.Option(help="Database to store events in.")] = Path("upstream.db"),
    register: Annotated[
        Path | None, typer.Option(help="Register of the card office: copies then show from door to door.")
    ] = None,
) -> None:
    """Store, verify and acknowledge what doors report, and show it."""
    from menwei.cardwriter import CardError
    from menwei.listen import listen as serve

    try:
        _until_interrupted(lambda stop: serve(_broker(broker), db, keys, console, stop, register))
    except (OSError, ValueError, CardError) as error:
        console.print(str(error), markup=False, style="red")
        raise typer.Exit(1) from error


@app.command("lower-clock")
def lower_clock(
    door: Annotated[str, typer.Argument(help="Name of the door.")],
    broker: Annotated[str, typer.Option(help="mqtt://HOST:PORT")],
    keys: Annotated[Path, typer.Option(help="Key file of the doors (mode 0600).")],
    operator: Annotated[int, typer.Option(help="Who sends it, a number.")],
    approver: Annotated[int, typer.Option(help="Who agreed to it, another number.")],
    db: Annotated[Path, typer.Option(help="Database of menwei listen.")] = Path("upstream.db"),
    reason: Annotated[int, typer.Option(help="Why, a number of the site.")] = 0,
) -> None:
    """Set a door whose clock is ahead back to this computer's time; look at that first (docs/time.md)."""
    from menwei.keyfile import KeyFile
    from menwei.lowerclock import lower_at_door
    from menwei.store import Store

    try:
        store = Store(db)
        try:
            sending = lower_at_door(
                _broker(broker), KeyFile.load(keys), store, door, operator=operator, approver=approver, reason=reason
            )
            result = asyncio.run(sending)
        finally:
            store.close()
    except (OSError, ValueError) as error:
        console.print(str(error), markup=False, style="red")
        raise typer.Exit(1) from error
    console.print(f"{door}: {result}", markup=False, highlight=False)
    raise typer.Exit(0 if result == "done" else 1)


@app.command()
def broker(port: Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one.")] = 1883) -> None:
    """Run the embedded broker, for trying things out."""

    async def serve(stop: asyncio.Event) -> None:
        async with EmbeddedBroker(port=port) as running:
            console.print(running.url, highlight=False)
            await stop.wait()

    _until_interrupted(serve)


@app.command()
def rate(
    file: Annotated[Path, typer.Argument(help="Database of `menwei listen`, or a whole flash image.")],
    door: Annotated[str | None, typer.Option(help="Only this door; of an image: its name in the report.")] = None,
    shift: Annotated[
        list[str] | None, typer.Option(help="Duty period in full hours, 20:00-08:00; may be given several times.")
    ] = None,
    utc_offset: Annotated[str, typer.Option(help="Of the local time, by which days and shifts are told.")] = "+08:00",
    maintenance: Annotated[bool, typer.Option("--maintenance", help="Show what wears instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell how much of the time doors were closed, and what they were open for.

    Ends with 0, or with 1 if the rate is below 95 %, 2 if the file cannot be read.
    """
    from menwei import closedrate, ratereport

    try:
        entries = ratereport.entries_of(file, door)
        offset_min = ratereport.parse_offset(utc_offset)
        report = closedrate.closed_rate(entries, offset_min=offset_min, shifts=shift or ())
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    told = ratereport.as_json(report)
    if as_json:
        typer.echo(json.dumps(told, indent=1))
    else:
        ratereport.show(report, console, maintenance=maintenance)
    raise typer.Exit(1 if told["reached"] is False else 0)


@app.command()
def proof(
    card: Annotated[list[str], typer.Argument(help="UID of a card, hex digits; or DOOR:PSEUDONYM.")],
    keys: Annotated[Path, typer.Option(help="Key file of the doors (mode 0600).")],
    db: Annotated[Path, typer.Option(help="Database of menwei listen.")] = Path("upstream.db"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prove that a cancelled card is dead at every door, and since when (docs/protocol.md).

    Ends with 0 if it is confirmed at every door whose list had it, with 1 if not, 2 if a card or a file is wrong.
    """
    from menwei import proof as proving
    from menwei.keyfile import KeyFile
    from menwei.store import Store

    try:
        if not db.exists():
            raise ValueError(f"{db} is not there: name the database of menwei listen with --db")
        store = Store(db)
        try:
            told = proving.of_cards(store, KeyFile.load(keys), card)
        finally:
            store.close()
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(
            json.dumps({name: [proving.as_json(one) for one in found] for name, found in told.items()}, indent=1)
        )
    else:
        for name, found in told.items():
            typer.echo(name)
            for one in found:
                typer.echo(f"  {proving.as_text(one)}")
    raise typer.Exit(0 if all(proving.is_dead_everywhere(found) for found in told.values()) else 1)


@image.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A whole flash, or the dump of one region with --region.")],
    keys: Annotated[Path | None, typer.Option(help="Key file of the doors (mode 0600): every seal is checked.")] = None,
    door: Annotated[str | None, typer.Option(help="The door's name in the key file.")] = None,
    region: Annotated[str | None, typer.Option(help="The file is only this region: cards or journal.")] = None,
    board: Annotated[str | None, typer.Option(help="Board, where the image has no partition table.")] = None,
    date: Annotated[datetime | None, typer.Option(help="Count cards that end before this (UTC); default: now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read allowlist and journal out of a flash image and check them.

    Ends with 0 if nothing is wrong, 1 with findings, 2 if the file cannot be read.
    """
    from menwei import inspect_image, inspect_report

    try:
        start_key = inspect_image.start_key_of(keys, door) if keys else None
        date = date and date.replace(tzinfo=UTC)
        told = inspect_image.inspect_file(file, inspect_image.Options(start_key, region, board, date))
    except inspect_image.ImageError as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(told, indent=1))
    else:
        inspect_report.show(told, console)
    raise typer.Exit(1 if told["wrong"] else 0)


def _until_interrupted(work) -> None:
    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        await work(stop)

    asyncio.run(guarded())


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
