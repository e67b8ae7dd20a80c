"""Asks one NTP server for the time, once: RFC 5905, a client of version 4 without authentication.

    time_s = await ntp.ask("192.168.1.1", earliest_s)       # seconds since 2020-01-01 UTC; OSError, ValueError

Whoever is on the way can forge the answer, so it sets nothing but the system clock that TLS reads. `ntptime` of
micropython-lib blocks the loop for the look-up and up to a second for the answer, takes whatever datagram comes first,
and checks nothing of it, not even that it is an answer; hence this module. The server is named by its number: a
look-up blocks as well. Loaded when it is needed, and dropped afterwards.
"""

import asyncio
import os
import socket

from micropython import const

_PORT = const(123)
_LENGTH = const(48)
_LOOK_MS = const(50)
_LOOKS = const(60)  # 3 s
_CLIENT = const(0x23)  # version 4, mode 3
_SERVER = const(4)
_UNSYNCHRONISED = const(3)
_MOST_STRATUM = const(15)
# From 1900, the epoch of era 0, to 2020.
_EPOCH_S = const(3_786_825_600)
_ERA_S = const(0x100000000)
_FOREVER_S = const(0x3FFFFFFF)


def address(text):
    """Return (host, port) of `192.168.1.1` or `192.168.1.1:123`.

    Raises:
        ValueError: the host is no IPv4 number, or the port none.
    """
    host, _, port = text.partition(":")
    parts = host.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise ValueError("ntp_host: give the server's IPv4 number, as 192.168.1.1")
    if not port:
        return host, _PORT
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("ntp_host: the port must lie between 1 and 65535")
    return host, int(port)


def request(cookie):
    """Return a query. `cookie`: 8 random bytes in place of our time, which nobody needs to know."""
    return bytes((_CLIENT,)) + bytes(39) + cookie


def parse(reply, cookie, earliest_s):
    """Return the seconds since 2020-01-01 UTC that a reply tells.

    Raises:
        ValueError: it is no answer to this query, its server does not know the time, or it tells a time before
            `earliest_s` or after 2054.
    """
    if len(reply) < _LENGTH or reply[0] & 7 != _SERVER or reply[24:32] != cookie:
        raise ValueError("ntp: no answer to our query")
    if reply[0] >> 6 == _UNSYNCHRONISED or not 0 < reply[1] <= _MOST_STRATUM:
        raise ValueError("ntp: the server does not know the time")
    # Eras of 2^32 s: the next one begins in February 2036. What lies before 2020 in this one is of the next.
    time_s = (int.from_bytes(reply[40:44], "big") - _EPOCH_S) % _ERA_S
    if not earliest_s <= time_s < _FOREVER_S:
        raise ValueError("ntp: not a time that can be")
    return time_s


async def ask(server, earliest_s):
    """Send one query and wait up to 3 s for its answer; see `parse`. OSError if there is none, or no network."""
    where = socket.getaddrinfo(*address(server), 0, socket.SOCK_DGRAM)[0][-1]
    cookie = os.urandom(8)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.sendto(request(cookie), where)
        problem = OSError("ntp: no answer")
        for _ in range(_LOOKS):
            await asyncio.sleep_ms(_LOOK_MS)
            try:
                reply = sock.recv(_LENGTH)
            except OSError:
                continue  # nothing there yet
            try:
                return parse(reply, cookie, earliest_s)
            except ValueError as error:
                problem = error  # it may be somebody else's: the right one may follow
        raise problem
    finally:
        sock.close()
