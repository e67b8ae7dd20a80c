"""Alarms that overtake the backlog, the rate of commands, records that are collected, and the longest state."""

from unittest import TestCase

from upstream_rig import KEYS, Rig, run

from storage import record
from sync import messages, upstream


class Overtaking(TestCase):
    async def now(self, rig):
        batch = upstream.parse_batch(await rig.wait("event/now"))
        self.assertEqual(batch.count, 1)
        return batch.first

    def alarms(self, rig, *numbers):
        head = rig.journal.head
        for number in numbers:
            rig.journal.head = number
            rig.link.alarm()
        rig.journal.head = head

    def test_the_newest_four_come_before_the_backlog(self):
        async def work():
            rig = Rig(head=200)
            # Upstream gets one record at a time on this topic.
            whole = rig.journal.batch
            rig.journal.batch = lambda buf, first: whole(buf, first) if len(buf) > 56 else self.one(rig, buf, first)
            self.alarms(rig, 20, 100, 110, 120, 130, 200)
            await rig.connect()
            for _ in range(8):
                await rig.look()
            leaves = [leaf for leaf, _, _ in rig.published if leaf.startswith("event")]
            self.assertEqual(leaves, ["event/now"] * 4 + ["event"] * 2)
            for number in (110, 120, 130, 200):
                self.assertEqual(await self.now(rig), number)
            self.assertEqual([await rig.batch(), await rig.batch()], [(1, 32), (33, 64)])
            self.assertEqual(rig.journal.acked, 0)  # nothing is acknowledged by it
            for last in (64, 128, 192, 200):
                await rig.ack(last)
            self.assertEqual(rig.journal.acked, 200)
            self.assertTrue(await rig.nothing("event/now"))

        run(work())

    def one(self, rig, buf, first):
        head = rig.journal.head
        last = rig.journal.last_in_batch
        rig.journal.head = first
        numbers = bytes((first & 255, first >> 8)) + bytes(14)
        buf[:24] = bytes((1, 0, 1, 0)) + rig.journal.epoch + numbers
        buf[24:56] = bytes(32)
        rig.journal.head = head
        rig.journal.last_in_batch = last
        return 1

    def test_what_the_next_batch_has_anyway_does_not_overtake(self):
        async def work():
            rig = Rig(head=32)
            self.alarms(rig, 32)
            await rig.connect()
            self.assertEqual(await rig.batch(), (1, 32))
            rig.journal.head = 33
            rig.link.alarm()
            rig.link.notify()
            self.assertEqual(await rig.batch(), (33, 33))
            self.assertTrue(await rig.nothing("event/now"))

        run(work())

    def test_a_flash_that_cannot_be_read_holds_up_nothing_else(self):
        async def work():
            rig = Rig(head=200)
            whole = rig.journal.batch
            rig.journal.batch = lambda buf, first: whole(buf, first) if len(buf) > 56 else 0
            self.alarms(rig, 100)
            await rig.connect()
            self.assertEqual(await rig.batch(), (1, 32))
            self.assertTrue(await rig.nothing("event/now"))

        run(work())


