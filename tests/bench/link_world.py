"""A real mosquitto, an upstream and a counting wire for bench_link.py."""

import asyncio
import shutil
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from menwei.keyfile import KeyFile
from menwei.store import Store
from menwei.upstream import Upstream
from tests.tls_site import free_ports

MOSQUITTO = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
DOOR_KEY, JOURNAL_KEY, EPOCH = bytes(range(32)), bytes(range(16)), b"\1\2\3\4"
_START_S = 10


@asynccontextmanager
async def mosquitto(folder):
    """A mosquitto that lets everybody do all, on its port; with Debian's defaults, and quiet."""
    if MOSQUITTO is None:
        sys.exit("mosquitto is missing, and the bench measures with it: apt-get install mosquitto")
    (port,) = free_ports(1)
    conf = Path(folder) / "bench.conf"
    conf.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nset_tcp_nodelay true\n"
    )
    process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", conf)
    try:
        async with asyncio.timeout(_START_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield port
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def upstream(folder, port, site, door):
    """The real upstream with its database on the disk."""
    keys = KeyFile(site)
    keys.add(door, DOOR_KEY, {EPOCH: JOURNAL_KEY})
    store = Store(Path(folder) / "upstream.db")
    one = Upstream("127.0.0.1", port, keys, store)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()
        store.close()


class CountingWire:
    """Forwards bytes between a door and a broker, and counts those of the door's publishes on one topic."""

    def __init__(self, port, leaf):
        self.port = 0
        self.bytes = 0
        self.packets = 0
        self._target = port
        self._leaf = leaf
        self._rest = b""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
        back = asyncio.create_task(self._pump(far_reader, writer, lambda data: None))
        await self._pump(reader, far, self._look)
        back.cancel()

    async def _pump(self, reader, writer, look):
        with suppress(OSError):
            while data := await reader.read(65536):
                look(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    def _look(self, data):
        # MQTT 3.1.1, 2.2: a type, the remaining length in groups of seven bits, and the rest.
        data = self._rest + data
        while len(data) >= 2:
            length, shift, at = 0, 0, 1
            while at < len(data):
                length |= (data[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if not data[at - 1] & 128:
                    break
            else:
                break
            if len(data) < at + length:
                break
            packet, data = data[: at + length], data[at + length :]
            if packet[0] & 0xF0 == 0x30 and packet[at + 2 : at + 2 + (packet[at] << 8 | packet[at + 1])].endswith(
                self._leaf
            ):
                self.bytes += len(packet)
                self.packets += 1
        self._rest = data
