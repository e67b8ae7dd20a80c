"""The MQTT client as a process on the unix port, worked by lines on its standard input; see test_mqtt_brokers.py.

micropython mqtt_client.py PORT [KEEPALIVE_S [TIMEOUT_S]]

pub TEXT      publish t/up
quit          print the longest stall of the loop and end
"""

import asyncio
import sys

from ticker import Ticker

from sync.mqtt import Mqtt
from sync.network import Backoff, Dialer

_TOPICS = (b"down", b"other")


def say(*words):
    print(*words)


async def on_message(number, payload, retained):
    say("got", number, len(payload), bytes(payload[:40]).decode(), retained)


async def connect(client, was):
    backoff = Backoff(200, 400, lambda bits: 128)
    while True:
        try:
            await client.run()
        except (OSError, ValueError) as error:
            was[0] = False
            say("lost", error)
        await asyncio.sleep_ms(backoff.next_ms())


async def main(port, keepalive_s=60, timeout_s=20):
    ticker = Ticker()

    def changed():
        if client.ready and not was[0]:
            say("ready")
        was[0] = client.ready
        if len(client._pending) < was[1]:
            say("acknowledged")
        was[1] = len(client._pending)

    was = [False, 0]  # ready, publishes under way
    client = Mqtt(
        Dialer("127.0.0.1", port),
        b"site.door",
        b"t/",
        _TOPICS,
        on_message,
        changed,
        b"gone",
        keepalive_s,
        timeout_s=timeout_s,
    )
    tasks = [asyncio.create_task(ticker.run()), asyncio.create_task(connect(client, was))]
    lines = asyncio.StreamReader(sys.stdin)
    while True:
        words = (await lines.readline()).decode().split()
        if not words or words[0] == "quit":
            break
        while not client.room(b"up", 600):
            await asyncio.sleep_ms(20)
        text = words[1].encode()
        client.room(b"up", 600)[: len(text)] = text
        client.send(len(text))
        was[1] = len(client._pending)
    for task in tasks:
        task.cancel()
    say("stall", ticker.longest_ms, "oversize", client.oversize, "strays", client.strays)


asyncio.run(main(*[int(word) for word in sys.argv[1:]]))
