"""The MQTT client before canned streams."""

import asyncio
import time

from streams import CONNACK, Dialer, suback

from sync.mqtt import Mqtt

TOPICS = (b"t/a", b"t/bb")
GRANTED = suback((1, 1))


class Rig:
    """A client before canned streams; one tick is 4 ms."""

    def __init__(self, *streams, sizes=(64, 300, 300), keepalive_s=1000, timeout_s=5):
        self.dialer = Dialer(*streams)
        self.messages = []
        self.changes = 0
        self.client = Mqtt(
            self.dialer,
            b"s.d",
            TOPICS,
            self.on_message,
            b"t/will",
            b"gone",
            keepalive_s,
            sizes,
            timeout_s,
            tick_ms=4,
        )
        self.client.on_change = self.on_change
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

    def publish(self, payload, qos=1, keep=True, size=None):
        slot = self.client.take(size or len(payload) + 11)
        if slot is None:
            return None
        slot.payload(b"t/up", qos)[: len(payload)] = payload
        self.client.send(slot, len(payload), keep=keep)
        return slot


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
