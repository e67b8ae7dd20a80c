"""A simulated door beside real sockets, real time and a mechanics process."""

import json
import os
import socket
import subprocess
import threading
import time

import pytest
from process_door import EXIT, MICROPYTHON, RELAY, SOUNDER, door, quit_door  # noqa: F401

from menwei.build import OUT, ROOT


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
                self.connection.sendall(f"in 36 0\nin {EXIT} -\nready\n".encode())
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
