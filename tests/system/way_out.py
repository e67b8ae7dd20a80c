"""How long exit and fire take to release the lock, with the firmware in whatever state: what test and bench share.

    figures = await measure(folder)         # {(fail_safe, state, way): microseconds, or None: not within GIVEN_UP_S}

The mechanics run in a process of their own, in real time, and measure by their own clock: from the contact to the bolt
withdrawn. The firmware is the real one in its own process; a task beside its own brings it into each state when told.
`intercom` is the alternative: a button that is sensed only, so that the firmware has to release.
"""

import asyncio
import os
import signal
from pathlib import Path

from menwei.mechanics import Mechanics
from menwei.simdoor import SimDoor

STATES = ("in service", "endless loop", "stopped", "erase", "handshake", "boot")
WAYS = ("exit", "fire")
BY_SOFTWARE = "intercom"
GIVEN_UP_S = 2.5  # longer than any state that ends by itself
LIMIT_US = 50_000

_PROVISION = {
    "door_key": "11" * 32,
    "journal_key": "22" * 16,
    "journal_epoch": "01020304",
    "wifi_secret": "secret",
    "settings": {"site": "way-out", "door": "one", "open_s": 1},
}
_LOOK_S = 0.01
_START_S = 30
_IN_S = 0.05  # so far into a state
_KEY_S = 0.3
_TURNS = 8

# Found before the door's own modules: takes its place again, with one task more.
_MAIN = """
import sys

sys.path.pop(0)
del sys.modules["firmware.main"], sys.modules["firmware"]
import asyncio
import os
import time

import esp32


async def trouble():
    while True:
        await asyncio.sleep_ms(20)
        try:
            with open(ORDER) as file:
                what = file.read()
            os.remove(ORDER)
        except OSError:
            continue
        do(what)


def do(what):
    print("trouble", what)
    if what == "loop":
        while True:
            pass
    if what == "erase":
        region = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="cards")[0]
        began_ms = time.ticks_ms()
        region.ioctl(6, region.ioctl(4, 0) - 1)
        while time.ticks_diff(time.ticks_ms(), began_ms) < 400:  # the longest that a chip may take, the CPU stalls
            pass
    if what == "handshake":
        time.sleep_ms(1500)


__import__("firmware.boot")
__import__("firmware.main")
asyncio.create_task(trouble())
"""
_LASTING = ("endless loop", "stopped")
_TROUBLES = {"endless loop": "loop", "erase": "erase", "handshake": "handshake"}


class Rig:
    """One door with one kind of lock."""

    def __init__(self, folder: Path, fail_safe: bool) -> None:
        self._folder = folder
        self._mechanics = Mechanics(folder / "mechanics", fail_safe)
        self._door = None
        self._burnt = False
        code = folder / "code" / "firmware"
        code.mkdir(parents=True)
        self._order = folder / "order"
        (code / "main.py").write_text(f"ORDER = {str(self._order)!r}\n{_MAIN}")

    async def __aenter__(self):
        await self._mechanics.start()
        self._door = SimDoor(self._folder, mode="real", seed=1, mechanics=self._mechanics, code=self._folder / "code")
        self._door.provision(_PROVISION)
        await self._door.start()
        await self._says("in service")  # provisioned, and its flash is formatted
        return self

    async def __aexit__(self, *error):
        await self._door.kill()
        await self._mechanics.stop()

    async def _says(self, words, count=1):
        for _ in range(int(_START_S / _LOOK_S)):
            if sum(words in line for line in self._door.lines) >= count:
                return
            await asyncio.sleep(_LOOK_S)
        raise TimeoutError(f"the door does not say {words!r}:\n{self._door.tail()}")

    async def _bolt(self, wanted, within_s):
        for _ in range(int(within_s / _LOOK_S)):
            state = await self._mechanics.ask("state")
            if state["bolt"] == wanted:
                return state
            await asyncio.sleep(_LOOK_S)
        return None

    async def press(self, way):
        """Press a button until the lock is released; microseconds, or None."""
        if not await self._bolt("thrown", 5):
            raise AssertionError("the lock is released before anybody asked")
        await self._mechanics.ask(way, 1)
        state = await self._bolt("withdrawn", GIVEN_UP_S)
        await self._mechanics.ask(way, 0)
        self._burnt |= way == "fire"
        return state and state["release_us"]

    async def _reset_fire(self):
        """A fire release outlives the restart; somebody turns the key at the door."""
        self._door.lines.clear()
        await self._door.start()
        await self._says("in service")
        for _ in range(_TURNS):  # one before the firmware looks at the contacts does not count
            for level in (1, 0):
                await self._mechanics.ask("key", level)
                await asyncio.sleep(_KEY_S)
            if await self._bolt("thrown", GIVEN_UP_S):
                self._burnt = False
                return
        raise AssertionError(f"the key does not end the fire release:\n{self._door.tail()}")

    async def enter(self, state):
        """Start the door and bring it into a state."""
        await self._door.kill()
        if self._burnt:
            await self._reset_fire()
            await self._door.kill()
        if not await self._bolt("thrown", 5):
            raise AssertionError("without a chip and without anybody the lock is released")
        self._door.lines.clear()
        await self._door.start()
        if state == "boot":
            return
        await self._says("in service")
        if state == "stopped":
            os.kill(self._door.process_id, signal.SIGSTOP)
        elif state in _TROUBLES:
            partial = self._order.with_suffix(".new")
            partial.write_text(_TROUBLES[state])
            partial.rename(self._order)
            await self._says("trouble")
        await asyncio.sleep(_IN_S)

    async def leave(self, state):
        """Let a stopped process go on, so that it can be killed."""
        if state == "stopped":
            os.kill(self._door.process_id, signal.SIGCONT)


async def measure(folder, states=STATES, kinds=(False, True)):
    """Press each button in each state, with both kinds of lock."""
    figures = {}
    for fail_safe in kinds:
        place = folder / ("fail-safe" if fail_safe else "fail-secure")
        place.mkdir()
        async with Rig(place, fail_safe) as rig:
            for state in states:
                for way in (*WAYS, BY_SOFTWARE):
                    if way == WAYS[0] or state not in _LASTING:
                        await rig.enter(state)
                    figures[fail_safe, state, way] = await rig.press(way)
                await rig.leave(state)
    return figures
