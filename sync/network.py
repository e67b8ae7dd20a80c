"""The way to the broker: the Wi-Fi station, connections that never block the loop, and the pauses between attempts.

wifi = Wifi(network.WLAN(network.WLAN.IF_STA), "building", secret, Backoff(), quiet)
asyncio.create_task(wifi.run())
if wifi.up(): ...
dialer = Dialer("broker.lan", 1883)
stream = await asyncio.wait_for(dialer.open(), 20)
dialer.worked()                     # keep the address: a broker answered there
"""

import asyncio
import random

from micropython import const

from storage import ondemand

_LOOK_MS = const(250)
_CHECK_MS = const(2000)
_QUICK = const(3)


class Backoff:
    """Three quick attempts, means 4, 8 and 16 s, and from then on one in 60 to 120 s.

    Doors of a district that get their power back together must not come back together: each delay is spread evenly,
    the quick ones over half to one and a half times their mean. A TLS handshake holds up the processor, so after the
    quick ones there is never more than one in a minute.
    """

    def __init__(self, first_ms=4000, slow_ms=60000, getrandbits=random.getrandbits):
        """Take the mean of the first delay and the shortest of the slow ones (at most an hour), and random bits."""
        self._first_ms = first_ms
        self._slow_ms = slow_ms
        self._getrandbits = getrandbits
        self._count = 0

    def reset(self):
        """Begin again with the first delay."""
        self._count = 0

    def next_ms(self):
        """Return how long to wait now."""
        self._count += 1
        least_ms = spread_ms = self._slow_ms
        if self._count <= _QUICK:
            spread_ms = self._first_ms << self._count - 1
            least_ms = spread_ms >> 1
        # 256 steps: the product stays below 2^30, the range of a small integer on the chip.
        return least_ms + (spread_ms * self._getrandbits(8) >> 8)


class Wifi:
    """Keeps one network up: notices when it only seems connected, and restarts the radio when nothing else helps."""

    def __init__(self, wlan, ssid, secret, backoff, allowed, sleep_ms=asyncio.sleep_ms):
        """Nothing happens yet.

        Args:
            wlan: network.WLAN, station.
            ssid: name of the network.
            secret: its key.
            backoff: Backoff between attempts.
            allowed: function that says whether the radio may be worked now: starting it stalls the processor.
            sleep_ms: replaced in tests.
        """
        self._wlan = wlan
        self._ssid = ssid
        self._secret = secret
        self._backoff = backoff
        self._allowed = allowed
        self._sleep_ms = sleep_ms
        self.failures = 0

    def up(self):
        """True while there is a link and an address; a lost lease leaves the link without one."""
        return self._wlan.isconnected() and self._wlan.ifconfig()[0] != "0.0.0.0"

    async def run(self):
        """Keep the network up, for ever."""
        sleep_ms = self._sleep_ms
        while True:
            if not self.up():
                while not self._allowed():
                    await sleep_ms(_LOOK_MS)
                from sync import dialling

                await dialling.join(self)
                ondemand.drop(dialling.MODULES)
                dialling = None  # else this frame keeps it
            pause_ms = _CHECK_MS
            if self.up():
                self.failures = 0
                self._backoff.reset()
            else:
                self.failures += 1
                pause_ms = self._backoff.next_ms()
            await sleep_ms(pause_ms)


class Dialer:
    """Opens TCP connections. The name is looked up once and kept, because `getaddrinfo` blocks the loop."""

    def __init__(self, host, port):
        """Take name or number of the broker.

        `context` is the SSLContext of the next connection, None for one without TLS; `spoken` says whether the server
        has said anything since `open`, with TLS only.
        """
        self._host = host
        self.port = port
        self.context = None
        self.spoken = False
        self._address = None
        self._failures = 0

    def open(self):
        """Return a stream; to be awaited (sync/dialling.py)."""
        from sync import dialling

        return dialling.connect(self)

    def worked(self):
        """Keep the address: a broker answered there."""
        self._failures = 0
