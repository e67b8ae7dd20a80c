"""The real firmware over every kind of restart: the bolt does not move, the way out works, nothing recorded is lost."""

import pytest

from menwei.simdoor import EXIT_POWER_CUT, EXIT_RESET, SimDoor

SETTINGS = {"site": "resets", "door": "one", "host": "127.0.0.1", "port": 1, "wifi_ssid": "resets"}
PROVISION = {
    "door_key": "11" * 32,
    "journal_key": "22" * 16,
    "journal_epoch": "01020304",
    "wifi_secret": "secret",
    "settings": SETTINGS,
}


@pytest.fixture
async def door(tmp_path):
    """A door in service, offline."""
    simulated = SimDoor(tmp_path, start_unix=1_793_664_000, seed=7)
    simulated.provision(PROVISION)
    await simulated.start()
    await simulated.ask("net", 0)
    await simulated.run(30)  # the first start formats its flash
    yield simulated
    await simulated.stop()


async def test_the_bolt_does_not_move_over_any_start(door):
    """Cold boot, power cut, watchdog, panic, soft and hard reset: coil and bolt stay as they are."""
    for kind in (None, "watchdog", "panic", "soft", "hard"):
        code = await (door.reset(kind) if kind else door.cut())
        assert code == (EXIT_RESET if kind else EXIT_POWER_CUT)
        await door.start()
        await door.run(2)
        state = await door.state()
        assert (state["bolt_moves"], state["coil_switches"]) == (0, 0), kind
        assert state["bolt"] == "thrown"
    boots = [line for line in door.lines if "in service" in line]
    assert [f"boot={number}" in line for number, line in enumerate(boots, 1)] == [True] * 6


async def test_power_lost_while_it_is_provisioned(tmp_path):
    """The first start is cut short in the middle of formatting: the next one does it all again."""
    simulated = SimDoor(tmp_path, start_unix=1_793_664_000, seed=7)
    simulated.provision(PROVISION)
    await simulated.start()
    await simulated.run(2)
    await simulated.cut()
    assert not any("in service" in line for line in simulated.lines)
    await simulated.start()
    await simulated.run(30)
    await simulated.stop()
    assert any("in service" in line and "boot=1" in line for line in simulated.lines)


async def test_the_way_out_works_while_the_door_starts(door):
    """Exit pressed in the moment of a reset: hardware releases, and the press is recorded after the start."""
    await door.reset("watchdog")
    await door.start()
    await door.ask("exit", 1)
    await door.run(0.05)
    state = await door.state()
    assert state["coil"]
    assert state["bolt"] == "withdrawn"
    await door.ask("exit", 0)
    await door.run(8)
    state = await door.state()
    assert not state["coil"]
    assert state["bolt"] == "thrown"


async def test_a_stuck_firmware_is_reset_by_the_watchdog(tmp_path):
    """A loop that never returns ends in a watchdog reset, and the next start says so."""
    stuck = SimDoor(tmp_path, mode="real", seed=7)
    stuck.provision(PROVISION)
    await stuck.start()
    await stuck.run(2)
    await stuck.ask("hang")
    assert await stuck.ended(timeout_s=40) == EXIT_RESET
    await stuck.start()
    await stuck.run(1)
    await stuck.stop()
    assert sum("in service" in line for line in stuck.lines) == 2
