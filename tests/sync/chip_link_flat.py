"""A thousand messages of each kind, authentic or not: nothing of them stays in memory."""

import gc
import os
from unittest import TestCase

from upstream_rig import KEYS, OFFICE, Rig, run

from sync import parcels, upstream

ROOT = (os.getenv("MENWEI_TMP") or "/tmp") + "/flat"
_COUNT = 1000
_KEEPS = 512  # bytes: a number that became a large one, a finaliser that waits


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


class Flat(TestCase):
    def setUp(self):
        os.mkdir(ROOT)

    def tearDown(self):
        for name in os.listdir(ROOT):
            os.remove(ROOT + "/" + name)
        os.rmdir(ROOT)

    def command(self, nonce, number, operation=7, key=b"cmd"):
        body = upstream.command_body(operation, 4, nonce, number, 1000, 7, 0, 0)
        return upstream.build_command(KEYS.purpose(key), body)

    def test_nothing_stays(self):
        async def work():
            rig = Rig(10)
            link = rig.link
            parcels.resume(link, ROOT, 0)
            link.alarm = lambda: None
            nonce = bytes.fromhex((await rig.connect())["nonce"])
            rig.host.commands = rig.host.refusals = rig.host.changes = rig.host.whole = Nothing()
            key = KEYS.purpose(b"parcel")
            page = upstream.build_parcel(key, 2, 7, upstream.seal_parcel(key, 2, 7, bytes(1400)), 0)
            kinds = (
                (2, lambda number: self.command(nonce, number), 0),
                (2, lambda number: self.command(nonce, number), 1),
                (2, lambda number: self.command(nonce, number, 7, b"approve"), 0),
                (2, lambda number: self.command(bytes(16), number), 0),
                (3, lambda number: page[number % len(page)], 0),
                (3, lambda number: page[0][:-1] + b"x", 0),
                (3, lambda number: page[0], 1),
                (1, lambda number: upstream.build_delta(KEYS.purpose(b"list"), OFFICE, 5, 6, []), 0),
                (1, lambda number: upstream.build_delta(KEYS.purpose(b"cmd"), OFFICE, 5, 6, []), 0),
                (0, lambda number: upstream.build_ack(KEYS.purpose(b"event-ack"), b"EPCH", 3, bytes(7)), 0),
                (0, lambda number: b"", 0),
            )
            for number, make, retained in kinds:
                first = 0
                for count in range(_COUNT):
                    rig.host.now_s += count % 7
                    await link._on_message(number, memoryview(make(count + 1)), retained)
                    if count % 50 == 0:
                        await rig.look()
                        rig.published.clear()
                    if count == 200:
                        first = used()
                now = used()
                self.assertTrue(now - first < _KEEPS, (number, retained, first, now))
            self.assertTrue(link.connected)
            rig.finish()

        run(work())


class Nothing:
    """A list that forgets."""

    def append(self, what):
        pass
