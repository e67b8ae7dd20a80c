"""Certificates and parcels of a whole door before a real mosquitto: nothing of it cuts the door off for good."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from tls_site import Mosquitto, TlsSite, free_ports, future, needs_mosquitto, past

from menwei.deliver import TAKEN, deliver
from menwei.keyfile import KeyFile
from menwei.renewal import Renewals, serve
from menwei.simdoor import SimError
from menwei.stage import DOOR, Stage
from menwei.tls import Credentials
from storage import record

pytestmark = needs_mosquitto
REAL_S = 0.02  # for the broker and the programs beside the door, with each of its seconds


class World:
    """A door in virtual time at mosquitto's listeners."""

    def __init__(self, folder, **certificate):
        self.site = TlsSite(folder)
        self.folder = folder
        self.broker = Mosquitto(self.site)
        self.first = self.site.door(DOOR, **certificate)
        self.said = []

    async def start(self):
        await self.broker.start()
        self.url = f"mqtts://127.0.0.1:{self.broker.upstream_port}"
        self.stage = Stage(
            self.folder / "run", start_unix=int(time.time()), seed=4, broker_url=self.url, site=self.site.name,
            pki=self.site.pki.folder, certificate=self.first.provision(), door_port=self.broker.port,
            settings={"renew_port": self.broker.renew_port},
        )  # fmt: skip
        await self.stage.start()
        self.site.keys = self.keys = KeyFile.load(self.stage.key_path)
        self.broker.write()  # now with the door's password for the renewal
        self.broker.reload()

    async def stop(self):
        await self.stage.stop()
        await self.broker.stop()

    async def until(self, condition, seconds=1500):
        """Let the door's time pass; it starts again when it resets itself."""
        for _ in range(seconds):
            if condition():
                return
            await asyncio.sleep(REAL_S)
            try:
                await self.stage.pass_time(1)
            except SimError:
                if not await self.stage.revive():
                    raise
        raise AssertionError("it did not come about:\n" + "\n".join(self.said + self.stage.door.lines[-40:]))

    @asynccontextmanager
    async def renewing(self):
        renewals = Renewals(self.site.pki, self.keys, lambda door, text: self.said.append(text))
        context = self.site.upstream_context()
        task = asyncio.create_task(serve(renewals, self.site.name, "127.0.0.1", self.broker.upstream_port, context))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def serial(self):
        """Of the certificate that the door shows at the main listener, while it is connected."""
        if DOOR not in self.stage.upstream.sessions:
            return None
        return self.stage.store.door(DOOR)[1]["cert"][0]

    def told(self):
        """What the records of the door say of parcels: reasons."""
        return [event.reason for event in self.stage.store.events(DOOR) if event.kind == record.CHANGED]

    async def parcel(self, content):
        """Bring a parcel to the door; what became of it."""
        tls = Credentials.of(None, None, None, self.site.pki.folder)
        people = {"operator": 7, "approver": 8}
        keys, store = self.keys, self.stage.store
        work = asyncio.create_task(deliver(self.url, keys, store, DOOR, content, **people, say=print, tls=tls))
        await self.until(work.done)
        return await work


@asynccontextmanager
async def world(folder, **certificate):
    folder.chmod(0o755)
    made = World(folder, **certificate)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def test_an_expired_certificate_is_replaced_at_the_renewal_listener(tmp_path):
    async with world(tmp_path, end=past(days=1)) as door:
        await door.until(lambda: "menwei/v1/garden/front-gate/renew" in door.broker.log.read_text())
        assert not door.stage.upstream.sessions and door.serial() is None
        async with door.renewing():
            await door.until(lambda: door.serial() not in (None, door.first.serial))
        newest = [entry for entry in door.site.pki.entries() if entry.kind == "door"][-1]
        assert door.serial() == newest.serial
        await door.until(lambda: door.told())
        assert door.told() == [record.PARCEL_TAKEN]
        assert door.stage.store.findings(DOOR) == []


async def test_one_near_its_end_is_replaced_over_the_link(tmp_path):
    async with world(tmp_path, end=future(days=30)) as door:
        await door.until(lambda: door.serial() == door.first.serial)
        async with door.renewing():
            await door.until(lambda: door.serial() not in (None, door.first.serial))
            await door.until(lambda: any("holds its new certificate" in text for text in door.said))
        log = door.broker.log.read_text()
        assert f"{DOOR}/renew/ask" not in log
        await door.until(lambda: door.told())
        assert door.told() == [record.PARCEL_TAKEN]


@pytest.mark.parametrize("wrong", ["address", "port"])
async def test_a_wrong_address_is_taken_back(tmp_path, wrong):
    async with world(tmp_path) as door:
        await door.until(lambda: door.serial() is not None)
        settings = {"host": "127.0.0.9"} if wrong == "address" else {"port": free_ports(1)[0]}
        said = await door.parcel({"settings": settings})
        assert "taken back" in said, said
        await door.until(lambda: door.serial() == door.first.serial)
        assert door.told() == [record.PARCEL_TAKEN, record.PARCEL_TAKEN_BACK]
        # And it is no worse off: what is right is taken.
        assert await door.parcel({"settings": {"open_s": 9}}) == TAKEN


async def test_a_certificate_of_a_foreign_ca_leaves_the_one_before(tmp_path):
    async with world(tmp_path) as door:
        await door.until(lambda: door.serial() is not None)
        foreign = door.site.foreign().door(DOOR)
        said = await door.parcel({"tls": foreign.provision(), "settings": {"open_s": 9}})
        assert said == TAKEN, said
        await door.until(lambda: door.serial() == door.first.serial)
        errors = [line for line in door.stage.door.lines if "not connected" in line]
        assert errors, "it never tried the new one"
        # The right one takes the place of the foreign one.
        right = door.site.door(DOOR)
        assert await door.parcel({"tls": right.provision(), "settings": {"open_s": 8}}) == TAKEN
        await door.until(lambda: door.serial() == right.serial)
