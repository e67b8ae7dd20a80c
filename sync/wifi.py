"""Wi-Fi station: connects, notices when it only seems connected, and restarts the radio when nothing else helps.

wifi = Wifi(network.WLAN(network.WLAN.IF_STA), "building", secret, Backoff(4000, 60000, random.getrandbits), quiet)
asyncio.create_task(wifi.run())
if wifi.up(): ...
"""

import asyncio

from micropython import const

_LOOK_MS = const(250)
_LOOKS = const(80)  # 20 s to join and to get an address
_CHECK_MS = const(2000)
_RESTART_AFTER = const(5)
_RADIO_OFF_MS = const(500)


class Wifi:
    """Keeps one network up."""

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
        wlan = self._wlan
        sleep_ms = self._sleep_ms
        while True:
            if not self.up():
                while not self._allowed():
                    await sleep_ms(_LOOK_MS)
                try:
                    wlan.active(True)
                    # The driver must neither sleep between beacons (an answer would take 100 ms more) nor try again
                    # by itself.
                    wlan.config(pm=wlan.PM_NONE, reconnects=0)
                    wlan.disconnect()
                    wlan.connect(self._ssid, self._secret)
                    for _ in range(_LOOKS):
                        await sleep_ms(_LOOK_MS)
                        if self.up():
                            break
                    else:
                        wlan.disconnect()
                except OSError:
                    pass  # the driver's own words tell nothing that the next attempt would not
            pause_ms = _CHECK_MS
            if self.up():
                self.failures = 0
                self._backoff.reset()
            else:
                self.failures += 1
                if self.failures % _RESTART_AFTER == 0:
                    wlan.active(False)
                    await sleep_ms(_RADIO_OFF_MS)
                pause_ms = self._backoff.next_ms()
            await sleep_ms(pause_ms)
