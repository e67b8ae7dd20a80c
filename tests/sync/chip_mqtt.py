import asyncio
import random
import time
from unittest import TestCase

from streams import CONNACK, Dialer, Stream, puback, publish, suback

from sync.mqtt import Mqtt

_TOPICS = (b"t/a", b"t/bb")
_GRANTED = suback((1, 1))


class Rig:
    """A client before canned streams; one tick is 4 ms."""

    def __init__(self, *streams, sizes=(64, 300, 300), keepalive_s=1000, timeout_s=5):
        self.dialer = Dialer(*streams)
        self.messages = []
        self.changes = 0
        self.client = Mqtt(
            self.dialer,
            b"s.d",
            _TOPICS,
            self.on_message,
            b"t/will",
            b"gone",
            keepalive_s,
            sizes,
            timeout_s,
            tick_ms=4,
        )
        self.client.on_change = self.on_change
        self.error = None

    def on_change(self):
        self.changes += 1

    async def on_message(self, number, payload, retained):
        self.messages.append((number, bytes(payload), retained))

    async def connection(self):
        try:
            await self.client.run()
        except (OSError, ValueError) as error:
            self.error = error

    def publish(self, payload, qos=1, keep=True, size=None):
        slot = self.client.take(size or len(payload) + 11)
        if slot is None:
            return None
        slot.payload(b"t/up", qos)[: len(payload)] = payload
        self.client.send(slot, len(payload), keep=keep)
        return slot


async def settle():
    for _ in range(12):
        await asyncio.sleep_ms(0)


async def until(condition, limit_ms=2000):
    start_ms = time.ticks_ms()
    while not condition():
        if time.ticks_diff(time.ticks_ms(), start_ms) > limit_ms:
            raise AssertionError("it did not come about")
        await asyncio.sleep_ms(1)


def run(work):
    asyncio.new_event_loop()
    asyncio.run(asyncio.wait_for(work, 20))


async def connected(rig, stream):
    task = asyncio.create_task(rig.connection())
    stream.say(CONNACK + _GRANTED)
    await until(lambda: rig.client.ready)
    await settle()
    return task


async def ended(rig, task):
    await until(lambda: rig.error is not None)
    await task


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
            stream.say(_GRANTED)
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
                (_GRANTED, "breaks"),
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


