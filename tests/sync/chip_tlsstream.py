"""What a TLS stream leaves to the rest of the door."""

import asyncio
from unittest import TestCase

from sync.tlsstream import TlsStream


class Flood:
    """A TLS library that always has something, and the context that makes it."""

    left = 2000

    def wrap_socket(self, steps, server_hostname, do_handshake_on_connect):
        return self

    def readinto(self, buf):
        self.left -= 1
        return len(buf) if self.left > 0 else 0

    def write(self, data):
        return len(data)


class Turns(TestCase):
    def test_a_flood_leaves_every_other_turn_to_the_others(self):
        turns = [0]

        async def other():
            while True:
                await asyncio.sleep_ms(0)
                turns[0] += 1

        async def work():
            stream = TlsStream(None, Flood(), "name", None)
            stream.write(b"hello")
            await stream.drain()
            task = asyncio.create_task(other())
            buf = bytearray(2)
            count = 0
            while await stream.readinto(buf):
                count += 1
            task.cancel()
            self.assertTrue(turns[0] >= count - 1, (turns[0], count))

        asyncio.run(work())
