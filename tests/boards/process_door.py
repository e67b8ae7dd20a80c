"""A simulated door's process with a small firmware of its own, for the tests beside it."""

import json
import os
import socket
import subprocess
import sys
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
        command = [MICROPYTHON, "-X", "heapsize=220wK", "-m", "boards.sim.start", "flash=flash.img", "world=world.json"]
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
        naps = set()
        while True:
            line = self.lines.readline()
            if line == "* nap\n":
                naps.add(self.send("nap"))
            elif int(line.split()[0]) not in naps:
                break
        verdict = line.split(" ", 2)
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
