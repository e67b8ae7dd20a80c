"""The two ways to run a simulated door: a scenario with a verdict at its end, or by hand in real time.

agree = await play(parse(path), path.with_suffix(".expected"), folder, seed, None, None, Console())
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from menwei import closedrate, ratereport
from menwei.check import Report, compare, people_by_pseudonym, read_expectation
from menwei.mechanics import Mechanics
from menwei.panel import interact
from menwei.play import Player
from menwei.scenario import Scenario, Step
from menwei.stage import DOOR, Stage


def people_of(scenario: Scenario, stage: Stage) -> dict[str, str]:
    """Names of a scenario's people by the pseudonym that this door gives their cards."""
    return people_by_pseudonym({card.name: card.uid for card in scenario.cards.values()}, stage.pseudonym)


async def play(
    scenario: Scenario,
    expectation: Path,
    folder: Path,
    seed: int,
    broker: str | None,
    database: Path | None,
    console: Console,
    pki: Path | None = None,
    door_port: int | None = None,
) -> bool:
    """Play a scenario; True if database, journal and expectation agree."""
    began = time.monotonic()
    expected = read_expectation(expectation)

    def serial(line: str) -> None:
        console.print(f"    {line}", style="dim", markup=False, highlight=False, soft_wrap=True)

    def step(what: Step) -> None:
        console.print(what.text, style="bold", markup=False, highlight=False)

    stage = Stage(
        folder,
        seed=seed,
        start_unix=int(scenario.start.timestamp()),
        broker_url=broker,
        pki=pki,
        door_port=door_port,
        database=database,
        nap_s=scenario.nap_s,
        on_serial=serial,
    )
    try:
        await stage.start()
        player = Player(scenario, stage, step)
        player.prepare()
        await player.play()
        virtual_s = stage.now() - scenario.start.timestamp()
        await stage.door.stop()
        report = verdict(stage, scenario, expected)
        rate = closedrate.closed_rate(closedrate.of_store(stage.store, DOOR))
        wanted = expectation.with_suffix(".rate")
        if wanted.exists():
            report.problems += ratereport.compare(ratereport.read_expectation(wanted), rate)
    finally:
        await stage.stop()
    report.print(console, scenario.title)
    if scenario.nap_s:  # of a day there is not much to tell
        ratereport.show(rate, console)
        ratereport.show(rate, console, maintenance=True)
    console.print(f"{virtual_s / 3600:.1f} h of the door's life in {time.monotonic() - began:.1f} s", highlight=False)
    return report.agree


def verdict(stage: Stage, scenario: Scenario, expected: list) -> Report:
    """Compare the three, and let nothing pass that upstream found wrong."""
    report = compare(expected, stage.stored(), stage.journal(), people_of(scenario, stage))
    report.problems += [f"upstream found: {kind}: {text}" for _, kind, text in stage.store.findings(DOOR)]
    return report


async def by_hand(
    scenario: Scenario,
    folder: Path,
    seed: int,
    broker: str | None,
    database: Path | None,
    console: Console,
    pki: Path | None = None,
    door_port: int | None = None,
) -> bool:
    """Real time, with the mechanics in a process of their own; of the scenario only the cards are used."""
    on_serial = (
        None if console.is_terminal else lambda line: console.print(f"    {line}", markup=False, highlight=False)
    )
    mechanics = Mechanics(folder)
    await mechanics.start()
    stage = Stage(
        folder,
        mode="real",
        seed=seed,
        broker_url=broker,
        pki=pki,
        door_port=door_port,
        database=database,
        mechanics=mechanics,
        on_serial=on_serial,
    )
    try:
        await stage.start()
        player = Player(scenario, stage)
        player.prepare()
        await interact(stage, player, console)
    finally:
        await stage.stop()
        await mechanics.stop()
    return True
