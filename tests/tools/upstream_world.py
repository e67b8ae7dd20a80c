"""An upstream with its broker, and one door made of messages.

world = World(folder, broker.port)
await world.start()
await world.join()
"""

import asyncio

from fake_door import FakeDoor

from menwei.keyfile import KeyFile
from menwei.store import Store
from menwei.upstream import Upstream
from sync import messages

SITE, DOOR = "garden", "front-gate"
DOOR_KEY, JOURNAL_KEY, EPOCH = bytes(range(32)), bytes(range(16)), b"\x01\x02\x03\x04"
NOW = 1_772_434_800
WAIT_S = 5


class World:
    """Broker, upstream and one door, with a clock that stands until a test moves it."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.now = NOW
        self.events = []
        self.early = []
        self.keys = KeyFile(SITE)
        self.keys.add(DOOR, DOOR_KEY, {EPOCH: JOURNAL_KEY})
        self.door = FakeDoor(port, SITE, DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY)
        self.upstream = None

    async def clock(self):
        return self.now

    async def start(self):
        self.store = Store(self.folder / "upstream.db")
        self.upstream = Upstream(
            "127.0.0.1",
            self.port,
            self.keys,
            self.store,
            clock=self.clock,
            on_event=self.events.append,
            on_early=self.early.append,
        )
        await self.upstream.start()

    async def stop(self):
        await self.upstream.stop()
        self.store.close()

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.01)

    async def found(self, kind):
        await self.until(lambda: any(entry[1] == kind for entry in self.store.findings()))

    async def join(self):
        """The door connects, says its state, and gets the time."""
        await self.door.connect()
        await self.door.state()
        command, result = await self.door.next_command()
        assert (command.operation, result) == (messages.OP_SET_TIME, messages.DONE)
        await self.until(lambda: self.upstream.sessions[DOOR].time_done)
