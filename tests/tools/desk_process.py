"""A board in desk mode as a process, its serial port on a pseudo terminal."""

import os
import pty
import subprocess
import threading
import tty
from pathlib import Path

import pytest
from interpreter import MICROPYTHON, micropython_environment

from menwei.build import ROOT
from menwei.unixport import HEAP

WORLD = Path(__file__).with_name("desk_world.py")


class Board:
    """Cards are given as kind:uid; what they hold lasts as long as the process."""

    def __init__(self, *cards):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.process = subprocess.Popen(
            [MICROPYTHON, "-X", f"heapsize={HEAP}", WORLD, *cards],
            env=micropython_environment(),
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        self.slave = slave

    def stop(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Wire:
    """The cable: a second pseudo terminal, joined to the board's. `url` is what menwei opens."""

    def __init__(self, *cards):
        self.board = Board(*cards)
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.url = os.ttyname(self.slave)
        self.passed = bytearray()  # all that went over the wire
        for source, target in ((self.master, self.board.master), (self.board.master, self.master)):
            threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source, target):
        try:
            while data := os.read(source, 1024):
                self.passed += data
                os.write(target, data)
        except OSError:
            pass  # the other end is gone

    def stop(self):
        self.board.stop()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def board():
    """Start a board with these cards on it."""
    started = []

    def start(*cards):
        started.append(Wire(*cards))
        return started[-1]

    yield start
    for wire in started:
        wire.stop()