class Rate(TestCase):
    def command(self, nonce, number, operation=7, approver=0):
        body = upstream.command_body(operation, 4, bytes.fromhex(nonce), number, 1000, 7, approver, 0)
        approval = upstream.approval(KEYS.purpose(b"approve"), body) if approver else bytes(16)
        return upstream.build_command(KEYS.purpose(b"cmd"), body, approval)

    async def result_of(self, rig, *wire):
        await rig.say(b"cmd", self.command(*wire))
        return (await rig.result())[1]

    async def results(self, rig, nonce, numbers, *how):
        found = []
        for number in numbers:
            found.append(await self.result_of(rig, nonce, number, *how))
        return found

    def test_eight_at_once_then_one_in_five_seconds(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            results = await self.results(rig, nonce, range(1, 11))
            self.assertEqual(results, [messages.DONE] * 8 + [messages.BUSY] * 2)
            self.assertEqual(len(rig.host.commands), 8)
            self.assertEqual(rig.host.refusals, [(7, messages.BUSY, 7)] * 2)
            self.assertEqual(await self.result_of(rig, nonce, 10), messages.REPLAYED)  # its id is used up
            rig.host.now_s += 5
            self.assertEqual(await self.result_of(rig, nonce, 11), messages.DONE)
            self.assertEqual(await self.result_of(rig, nonce, 12), messages.BUSY)
            rig.host.now_s += 40
            results = await self.results(rig, nonce, range(13, 22))
            self.assertEqual(results, [messages.DONE] * 8 + [messages.BUSY])

        run(work())

    def test_two_persons_get_through_a_flood(self):
        async def work():
            rig = Rig()
            nonce = (await rig.connect())["nonce"]
            for number in range(1, 40):
                await rig.say(b"cmd", self.command(nonce, number))
                await rig.look()
            rig.published.clear()
            results = await self.results(rig, nonce, range(40, 44), 1, 8)
            self.assertEqual(results, [messages.DONE] * 4)
            await rig.say(b"cmd", self.command(nonce, 44, 1, 8))
            self.assertEqual(len(rig.host.commands), 12)
            self.assertEqual(len(rig.host.refusals), 8)  # what is refused costs flash no more often than ever

        run(work())


class Forged(TestCase):
    def test_a_wrong_mac_on_any_topic_is_told_to_the_host(self):
        async def work():
            rig = Rig(head=5)
            await rig.connect()
            wrong = KEYS.purpose(b"state")
            await rig.ack(3, key=wrong)
            self.assertEqual(rig.host.alarms, 1)
            await rig.say(b"list", upstream.build_delta(wrong, b"OFFI", 5, 6, []))
            self.assertEqual(rig.host.alarms, 2)
            await rig.say(b"cmd", bytes((1,)) + bytes(71))
            self.assertEqual((rig.host.alarms, rig.link.forged), (3, 3))
            await rig.say(b"cmd", bytes(5))
            await rig.say(b"event/ack", b"")
            self.assertEqual(rig.host.alarms, 3)

        run(work())


class Collect(TestCase):
    def test_records_are_sent_again_up_to_the_acknowledged_and_no_further(self):
        async def work():
            from sync import collect

            rig = Rig(head=100)
            await rig.connect()
            await rig.batch()
            await rig.batch()
            await rig.ack(64)
            await rig.batch()
            await rig.batch()
            await rig.ack(100)
            collect.begin(rig.link, 70)
            self.assertEqual(await rig.batch(), (70, 100))
            self.assertTrue(await rig.nothing("event"))
            self.assertEqual(rig.journal.acked, 100)
            await rig.ack(100)
            self.assertTrue(rig.link.connected)

        run(work())


_FULL = 0x3FFFFFFF


class Longest(TestCase):
    def test_the_longest_state_fits(self):
        """Everything that the service, the link and an order under way can put into it, at its longest."""

        async def work():
            rig = Rig(head=0)
            alarms = [number for name, number in record.__dict__.items() if name.startswith("ALARM_")]
            self.assertEqual(max(alarms), record.ALARM_INTRUSION)
            members = {
                "door": "held open",
                "lock": "unlocked",
                "locked_down": False,
                "maintenance": False,
                "alarms": list(range(1, 1 + record.ALARM_INTRUSION)),
                "clock": "synchronised",
                "t": _FULL,
                "unrecorded": _FULL,
                "cards": [65_535] * 3,
                "kinds": [[kind, 255, 255] for kind in range(1, 5)],
                "reader": [255] * 5,
                "closed": [86_400] * 2,
                "closer": [65_535] * 2,
                "cycles": _FULL,
                "digests": ["f" * 16] * 2,
                "page": ["f" * 8, _FULL, _FULL],
                "parcel": [_FULL, _FULL],
                "cert": ["f" * 40, _FULL],
                "sw": "10.10.10-rc10",
            }
            rig.host.state = lambda: dict(members)
            journal = rig.journal
            journal.head = journal.acked = journal.boot = _FULL
            journal.oldest = lambda: _FULL
            journal.chain_at = lambda sequence: b"\xff" * 7
            rig.allowlist.revision = _FULL
            rig.host.now_s = _FULL
            await rig.connect()
            rig.link._session_s = 0
            rig.link.state_changed()
            wire = await rig.wait("state")
            # The longest topic: site and door of 32 characters; packet buffer and what MQTT adds as in sync/mqtt.py.
            most = 1152 - 7 - len(messages.topic("s" * 32, "d" * 32, "state"))
            self.assertTrue(len(wire) <= most)
            self.assertEqual(upstream.parse_state(KEYS.purpose(b"state"), wire)["cert"], members["cert"])

        run(work())
