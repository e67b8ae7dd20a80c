"""A door that starts with something wrong still starts, says so, and lets people out."""

import json

import pytest

from menwei.simdoor import SimDoor

PROVISION = {
    "door_key": "11" * 32,
    "journal_key": "22" * 16,
    "journal_epoch": "01020304",
    "wifi_secret": "secret",
    "settings": {"site": "starts", "door": "one", "host": "127.0.0.1", "port": 1, "wifi_ssid": "starts"},
}
WEEK = [f"mon-fri {hour:02d}:00-{hour:02d}:30" for hour in range(12)]


@pytest.fixture
async def door(tmp_path):
    """A board as it comes from the shelf."""
    simulated = SimDoor(tmp_path, start_unix=1_793_664_000, seed=3)
    yield simulated
    await simulated.stop()


def said(door, words):
    """Lines of the serial log with these words."""
    return [line for line in door.lines if words in line]


async def lets_out(door):
    """The exit button opens, and the press is recorded."""
    await door.ask("exit", 1)
    await door.run(0.2)
    await door.ask("exit", 0)
    await door.run(0.5)
    assert (await door.state())["bolt"] == "withdrawn"
    assert not said(door, "Traceback")


async def test_a_board_that_was_never_provisioned(door):
    """It formats its journal, says that it has no keys, refuses every card and lets people out."""
    await door.start()
    await door.run(40)
    assert said(door, "in service")
    assert said(door, "keys   lost")
    await door.card("04a1b2c3")
    await door.run(2)
    assert said(door, "refused reason=unknown")
    await lets_out(door)


@pytest.mark.parametrize(
    "change",
    [
        {"door_key": "11" * 31},
        {"journal_key": "zz"},
        {"settings": {"open_s": 0}},
        {"settings": {"no_such": 1}},
        {"settings": {"policy": {"groups": {str(group): {"week": WEEK} for group in range(20)}}}},  # too much of it
        {"settings": None},
        {"settings": []},
        {"journal_epoch": None},
        {"wifi_secret": None},
        {"card_keys": {}},
        {"card_keys": [["ntag424", 1, 1]]},
        {"card_keys": [["ntag424", 1, 1, "00" * 16], ["ntag424", 1, 2, "11" * 16]]},
    ],
)
async def test_a_provisioning_file_that_is_wrong(door, change):
    """It is refused as a whole with the reason in the log, and stays for the installer."""
    door.provision({**PROVISION, **change})
    await door.start()
    await door.run(40)
    assert said(door, "provision.json is refused")
    assert said(door, "keys   lost")
    await lets_out(door)


async def test_a_wrong_file_on_a_door_in_service_changes_nothing(door):
    """Keys, settings, journal and list stay as they are."""
    door.provision(PROVISION)
    await door.start()
    await door.run(40)
    await door.stop()
    door.provision({**PROVISION, "settings": {"site": "UPPER"}})
    await door.start()
    await door.run(3)
    assert said(door, "provision.json is refused")
    assert not said(door, "keys   lost")
    assert "boot=2" in said(door, "in service")[-1]
    await lets_out(door)


async def test_a_text_that_is_no_json(door):
    """The same for what is not even JSON."""
    door.folder.joinpath("flash.img.provision").write_text(json.dumps(PROVISION)[:50])
    await door.start()
    await door.run(40)
    assert said(door, "provision.json is refused")
    await lets_out(door)
