"""What is needed between two connections only: joining the network, opening a connection, MQTT's first two packets.

    await dialling.join(wifi)                       # one attempt; wifi.up() tells whether it worked
    stream = await dialling.connect(dialer)         # raises OSError, ValueError
    first, second = dialling.greeting(client)

Loaded for an attempt and dropped after it (sync/network.py, sync/mqtt.py): a stock ESP32 keeps loaded code in the heap,
and most of the time a door is connected.
"""

import asyncio
import errno
import socket

from micropython import const

MODULES = ("sync.dialling",)

# At most this many failed attempts go to the same address before the name is looked up again.
_LOOK_UP_AFTER = const(5)

_LOOK_MS = const(250)
_LOOKS = const(80)  # 20 s to join and to get an address
_RESTART_AFTER = const(4)
_RADIO_OFF_MS = const(500)

_CONNECT = const(0x10)
_SUBSCRIBE = const(0x82)


async def join(wifi):
    """Try once to join the network of a sync.network.Wifi, for 20 s at most."""
    wlan = wifi._wlan
    try:
        if wifi.failures and not wifi.failures % _RESTART_AFTER:
            wlan.active(False)
            await wifi._sleep_ms(_RADIO_OFF_MS)
        wlan.active(True)
        # The driver must neither sleep between beacons (an answer would take 100 ms more) nor try again by itself.
        wlan.config(pm=wlan.PM_NONE, reconnects=0)
        wlan.disconnect()
        wlan.connect(wifi._ssid, wifi._secret)
        for _ in range(_LOOKS):
            await wifi._sleep_ms(_LOOK_MS)
            if wifi.up():
                return
        wlan.disconnect()
    except Exception:  # RuntimeError, too: what network_common.c does not know, as 0x0101, no memory
        pass  # the driver's own words tell nothing that the next attempt would not


def connect(dialer):
    """Return a stream: asyncio.open_connection without its look-up, and without a socket lost when cancelled.

    To be awaited. A plain generator, because it yields to the loop as asyncio's own streams do.
    """
    dialer.spoken = False
    if not dialer._address or dialer._failures >= _LOOK_UP_AFTER:
        dialer._failures = 0  # if there is no answer the old one is tried again
        dialer._address = socket.getaddrinfo(dialer._host, dialer.port, 0, socket.SOCK_STREAM)[0]
    dialer._failures += 1
    address = dialer._address
    sock = socket.socket(*address[:3])
    try:
        sock.setblocking(False)
        # IPPROTO_TCP, TCP_NODELAY: else Nagle keeps a batch back behind a PUBACK until the broker's TCP has
        # confirmed that, which takes 40 ms.
        sock.setsockopt(6, 1, 1)
        try:
            sock.connect(address[-1])
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        # The connection stands or has failed when the socket can be written to.
        yield asyncio.core._io_queue.queue_write(sock)
        if dialer.context:
            from sync.tlsstream import TlsStream

            return TlsStream(sock, dialer.context, dialer._host, dialer)
        return asyncio.StreamReader(sock)
    except BaseException:
        sock.close()
        raise


def greeting(client):
    """Return the packets CONNECT and SUBSCRIBE of a sync.mqtt.Mqtt."""
    keepalive_s = client._keepalive_s
    head = b"\x00\x04MQTT\x04" + bytes((client.flags, keepalive_s >> 8, keepalive_s & 255))
    return (
        _packet(_CONNECT, head, b"", client.texts, b""),
        _packet(_SUBSCRIBE, b"\x00\x01", client._prefix, client.topics, b"\x01"),
    )


def _packet(head, body, prefix, texts, after):
    # Only for packets of our own settings, far below 16 KB.
    for text in texts:
        body += bytes((0, len(prefix) + len(text))) + prefix + text + after
    length = len(body)
    return bytes((head, length) if length < 128 else (head, length & 127 | 128, length >> 7)) + body
