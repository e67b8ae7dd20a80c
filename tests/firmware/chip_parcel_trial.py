"""Settings with which a door gets no connection are taken back."""

import asyncio
import os

from parcel_world import ROOT, Base

from firmware import trial
from storage import record


class Log:
    def info(self, *words, **values):
        pass

    error = info


class Link:
    connected = False
    parcel = [0, 0, 0]


class Service:
    log = Log()

    def __init__(self):
        self.recorder = self.uptime = self
        self.link = Link()
        self.seconds = 0
        self.restarts = 0

    def soon(self, _service):
        self.restarts += 1


class Trial(Base):
    def watch(self, steps):
        """Let the watch of a start look after each step: (uptime, connected)."""
        service = trial.restart = Service()
        trial._LOOK_S = 0

        async def work():
            was = asyncio.sleep
            trial.asyncio.sleep = lambda _: was(0)
            try:
                trial.begin(service)
                for service.seconds, service.link.connected in steps:
                    for _ in range(3):
                        await was(0)
            finally:
                trial.asyncio.sleep = was

        asyncio.run(work())
        return service.restarts

    def test_settings_that_get_no_connection_are_taken_back(self):
        before = self.held()
        wrong = {"settings": {"host": "10.0.0.2", "open_s": 9}, "wifi_secret": "other"}
        self.assertEqual(self.parcel(wrong), (record.PARCEL_TAKEN, 7))
        self.assertEqual(self.held()[:3], ("10.0.0.2", 9, "other"))
        self.assertEqual(self.watch([(10, False), (899, False)]), 0)
        self.assertEqual(self.watch([(10, False), (899, False), (900, False)]), 1)
        self.assertEqual(self.start(), (record.PARCEL_TAKEN_BACK, 7))
        self.assertEqual(self.held(), before)
        self.assertFalse("provision.before" in os.listdir(ROOT))

    def test_those_that_get_one_stay(self):
        self.parcel({"wifi_secret": "other"})
        self.assertTrue("provision.before" in os.listdir(ROOT))
        self.assertEqual(self.watch([(10, False), (899, True), (1000, False)]), 0)
        self.assertFalse("provision.before" in os.listdir(ROOT))
        self.assertEqual(self.held()[2], "other")

    def test_taken_twice_it_still_leads_back_to_what_was_before(self):
        before = self.held()
        for _ in range(2):
            self.parcel({"settings": {"wifi_ssid": "yard"}, "wifi_secret": "other"})
        self.assertEqual(self.watch([(900, False)]), 1)
        self.start()
        self.assertEqual(self.held(), before)

    def test_the_installer_knows_better(self):
        self.parcel({"wifi_secret": "other"})
        self.installed({"wifi_secret": "third"})
        self.assertFalse("provision.before" in os.listdir(ROOT))
        self.assertEqual(self.held()[2], "third")
