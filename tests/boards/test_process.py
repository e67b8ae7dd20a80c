"""The process of a simulated door, worked through its control channel, with a small firmware of the test's own."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from menwei.build import OUT, ROOT

MICROPYTHON = Path(sys.executable).with_name("micropython")
START_UNIX = 1_772_434_800
RELAY, SOUNDER, EXIT = 25, 26, 35

# What the chip does is chosen by the file that the installer left: `do` in provision.json.
FIRMWARE = """
import asyncio, board, json, machine, network, sys, time
from machine import Pin

def say(*words):
    print(time.ticks_ms(), *words)

async def count(facts):
    while True:
        await asyncio.sleep(1)
        facts["seconds"] += 1
        if "dog" in facts:
            facts["dog"].feed()
        if facts["seconds"] % 10 == 0:
            say("seconds", facts["seconds"])

async def button(relay):
    flag = asyncio.ThreadSafeFlag()
    Pin(board.PIN_EXIT, Pin.IN).irq(lambda _pin: flag.set(), Pin.IRQ_FALLING)
    while True:
        await flag.wait()
        say("exit")
        relay(1)
        await asyncio.sleep(3)
        relay(0)

async def talk(port):
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    wlan.connect("site", "secret")
    while not wlan.isconnected():
        await asyncio.sleep_ms(100)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(5):
        began = time.ticks_ms()
        writer.write(b"%d\\n" % number)
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), 3600)
        say("answer", line.decode().strip(), time.ticks_diff(time.ticks_ms(), began))
    while True:
        line = await reader.readline()
        say("heard", line.decode().strip())

async def main(task):
    relay = Pin(board.PIN_RELAY, Pin.OUT, value=0)
    facts = {"seconds": 0}
    say("up", machine.reset_cause(), time.time())
    kind = task.get("do")
    if kind == "dog":
        facts["dog"] = machine.WDT(timeout=5000)
    if kind == "clock":
        machine.RTC().datetime((2026, 3, 2, 0, 7, 0, 0, 0))
        machine.RTC().memory(b"kept")
    asyncio.create_task(count(facts))
    asyncio.create_task(button(relay))
    if kind == "crash":
        raise ValueError("by order")
    if kind == "crash with dog":
        machine.WDT(timeout=5000)
        raise ValueError("by order")
    if kind == "reset":
        await asyncio.sleep(2)
        machine.reset()
    if kind == "busy":
        while True:
            await asyncio.sleep_ms(0)
    if kind == "sounder":
        machine.PWM(Pin(26), freq=2700, duty_u16=32768)
    if kind == "block":
        time.sleep(100)
    if kind == "memory":
        say("memory", machine.RTC().memory())
    if kind == "flash":
        import esp32
        region = esp32.Partition.find(1, label="journal")[0]
        async def program():
            region.writeblocks(0, b"\\x00" * 16, 0)
        while True:
            await asyncio.sleep(1)
            try:
                await asyncio.wait_for(program(), 5)
            except Exception as error:
                say("error", error)
    if kind == "talk":
        await talk(task["port"])
    while True:
        await asyncio.sleep(3600)

def run():
    try:
        with open(board.ROOT + "/provision.json") as file:
            task = json.load(file)
    except OSError:
        task = {}
    asyncio.run(main(task))
