import asyncio
import time
from unittest import TestCase

from client_rig import GRANTED, Rig, connected, ended, run, settle
from streams import CONNACK, Stream, puback, publish, suback


class Connecting(TestCase):
    def test_connect_and_subscribe_are_as_the_standard_says(self):
        async def work():
            stream = Stream()
            rig = Rig(stream, keepalive_s=300)
            task = asyncio.create_task(rig.connection())
            await settle()
            expected = b"\x00\x04MQTT\x04\x2e\x01\x2c\x00\x03s.d\x00\x06t/will\x00\x04gone"
            self.assertEqual(stream.packets(), [(0x10, expected)])
            stream.say(CONNACK)
            await settle()
            self.assertEqual(stream.packets(), [(0x82, b"\x00\x01\x00\x03t/a\x01\x00\x04t/bb\x01")])
            self.assertFalse(rig.client.ready)
            stream.say(GRANTED)
            await settle()
            self.assertTrue(rig.client.ready)
            self.assertEqual(rig.dialer.answered, 1)
            stream.hang_up()
            await ended(rig, task)
            self.assertFalse(rig.client.ready)
            self.assertTrue(stream.closed)

        run(work())

    def test_refusals_end_the_connection_with_a_sentence(self):
        async def work():
            for answer, word in (
                (b"\x20\x02\x00\x05", "code 5"),
                (CONNACK + suback((1, 128)), "subscription"),
                (CONNACK + suback((1,)), "breaks"),
                (GRANTED, "breaks"),
                (publish(b"t/a", b"early"), "breaks"),
            ):
                stream = Stream()
                rig = Rig(stream)
                stream.say(answer)
                await ended(rig, asyncio.create_task(rig.connection()))
                self.assertTrue(word in str(rig.error), str(rig.error))
                self.assertTrue(stream.closed)
                self.assertEqual(rig.messages, [])

        run(work())

    def test_an_address_that_does_not_answer_has_a_deadline(self):
        async def work():
            rig = Rig(None)
            start_ms = time.ticks_ms()
            await rig.connection()
            self.assertTrue("no answer" in str(rig.error))
            self.assertTrue(time.ticks_diff(time.ticks_ms(), start_ms) < 1000)

        run(work())

    def test_a_broker_that_accepts_and_is_silent_has_a_deadline(self):
        async def work():
            for said in (b"", b"\x20", CONNACK, CONNACK + b"\x90"):
                stream = Stream()
                rig = Rig(stream)
                stream.say(said)
                await ended(rig, asyncio.create_task(rig.connection()))
                self.assertTrue("silent" in str(rig.error))
                self.assertTrue(stream.closed)

        run(work())

    def test_errors_of_the_dialer_come_through(self):
        async def work():
            rig = Rig(ValueError("invalid cert"))
            await rig.connection()
            self.assertEqual(str(rig.error), "invalid cert")

        run(work())

    def test_cancelling_closes_the_stream(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            task = await connected(rig, stream)
            task.cancel()
            try:
                await task
                self.fail("not cancelled")
            except asyncio.CancelledError:
                pass
            self.assertTrue(stream.closed)
            self.assertFalse(rig.client.ready)

        run(work())


class Publishing(TestCase):
    def test_several_are_under_way_and_slots_come_back(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            await connected(rig, stream)
            stream.packets()
            one, two, three = rig.publish(b"1"), rig.publish(b"2"), rig.publish(b"3" * 200)
            self.assertTrue(rig.publish(b"4") is None)
            await settle()
            heard = stream.packets()
            self.assertEqual([head for head, _ in heard], [0x32] * 3)
            self.assertEqual(len({body[6:8] for _, body in heard}), 3)
            self.assertEqual(heard[2][1], b"\x00\x04t/up\x00" + bytes((three.id,)) + b"3" * 200)
            before = rig.changes
            stream.say(puback(two.id))
            await settle()
            self.assertTrue(rig.changes > before)
            self.assertTrue(rig.publish(b"5") is two)
            stream.say(puback(one.id) + puback(three.id) + puback(999))
            await settle()
            self.assertTrue(rig.client.take(64) is one)

        run(work())

    def test_small_publishes_leave_the_large_buffers_alone(self):
        rig = Rig()
        self.assertEqual(len(rig.client.take(10).buf), 64)
        self.assertEqual(len(rig.client.take(10).buf), 300)
        self.assertEqual(len(rig.client.take(300).buf), 300)
        self.assertTrue(rig.client.take(1) is None)
        rig = Rig()
        self.assertTrue(rig.client.take(301) is None)

    def test_what_does_not_fit_is_refused(self):
        rig = Rig()
        slot = rig.client.take(10)
        slot.payload(b"t/up")
        self.assertRaises(ValueError, lambda: rig.client.send(slot, 54))
        rig.client.drop(slot)
        slot = rig.client.take(10)
        slot.payload(b"t/up")
        rig.client.send(slot, 53)

    def test_lengths_around_the_second_byte(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            await connected(rig, stream)
            for length in (0, 1, 118, 119, 120, 121, 250):
                stream.packets()
                slot = rig.publish(b"x" * length, size=300)
                await settle()
                self.assertEqual(stream.packets(), [(0x32, b"\x00\x04t/up\x00" + bytes((slot.id,)) + b"x" * length)])
                stream.say(puback(slot.id))
                await settle()

        run(work())

    def test_quality_0_is_written_once_and_forgotten(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            await connected(rig, stream)
            stream.packets()
            slot = rig.publish(b"hello", qos=0)
            await settle()
            self.assertEqual(stream.packets(), [(0x30, b"\x00\x04t/uphello")])
            self.assertTrue(rig.client.take(10) is slot)

        run(work())

    def test_a_lost_puback_means_the_same_packet_again_with_dup(self):
        async def work():
            first, second = Stream(), Stream()
            rig = Rig(first, second)
            task = await connected(rig, first)
            first.packets()
            kept, dropped, acknowledged = rig.publish(b"kept"), rig.publish(b"d" * 9, keep=False), rig.publish(b"done")
            await settle()
            sent = first.packets()
            first.say(puback(acknowledged.id))
            await settle()
            first.hang_up()
            await ended(rig, task)
            queued = rig.publish(b"later")
            task = await connected(rig, second)
            await settle()
            again = [packet for packet in second.packets() if packet[0] & 0xF0 == 0x30]
            self.assertEqual(again[0], (0x3A, sent[0][1]))
            self.assertEqual(again[1][0], 0x32)
            self.assertTrue(again[1][1].endswith(b"later"))
            self.assertEqual(len(again), 2)
            second.say(puback(kept.id) + puback(queued.id))
            await settle()
            self.assertEqual(rig.client._pending, [])
            self.assertEqual(dropped.state, 0)

        run(work())

    def test_order_is_kept_over_reconnects(self):
        async def work():
            streams = [Stream() for _ in range(4)]
            rig = Rig(*streams)
            for payload in (b"1", b"2" * 50, b"3"):
                rig.publish(payload)
            for number, stream in enumerate(streams):
                rig.error = None
                task = await connected(rig, stream)
                await settle()
                found = [packet for packet in stream.packets() if packet[0] & 0xF0 == 0x30]
                self.assertEqual([body[-1:] for _, body in found], [b"1", b"2", b"3"])
                self.assertEqual([head & 8 for head, _ in found], [8 if number else 0] * 3)
                stream.hang_up()
                await ended(rig, task)

        run(work())
