"""The MQTT client before canned streams."""

import asyncio
import time

from streams import CONNACK, Dialer, suback

from sync.mqtt import Mqtt

TOPICS = (b"a", b"bb")
GRANTED = suback((1, 1))


class Rig:
    """A client before canned streams; one tick is 4 ms."""

    def __init__(self, *streams, sizes=(300, 64, 300, 300), keepalive_s=1000, timeout_s=5):
        self.dialer = Dialer(*streams)
        self.messages = []
        self.changes = 0
        self.client = Mqtt(
            self.dialer,
            b"s.d",
            b"t/",
            TOPICS,
            self.on_message,
            self.on_change,
            b"gone",
            keepalive_s,
            4,
            sizes,
            timeout_s,
        )
        self.error = None

    def on_change(self):
        self.changes += 1

    async def on_message(self, number, payload, retained):
        self.messages.append((number, bytes(payload), retained))

    async def connection(self):
        try:
            await self.client.run()
        except (OSError, ValueError) as error:
            self.error = error

    def publish(self, payload, keep=True, size=0):
        """The packet id of a new publish; None if there is no room."""
        room = self.client.room(b"up", max(size, len(payload)))
        if room is None:
            return None
        room[: len(payload)] = payload
        self.client.send(len(payload), keep=keep)
        return self.client._pending[-1][0]


async def settle():
    for _ in range(12):
        await asyncio.sleep_ms(0)


async def until(condition, limit_ms=2000):
    start_ms = time.ticks_ms()
    while not condition():
        if time.ticks_diff(time.ticks_ms(), start_ms) > limit_ms:
            raise AssertionError("it did not come about")
        await asyncio.sleep_ms(1)


def run(work):
    asyncio.new_event_loop()
    asyncio.run(asyncio.wait_for(work, 20))


async def connected(rig, stream):
    task = asyncio.create_task(rig.connection())
    stream.say(CONNACK + GRANTED)
    await until(lambda: rig.client.ready)
    await settle()
    return task


async def ended(rig, task):
    await until(lambda: rig.error is not None)
    await task
