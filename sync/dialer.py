"""TCP and TLS connections that never block the loop, but for the one look-up of a name; and the pauses between them.

    dialer = Dialer("broker.lan", 1883)
    stream = await asyncio.wait_for(dialer.open(), 20)
    dialer.worked()                     # keep the address: a broker answered there
    backoff = Backoff(4000, 60000, random.getrandbits)
    await asyncio.sleep_ms(backoff.next_ms())
    backoff.reset()                     # after it has worked for a while

Doors of a district that get their power back together must not come back together: each pause is spread evenly
over half to one and a half times its mean, the first one, too.
"""

import asyncio
import errno
import socket

from micropython import const

# At most this many failed attempts go to the same address before the name is looked up again.
_LOOK_UP_AFTER = const(10)


class Backoff:
    """Delays that double from `first_ms` to `most_ms` on average."""

    def __init__(self, first_ms, most_ms, getrandbits):
        """Take the mean of the first and of the longest delay (at most an hour), and a source of random bits."""
        self._first_ms = first_ms
        self._most_ms = most_ms
        self._getrandbits = getrandbits
        self._mean_ms = first_ms

    def reset(self):
        """Begin again with the first delay."""
        self._mean_ms = self._first_ms

    def next_ms(self):
        """Return how long to wait now."""
        mean_ms = self._mean_ms
        self._mean_ms = min(mean_ms * 2, self._most_ms)
        # 256 steps: the product stays below 2^30, the range of a small integer on the chip.
        return (mean_ms >> 1) + (mean_ms * self._getrandbits(8) >> 8)


def _writable(sock):
    # What asyncio.open_connection does to learn that the connection stands or has failed.
    yield asyncio.core._io_queue.queue_write(sock)


class Dialer:
    """Opens TCP connections. The name is looked up once and kept, because `getaddrinfo` blocks the loop."""

    def __init__(self, host, port, ssl=None):
        """Take name or number of the broker, and an SSLContext for TLS."""
        self._host = host
        self._port = port
        self._ssl = ssl
        self._address = None
        self._failures = 0

    async def open(self):
        """Return a stream: asyncio.open_connection without its look-up, and without a socket lost when cancelled."""
        if not self._address or self._failures >= _LOOK_UP_AFTER:
            self._failures = 0
            self._address = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM)[0]
        self._failures += 1
        address = self._address
        sock = socket.socket(*address[:3])
        stream = None
        try:
            sock.setblocking(False)
            try:
                sock.connect(address[-1])
            except OSError as error:
                if error.errno != errno.EINPROGRESS:
                    raise
            if self._ssl:
                # The handshake is left to the first write: here it would block without a deadline.
                sock = self._ssl.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
                sock.setblocking(False)
            await _writable(sock)
            stream = asyncio.StreamReader(sock)
        finally:
            if stream is None:
                sock.close()
        return stream

    def worked(self):
        """Keep the address: a broker answered there."""
        self._failures = 0
