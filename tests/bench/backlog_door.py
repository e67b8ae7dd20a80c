"""A door with a backlog, before a real broker: its link, its journal on simulated flash. Runs on MicroPython.

    micropython backlog_door.py PORT SITE DOOR EVENTS batches      # as the link does it
    micropython backlog_door.py PORT SITE DOOR EVENTS singles      # the same, with one record in each batch
    micropython backlog_door.py PORT SITE DOOR EVENTS publishes    # one event a publish, and PUBACK is the end of it

Keys are those of KeyFile in bench_link.py. Prints one JSON object: milliseconds from the connection to the last
acknowledgement.
"""

import asyncio
import json
import sys
import time

from boards.sim.norflash import NorFlash, Region
from storage.flash import Flash
from storage.journal import Journal
from storage.mac import derive
from sync.link import Link
from sync.mqtt import Mqtt
from sync.network import Dialer

NOT_A_DOORS = ("purpose_of",)
GRANTED = 2
SECTORS = 128  # of a 4 MB board
DOOR_KEY = bytes(range(32))
LIMIT_S = 300


class Thing:
    pass


def purpose_of(name):
    return derive(DOOR_KEY, name)


def recorded(events):
    """Return a journal of so many granted taps."""
    flash = NorFlash("backlog.img", SECTORS * 4096)
    journal = Journal(Flash(Region(flash, 0, flash.size)))
    journal.format(b"\1\2\3\4", bytes(range(16)))
    journal.mount()
    for number in range(events):
        journal.stamp(200_000_000 + 10 * number, 3, 1)
        journal.append(GRANTED, 0, number.to_bytes(7, "little"), 1)
        while journal.idle():
            pass
    if journal.head < events:
        raise RuntimeError("the journal has no room for that")
    return journal


async def until(condition):
    """Wait for it; milliseconds that took."""
    start = time.ticks_ms()
    while not condition():
        await asyncio.sleep_ms(1)
        if time.ticks_diff(time.ticks_ms(), start) > LIMIT_S * 1000:
            raise RuntimeError("it did not come about")
    return time.ticks_diff(time.ticks_ms(), start)


def new_link(port, site, door, journal):
    keys = Thing()
    keys.purpose = purpose_of
    keys.wifi_secret = ""
    allowlist = Thing()
    allowlist.office_epoch = 1
    allowlist.revision = 0
    host = Thing()
    host.state = lambda: {"door": "secured", "lock": "locked", "alarms": [], "clock": "synchronised", "t": 0, "sw": "0"}
    host.command = lambda order: 0
    host.command_refused = lambda operation, result, operator: None
    host.may_connect = lambda: True
    host.monotonic_s = lambda: time.ticks_ms() // 1000
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "tls": False,
        "renew_port": 0,
        "site": site,
        "door": door,
        "keepalive_s": 60,
        "wifi_ssid": "",
    }
    return Link(settings, keys, journal, allowlist, host)


async def by_link(port, site, door, journal):
    link = new_link(port, site, door, journal)
    task = asyncio.create_task(link.run())
    await until(lambda: link.connected)
    took_ms = await until(lambda: journal.acked == journal.head)
    task.cancel()
    if link.failed or link.refused:
        raise RuntimeError("failed %d refused %d: %r" % (link.failed, link.refused, link.last_error))
    return took_ms


async def by_publishes(port, site, door, journal):
    topic = ("menwei/v1/%s/%s/" % (site, door)).encode()
    sent = 0
    buf = bytearray(24 + 64)

    async def on_message(number, payload, retained):
        pass

    def on_change():
        nonlocal sent
        while client.ready and sent < journal.head:
            room = client.room(topic + b"event", 56)
            if not room or not journal.batch(buf, sent + 1):
                return
            room[:32] = buf[24:56]
            client.send(32)
            sent += 1

    client = Mqtt(
        Dialer("127.0.0.1", port),
        (site + "." + door).encode(),
        (topic + b"cmd",),
        on_message,
        on_change,
        topic + b"state",
        b"gone",
        60,
    )
    task = asyncio.create_task(client.run())
    await until(lambda: client.ready)
    took_ms = await until(lambda: sent == journal.head and not client._pending)
    task.cancel()
    return took_ms


async def main(port, site, door, events, how):
    journal = recorded(int(events))
    if how == "singles":
        whole = journal.batch
        # A room for one record: the journal fills what it is given.
        journal.batch = lambda room, first: whole(room[:56], first)
    work = by_publishes if how == "publishes" else by_link
    print(json.dumps({"ms": await work(int(port), site, door, journal), "events": journal.head}))


asyncio.run(main(*sys.argv[1:]))
