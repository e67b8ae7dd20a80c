"""The mechanics as a process of their own, as a host sees them."""

import asyncio

import pytest

from menwei.control import SimError
from menwei.mechanics import Mechanics


@pytest.fixture
async def mechanics(tmp_path):
    mechanics = Mechanics(tmp_path)
    await mechanics.start()
    yield mechanics
    await mechanics.stop()


async def until(mechanics, name, value):
    async with asyncio.timeout(5):
        while (await mechanics.ask("state"))[name] != value:
            await asyncio.sleep(0.01)


async def test_the_way_out_works_without_any_firmware(mechanics):
    assert (await mechanics.ask("pull"))["opened"] is False
    await mechanics.ask("exit", 1)
    await until(mechanics, "bolt", "withdrawn")
    assert (await mechanics.ask("pull"))["opened"] is True
    assert (await mechanics.ask("state"))["leaf"] == "open"


async def test_a_verb_that_is_none(mechanics):
    with pytest.raises(SimError, match="dance"):
        await mechanics.ask("dance")


async def test_stop_ends_the_process_and_may_come_twice(tmp_path):
    mechanics = Mechanics(tmp_path)
    await mechanics.start()
    await mechanics.stop()
    await mechanics.stop()
    with pytest.raises(SimError, match="does not run"):
        await mechanics.ask("state")
