"""Wi-Fi and MQTT client on the simulated board in virtual time; see test_sim_network.py.

    micropython sim_client.py PORT

Publishes one message, then the Wi-Fi is away for an hour, and one more when it is back.
"""

import sys

from boards.sim.start import install

install()

import asyncio  # noqa: E402

import network  # noqa: E402

from boards.sim import clock  # noqa: E402
from sync.mqtt import Mqtt  # noqa: E402
from sync.network import Backoff, Dialer, Wifi  # noqa: E402


async def on_message(number, payload, retained):
    print("got", number, bytes(payload).decode(), retained)


async def connect(client, wifi):
    while True:
        while not wifi.up():
            await asyncio.sleep_ms(500)
        try:
            await client.run()
        except (OSError, ValueError) as error:
            print("lost", error)
        await asyncio.sleep_ms(4000)


async def publish(client, text):
    while not client.ready:
        await asyncio.sleep_ms(100)
    client.room(b"up", 100)[: len(text)] = text
    client.send(len(text))
    while client._pending:
        await asyncio.sleep_ms(100)
    print("acknowledged", clock.now_us() // 1000000)


async def main(port):
    def bits(count):
        return 1 << count - 1

    wifi = Wifi(network.WLAN(network.WLAN.IF_STA), "building", "secret", Backoff(4000, 60000, bits), lambda: True)
    client = Mqtt(Dialer("127.0.0.1", port), b"site.door", b"t/", (b"down",), on_message, lambda: None, b"gone")
    tasks = [asyncio.create_task(wifi.run()), asyncio.create_task(connect(client, wifi))]
    await publish(client, b"before")
    network.set_network(False)
    await asyncio.sleep(3600)
    network.set_network(True)
    back_s = clock.now_us() // 1000000
    await publish(client, b"after")
    print("found again after", clock.now_us() // 1000000 - back_s, "failures", wifi.failures)
    await asyncio.sleep(200)
    print("still", client.ready)
    for task in tasks:
        task.cancel()


asyncio.run(main(int(sys.argv[1])))
