import asyncio
from unittest import TestCase

from upstream_rig import EPOCH, KEYS, OFFICE, SETTINGS, Allowlist, Host, Journal, Rig, run, settle, until

from sync import upstream
from sync.link import Link


class Session(TestCase):
    def test_state_says_what_the_protocol_says(self):
        async def work():
            rig = Rig(head=0)
            rig.journal.head = rig.journal.acked = 300
            state = await rig.connect()
            nonce = state.pop("nonce")
            self.assertEqual(len(nonce), 32)
            self.assertEqual(
                state,
                {
                    "v": 1,
                    "online": 1,
                    "up": 0,
                    "door": "secured",
                    "lock": "locked",
                    "alarms": [],
                    "clock": "floor",
                    "t": 5,
                    "sw": "0.1",
                    "epoch": EPOCH.hex(),
                    "head": 300,
                    "chain": (b"chain\x2c\x01").hex(),
                    "acked": 300,
                    "oldest": 1,
                    "list": [OFFICE.hex(), 5],
                    "parcel": [0, 0, 0],
                    "boot": 3,
                },
            )

        run(work())

    def test_state_is_retained_and_follows_the_subscriptions(self):
        async def work():
            rig = Rig()
            await rig.connect()
            rig.link.state_changed()
            await settle()
            await rig.look()
            self.assertEqual([(leaf, head & 0x07) for leaf, _, head in rig.published], [("state", 3)])

        run(work())

    def test_each_connection_has_its_own_nonce(self):
        async def work():
            rig = Rig()
            nonces = set()
            for _ in range(4):
                nonces.add((await rig.connect())["nonce"])
            self.assertEqual(len(nonces), 4)

        run(work())

    def test_up_counts_from_the_nonce(self):
        async def work():
            rig = Rig()
            await rig.connect()
            rig.host.now_s += 42
            rig.link.state_changed()
            self.assertEqual((await rig.state())["up"], 42)

        run(work())

    def test_offline_is_quiet_and_goes_on(self):
        async def work():
            rig = Rig()
            rig.task = asyncio.create_task(rig.link.run())
            await until(lambda: rig.dialer.dialled >= 5)
            self.assertFalse(rig.link.connected)
            self.assertEqual(rig.link.last_error.args[0], 111)
            rig.link.notify()
            rig.link.state_changed()
            await rig.connect()
            self.assertTrue(rig.link.connected)

        run(work())

    def test_tls_errors_are_failures_like_others(self):
        async def work():
            rig = Rig()
            rig.dialer.streams += [ValueError("invalid cert"), MemoryError("no room for TLS")]
            await rig.connect()
            self.assertEqual(rig.dialer.dialled, 3)

        run(work())

    def test_nothing_is_dialled_while_the_host_forbids_it(self):
        async def work():
            rig = Rig()
            rig.host.allowed = False
            rig.task = asyncio.create_task(rig.link.run())
            await asyncio.sleep_ms(60)
            self.assertEqual(rig.dialer.dialled, 0)
            rig.host.allowed = True
            await rig.connect()

        run(work())

    def test_tls_is_never_silently_left_out(self):
        settings = dict(SETTINGS)
        settings["tls"] = True
        link = Link(settings, KEYS, Journal(), Allowlist(), Host())  # the door itself starts
        self.assertRaises(ValueError, lambda: run(link.run()))


class Upload(TestCase):
    def test_backlog_goes_in_batches_and_only_acknowledgements_move_the_cursor(self):
        async def work():
            rig = Rig(head=100)
            await rig.connect()
            self.assertEqual(await rig.batch(), (1, 32))
            self.assertEqual(await rig.batch(), (33, 64))
            # Both were acknowledged by the broker; that moves nothing.
            self.assertTrue(await rig.nothing("event"))
            self.assertEqual(rig.journal.acked, 0)
            await rig.ack(32)
            self.assertEqual(rig.journal.acked, 32)
            self.assertEqual(await rig.batch(), (65, 96))
            await rig.ack(96)
            self.assertEqual(await rig.batch(), (97, 100))
            await rig.ack(100)
            self.assertTrue(await rig.nothing("event"))
            rig.journal.head = 101
            rig.link.notify()
            self.assertEqual(await rig.batch(), (101, 101))
            self.assertEqual(rig.link.refused, 0)

        run(work())

    def test_what_is_not_acknowledged_is_sent_again_from_flash_with_more_patience(self):
        async def work():
            rig = Rig(head=40)
            await rig.connect()
            self.assertEqual([await rig.batch(), await rig.batch()], [(1, 32), (33, 40)])
            for patience_s in (20, 40, 80, 160, 320, 320):
                rig.host.now_s += patience_s
                self.assertTrue(await rig.nothing("event"))
                rig.host.now_s += 1
                self.assertEqual([await rig.batch(), await rig.batch()], [(1, 32), (33, 40)])
            await rig.ack(32)
            rig.host.now_s += 21
            self.assertEqual(await rig.batch(), (33, 40))

        run(work())

    def test_after_a_reconnect_it_goes_on_from_the_last_acknowledged(self):
        async def work():
            rig = Rig(head=70)
            rig.acknowledge = False
            await rig.connect()
            self.assertEqual([await rig.batch(), await rig.batch()], [(1, 32), (33, 64)])
            await rig.ack(32)
            rig.acknowledge = True
            await rig.connect()
            self.assertEqual([await rig.batch(), await rig.batch()], [(33, 64), (65, 70)])
            self.assertEqual([head & 8 for _, _, head in rig.published], [])

        run(work())

    def test_acknowledgements_that_do_not_fit_are_refused(self):
        async def work():
            rig = Rig(head=40)
            await rig.connect()
            await rig.batch()
            await rig.ack(32)
            self.assertEqual(rig.journal.acked, 32)
            good = upstream.build_ack(KEYS.purpose(b"event-ack"), EPOCH, 40, rig.journal.chain_at(40))
            await rig.ack(41)  # too far
            await rig.ack(40, epoch=b"NONE")
            await rig.ack(40, chain=b"another")
            await rig.ack(31)  # goes back
            await rig.ack(40, key=KEYS.purpose(b"cmd"))  # forged
            await rig.say(b"event/ack", good, retain=1)
            await rig.say(b"event/ack", good[:-1])
            await rig.say(b"event/ack", good + b"\0")
            await rig.say(b"event/ack", b"")
            self.assertEqual(rig.journal.acked, 32)
            self.assertEqual((rig.link.refused, rig.link.forged), (9, 1))
            await rig.say(b"event/ack", good)
            self.assertEqual(rig.journal.acked, 40)
            self.assertTrue(rig.link.connected)

        run(work())

    def test_a_flash_that_cannot_be_read_does_not_end_the_link(self):
        async def work():
            rig = Rig(head=3)
            rig.journal.broken = True
            await rig.connect()
            await until(lambda: rig.link.failed >= 2)
            self.assertTrue(rig.link.connected)
            rig.journal.broken = False
            self.assertEqual(await rig.batch(), (1, 3))
            rig.link.state_changed()
            await rig.state()

        run(work())

    def test_upload_stops_at_a_broker_that_does_not_acknowledge(self):
        async def work():
            rig = Rig(head=500)
            rig.acknowledge = False
            await rig.connect()
            self.assertEqual([await rig.batch(), await rig.batch()], [(1, 32), (33, 64)])
            await rig.ack(64)
            self.assertTrue(await rig.nothing("event"))
            self.assertEqual(len(rig.journal.batches), 2)

        run(work())
