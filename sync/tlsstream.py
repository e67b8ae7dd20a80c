"""A TLS stream whose handshake gives the loop a turn between its steps. Loaded by doors that use TLS only.

    stream = TlsStream(sock, context, "broker.lan", dialer)

The TLS library reads and writes by way of an object that has nothing for it every other time: so each call ends after
one record, that is at most one signature checked or made. The broker's records lie in the socket together; without
this all of them are dealt with in one call (docs/link.md, "How long it holds up the door").
"""

import asyncio
import io

from micropython import const

_RECORD_HEADER = const(5)  # RFC 5246, 6.2.1
_TURN_MS = const(10)


class _Steps(io.IOBase):
    """What the TLS library takes for a socket. Errors go back as negative numbers: none may be raised through it."""

    def __init__(self, sock, dialer):
        self.shaking = True
        self._sock = sock
        self._dialer = dialer
        self._turn = False

    def _rests(self):
        self._turn = not self._turn
        return self._turn and self.shaking

    def readinto(self, buf):
        if len(buf) == _RECORD_HEADER and self._rests():
            return None
        try:
            count = self._sock.readinto(buf)
        except OSError as error:
            return -error.errno
        if count:
            self._dialer.spoken = True
        return count

    def write(self, buf):
        if self._rests():
            return None
        try:
            return self._sock.write(buf)
        except OSError as error:
            return -error.errno

    def ioctl(self, request, argument):
        return 0


class TlsStream:
    """As asyncio.StreamReader, as far as sync/mqtt.py uses it; the first write begins the handshake."""

    def __init__(self, sock, context, name, dialer):
        """Take a socket that is connected, an SSLContext, the name that the server must prove, and what `spoken` is
        set on when it has said anything."""
        self._sock = sock
        self._steps = _Steps(sock, dialer)
        self._tls = context.wrap_socket(self._steps, server_hostname=name, do_handshake_on_connect=False)
        self._rest = None

    def readinto(self, buf):
        """Return how many bytes came, 0 at the end. To be awaited; a plain generator, as asyncio's own streams have."""
        while self._steps.shaking:
            yield from asyncio.sleep_ms(_TURN_MS)
        while True:
            # Never without a turn for the others: who sends without a pause must not keep the door to himself.
            yield from asyncio.sleep_ms(0)
            count = self._tls.readinto(buf)
            if count is not None:
                return count
            # The library has nothing left: the next bytes come from the socket.
            yield asyncio.core._io_queue.queue_read(self._sock)

    def write(self, data):
        """Send, or keep a copy for `drain`."""
        count = self._tls.write(data) or 0
        if count < len(data):
            self._rest = bytes(data[count:])

    def drain(self):
        """Send what is left; to be awaited."""
        while self._rest:
            yield from asyncio.sleep_ms(_TURN_MS)
            count = self._tls.write(self._rest)
            if count:
                self._rest = self._rest[count:]
        self._steps.shaking = False

    def close(self):
        """As asyncio's streams: `wait_closed` does it."""

    async def wait_closed(self):
        """Close, and give back the library's memory now, not when the garbage is collected."""
        self._tls.close()
        self._sock.close()
