"""The link over the real journal and the real allowlist, on simulated flash."""

import os
from unittest import TestCase

from boards.sim.norflash import NorFlash, Region
from upstream_rig import KEYS, OFFICE, Rig, run

from storage import record
from storage.allowlist import Allowlist
from storage.entry import LIVE, REVOKED
from storage.flash import Flash
from storage.journal import Journal
from sync import messages, upstream

_CARD = b"pseudo7"
_LOST = b"lost!!!"


class Stores(TestCase):
    def setUp(self):
        path = os.getenv("MENWEI_TMP") + "/link.img"
        try:
            os.remove(path)
        except OSError:
            pass
        flash = NorFlash(path, 64 * 4096)
        self.journal_region = Region(flash, 0, 16 * 4096)
        self.journal = Journal(Flash(self.journal_region))
        self.journal.format(b"\x01\x02\x03\xc4", bytes(16))
        self.cards_region = Region(flash, 32 * 4096, 16 * 4096)
        self.cards = Allowlist(Flash(self.cards_region))
        self.cards.format()

    def rig(self):
        return Rig(journal=self.journal, allowlist=self.cards)

    async def acknowledge(self, rig, sequence):
        chain = bytearray(7)
        self.assertTrue(self.journal.chain_of(sequence, chain))
        await rig.ack(sequence, epoch=self.journal.epoch, chain=bytes(chain))

    def test_records_go_up_as_they_lie_in_flash(self):
        async def work():
            self.journal.stamp(1000, record.HELD, 3)
            for number in range(50):
                self.journal.append(record.GRANTED, 0, _CARD, number)
            rig = self.rig()
            state = await rig.connect()
            self.assertEqual(state["epoch"], "010203c4")
            self.assertEqual((state["head"], state["acked"]), (50, 0))
            self.assertEqual(state["chain"], bytes(self.journal.chain).hex())
            # The journal says how long a batch is.
            following = 1
            while following <= 50:
                batch = upstream.parse_batch(await rig.wait("event"))
                self.assertEqual((batch.epoch, batch.first), (b"\x01\x02\x03\xc4", following))
                for index in range(batch.count):
                    slot = batch.slot(index)
                    self.assertEqual((slot[1] | slot[2] << 8, slot[21]), (following, following - 1))
                    self.assertEqual(slot[14:21], _CARD)
                    following += 1
                await self.acknowledge(rig, following - 1)
                self.assertEqual(self.journal.acked, following - 1)
            self.journal.append_long(record.COMMAND, 1, None, 7, bytes(24))
            rig.link.notify()
            self.assertEqual(upstream.parse_batch(await rig.wait("event")).count, 2)
            self.assertEqual((rig.link.failed, rig.link.refused), (0, 0))

        run(work())

    def test_deltas_reach_the_flash(self):
        async def work():
            rig = self.rig()
            self.assertEqual((await rig.connect())["list"], ["00000000", 0])
            key = KEYS.purpose(b"list")
            changes = [
                upstream.pack_change(messages.PUT, _CARD, 10, 20, 3, 1),
                upstream.pack_change(messages.PUT, _LOST, 0, 0xFFFFFF, 2, 0, 5),
                upstream.pack_change(messages.REVOKE, b"never..", 10, 20, 3),
            ]
            await rig.say(b"list", upstream.build_delta(key, OFFICE, 0, 8, changes))
            self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 8])
            self.assertTrue(self.cards.find(_CARD))
            entry = self.cards.entry
            self.assertEqual((entry.state, entry.valid_from, entry.valid_until, entry.group), (LIVE, 10, 20, 3))
            self.assertTrue(self.cards.find(b"never.."))
            self.assertEqual(self.cards.entry.state, REVOKED)
            changes = [
                upstream.pack_change(messages.REVOKE, _LOST),
                upstream.pack_change(messages.FORGET, _CARD),
            ]
            await rig.say(b"list", upstream.build_delta(key, OFFICE, 8, 9, changes))
            self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 9])
            again = Allowlist(Flash(self.cards_region))
            again.mount()
            self.assertEqual((again.revision, again.find(_CARD)), (9, False))
            self.assertTrue(again.find(_LOST))
            self.assertEqual(again.entry.state, REVOKED)
            self.assertEqual((rig.link.failed, rig.link.refused), (0, 0))

        run(work())
