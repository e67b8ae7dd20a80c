import asyncio
import time
from unittest import TestCase

from client_rig import GRANTED, Rig, connected, ended, run, settle, until
from streams import CONNACK, Stream, puback, publish, suback


class Connecting(TestCase):
    def test_connect_and_subscribe_are_as_the_standard_says(self):
        async def work():
            stream = Stream()
            rig = Rig(stream, keepalive_s=300)
            task = asyncio.create_task(rig.connection())
            await settle()
            expected = b"\x00\x04MQTT\x04\x2e\x01\x2c\x00\x03s.d\x00\x07t/state\x00\x04gone"
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
            self.assertEqual(heard[2][1], b"\x00\x04t/up\x00" + bytes((three,)) + b"3" * 200)
            before = rig.changes
            stream.say(puback(two))
            await settle()
            self.assertTrue(rig.changes > before)
            self.assertEqual(rig.publish(b"5"), two)
            stream.say(puback(one) + puback(three) + puback(999))
            await settle()
            self.assertEqual(len(rig.client.room(b"up", 53)), 53)

        run(work())

    def test_small_publishes_leave_the_large_buffers_alone(self):
        rig = Rig()
        for size, room in ((10, 53), (10, 289), (289, 289)):
            self.assertEqual(len(rig.client.room(b"up", size)), room)
            self.assertEqual(len(rig.client.room(b"up", size)), room)  # it is taken by `send` only
            rig.client.send(1)
        self.assertTrue(rig.client.room(b"up", 1) is None)
        rig = Rig()
        self.assertTrue(rig.client.room(b"up", 290) is None)

    def test_what_does_not_fit_is_refused(self):
        rig = Rig()
        rig.client.room(b"up", 10)
        self.assertRaises(ValueError, lambda: rig.client.send(54))
        self.assertEqual(len(rig.client.room(b"up", 10)), 53)
        rig.client.send(53)

    def test_lengths_around_the_second_byte(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            await connected(rig, stream)
            for length in (0, 1, 118, 119, 120, 121, 250):
                stream.packets()
                packet_id = rig.publish(b"x" * length, size=280)
                await settle()
                self.assertEqual(stream.packets(), [(0x32, b"\x00\x04t/up\x00" + bytes((packet_id,)) + b"x" * length)])
                stream.say(puback(packet_id))
                await settle()

        run(work())

    def test_the_buffer_of_what_is_not_kept_is_free_when_it_is_written(self):
        async def work():
            stream = Stream()
            rig = Rig(stream, sizes=(300, 300))
            task = await connected(rig, stream)
            stream.packets()
            ids = []
            for payload in (b"one", b"two" * 50, b"three"):
                before = rig.changes
                ids.append(rig.publish(payload, keep=False))
                self.assertTrue(rig.client.room(b"up", 1) is None)
                await settle()
                self.assertTrue(rig.changes > before)
                self.assertEqual(stream.packets(), [(0x32, b"\x00\x04t/up\x00" + bytes((ids[-1],)) + payload)])
            self.assertEqual(len(set(ids)), 3)
            # The buffer is free, but three publishes wait for an answer.
            self.assertTrue(rig.publish(b"four") is None)
            stream.say(puback(ids[1]))
            await settle()
            self.assertEqual(rig.publish(b"four"), ids[1])
            await settle()
            stream.say(puback(ids[0]) + puback(ids[1]))
            await ended(rig, task)  # the third has a deadline, too
            self.assertTrue("silent" in str(rig.error))

        run(work())

    def test_the_answer_may_be_there_before_the_writer_goes_on(self):
        async def work():
            stream = Stream()
            rig = Rig(stream, sizes=(300, 300))
            await connected(rig, stream)
            stream.packets()
            for number in range(20):
                keep = bool(number & 1)
                packet_id = rig.publish(b"x%d" % number, keep=keep)
                stream.stalled = True
                await settle()
                stream.say(puback(packet_id))
                await settle()
                self.assertEqual(rig.publish(b"y%d" % number), packet_id)
                stream.stalled = False
                await until(lambda: len(stream.heard) > 20)
                await settle()
                stream.say(puback(packet_id))
                await settle()
                found = stream.packets()
                self.assertEqual([body[8:] for _, body in found], [b"x%d" % number, b"y%d" % number])
            self.assertEqual(rig.client._pending, [])

        run(work())

    def test_a_lost_puback_means_the_same_packet_again_with_dup(self):
        async def work():
            first, second = Stream(), Stream()
            rig = Rig(first, second)
            task = await connected(rig, first)
            first.packets()
            kept, _, acknowledged = rig.publish(b"kept"), rig.publish(b"d" * 9, keep=False), rig.publish(b"done")
            await settle()
            sent = first.packets()
            first.say(puback(acknowledged))
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
            second.say(puback(kept) + puback(queued))
            await settle()
            self.assertEqual(rig.client._pending, [])
            self.assertEqual([len(rig.client.room(b"up", size)) for size in (1, 280)], [53, 289])

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
