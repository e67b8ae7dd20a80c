import asyncio
from unittest import TestCase

from sync.network import Backoff, Wifi


class Stop(BaseException):
    pass


class Wlan:
    """What network.WLAN shows of a station; the test says what becomes of an attempt."""

    PM_NONE = 0

    def __init__(self):
        self.joined = False
        self.address = "0.0.0.0"
        self.calls = []
        self.outcome = "nothing"

    def isconnected(self):
        return self.joined

    def ifconfig(self):
        return (self.address, "255.255.255.0", "10.0.0.1", "10.0.0.1")

    def active(self, on):
        self.calls.append(("active", on))

    def config(self, **values):
        self.calls.append(("config", sorted(values.items())))

    def disconnect(self):
        self.calls.append(("disconnect",))
        self.joined = False
        self.address = "0.0.0.0"

    def connect(self, ssid, secret):
        self.calls.append(("connect", ssid, secret))
        if self.outcome == "error":
            raise OSError("Wifi Internal Error")
        if self.outcome == "unknown":
            raise RuntimeError("Wifi Unknown Error 0x0101")
        self.joined = self.outcome in ("joined", "no address")
        self.address = "10.0.0.9" if self.outcome == "joined" else "0.0.0.0"

    def count(self, name):
        return sum(call[0] == name for call in self.calls)


class Rig:
    """A Wifi whose time is counted, not waited for."""

    def __init__(self):
        self.wlan = Wlan()
        self.allowed = True
        self.slept = []
        self.events = {}
        self.limit_ms = 0
        self.wifi = Wifi(
            self.wlan, "building", "secret", Backoff(4000, 60000, lambda bits: 128), lambda: self.allowed, self.sleep_ms
        )

    @property
    def now_ms(self):
        return sum(self.slept)

    async def sleep_ms(self, ms):
        self.slept.append(ms)
        for at_ms in sorted(self.events):
            if at_ms <= self.now_ms:
                self.events.pop(at_ms)()
        if self.now_ms >= self.limit_ms:
            raise Stop()

    def run(self, ms):
        self.limit_ms = self.now_ms + ms
        asyncio.new_event_loop()
        try:
            asyncio.run(self.wifi.run())
        except Stop:
            pass


class Joining(TestCase):
    def test_joins_with_power_save_off_and_no_retries_of_the_driver(self):
        rig = Rig()
        rig.wlan.outcome = "joined"
        rig.run(10000)
        self.assertEqual(
            rig.wlan.calls,
            [
                ("active", True),
                ("config", [("pm", 0), ("reconnects", 0)]),
                ("disconnect",),
                ("connect", "building", "secret"),
            ],
        )
        self.assertTrue(rig.wifi.up())
        self.assertEqual(rig.wifi.failures, 0)

    def test_attempts_go_on_with_growing_pauses(self):
        rig = Rig()
        rig.run(600000)
        self.assertFalse(rig.wifi.up())
        # 20 s for each attempt, and pauses of 4, 8, 16, 90 s on average.
        self.assertEqual([ms for ms in rig.slept if ms >= 1000][:6], [4000, 8000, 16000, 90000, 90000, 90000])
        self.assertTrue(6 <= rig.wlan.count("connect") <= 9, rig.wlan.count("connect"))

    def test_errors_of_the_driver_count_as_failures(self):
        for outcome in ("error", "unknown"):
            rig = Rig()
            rig.wlan.outcome = outcome
            rig.run(60000)
            self.assertTrue(rig.wifi.failures >= 3)
            rig.wlan.outcome = "joined"
            rig.run(200000)
            self.assertTrue(rig.wifi.up())

    def test_a_radio_that_cannot_be_switched_is_tried_again(self):
        rig = Rig()

        def active(on):
            raise RuntimeError("Wifi Unknown Error 0x0101")

        rig.wlan.active = active
        rig.run(900000)
        self.assertTrue(rig.wifi.failures >= 8)

    def test_the_radio_is_restarted_after_four_failures(self):
        rig = Rig()
        rig.run(600000)
        failures = rig.wifi.failures  # the last one may still be resting
        self.assertTrue(rig.wlan.calls.count(("active", False)) in (failures // 4, (failures - 1) // 4))
        self.assertTrue(rig.wlan.calls.count(("active", False)) >= 1)
        self.assertTrue(500 in rig.slept)

    def test_connected_without_an_address_is_not_up(self):
        rig = Rig()
        rig.wlan.outcome = "no address"
        rig.run(60000)
        self.assertFalse(rig.wifi.up())
        self.assertTrue(rig.wlan.count("connect") >= 2)
        self.assertTrue(rig.wifi.failures >= 1)

    def test_a_lost_address_and_a_lost_link_are_noticed(self):
        rig = Rig()
        rig.wlan.outcome = "joined"
        rig.run(30000)

        def lose_address():
            rig.wlan.address = "0.0.0.0"

        def lose_link():
            rig.wlan.joined = False

        for number, lose in enumerate((lose_address, lose_link)):
            rig.events[rig.now_ms + 5000] = lose
            rig.run(30000)
            self.assertTrue(rig.wifi.up())
            self.assertEqual(rig.wlan.count("connect"), number + 2)

    def test_pauses_begin_again_after_success(self):
        rig = Rig()
        rig.events[200000] = lambda: setattr(rig.wlan, "outcome", "joined")
        rig.run(400000)
        self.assertTrue(rig.wifi.up())
        rig.wlan.outcome = "nothing"
        rig.wlan.joined = False
        before = len(rig.slept)
        rig.run(40000)
        self.assertEqual(next(ms for ms in rig.slept[before:] if ms >= 3000), 4000)

    def test_nothing_starts_while_it_is_not_allowed(self):
        rig = Rig()
        rig.allowed = False
        rig.wlan.outcome = "joined"
        rig.run(60000)
        self.assertEqual(rig.wlan.calls, [])
        rig.allowed = True
        rig.run(5000)
        self.assertTrue(rig.wifi.up())
