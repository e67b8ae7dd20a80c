import asyncio
from unittest import TestCase

from upstream_rig import EPOCH, KEYS, OFFICE, PREFIX, SETTINGS, Allowlist, Host, Journal, Rig, run, settle, until

from sync import messages, upstream
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
                    "list": [OFFICE.hex(), 5],
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
        self.assertRaises(ValueError, lambda: Link(settings, KEYS, Journal(), Allowlist(), Host()))


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


class List(TestCase):
    key = KEYS.purpose(b"list")

    def delta(self, first, last, count=2, office=OFFICE, key=None):
        changes = [
            upstream.pack_change(messages.PUT + index % 4, b"pseudo%d" % (index % 10), 10, 20, 3, 1, 2)
            for index in range(count)
        ]
        return upstream.build_delta(key or self.key, office, first, last, changes)

    def test_a_delta_is_applied_change_by_change_and_the_revision_comes_last(self):
        async def work():
            rig = Rig()
            await rig.connect()
            await rig.say(b"list", self.delta(5, 9, 5))
            fields = (10, 20, 3, 1, 2)
            self.assertEqual(
                rig.allowlist.calls,
                [
                    ("put", (b"pseudo0",) + fields),
                    ("suspend", (b"pseudo1",) + fields),
                    ("revoke", (b"pseudo2",) + fields),
                    ("forget", (b"pseudo3",)),
                    ("put", (b"pseudo4",) + fields),
                    ("revision", (OFFICE, 9)),
                ],
            )
            self.assertEqual(rig.host.changes, [(5, 9)])
            self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 9])

        run(work())

    def test_a_delta_it_has_and_one_from_later_are_answered_by_state(self):
        async def work():
            rig = Rig()
            await rig.connect()
            for first, last in ((4, 5), (1, 3), (6, 7), (4, 6)):
                await rig.say(b"list", self.delta(first, last))
                self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 5])
            self.assertEqual(rig.allowlist.calls, [])
            self.assertEqual(rig.link.refused, 0)

        run(work())

    def test_another_office_is_refused_unless_the_door_is_new(self):
        async def work():
            rig = Rig()
            await rig.connect()
            await rig.say(b"list", self.delta(5, 6, office=b"ELSE"))
            self.assertEqual(rig.allowlist.calls, [])
            self.assertEqual(rig.link.refused, 1)
            rig = Rig(allowlist=Allowlist(bytes(4), 0))
            await rig.connect()
            await rig.say(b"list", self.delta(0, 6, office=b"ELSE"))
            self.assertEqual((await rig.state())["list"], [b"ELSE".hex(), 6])

        run(work())

    def test_forged_retained_and_malformed_deltas_change_nothing(self):
        async def work():
            rig = Rig()
            await rig.connect()
            good = self.delta(5, 6)
            await rig.say(b"list", self.delta(5, 6, key=KEYS.purpose(b"cmd")))
            await rig.say(b"list", good[:20] + bytes((good[20] ^ 1,)) + good[21:])
            await rig.say(b"list", good, retain=1)
            await rig.say(b"list", good[:-16])
            await rig.say(b"list", b"")
            self.assertEqual(rig.allowlist.calls, [])
            self.assertEqual((rig.link.refused, rig.link.forged), (5, 2))
            self.assertTrue(await rig.nothing())

        run(work())

    def test_a_full_list_keeps_its_revision(self):
        async def work():
            rig = Rig()
            rig.allowlist.full_after = 1
            await rig.connect()
            await rig.say(b"list", self.delta(5, 6))
            self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 5])
            self.assertEqual((rig.link.failed, rig.host.changes), (1, []))
            rig.allowlist.full_after = 1000
            await rig.say(b"list", self.delta(5, 6))
            self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 6])

        run(work())

    def test_a_card_can_be_judged_between_two_changes(self):
        async def work():
            rig = Rig()
            await rig.connect()
            seen = []

            async def look():
                while True:
                    seen.append(len(rig.allowlist.calls))
                    await asyncio.sleep_ms(0)

            task = asyncio.create_task(look())
            await rig.say(b"list", self.delta(5, 6, 64))
            await rig.state()
            task.cancel()
            self.assertEqual(sorted(set(seen)), list(range(66)))

        run(work())

    def test_a_delta_cut_short_by_the_link_is_applied_again(self):
        async def work():
            rig = Rig()
            await rig.connect()
            taken = rig.allowlist.put

            def put(*change):
                taken(*change)
                rig.stream.broken = True
                rig.link.state_changed()

            rig.allowlist.put = put
            await rig.say(b"list", self.delta(5, 6, 64))
            await until(lambda: not rig.link.connected)
            self.assertTrue(0 < len(rig.allowlist.calls) < 64)
            rig.allowlist.put = taken
            self.assertEqual((await rig.connect())["list"], [OFFICE.hex(), 5])
            await rig.say(b"list", self.delta(5, 6, 64))
            while (await rig.state())["list"] != [OFFICE.hex(), 6]:
                pass

        run(work())


