"""The embedded MQTT broker: amqtt on the loopback address, on a port that was free.

    broker = EmbeddedBroker()
    await broker.start()
    print(broker.url)          # mqtt://127.0.0.1:43211
    await broker.stop()

For a simulated door and for tests. A building runs mosquitto or EMQX: give its URL with `--broker`.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

from amqtt.broker import Broker

_STOP_S = 5
_DEFAULT_PORT = 1883
_QUIET = ("amqtt", "transitions", "websockets")


def split_url(url: str) -> tuple[str, int]:
    """`mqtt://host[:port]` as (host, port).

    Raises ValueError with a sentence that says what is wrong.
    """
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise ValueError(f"{url!r} is no broker address; write mqtt://HOST or mqtt://HOST:PORT")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} has no usable port; write mqtt://HOST:PORT with a port of 1 to 65535") from error
    return parts.hostname, port or _DEFAULT_PORT


class EmbeddedBroker:
    """One amqtt broker in this event loop."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, level: int = logging.ERROR) -> None:
        self.host = host
        self.port = port
        self._level = level
        self._broker: Broker | None = None

    @property
    def url(self) -> str:
        """Its address, for whoever connects."""
        return f"mqtt://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen; `port` is the real one afterwards."""
        for name in _QUIET:
            logging.getLogger(name).setLevel(self._level)
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
            # Without the plugins that log each packet and publish $SYS every 20 seconds.
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        self._broker = Broker(config)
        await self._broker.start()
        # amqtt 0.12 has no public way to learn which port the system chose. Asking for a free port first and binding it
        # later would be a race with every other process of the machine.
        self.port = self._broker._servers["default"].instance.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections and close the port; nothing happens if it does not run."""
        broker, self._broker = self._broker, None
        if broker is None:
            return
        try:
            await asyncio.wait_for(broker.shutdown(), _STOP_S)
        except TimeoutError:
            logging.getLogger(__name__).warning("the embedded broker did not stop within %d s", _STOP_S)

    async def __aenter__(self) -> EmbeddedBroker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
