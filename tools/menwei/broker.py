"""The embedded MQTT broker: amqtt on the loopback address, on a port that was free.

    broker = EmbeddedBroker()
    await broker.start()
    print(broker.url)          # mqtt://127.0.0.1:43211
    await broker.stop()

For a simulated door and for tests. A building runs mosquitto or EMQX: give its URL with `--broker`. With a folder of
`menwei pki` it speaks TLS and admits only who shows a certificate of that CA; it has no rules about topics.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from amqtt.broker import Broker

_STOP_S = 5
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8885}  # of upstream's own listener, docs/broker.md
_QUIET = ("amqtt", "transitions", "websockets")


def split_url(url: str) -> tuple[str, int]:
    """`mqtt://host[:port]` or `mqtts://host[:port]` as (host, port).

    Raises ValueError with a sentence that says what is wrong.
    """
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(
            f"{url!r} is no broker address; write mqtt://HOST or mqtt://HOST:PORT, with TLS mqtts://HOST:PORT"
        )
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} has no usable port; write mqtt://HOST:PORT with a port of 1 to 65535") from error
    return parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def is_tls(url: str) -> bool:
    """Whether a broker's URL asks for TLS."""
    return urlsplit(url).scheme == "mqtts"


class _Strict(Broker):
    """amqtt takes clients without a certificate when it has a CA; and it knows no revocation list."""

    @staticmethod
    def _create_ssl_context(listener) -> ssl.SSLContext:
        context = Broker._create_ssl_context(listener)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(Path(listener["cafile"]).with_name("crl.pem"))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context


class EmbeddedBroker:
    """One amqtt broker in this event loop; with `tls`, a folder of `menwei pki`, only for holders of certificates."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, level: int = logging.ERROR, tls: Path | None = None
    ) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self._level = level
        self._broker: Broker | None = None

    @property
    def url(self) -> str:
        """Its address, for whoever connects."""
        return f"{'mqtts' if self._tls else 'mqtt'}://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen; `port` is the real one afterwards. FileNotFoundError if a file of `tls` is missing."""
        for name in _QUIET:
            logging.getLogger(name).setLevel(self._level)
        listener = {"type": "tcp", "bind": f"{self.host}:{self.port}"}
        if self._tls:
            files = {"cafile": "ca.pem", "certfile": "server.pem", "keyfile": "server.key"}
            for name in (*files.values(), "crl.pem"):
                if not (self._tls / name).exists():
                    raise FileNotFoundError(f"{self._tls / name} is missing; make it with menwei pki")
            listener |= {"ssl": True, **{what: str(self._tls / name) for what, name in files.items()}}
        config = {
            "listeners": {"default": listener},
            # Without the plugins that log each packet and publish $SYS every 20 seconds.
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        self._broker = _Strict(config) if self._tls else Broker(config)
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