class Commands(TestCase):
    def command(self, nonce, number, operation=1, deadline_s=60, approver=8, key=b"cmd", approve=b"approve"):
        body = upstream.command_body(operation, 4, bytes.fromhex(nonce), number, deadline_s, 7, approver, 99)
        approval = upstream.approval(KEYS.purpose(approve), body) if approver else bytes(16)
        return upstream.build_command(KEYS.purpose(key), body, approval)

    def test_a_command_is_executed_once_and_answered(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            wire = self.command(nonce, 1)
            await rig.say(b"cmd", wire)
            self.assertEqual(await rig.result(), (1, messages.DONE, 1, bytes.fromhex(nonce)))
            await rig.say(b"cmd", wire)
            self.assertEqual(await rig.result(), (1, messages.REPLAYED, 1, bytes.fromhex(nonce)))
            command = rig.host.commands[0]
            self.assertEqual((command.operation, command.operator, command.approver), (1, 7, 8))
            self.assertEqual((command.reason, command.argument, command.number), (4, 99, 1))
            self.assertEqual(len(rig.host.commands), 1)
            self.assertEqual(rig.host.refusals, [(1, messages.REPLAYED, 7)])

        run(work())

    def test_refusals(self):
        async def work():
            rig = Rig()
            old = (await rig.connect())["nonce"]
            nonce = (await rig.connect())["nonce"]
            rig.host.now_s += 100
            here = bytes.fromhex(nonce)
            nobody = (0, 0, here)
            for wire, retain, result, answer, refusal in (
                (self.command(nonce, 1, deadline_s=200, key=b"list"), 0, messages.WRONG_MAC, nobody, (0, 0)),
                (self.command(old, 2, deadline_s=200), 0, messages.WRONG_SESSION, (1, 2, bytes.fromhex(old)), (1, 7)),
                (self.command(nonce, 3, deadline_s=99), 0, messages.TOO_LATE, (1, 3, here), (1, 7)),
                (self.command(nonce, 3, deadline_s=200), 0, messages.REPLAYED, (1, 3, here), (1, 7)),
                (self.command(nonce, 4, deadline_s=200), 1, messages.RETAINED, (1, 4, here), (1, 7)),
                (self.command(nonce, 5, deadline_s=200)[:-1], 0, messages.MALFORMED, nobody, (0, 0)),
                (self.command(nonce, 6, deadline_s=200, approver=0), 0, messages.NOT_APPROVED, (1, 6, here), (1, 7)),
                (
                    self.command(nonce, 7, deadline_s=200, approve=b"cmd"),
                    0,
                    messages.NOT_APPROVED,
                    (1, 7, here),
                    (1, 7),
                ),
            ):
                await rig.say(b"cmd", wire, retain)
                self.assertEqual(await rig.result(), (answer[0], result, answer[1], answer[2]))
                self.assertEqual(rig.host.refusals.pop(), (refusal[0], result, refusal[1]))
            self.assertEqual(rig.host.commands, [])
            self.assertEqual((rig.link.refused, rig.link.forged), (8, 1))
            await rig.say(b"cmd", self.command(nonce, 8, deadline_s=100))
            self.assertEqual((await rig.result())[1], messages.DONE)

        run(work())

    def test_setting_the_time_needs_no_approver(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            await rig.say(b"cmd", self.command(nonce, 1, operation=2, approver=0))
            self.assertEqual((await rig.result())[:2], (2, messages.DONE))

        run(work())

    def test_what_the_host_refuses_is_recorded_and_answered(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            for number, result in ((1, messages.REFUSED_BY_DOOR), (2, messages.UNKNOWN_OPERATION)):
                rig.host.answer = result
                await rig.say(b"cmd", self.command(nonce, number, operation=9))
                self.assertEqual((await rig.result())[:3], (9, result, number))
                self.assertEqual(rig.host.refusals.pop(), (9, result, 7))

        run(work())

    def test_a_flood_of_refusals_costs_no_flash_and_does_not_keep_commands_out(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            bad = self.command(nonce, 1, key=b"list")
            for _ in range(40):
                await rig.say(b"cmd", bad)
                await rig.look()
            self.assertEqual(len(rig.host.refusals), 8)
            self.assertEqual(rig.link.refused, 40)
            rig.host.now_s += 10
            for _ in range(5):
                await rig.say(b"cmd", bad)
            self.assertEqual(len(rig.host.refusals), 9)
            rig.published.clear()
            await rig.say(b"cmd", self.command(nonce, 1))
            results = [await rig.result(), await rig.result()]
            self.assertEqual(sorted(result[1] for result in results), [messages.DONE, messages.WRONG_MAC])
            self.assertEqual(len(rig.host.commands), 1)

        run(work())

    def test_a_result_that_was_not_acknowledged_arrives_after_the_reconnect(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            rig.acknowledge = False
            await rig.say(b"cmd", self.command(nonce, 1))
            await rig.result()
            rig.acknowledge = True
            await rig.connect()
            self.assertEqual(await rig.result(), (1, messages.DONE, 1, bytes.fromhex(nonce)))

        run(work())

    def test_topics_of_other_doors_and_noise_are_not_looked_at(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            from streams import publish

            rig.stream.say(publish(PREFIX.replace(b"gate", b"hall") + b"cmd", self.command(nonce, 1)))
            rig.stream.say(publish(PREFIX + b"cmd", b"\x01" * 5000))
            await settle()
            await asyncio.sleep_ms(20)
            self.assertEqual(rig.host.commands, [])
            self.assertEqual((rig.link._client.strays, rig.link._client.oversize), (1, 1))
            await rig.say(b"cmd", self.command(nonce, 1))
            self.assertEqual((await rig.result())[1], messages.DONE)

        run(work())
