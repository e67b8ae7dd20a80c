"""A whole month at a door in virtual time: what it records, its closed rate with the causes, and what a month costs."""

import resource

from rich.console import Console

from menwei import run
from menwei.cli import SCENARIOS
from menwei.scenario import parse

SCENARIO = SCENARIOS / "a_month_at_a_door.scn"
SEED = 20300501
CPU_S = 60  # of the door's process and its world; wall time is the machine's business
DAYS = 30


async def test_a_month(tmp_path):
    """Events in the order of the expectation, sums of the closed rate within what was reckoned by hand."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    console = Console(record=True, width=160, file=(tmp_path / "console.txt").open("w"))
    agree = await run.play(
        parse(SCENARIO), SCENARIO.with_suffix(".expected"), tmp_path / "run", SEED, None, None, console
    )
    text = console.export_text()
    assert agree, text
    assert "95% is reached" in text
    # One record an hour, and none twice: journal and upstream hold the same bytes, which the verdict has checked.
    assert text.count("info  rate   hour") <= DAYS * 24 + 2  # starts
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < CPU_S
