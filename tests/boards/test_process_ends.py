"""How a simulated door's process ends and starts again."""

import json

import pytest
from process_door import START_UNIX, door, quit_door  # noqa: F401


def test_cut_keeps_the_world_and_not_the_clock(door):
    door.start(f"unix={START_UNIX}", do="clock")
    door.ask("run", 10)
    door.ask("hold", 1)
    door.ask("force")
    door.ask("card", "04A1B2C3", 100)
    assert door.ask("cut") is None
    code, _ = door.ends()
    assert code == 86
    door.start(f"unix={START_UNIX + 60}")
    state = door.state()
    assert (state["unix"], state["leaf"], state["card"]) == (START_UNIX + 60, "open", "04A1B2C3")
    door.ask("run", 1)
    serial = quit_door(door)[1]
    assert " up 1 946684800" in serial  # PWRON_RESET, and the year 2000


@pytest.mark.parametrize(("kind", "cause"), [("soft", 5), ("watchdog", 3), ("panic", 2)])
def test_resets_keep_the_rtc(door, kind, cause):
    door.start(do="clock")
    door.ask("run", 10)
    assert door.ask("reset", kind) is None
    assert door.ends()[0] == 87
    door.start(do="memory")
    door.ask("run", 1)
    serial = quit_door(door)[1]
    up = next(line.split() for line in serial.splitlines() if " up " in line)
    assert int(up[2]) == cause
    assert int(up[3]) in (1772434809, 1772434810)  # 2026-03-02 07:00 and the time until the reset
    assert "memory b'kept'" in serial


def test_a_soft_reset_leaves_the_relay_alone(door):
    door.start()
    door.ask("run", 1)
    door.ask("intercom", 0)
    door.ask("exit", 1)
    door.ask("run", 0.5)
    door.ask("exit", 0)
    moves = door.state()["bolt_moves"]
    door.ask("reset", "soft")
    door.ends()
    door.start()
    assert (door.state()["relay"], door.state()["bolt"]) == (1, "withdrawn")
    door.ask("run", 1)
    state = door.state()
    assert (state["relay"], state["bolt"], state["bolt_moves"]) == (0, "thrown", moves + 1)


def test_the_firmware_resets_itself(door):
    door.start(do="reset")
    door.send("run", 10)
    assert door.ends()[0] == 87
    assert json.loads((door.folder / "world.json").read_text())["kind"] == "hard"


def test_the_watchdog_bites_a_chip_that_blocks_and_world_time_is_exact(door):
    door.start(do="crash with dog")
    door.send("run", 60)
    code, serial = door.ends()
    assert code == 87
    assert "ValueError: by order" in serial
    world = json.loads((door.folder / "world.json").read_text())
    assert world["kind"] == "watchdog"
    assert 5_000_000 < world["t_us"] < 6_000_000


def test_a_crash_without_watchdog_ends_the_process(door):
    door.start(do="crash")
    door.send("run", 60)
    code, serial = door.ends()
    assert code == 1
    assert "ValueError: by order" in serial


def test_a_loop_that_never_sleeps_ends_its_run(door):
    door.start(do="busy")
    door.ask("run", 1)
    door.ask("run", 1)
    assert door.state()["t_us"] < 2_300_000


def test_a_blocking_sleep_stops_at_the_limit(door):
    door.start(do="block")
    door.ask("run", 20)
    door.ask("exit", 1)  # served while the firmware sleeps
    assert door.state()["t_us"] == 20_000_000


@pytest.mark.parametrize("how", ["prefix", "random", "none", "all"])
def test_power_is_cut_in_a_flash_operation(door, how):
    door.start(do="flash")
    door.ask("run", 1.2)
    door.ask("cutat", 3, how)
    door.send("run", 60)
    code, serial = door.ends()
    assert code == 86
    assert "error" not in serial
    world = json.loads((door.folder / "world.json").read_text())
    assert world["kind"] == "power_on"
    assert 3_000_000 < world["t_us"] < 5_500_000


def test_a_host_that_goes_away_ends_the_process(door):
    door.start()
    door.ask("run", 1)
    door.lines.close()
    door.connection.close()
    door.serial()
    assert door.process.returncode == 0
    assert json.loads((door.folder / "world.json").read_text())["t_us"] >= 1_000_000


def test_wrong_options(door):
    for word in ("colour=red", "seed", "door=127.0.0.1:1"):
        assert word.split("=")[0] in door.start(word, ready=False)
        assert door.process.returncode == 2


def test_a_damaged_world_is_not_taken(door):
    (door.folder / "world.json").write_text('{"unix": 5')
    serial = door.start(ready=False)
    assert door.process.returncode == 1
    assert "remove it" in serial
