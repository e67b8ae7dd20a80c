"""A door's link over TLS as a process on the unix port, with a journal in memory; see test_link_tls.py.

    micropython tls_client.py PORT RENEW_PORT TICK_MS FOLDER HOST

A second of the link is TICK_MS. FOLDER has the certificates, as provisioning left them. Lines on its standard input:

add N       N more records
quit        print how it stands and end
"""

import asyncio
import sys
import time


class Chip:
    """As much of the module esp32 as a handshake asks for."""

    HEAP_DATA = 4

    @staticmethod
    def idf_heap_info(capabilities):
        return [(100000, 60000, 60000, 0)]


sys.modules["esp32"] = Chip

from ticker import Ticker  # noqa: E402
from upstream_rig import SETTINGS, Allowlist, Host, Journal, Keys  # noqa: E402

from sync.link import Link  # noqa: E402
from sync.network import Backoff  # noqa: E402


def say(*words):
    print(*words)


class Door(Host):
    """The host of the link; it tells what fails."""

    def link_failed(self, error):
        say("lost", repr(error))

    def monotonic_s(self):
        return time.ticks_ms() // TICK_MS


async def watch(link, journal):
    connected, acked = False, 0
    while True:
        await asyncio.sleep_ms(2)
        if link.connected != connected:
            connected = link.connected
            if connected:
                say("ready", link.certificate[0])
        if journal.acked != acked:
            acked = journal.acked
            say("acked", acked)


async def main(port, renew_port, folder, host):
    settings = dict(SETTINGS)
    settings.update({"tls": True, "port": port, "renew_port": renew_port, "host": host, "keepalive_s": 60})
    journal = Journal()
    link = Link(settings, Keys(), journal, Allowlist(), Door(), folder, None, TICK_MS)
    link.parcel = [0, 0, 0]
    link._backoff = Backoff(4 * TICK_MS, 60 * TICK_MS)
    ticker = Ticker()
    tasks = [asyncio.create_task(work) for work in (ticker.run(), watch(link, journal), link.run())]
    lines = asyncio.StreamReader(sys.stdin)
    while True:
        words = (await lines.readline()).decode().split()
        if not words or words[0] == "quit":
            break
        if words[0] == "add":
            journal.head += int(words[1])
            link.notify()
    for task in tasks:
        task.cancel()
    say("stall", ticker.longest_ms, "forged", link.forged, "refused", link.refused)


TICK_MS = int(sys.argv[3])
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[4], sys.argv[5]))
