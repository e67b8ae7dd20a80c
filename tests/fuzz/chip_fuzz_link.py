"""Fuzzer of what comes from upstream: mutated and malformed messages on every topic.

Whoever holds the broker, or the key of one topic, can say anything. No message that upstream did not make may change
the list, the journal, the lock or the clock, nor leave anything in memory.
"""

import gc
import os
import random
import sys
from array import array
from hashlib import sha256
from unittest import TestCase

sys.path.append(__file__.rsplit("/", 2)[0] + "/sync")

from boards.sim.norflash import NorFlash, Region
from mutation import mutated
from settings import COUNT as GIVEN, SEED
from storage.allowlist import Allowlist
from storage.flash import Flash
from storage.journal import Journal
from sync import messages, upstream
from upstream_rig import KEYS, Host, Rig, run

COUNT = min(GIVEN, 5_000) if not os.getenv("FUZZ_COUNT") else GIVEN
_PURPOSES = (b"event-ack", b"list", b"cmd", b"parcel")
_TOPICS = len(_PURPOSES)
_PARCEL_HEADER = 16
_TAKEN = 5  # number of the parcel that was taken last
_CARD = b"pseudo7"
_PIECE = 200
_KEEPS = 512  # bytes that a settled heap may move by: a number that became a large one, a finaliser that waits


class Unwanted(Exception):
    """A message had an effect."""


class Strict(Host):
    """A firmware to which nothing must get through; what it is told of refusals it counts."""

    def __init__(self):
        super().__init__()
        self.refused = 0

    def _no(self, *what):
        raise Unwanted(what)

    command = list_changed = list_full = parcel_whole = _no

    def command_refused(self, operation, result, operator):
        self.refused += 1


class World:
    """A link over real storage."""

    def __init__(self):
        path = self.path = os.getenv("MENWEI_TMP") + "/fuzz.img"
        flash = NorFlash(path, 24 * 4096)
        self.buf = bytearray(512)
        self.journal = Journal(Flash(Region(flash, 0, 12 * 4096)))
        self.journal.format(b"\x01\x02\x03\xc4", bytes(16))
        self.journal.stamp(1000, 1, 3)
        for number in range(40):
            self.journal.append(2, 0, _CARD, number)
        self.cards = Allowlist(Flash(Region(flash, 12 * 4096, 12 * 4096)))
        self.cards.format()
        self.cards.put(_CARD, 0, 0xFFFFFF, 1)
        self.cards.revoke(b"lost!!!", 0, 0xFFFFFF, 1)
        self.cards.set_revision(0x41424344, 3)
        self.rig = Rig(journal=self.journal, allowlist=self.cards)
        self.link = self.rig.link
        self.host = self.link._host = Strict()
        self.link._nonce = bytes(range(16))
        self.link._session_s = self.host.now_s
        self.link._number = self.link._sent = 0
        self.link.root = os.getenv("MENWEI_TMP")
        self.link.parcel = [0, 0, _TAKEN]

    def state(self):
        """All that a message could change: every byte of flash, and what the link knows of its session."""
        digest = sha256()
        with open(self.path, "rb") as file:
            while file.readinto(self.buf):
                digest.update(self.buf)
        link = self.link
        journal = self.journal
        known = journal.head, journal.acked, self.cards.revision, link._number, link._nonce, tuple(link.parcel)
        return digest.digest(), "parcel" in os.listdir(link.root), known

    def good(self, number):
        """A message that the door would take, were it not for its content: an older office, another session.

        Of commands some are of this session, and used; pages are of parcels that were taken already.
        """
        key = KEYS.purpose(_PURPOSES[number])
        bits = random.getrandbits
        if number == 0:
            epoch = self.journal.epoch if bits(1) else bytes((bits(8), 0, 0, 0))
            return upstream.build_ack(key, epoch, 41 + bits(20), bytes(bits(8) for _ in range(7)))
        if number == 1:
            changes = [
                upstream.pack_change(1 + bits(2), bytes(bits(8) for _ in range(7)), 0, bits(24), bits(6))
                for _ in range(bits(3))
            ]
            start = 4 + bits(8)
            return upstream.build_delta(key, b"DCBA" if bits(1) else b"XXXX", start, start + 1 + bits(4), changes)
        if number == 3:
            page = bytes((1, 1 + bits(1))) + (count := 1 + bits(9)).to_bytes(2, "little")
            start = bits(12)
            for field in (bits(8) % (_TAKEN + 1), start, 16 * (3 + bits(9))):
                page += field.to_bytes(4, "little")
            page += bytes(count - 1) + bytes((bits(8),))
            return page + messages.mac(key, page, len(page))
        used = not bits(2)
        nonce = self.link._nonce if used else bytes(bits(8) for _ in range(16))
        order = 0 if used else 1 + bits(10)
        body = upstream.command_body(1 + bits(4), bits(8), nonce, order, bits(16), bits(8), bits(4), bits(12))
        return upstream.build_command(key, body, upstream.approval(KEYS.purpose(b"approve"), body))


