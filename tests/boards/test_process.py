"""A simulated door as a process: time and people, through its control channel."""

import time

import pytest
from process_door import START_UNIX, door, quit_door  # noqa: F401


def test_time_passes_only_inside_run(door):
    door.start(f"unix={START_UNIX}")
    first = door.state()
    time.sleep(0.3)
    assert door.state()["t_us"] == first["t_us"]
    assert first["unix"] == START_UNIX
    door.ask("run", 3600)
    after = door.state()
    assert 0 <= after["t_us"] - 3_600_000_000 < 100_000
    assert after["unix"] == START_UNIX + 3600
    code, serial = quit_door(door)
    assert code == 0
    assert "sim: start power_on seed 0" in serial
    assert serial.count("seconds") == 359  # the first seconds belong to ROM and start
    assert int(next(line for line in serial.splitlines() if " up 1 " in line).split()[0]) > (1 << 30) - 60000


def test_a_quiet_day_is_quick(door):
    door.start()
    door.ask("run", 5)
    began = time.monotonic()
    door.ask("run", 86400)
    assert time.monotonic() - began < 15


def test_stretch_lets_long_quiet_times_pass(door):
    door.start(do="dog")
    door.ask("run", 86400, "stretch=60")
    code, serial = quit_door(door)
    assert code == 0
    assert 1400 < int(serial.strip().splitlines()[-1].split()[-1]) < 1600


def test_stretch_ends_when_somebody_comes(door):
    door.start()
    door.ask("run", 600, "stretch=60")
    door.ask("exit", 1)
    door.ask("run", 0.1, "stretch=60")
    assert door.state()["relay"] == 1
    door.ask("exit", 0)
    door.ask("run", 4, "stretch=60")
    assert door.state()["relay"] == 0
    serial = quit_door(door)[1]
    assert "exit" in serial


def test_a_nap_lets_long_quiet_times_pass_with_the_watchdog_fed(door):
    """A day in a few dozen wakings; a firmware that feeds each second has a moment of punctuality for it."""
    door.start(do="dog")
    door.ask("run", 86400, "stretch=6", "nap=3540")
    after = door.state()
    assert 0 <= after["t_us"] - 86_400_000_000 < 100_000
    code, serial = quit_door(door)
    assert code == 0
    assert 24 <= int(serial.strip().splitlines()[-1].split()[-1]) < 100


def test_there_is_no_nap_while_the_door_is_open_or_somebody_comes(door):
    door.start()
    door.ask("run", 600, "stretch=6", "nap=300")
    door.ask("exit", 1)
    door.ask("run", 0.1, "stretch=6", "nap=300")
    assert door.state()["relay"] == 1
    door.ask("exit", 0)
    door.ask("run", 4, "stretch=6", "nap=300")
    assert door.state()["relay"] == 0
    door.ask("hold", 1)
    door.ask("force")
    door.ask("run", 3600, "stretch=6", "nap=3540")
    serial = quit_door(door)[1]
    # With a nap of 59 min there would be a handful of seconds in all; with 6 s there are some 500.
    assert int([line for line in serial.splitlines() if " seconds " in line][-1].split()[-1]) > 400


def test_pace(door):
    door.start()
    began = time.monotonic()
    door.ask("run", 20, "pace=20")
    assert 0.9 < time.monotonic() - began < 3


def test_people_work_the_door(door):
    door.start(do="sounder")
    door.ask("run", 1)
    state = door.state()
    assert (state["leaf"], state["bolt"], state["relay"], state["sounder"]) == ("closed", "thrown", 0, 1)
    assert door.ask("pull") == {"opened": False}
    door.ask("exit", 1)
    door.ask("run", 0.2)
    state = door.state()
    assert (state["bolt"], state["relay"]) == ("withdrawn", 1)
    assert door.ask("pull") == {"opened": True}
    assert door.state()["leaf"] == "open"
    door.ask("exit", 0)
    door.ask("run", 10)
    state = door.state()
    assert (state["leaf"], state["bolt"], state["relay"]) == ("closed", "thrown", 0)


def test_a_card_stays_as_long_as_it_is_told(door):
    door.start()
    door.ask("run", 1)
    door.ask("card", "04A1B2C3", 2)
    assert door.state()["card"] == "04A1B2C3"
    door.ask("run", 1.9)
    assert door.state()["card"] == "04A1B2C3"
    door.ask("run", 0.2)
    assert door.state()["card"] is None
    door.ask("card", "04112233445566", "-")
    door.ask("run", 100)
    assert door.state()["card"] == "04112233445566"
    door.ask("nocard")
    assert door.state()["card"] is None


def test_wrong_lines_are_answered_and_change_nothing(door):
    door.start()
    for words in (
        ["dance"],
        ["run"],
        ["run", "soon"],
        ["run", -1],
        ["run", 1, "pace=0"],
        ["run", 1, "speed=2"],
        ["card"],
        ["card", "xy"],
        ["card", "0411"],
        ["net", "maybe"],
        ["exit"],
        ["cutat"],
        ["cutat", 1, "slowly"],
        ["reset", "gently"],
        ["hang"],
    ):
        with pytest.raises(ValueError, match=r"\w"):
            door.ask(*words)
    door.connection.sendall(b"\n   \n77\n")
    assert door.lines.readline().startswith("77 error ")
    door.connection.sendall(b"78 \xff\xfe\n")
    assert door.lines.readline().startswith("? error ")
    assert door.state()["t_us"] == 0


def test_a_second_run_is_refused_while_one_is_under_way(door):
    door.start()
    first = door.send("run", 4, "pace=2")
    with pytest.raises(ValueError, match="under way"):
        door.ask("run", 1)
    assert door.answer(first) is None
