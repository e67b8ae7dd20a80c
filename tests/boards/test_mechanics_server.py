"""The mechanics as a process of their own: whatever the chip does, the way out works and the leaf closes."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from menwei.build import OUT, ROOT

MICROPYTHON = Path(sys.executable).with_name("micropython")
WAIT_S = 5
RELAY, LEAF, BOLT, EXIT, TAMPER = 25, 36, 27, 35, 39


class Peer:
    """A TCP connection that speaks lines."""

    def __init__(self, port, hello):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.file = self.socket.makefile("r", newline="\n")
        self.number = 0
        if hello:
            self.send(f"hello {hello}")

    def send(self, text):
        self.socket.sendall(f"{text}\n".encode())

    def line(self):
        return self.file.readline().rstrip("\n")

    def ask(self, text):
        """Give a host's order; return the JSON of the answer, None if there was an error."""
        self.number += 1
        self.send(f"{self.number} {text}")
        number, verdict, *rest = self.line().split(" ", 2)
        assert number == str(self.number)
        if verdict == "ok":
            return json.loads(rest[0]) if rest else {}
        assert verdict == "error"
        return None

    def state(self):
        return self.ask("state")

    def close(self):
        self.file.close()
        self.socket.close()


class Chip(Peer):
    """The side of the chip: follows its inputs."""

    def __init__(self, port):
        super().__init__(port, "door")
        self.pins = {}
        while (line := self.line()) != "ready":
            self.follow(line)

    def follow(self, line):
        word, pin, level = line.split()
        assert word in ("in", "load")
        self.pins[int(pin)] = level if word == "in" else f"{level} ohm"

    def out(self, pin, level):
        self.send(f"out {pin} {level}")

    def until(self, pin, level):
        deadline = time.monotonic() + WAIT_S
        while self.pins[pin] != level:
            assert time.monotonic() < deadline, self.pins
            self.follow(self.line())


def until(condition):
    """Wait in real time; return how long it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < WAIT_S
        time.sleep(0.002)
    return time.monotonic() - start


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*words):
    environment = {**os.environ, "MICROPYPATH": f"{OUT}:{OUT / 'boards' / 'sim'}:.frozen"}
    return subprocess.Popen(
        [MICROPYTHON, "-m", "boards.sim.mechanics_server", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture(params=["fail_safe=0", "fail_safe=1"])
def mechanics(request):
    """A running process with either kind of lock; its port."""
    port = free_port()
    process = start(f"listen={port}", request.param)
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield port
        assert process.poll() is None, process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def host(mechanics):
    peer = Peer(mechanics, "host")
    yield peer
    peer.close()


def released(host):
    return host.state()["bolt"] == "withdrawn"


@pytest.mark.parametrize("way", ["exit", "fire", "key"])
def test_the_way_out_without_a_chip(host, way):
    assert host.state()["chip"] == 0
    assert host.ask("pull") == {"opened": False}
    start = time.monotonic()
    host.ask(f"{way} 1")
    until(lambda: released(host))
    assert time.monotonic() - start < 0.05 + 0.05  # 50 ms, and as much for a busy computer
    assert host.ask("pull") == {"opened": True}
    host.ask(f"{way} 0")
    until(lambda: not released(host))


def test_the_way_out_while_the_firmware_hangs(mechanics, host):
    chip = Chip(mechanics)  # connected, and never says anything again
    chip.out(RELAY, 0)
    host.ask("exit 1")
    until(lambda: released(host))
    host.ask("exit 0")
    until(lambda: not released(host))
    chip.close()


def test_the_chip_sees_and_moves_the_door(mechanics, host):
    chip = Chip(mechanics)
    assert {chip.pins[pin] for pin in (LEAF, BOLT, TAMPER)} == {"0"}
    assert chip.pins[EXIT] == "-"
    chip.out(RELAY, 1)
    chip.until(BOLT, "-")
    host.ask("closer 50")
    host.ask("hold 1")
    assert host.ask("pull") == {"opened": True}
    chip.until(LEAF, "-")
    chip.out(RELAY, 0)
    chip.until(BOLT, "0")
    host.ask("tamper 1")
    chip.until(TAMPER, "-")
    host.ask("hold 0")
    until(lambda: host.state()["secured"])
    chip.close()


def test_wires_and_the_resistors_at_their_end(mechanics, host):
    chip = Chip(mechanics)
    host.ask("eol exit 1")
    chip.until(EXIT, "2000 ohm")
    host.ask("exit 1")
    chip.until(EXIT, "1000 ohm")
    host.ask("wire exit short")
    chip.until(EXIT, "0 ohm")
    chip.close()
    chip = Chip(mechanics)
    assert chip.pins[EXIT] == "0 ohm"
    host.ask("wire exit cut")
    chip.until(EXIT, "- ohm")
    host.ask("eol exit 0")
    chip.until(EXIT, "-")
    host.ask("wire tamper cut")
    chip.until(TAMPER, "-")
    assert host.ask("wire roof cut") is None
    chip.close()


def test_lights(mechanics, host):
    chip = Chip(mechanics)
    chip.out(13, 1)
    chip.out(99, 1)  # no wire there
    until(lambda: host.state()["green"] == 1)
    chip.out(13, "-")
    until(lambda: host.state()["green"] == 0)
    chip.close()


@pytest.mark.parametrize("how", ["close", "off", "replaced"])
def test_pins_float_when_the_chip_is_gone(mechanics, host, how):
    chip = Chip(mechanics)
    chip.out(RELAY, 1)
    until(lambda: released(host))
    if how == "close":
        chip.close()
        until(lambda: host.state()["chip"] == 0)
    elif how == "off":
        chip.send("off")
    else:
        Chip(mechanics)
    until(lambda: not released(host))
    assert host.state()["relay"] == 0
    host.ask("fire 1")
    until(lambda: released(host))


def test_a_host_may_go_and_another_come(mechanics, host):
    other = Peer(mechanics, "host")
    other.ask("tamper 1")
    other.close()
    assert host.state()["contacts"]["tamper"] == 1


def test_errors_are_answered(host):
    assert host.ask("dance") is None
    assert host.ask("exit") is None
    assert host.ask("exit maybe") is None
    host.send("7")
    assert host.line().startswith("7 error")
    assert host.state()["secured"] is True


def test_strangers_are_sent_away(mechanics, host):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    attempts = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"hello nobody\n",
        b"hello door\nout\n",
        b"hello door\nout 25 2\n",
        b"\xff\n",
    ]
    attempts.append(b"hello host\n" + b"x" * 5000)
    attempts += [chance.randbytes(chance.randrange(1, 900)) + b"\n" + bytes(1000) for _ in range(30)]
    for attempt in attempts:
        stranger = Peer(mechanics, None)
        stranger.socket.settimeout(WAIT_S)
        try:
            stranger.socket.sendall(attempt)
            assert stranger.socket.recv(1) in (b"", b"i")  # closed, or a chip's first line before it
        except ConnectionResetError:
            pass
        stranger.close()
    assert host.state()["secured"] is True


def test_quit_and_wrong_options():
    port = free_port()
    process = start(f"listen={port}")
    assert process.stdout.readline() == "ready\n"
    second = start(f"listen={port}")
    assert second.communicate(timeout=WAIT_S)[1].startswith("cannot listen")
    assert second.returncode == 1
    peer = Peer(port, "host")
    assert peer.ask("quit") == {}
    assert process.wait(WAIT_S) == 0
    process.communicate()
    for words in ([], ["listen=abc"], ["listen=1", "colour=red"]):
        process = start(*words)
        assert process.communicate(timeout=WAIT_S)[1]
        assert process.returncode == 2
