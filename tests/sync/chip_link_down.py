import asyncio
from unittest import TestCase

from streams import publish
from upstream_rig import KEYS, OFFICE, PREFIX, Allowlist, Rig, run, settle, until

from sync import messages, upstream


class List(TestCase):
    key = KEYS.purpose(b"list")

    def delta(self, first, last, count=2, office=OFFICE, key=None):
        changes = [
            upstream.pack_change(
                messages.PUT + index % 4, (b"pseudo%d" if index < 10 else b"pseud%d") % index, 10, 20, 3, 1, 2
            )
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

    def test_a_full_list_takes_all_but_what_needs_room_and_says_what_it_left_out(self):
        async def work():
            rig = Rig()
            rig.allowlist.full = ("put",)
            await rig.connect()
            await rig.say(b"list", self.delta(5, 6, 5))
            self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 6])
            self.assertEqual((rig.link.failed, rig.host.changes), (2, [(5, 6)]))
            self.assertEqual(rig.host.full, [b"pseudo0", b"pseudo4"])
            # A card that was cancelled behind one that found no room is cancelled.
            self.assertEqual([call[0] for call in rig.allowlist.calls], ["suspend", "revoke", "forget", "revision"])

        run(work())

    def test_flash_that_refuses_one_change_gets_the_others_and_the_delta_again(self):
        async def work():
            rig = Rig()

            def put(*change):
                raise OSError(5)

            rig.allowlist.put = put
            await rig.connect()
            await rig.say(b"list", self.delta(5, 6, 5))
            self.assertEqual((await rig.state())["list"], [OFFICE.hex(), 5])
            self.assertEqual([call[0] for call in rig.allowlist.calls], ["suspend", "revoke", "forget"])
            self.assertEqual((rig.link.failed, rig.host.changes), (1, []))

        run(work())

    def test_what_a_delta_cancels_is_not_live_before(self):
        """Also when it is applied again after a power cut: only what the changes of a card come to is applied."""

        async def work():
            rig = Rig()
            await rig.connect()
            values = (10, 20, 3, 1, 2)
            changes = [
                (messages.PUT, b"pseudo0"),
                (messages.PUT, b"pseudo1"),
                (messages.SUSPEND, b"pseudo0"),
                (messages.FORGET, b"pseudo1"),
                (messages.REVOKE, b"pseudo0"),
                (messages.REVOKE, b"pseudo2"),
                (messages.PUT, b"pseudo2"),
            ]
            packed = [upstream.pack_change(operation, name, *values) for operation, name in changes]
            await rig.say(b"list", upstream.build_delta(KEYS.purpose(b"list"), OFFICE, 5, 6, packed))
            self.assertEqual(
                rig.allowlist.calls,
                [
                    ("set", (2, b"pseudo0") + values),
                    ("suspend", (b"pseudo0",) + values),
                    ("forget", (b"pseudo1",)),
                    ("revoke", (b"pseudo0",) + values),
                    ("put", (b"pseudo2",) + values),
                    ("revision", (OFFICE, 6)),
                ],
            )

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
            await rig.say(b"list", self.delta(5, 6, 32))
            await rig.state()
            task.cancel()
            self.assertEqual(sorted(set(seen)), list(range(34)))

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
            await rig.say(b"list", self.delta(5, 6, 32))
            await until(lambda: not rig.link.connected)
            self.assertTrue(0 < len(rig.allowlist.calls) < 32)
            rig.allowlist.put = taken
            self.assertEqual((await rig.connect())["list"], [OFFICE.hex(), 5])
            await rig.say(b"list", self.delta(5, 6, 32))
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

    def test_ids_begin_again_in_each_session(self):
        async def work():
            rig = Rig()
            for number in (5, 1, 2):
                nonce = (await rig.connect())["nonce"]
                await rig.say(b"cmd", self.command(nonce, number))
                self.assertEqual((await rig.result())[1:3], (messages.DONE, number))
                await rig.say(b"cmd", self.command(nonce, 0))
                self.assertEqual((await rig.result())[1:3], (messages.REPLAYED, 0))

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
            rig.stream.say(publish(PREFIX.replace(b"gate", b"hall") + b"cmd", self.command(nonce, 1)))
            rig.stream.say(publish(PREFIX + b"cmd", b"\x01" * 2000))
            await settle()
            await asyncio.sleep_ms(20)
            self.assertEqual(rig.host.commands, [])
            self.assertEqual((rig.link._client.strays, rig.link._client.oversize), (1, 1))
            await rig.say(b"cmd", self.command(nonce, 1))
            self.assertEqual((await rig.result())[1], messages.DONE)

        run(work())