def sealed(key, data):
    """Nonsense with a right MAC: who took over a topic's key could say it."""
    body = data[: random.getrandbits(16) % (len(data) + 1)] if random.getrandbits(1) else data[:-16]
    return body + messages.mac(key, body, len(body))


class Messages(TestCase):
    def test_nothing_that_upstream_did_not_say_changes_anything(self):
        print("seed", SEED, "replay: FUZZ_SEED=%d FUZZ_COUNT=%d make fuzz ARGS=link" % (SEED, COUNT))
        world = World()
        before = world.state()
        heaps = array("i", bytes(4 * ((COUNT + _PIECE - 1) // _PIECE)))  # it must not be what grows
        results = {}

        async def work(seeds):
            link = world.link
            for seed in seeds:
                random.seed(seed)
                number = random.getrandbits(8) % _TOPICS
                topic = number if random.getrandbits(2) else random.getrandbits(8) % _TOPICS
                data = world.good(number)
                fate = random.getrandbits(3)
                if fate < 5:
                    data = mutated(data, world.good((number + 1) % _TOPICS))
                elif fate < 7:
                    # Right MAC, wrong content: for acknowledgements and commands it is the content that is refused.
                    data = sealed(KEYS.purpose(_PURPOSES[topic]), mutated(data, data))
                    if topic == 1 and len(data) >= 32 and data[:2] == b"\x01\x01":
                        data = b"\x01\x02" + data[2:-16]
                        data += messages.mac(KEYS.purpose(b"list"), data, len(data))
                    if topic == 2 and data[4:20] == link._nonce:
                        continue
                    if topic == 3 and len(data) >= _PARCEL_HEADER + 16:
                        data = data[:4] + bytes((data[4] % (_TAKEN + 1), 0, 0, 0)) + data[8:-16]
                        data += messages.mac(KEYS.purpose(b"parcel"), data, len(data))
                refused = link.refused
                await link._on_message(topic, memoryview(data), random.getrandbits(4) == 0)
                # A delta from a later revision is no refusal: it makes the door tell its own.
                results[topic, link.refused - refused] = results.get((topic, link.refused - refused), 0) + 1
                world.link._results.clear()
                world.link._state_due = False

        for first in range(0, COUNT, _PIECE):
            run(work(range(SEED + first, SEED + min(COUNT, first + _PIECE))))
            world.host.now_s += 1
            self.assertEqual(world.state(), before)
            gc.collect()
            heaps[first // _PIECE] = gc.mem_alloc()
        print(results, "refusals told:", world.host.refused, "heap:", heaps[0], heaps[len(heaps) // 2], heaps[-1])
        # Eight in a row, then one in 10 s.
        self.assertTrue(world.host.refused <= 8 + len(heaps) // 10 + 1, world.host.refused)
        self.assertEqual(world.link.failed, 0)
        if len(heaps) > 10:
            # A module that is dropped at that moment makes a dip; what grows would be seen in the highest.
            half = len(heaps) // 2
            self.assertTrue(max(heaps[half:]) - max(heaps[:half]) <= _KEEPS, heaps)
        for topic in range(_TOPICS):
            self.assertTrue(results[topic, 1] > COUNT // 20)

    def test_it_can_fail(self):
        """A door that does not look at the MAC is found out."""
        from sync import orders

        world = World()
        real = orders.verify
        orders.verify = lambda key, data, end: None
        before = world.state()
        try:
            for seed in range(600):
                random.seed(seed)
                data = bytearray(upstream.build_delta(KEYS.purpose(b"list"), b"DCBA", 3, 4, []))
                data[random.getrandbits(16) % len(data)] ^= 1
                try:
                    run(world.link._on_message(1, memoryview(data), False))
                except Unwanted:
                    break
            else:
                self.assertTrue(world.state() != before)
        finally:
            orders.verify = real
