import asyncio
import random
import time
from unittest import TestCase

from client_rig import Rig, connected, ended, run, settle, until
from streams import CONNACK, Stream, puback, publish


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
            good = publish(b"t/a", b"payload") + puback(4) + b"\xd0\x00" + publish(b"t/bb", b"x" * 200, qos=0)
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
