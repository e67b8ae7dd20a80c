"""The policy at a whole door that does not know the time: its own firmware, from provision.json to the lock."""

import pytest
from system.listing import grant
from test_taps import DOOR_KEY, UID

from menwei.simdoor import SimDoor

STRANGER = "04deadbe"
WEEK = {"week": ["mon-fri 08:00-18:00"], "holidays": "closed"}


@pytest.fixture
async def start(tmp_path):
    """Start a door with this policy, offline, one resident on its list."""
    doors = []

    async def started(policy):
        grant(tmp_path / "flash.img", DOOR_KEY, UID)
        door = SimDoor(tmp_path, start_unix=1_793_664_000, seed=5)
        doors.append(door)
        settings = {"site": "policy", "door": "one", "host": "127.0.0.1", "port": 1, "wifi_ssid": "policy"}
        door.provision(
            {
                "door_key": DOOR_KEY.hex(),
                "journal_key": "22" * 16,
                "journal_epoch": "01020304",
                "wifi_secret": "secret",
                "settings": {**settings, "policy": policy},
            }
        )
        await door.start()
        await door.ask("net", 0)
        await door.run(30)
        return door

    yield started
    for door in doors:
        await door.stop()


def answers(door):
    """What the log says of cards, the last words of each line."""
    return [line.split("access ")[1].strip() for line in door.lines if "access " in line]


async def test_each_group_names_its_answer_for_a_clock_at_its_floor(start):
    door = await start({"groups": {"0": {**WEEK, "at_floor": False}}})
    await door.card(UID, 0.2)
    await door.run(1)
    assert answers(door) == ["refused reason=clock-unknown"]
    assert (await door.state())["bolt"] == "thrown"


async def test_a_schedule_that_cannot_be_judged_keeps_no_resident_out(start):
    door = await start({"groups": {"0": {**WEEK, "open_s": 20}}, "free": ["00:00-24:00"], "holidays": ["2027-01-01"]})
    assert (await door.state())["bolt"] == "thrown"  # free passage needs the time
    await door.card(UID, 0.2)
    await door.run(15)
    assert answers(door) == ["granted reason=ok"]
    assert (await door.state())["bolt"] == "withdrawn"
    await door.run(10)
    assert (await door.state())["bolt"] == "thrown"


async def test_a_stranger_is_answered_rarely_and_a_resident_meanwhile_at_once(start):
    door = await start({})
    for _ in range(3):
        await door.card(STRANGER, 0.2)
        await door.run(0.4)
    assert answers(door) == ["refused reason=unknown"]
    await door.card(UID, 0.2)
    await door.run(0.3)
    assert answers(door) == ["refused reason=unknown", "granted reason=ok"]
    assert (await door.state())["bolt"] == "withdrawn"


async def test_a_policy_that_cannot_be_is_refused_with_its_place(start):
    door = await start({"groups": {"3": {"week": ["mon-fri 8-18"]}}})
    assert any("policy.groups.3.week: mon-fri 8-18 is no interval" in line for line in door.lines)
