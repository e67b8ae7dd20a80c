"""The wire between a simulated door and its broker, so that it can be taken away.

    proxy = Proxy("127.0.0.1", 1883)
    await proxy.start()        # the door connects to proxy.port
    proxy.away()               # like a lost radio link: nothing arrives, nothing is said
    proxy.back()               # old connections are reset, new ones work

While the network is away the door's own connections stay open and silent, as they do when Wi-Fi is lost: no FIN, no
RST. The broker's side is dropped, as its keep-alive would do, because the broker's clock is not the virtual one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

_CHUNK = 65536


class Proxy:
    """Forwards bytes between door and broker."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._door_side: set[asyncio.StreamWriter] = set()
        self._broker_side: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.forwarded = 0

    async def start(self) -> None:
        """Listen on `port` of the loopback address."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._door_side | self._broker_side:
            writer.close()

    def away(self) -> None:
        """Take the network away."""
        self._open.clear()
        for writer in self._broker_side:
            writer.transport.abort()

    def back(self) -> None:
        """Bring the network back."""
        for writer in self._door_side:
            writer.transport.abort()
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self._door_side.add(writer)
        far = None
        try:
            await self._open.wait()
            if writer.is_closing():
                return
            far_reader, far = await asyncio.open_connection(*self._target)
            self._broker_side.add(far)
            down = asyncio.create_task(self._pump(far_reader, writer))
            self._tasks.add(down)
            down.add_done_callback(self._tasks.discard)
            await self._pump(reader, far)
        except (OSError, asyncio.CancelledError):
            # The broker is not there: the door sees its connection closed, as from a router that answers for it. Or
            # it is `stop`: asyncio complains about a connection's task that ends by being cancelled.
            pass
        finally:
            self._tasks.discard(task)
            self._door_side.discard(writer)
            self._broker_side.discard(far)
            writer.close()
            if far:
                far.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if not self._open.is_set():
                    continue  # lost on the way
                self.forwarded += len(data)
                writer.write(data)
                await writer.drain()
        if self._open.is_set():
            writer.close()
            return
        # The end of a connection is lost on the way, too.
        await self._open.wait()
        writer.close()
