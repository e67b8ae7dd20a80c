"""Fuzzer of the MQTT client: mutated packets, as a broken broker would send them."""

import asyncio
import gc
import os
import random
import sys
from unittest import TestCase

sys.path.append(__file__.rsplit("/", 2)[0] + "/sync")

from client_rig import TOPICS, Rig as ClientRig, connected, ended
from mutation import mutated
from settings import COUNT as GIVEN, SEED
from streams import Stream, puback, publish
from upstream_rig import run

COUNT = min(GIVEN, 5_000) if not os.getenv("FUZZ_COUNT") else GIVEN
_KEEPS = 512  # bytes that a settled heap may move by: a number that became a large one, a finaliser that waits


class Packets(TestCase):
    def test_packets_of_a_broken_broker(self):
        """Each ends in messages on our own topics, or in an error of the connection; a buffer is never exceeded."""
        print("seed", SEED, "replay: FUZZ_SEED=%d FUZZ_COUNT=%d make fuzz ARGS=packets" % (SEED, COUNT))
        counts = [0, 0]

        async def work(seeds):
            for seed in seeds:
                random.seed(seed)
                bits = random.getrandbits
                good = (
                    publish(b"t/" + TOPICS[bits(1)], b"payload" * bits(3),
                        bits(1), bits(16), bits(1)) + puback(4 + bits(1))
                    + b"\xd0\x00" + publish(b"t/" + TOPICS[1], b"x" * bits(9), qos=0)
                    + publish(b"t/event/now", b"\x01" * bits(7), qos=bits(1))
                )  # fmt: skip
                stream = Stream(1 + bits(9))
                rig = ClientRig(stream)
                task = await connected(rig, stream)
                rig.publish(b"x")
                stream.say(mutated(good, good) + mutated(good, good))
                for _ in range(40):
                    await asyncio.sleep_ms(0)
                stream.hang_up()
                await ended(rig, task)
                if not isinstance(rig.error, OSError):
                    raise rig.error
                if stream.asked > 300:
                    raise AssertionError("more was read than there is room for")
                for number, payload, _ in rig.messages:
                    if number > 1 or len(payload) > 300:
                        raise AssertionError(payload)
                counts[0] += 1
                counts[1] += len(rig.messages)

        heaps = []
        for first in range(0, COUNT // 20, 20):
            run(work(range(SEED + first, SEED + min(COUNT // 20, first + 20))))
            gc.collect()
            heaps.append(gc.mem_alloc())
        print(counts, heaps[:1], heaps[-1:])
        self.assertTrue(counts[1] > counts[0] // 20)
        if len(heaps) > 10:
            self.assertTrue(heaps[-1] - heaps[len(heaps) // 2] <= 4 * _KEEPS, heaps)