"""


class Door:
    """Starts the process and speaks with it."""

    def __init__(self, folder):
        self.folder = folder
        package = folder / "code" / "firmware"
        package.mkdir(parents=True)
        (package / "main.py").write_text(FIRMWARE)
        self.process = None
        self.connection = None

    def start(self, *words, do=None, mode="virtual", ready=True, **more):
        if do or more:
            (self.folder / "flash.img.provision").write_text(json.dumps({"do": do, **more}))
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(20)
        path = [self.folder / "code", OUT, OUT / "boards" / "sim", ROOT / "build" / "lib", ".frozen"]
        command = [MICROPYTHON, "-X", "heapsize=160wK", "-m", "boards.sim.start", "flash=flash.img", "world=world.json"]
        command += [f"mode={mode}", f"control=127.0.0.1:{listener.getsockname()[1]}", *words]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "MICROPYPATH": ":".join(map(str, path))},
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "serial.log").open("w"),  # no pipe, which would block a door that talks much
            stderr=subprocess.STDOUT,
        )
        if not ready:
            listener.close()
            return self.serial()
        self.connection, _ = listener.accept()
        listener.close()
        self.connection.settimeout(60)
        self.lines = self.connection.makefile("r")
        assert self.lines.readline() == "* ready\n"
        self.number = 0
        return None

    def send(self, *words):
        self.number += 1
        self.connection.sendall((" ".join((str(self.number), *map(str, words))) + "\n").encode())
        return self.number

    def answer(self, number):
        verdict = self.lines.readline().split(" ", 2)
        assert verdict[0] == str(number), verdict
        if verdict[1].strip() != "ok":
            raise ValueError(verdict[2].strip())
        return json.loads(verdict[2]) if len(verdict) > 2 else None

    def ask(self, *words):
        return self.answer(self.send(*words))

    def state(self):
        return self.ask("state")

    def ends(self):
        """Exit code, and what was said on both channels until then."""
        said = self.lines.read().splitlines()
        self.connection.close()
        serial = self.serial()
        assert said[-1:] == [f"* exit {self.process.returncode}"], (said, serial)
        return self.process.returncode, serial

    def serial(self):
        self.process.wait(timeout=60)
        return (self.folder / "serial.log").read_text()


@pytest.fixture
def door(tmp_path):
    door = Door(tmp_path)
    yield door
    if door.process and door.process.poll() is None:
        door.process.kill()
        door.process.wait()


def quit_door(door):
    door.send("quit")
    return door.ends()


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


class Peer(threading.Thread):
    """Answers each line after a while of real time."""

    def __init__(self, delay_s):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.delay_s = delay_s
        self.connection = None
        self.start()

    def run(self):
        self.connection, _ = self.listener.accept()
        for line in self.connection.makefile("rb"):
            time.sleep(self.delay_s)
            self.connection.sendall(b"re " + line)


def test_virtual_time_waits_for_answers_from_real_sockets(door):
    peer = Peer(0.2)
    door.start(do="talk", port=peer.port)
    door.ask("run", 3600)
    assert door.state()["link"] == 1
    peer.connection.sendall(b"by the way\n")
    time.sleep(0.1)  # traffic is served without time passing
    t_us = door.state()["t_us"]
    assert 0 <= t_us - 3_600_000_000 < 100_000
    serial = quit_door(door)[1]
    answers = [line.split() for line in serial.splitlines() if " answer " in line]
    assert [int(words[3]) for words in answers] == [0, 1, 2, 3, 4]
    assert all(int(words[4]) < 100 for words in answers), answers
    assert " heard by the way" in serial


def test_without_network_nothing_arrives_and_afterwards_all(door):
    peer = Peer(0)
    door.start(do="talk", port=peer.port)
    door.ask("run", 60)
    door.ask("net", 0)
    door.ask("run", 1)
    assert (door.state()["net"], door.state()["link"]) == (0, 0)
    peer.connection.sendall(b"held back\n")
    door.ask("run", 3600)
    door.ask("net", 1)
    t_s = door.state()["t_us"] // 1_000_000
    door.ask("run", 10)
    assert door.state()["link"] == 1
    serial = quit_door(door)[1]
    heard = next(line.split() for line in serial.splitlines() if "held back" in line)
    ticks_ms = int(heard[0]) + 60000 & 0x3FFFFFFF
    assert ticks_ms // 1000 >= t_s


def test_real_time_follows_the_computer(door):
    door.start(f"unix={int(time.time())}", mode="real")
    with pytest.raises(ValueError, match="real time"):
        door.ask("run", 1)
    first = door.state()["t_us"]
    time.sleep(1)
    assert 0.9 < (door.state()["t_us"] - first) / 1e6 < 1.6
    door.ask("exit", 1)
    time.sleep(0.3)
    assert door.state()["relay"] == 1
    code, serial = quit_door(door)
    assert code == 0
    assert " exit" in serial


def test_hang_in_real_time_stops_the_firmware_but_not_the_world(door):
    door.start(mode="real")
    time.sleep(0.8)
    door.ask("hang")
    door.ask("exit", 1)
    time.sleep(0.3)
    state = door.state()
    assert (state["relay"], state["bolt"]) == (0, "withdrawn")  # the button lies in the lock circuit
    door.send("cut")
    code, serial = door.ends()
    assert code == 86
    assert " exit" not in serial


def test_the_watchdog_ends_a_hang(door):
    door.start(do="dog", mode="real")
    time.sleep(1)
    door.ask("hang")
    code, _ = door.ends()
    assert code == 87
    assert json.loads((door.folder / "world.json").read_text())["kind"] == "watchdog"


class Mechanics(threading.Thread):
    """The other side of the wires, after docs/simulator.md."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard = []
        self.start()

    def run(self):
        self.connection, _ = self.listener.accept()
        lines = self.connection.makefile("r")
        for line in lines:
            self.heard.append(line.strip())
            if line == "hello door\n":
                self.connection.sendall(f"in 34 0\nin {EXIT} -\nready\n".encode())
        self.heard.append("gone")


