"""A parcel at a whole door: settings and card keys over the network, by two persons; what is wrong changes nothing."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from menwei.cli import app
from menwei.stage import DOOR, Stage
from storage import record

OLD_KEY, NEW_KEY = ["ntag424", 1, 1, "11" * 16], ["ntag424", 2, 1, "22" * 16]


@pytest.fixture
async def stage(tmp_path):
    """A door in real time, connected."""
    made = Stage(tmp_path / "run", mode="real", seed=6, card_keys=[OLD_KEY])
    await made.start()

    async def revive():
        while True:
            await made.revive()  # what the door's own reset is on a chip
            await asyncio.sleep(0.2)

    reviver = asyncio.create_task(revive())
    yield made
    reviver.cancel()
    await made.stop()


def told(stage):
    """What the records of the door say of parcels: reasons."""
    return [event.reason for event in stage.store.events(DOOR) if event.kind == record.CHANGED]


async def parcel(stage, *words):
    """The command line's exit code and output; the door works meanwhile."""
    words = [
        "parcel", DOOR, "--broker", stage.broker_url, "--keys", stage.key_path, "--db", stage.database,
        "--operator", 7, "--approver", 8, *words,
    ]  # fmt: skip
    result = await asyncio.to_thread(CliRunner().invoke, app, [str(word) for word in words])
    return result.exit_code, result.output


async def test_settings_and_card_keys_reach_a_door(stage, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"open_s": 9, "policy": {"holidays": ["2026-10-01"]}}))
    (tmp_path / "keys.json").write_text(json.dumps([NEW_KEY, OLD_KEY]))
    code, output = await parcel(stage, "--settings", tmp_path / "settings.json", "--card-keys", tmp_path / "keys.json")
    assert code == 0 and "all of it is in force" in output, output + "\n".join(stage.door.lines)
    assert told(stage) == [record.PARCEL_TAKEN]
    assert "22" * 16 not in output + "\n".join(stage.door.lines)
    # What cannot be is refused, as a whole, and the door goes on with what it has.
    (tmp_path / "settings.json").write_text(json.dumps({"open_s": 0}))
    code, output = await parcel(stage, "--settings", tmp_path / "settings.json")
    assert code == 1 and "nothing of it was taken" in output, output
    assert told(stage) == [record.PARCEL_TAKEN, record.PARCEL_REFUSED]
    assert any("open_s: must lie between" in line for line in stage.door.lines)
    people = [event for event in stage.store.events(DOOR) if event.kind == record.COMMAND]
    assert people and not (tmp_path / "run" / "provision.parcel").exists()
