"""A whole day at a door: the firmware's own process, its flash, a real broker, upstream and its database."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from menwei import run
from menwei.cli import SCENARIOS
from menwei.scenario import parse

SCENARIO = SCENARIOS / "a_day_at_a_door.scn"
EXPECTED = SCENARIO.with_suffix(".expected")
SEED = 20260302
WAIT_S = 10
MENWEI = Path(sys.executable).with_name("menwei")


@pytest.fixture
async def mosquitto(tmp_path):
    """A real mosquitto on a free port; its URL."""
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed, and CI must not go without it")
        pytest.skip("mosquitto is not installed")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with (tmp_path / "mosquitto.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "-c", config, stdout=log, stderr=log)
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                assert process.returncode is None, (tmp_path / "mosquitto.log").read_text()
                await asyncio.sleep(0.05)
    yield f"mqtt://127.0.0.1:{port}"
    process.terminate()
    await process.wait()


async def play(folder, broker, expectation=EXPECTED):
    console = Console(record=True, width=140, file=(folder / "console.txt").open("w"))
    agree = await run.play(parse(SCENARIO), expectation, folder / "run", SEED, broker, None, console)
    return agree, console.export_text()


async def test_a_day_with_the_embedded_broker(tmp_path):
    agree, text = await play(tmp_path, None)
    assert agree, text


async def test_a_day_with_mosquitto(tmp_path, mosquitto):
    agree, text = await play(tmp_path, mosquitto)
    assert agree, text


def test_the_command_ends_with_1_when_the_expectation_is_another(tmp_path):
    lines = EXPECTED.read_text().splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("granted"))
    other = tmp_path / "other.expected"
    other.write_text("\n".join(lines[:at] + lines[at + 1 :]) + "\n")
    words = [MENWEI, "sim", "--script", SCENARIO, "--expect", other, "--seed", str(SEED), "--keep", tmp_path / "run"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "140"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "disagree" in done.stdout


def test_the_command_names_the_line_of_a_wrong_scenario(tmp_path):
    scenario = tmp_path / "wrong.scn"
    scenario.write_text("# Wrong\ncard anna 04A1B2C3\ntap bo\n")
    scenario.with_suffix(".expected").write_text("")
    done = subprocess.run([MENWEI, "sim", "--script", scenario], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "wrong.scn:3: " in done.stdout
