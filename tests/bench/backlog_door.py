"""A door with a backlog, before a real broker: its link, its journal on simulated flash. Runs on MicroPython.

    micropython backlog_door.py PORT SITE DOOR EVENTS batches      # as the link does it
    micropython backlog_door.py PORT SITE DOOR EVENTS singles      # the same, with one record in each batch
    micropython backlog_door.py PORT SITE DOOR EVENTS publishes    # one event a publish, and PUBACK is the end of it

    micropython backlog_door.py PORT SITE DOOR EVENTS ticker       # over TLS, with a list, a pause and a restart
    micropython backlog_door.py PORT SITE DOOR 0 peer              # umqtt.simple connects to a broker that is silent

The last two print the gaps of a ticker in the loop, in microseconds; `certificate.json` lies beside them. The others
print one JSON object: milliseconds from the connection to the last acknowledgement. Keys are those of link_world.py.
"""

import asyncio
import gc
import json
import sys
import time
from binascii import unhexlify

from boards.sim.norflash import NorFlash, Region
from storage.flash import Flash
from storage.journal import Journal
from sync.link import Link
from sync.mqtt import Mqtt
from sync.network import Dialer

GRANTED = 2
SECTORS = 128  # of a 4 MB board
DOOR_KEY = bytes(range(32))
LIMIT_S = 300
LIST = 1000


class Thing:
    pass


class Esp32:
    """Memory beside MicroPython's heap, which a handshake asks for."""

    HEAP_DATA = 4

    @staticmethod
    def idf_heap_info(capabilities):
        return [(200_000, 100_000, 100_000, 100_000)]


sys.modules["esp32"] = Esp32


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


def new_link(port, site, door, journal, allowlist=None):
    keys = Thing()
    keys.door_key = DOOR_KEY
    keys.wifi_secret = ""
    tls = allowlist is not None
    if not tls:
        allowlist = Thing()
        allowlist.office_epoch = 1
        allowlist.reconciling = None
        allowlist.revision = 0
    host = Thing()
    host.state = lambda: {"door": "secured", "lock": "locked", "alarms": [], "clock": "synchronised", "t": 0, "sw": "0"}
    host.command = lambda order: 0
    host.command_refused = lambda operation, result, operator: None
    host.list_changed = lambda first, last: None
    host.may_connect = lambda: True
    host.link_failed = lambda error: print("link:", error, time.ticks_ms())
    host.monotonic_s = lambda: time.ticks_ms() // 1000
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "tls": tls,
        "renew_port": 0,
        "site": site,
        "door": door,
        "keepalive_s": 60,
        "wifi_ssid": "",
    }
    return Link(settings, keys, journal, allowlist, host, ".")


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
            room = client.room(b"event", 32)
            if not room or not journal.batch(buf, sent + 1):
                return
            room[:32] = buf[24:56]
            client.send(32)
            sent += 1

    client = Mqtt(
        Dialer("127.0.0.1", port),
        (site + "." + door).encode(),
        topic,
        (b"cmd",),
        on_message,
        on_change,
        b"gone",
        60,
    )
    task = asyncio.create_task(client.run())
    await until(lambda: client.ready)
    took_ms = await until(lambda: sent == journal.head and not client._pending)
    task.cancel()
    return took_ms


class Ticker:
    """Wants a turn each millisecond, and keeps how much later it came, by phase."""

    def __init__(self):
        self.phase = "start"
        self.gaps = {}

    async def tick(self):
        before = time.ticks_us()
        while True:
            await asyncio.sleep_ms(1)
            now = time.ticks_us()
            self.gaps.setdefault(self.phase, []).append(max(0, time.ticks_diff(now, before) - 1000))
            before = now

    def result(self):
        gc.collect()
        return {phase: sorted(gaps) for phase, gaps in self.gaps.items() if phase != "start"}


def say(*words):
    print(*words)
    sys.stdout.flush() if hasattr(sys.stdout, "flush") else None


async def by_ticker(port, site, door, journal):
    from storage import certificates
    from storage.allowlist import Allowlist

    with open("certificate.json") as file:
        parts = json.load(file)
    certificates.store(".", *[unhexlify(part) if isinstance(part, str) else part for part in parts])
    flash = NorFlash("cards.img", SECTORS * 4096)
    allowlist = Allowlist(Flash(Region(flash, 0, flash.size)))
    allowlist.format()
    allowlist.mount()
    link = new_link(port, site, door, journal, allowlist)
    ticker = Ticker()
    tasks = [asyncio.create_task(ticker.tick()), asyncio.create_task(link.run())]
    ticker.phase = "connecting"
    await until(lambda: link.connected)
    ticker.phase = "backlog and list"
    say("connected")
    await until(lambda: journal.acked == journal.head and allowlist.revision >= LIST)
    await until(lambda: link.connected)
    say("pause")
    ticker.phase = "broker stopped"
    await until(lambda: not link.connected)  # it is killed in the end
    ticker.phase = "connecting again"
    await until(lambda: link.connected)
    for task in tasks:
        task.cancel()
    return ticker.result()


async def by_peer(port, site, door, journal):
    import umqtt_simple

    ticker = Ticker()
    task = asyncio.create_task(ticker.tick())
    await asyncio.sleep_ms(200)
    ticker.phase = "connecting"
    say("pause")
    client = umqtt_simple.MQTTClient("peer", "127.0.0.1", port)
    client.connect()
    await asyncio.sleep_ms(20)
    task.cancel()
    return ticker.result()


async def main(port, site, door, events, how):
    journal = recorded(int(events)) if int(events) else None
    if how in ("ticker", "peer"):
        work = by_ticker if how == "ticker" else by_peer
        print(json.dumps(await work(int(port), site, door, journal)))
        return
    if how == "singles":
        whole = journal.batch
        # A room for one record: the journal fills what it is given.
        journal.batch = lambda room, first: whole(room[:56], first)
    work = by_publishes if how == "publishes" else by_link
    print(json.dumps({"ms": await work(int(port), site, door, journal), "events": journal.head}))


asyncio.run(main(*sys.argv[1:]))