class Receiving(TestCase):
    def test_messages_arrive_however_they_are_cut(self):
        async def work():
            for piece in (1, 2, 3, 7, 1000):
                stream = Stream(piece)
                rig = Rig(stream)
                await connected(rig, stream)
                stream.packets()
                stream.say(publish(b"t/a", b"one", packet_id=513) + publish(b"t/bb", b"2" * 250, qos=0))
                stream.say(publish(b"t/a", b"", retain=1) + publish(b"t/x", b"stray"))
                await until(lambda client=rig.client: client.strays == 1)
                await settle()
                self.assertEqual(rig.messages, [(0, b"one", 0), (1, b"2" * 250, 0), (0, b"", 1)])
                self.assertEqual(stream.packets(), [(0x40, b"\x02\x01"), (0x40, b"\x00\x07"), (0x40, b"\x00\x07")])

        run(work())

    def test_too_long_packets_are_read_past_and_acknowledged(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            await connected(rig, stream)
            stream.packets()
            stream.say(b"\x32\xf7\xa2\x04\x00\x03t/a\x00\x09")  # 70,007 bytes, more than the heap can hold twice
            for _ in range(70):
                stream.say(b"x" * 1000)
                await settle()
            stream.say(publish(b"t/a", b"next", packet_id=10))
            await until(lambda: rig.messages)
            await settle()
            self.assertEqual(rig.messages, [(0, b"next", 0)])
            self.assertEqual(stream.packets(), [(0x40, b"\x00\x09"), (0x40, b"\x00\x0a")])
            self.assertEqual(rig.client.oversize, 1)
            self.assertEqual(stream.asked, 300)

        run(work())

    def test_the_longest_packet_that_fits(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            await connected(rig, stream)
            stream.say(publish(b"t/a", b"x" * 293) + publish(b"t/a", b"x" * 294))
            await until(lambda: rig.client.oversize)
            self.assertEqual([len(message[1]) for message in rig.messages], [293])

        run(work())

    def test_packets_that_break_the_standard_end_the_connection(self):
        async def work():
            for said in (
                b"\x30\xff\xff\xff\x7f",  # 256 MB
                b"\x30\x80\x80\x80\x01",  # 2 MB
                b"\x36\x07\x00\x03t/a\x00\x01",  # QoS 3
                b"\x34\x07\x00\x03t/a\x00\x01",  # QoS 2 was never granted
                b"\x30\x00",
                b"\x30\x01\x00",
                b"\x30\x04\x00\x03t/",
                b"\x32\x05\x00\x03t/a",  # no packet id
                b"\x32\x06\x00\x03t/a\x00",
                b"\x30\x02\xff\xff",
                b"\x40\x03\x00\x02\x00",
                b"\x42\x02\x00\x02",
                b"\x40\x01\x00",
                b"\xd0\x01\x00",
                b"\x40\x84\x80\x01",  # a PUBACK of 16 KB
                CONNACK,
                b"\x10\x00",
                b"\x00\x00",
                b"\xf0\x00",
                b"\x50\x02\x00\x01",
            ):
                stream = Stream()
                rig = Rig(stream)
                task = await connected(rig, stream)
                stream.say(said + bytes(400))
                await ended(rig, task)
                self.assertTrue("breaks" in str(rig.error), (said, str(rig.error)))
                self.assertEqual(rig.messages, [])

        run(work())

    def test_garbage_never_gets_further_than_an_error(self):
        async def work():
            seed = time.ticks_us() & 0xFFFFFF
            print("seed", seed)
            random.seed(seed)
            good = publish(b"t/a", b"payload") + puback(2) + b"\xd0\x00" + publish(b"t/bb", b"x" * 200, qos=0)
            for _ in range(150):
                data = bytearray(good * 2)
                for _ in range(random.getrandbits(3)):
                    data[random.getrandbits(16) % len(data)] = random.getrandbits(8)
                if random.getrandbits(2) == 0:
                    data = bytes(random.getrandbits(8) for _ in range(random.getrandbits(6)))
                stream = Stream(1 + random.getrandbits(5))
                rig = Rig(stream)
                task = await connected(rig, stream)
                rig.publish(b"x")
                stream.say(data)
                await asyncio.sleep_ms(2)
                stream.hang_up()
                await ended(rig, task)
                self.assertTrue(isinstance(rig.error, OSError), repr(rig.error))
                self.assertTrue(stream.asked <= 300)

        run(work())


class HalfOpen(TestCase):
    def test_pings_go_out_when_nothing_else_does(self):
        async def work():
            stream = Stream()
            rig = Rig(stream, keepalive_s=10, timeout_s=50)
            await connected(rig, stream)
            stream.packets()
            for _ in range(3):
                await until(lambda: stream.heard)
                self.assertEqual(stream.packets(), [(0xC0, b"")])
                await asyncio.sleep_ms(60)
                self.assertEqual(stream.packets(), [])
                stream.say(b"\xd0\x00")
            self.assertTrue(rig.client.ready)

        run(work())

    def test_a_ping_without_an_answer_ends_the_connection(self):
        async def work():
            stream = Stream()
            rig = Rig(stream, keepalive_s=10)
            task = await connected(rig, stream)
            await ended(rig, task)
            self.assertTrue("silent" in str(rig.error))
            self.assertTrue(stream.closed)

        run(work())

    def test_a_publish_without_an_answer_ends_the_connection(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            task = await connected(rig, stream)
            rig.publish(b"x")
            await ended(rig, task)
            self.assertTrue("silent" in str(rig.error))

        run(work())

    def test_a_broker_that_takes_nothing_ends_the_connection(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            task = await connected(rig, stream)
            stream.stalled = True
            stream.say(publish(b"t/a", b"x") * 40)
            await ended(rig, task)
            self.assertTrue("silent" in str(rig.error))
            # Acknowledgements do not pile up behind a wire that is full.
            self.assertTrue(len(rig.messages) <= 12, len(rig.messages))

        run(work())

    def test_half_a_packet_ends_the_connection(self):
        async def work():
            for part in (1, 2, 3, 8):
                stream = Stream()
                rig = Rig(stream)
                task = await connected(rig, stream)
                stream.say(publish(b"t/a", b"payload")[:part])
                await ended(rig, task)
                self.assertTrue("silent" in str(rig.error))
                self.assertEqual(rig.messages, [])

        run(work())

    def test_a_silent_line_without_anything_due_lives_on(self):
        async def work():
            stream = Stream()
            rig = Rig(stream)
            await connected(rig, stream)
            await asyncio.sleep_ms(100)
            self.assertTrue(rig.client.ready)
            self.assertTrue(rig.changes >= 10)

        run(work())