def test_wires_to_a_mechanics_process(door):
    mechanics = Mechanics()
    door.start(f"door=127.0.0.1:{mechanics.port}", mode="real")
    time.sleep(1)
    assert mechanics.heard[0] == "hello door"
    assert f"out {RELAY} 0" in mechanics.heard
    assert f"out {SOUNDER} 0" in mechanics.heard
    mechanics.connection.sendall(f"in {EXIT} 0\n".encode())
    time.sleep(0.5)
    assert mechanics.heard[-1] == f"out {RELAY} 1"
    with pytest.raises(ValueError, match="process of their own"):
        door.ask("pull")
    assert "leaf" not in door.state()
    door.send("cut")
    assert door.ends()[0] == 86
    time.sleep(0.2)
    assert mechanics.heard[-1] == "gone"


def test_a_mechanics_process_that_is_not_there(door):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serial = door.start(f"door=127.0.0.1:{port}", mode="real", ready=False)
    assert door.process.returncode == 1
    assert "OSError" in serial


def test_our_own_mechanics_process(door):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = [OUT, OUT / "boards" / "sim", ROOT / "build" / "lib", ".frozen"]
    mechanics = subprocess.Popen(
        [MICROPYTHON, "-m", "boards.sim.mechanics_server", f"listen={port}"],
        cwd=door.folder,
        env={**os.environ, "MICROPYPATH": ":".join(map(str, path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert mechanics.stdout.readline() == "ready\n"
        door.start(f"door=127.0.0.1:{port}", mode="real")
        host = socket.create_connection(("127.0.0.1", port), 10)
        lines = host.makefile("r")

        def ask(line):
            host.sendall(f"1 {line}\n".encode())
            verdict = lines.readline().split(" ", 2)
            assert verdict[:1] == ["1"]
            assert verdict[1].strip() == "ok"
            return json.loads(verdict[2]) if len(verdict) > 2 else None

        host.sendall(b"hello host\n")
        time.sleep(1)
        ask("exit 1")
        time.sleep(0.3)
        ask("exit 0")
        time.sleep(0.3)
        state = ask("state")
        assert (state["bolt"], state["relay"], door.state()["relay"]) == ("withdrawn", 1, 1)
        door.ask("hang")
        time.sleep(3.5)
        assert ask("state")["bolt"] == "withdrawn"  # a firmware that hangs does not lock
        door.send("cut")
        assert door.ends()[0] == 86
        time.sleep(0.3)
        state = ask("state")
        assert (state["bolt"], state["relay"]) == ("thrown", 0)
        ask("quit")
        assert mechanics.wait(10) == 0
    finally:
        mechanics.kill()
        mechanics.wait()
