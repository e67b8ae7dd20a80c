"""Fuzzer of what doors say to upstream: mutated messages on every topic, and nonsense under a right MAC.

The second is what a door that somebody has taken over could say. None of it may stop upstream, store a record that no
door made, acknowledge what is not stored, or make it forget what it has.
"""

import gc
import json
import os
import random
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

sys.path.append(str(Path(__file__).parents[1] / "tools"))

from fake_door import FakeDoor

from menwei import public
from menwei.keyfile import KeyFile
from menwei.pki import Pki
from menwei.public import Public
from menwei.renewal import ASK, STATE, Renewals
from menwei.store import Store
from menwei.upstream import Upstream
from storage import record
from storage.mac import derive
from sync import messages, orders

COUNT = int(os.getenv("FUZZ_COUNT") or 5_000)
SEED = int(os.getenv("FUZZ_SEED") or time.time_ns() % 1_000_000)
SITE, GOOD, TAKEN = "garden", "front-gate", "taken-over"
EPOCH, NOW = b"\x01\x02\x03\x04", 1_772_434_800
RECORDS = 100
LEAVES = ("event", "state", "cmd/result", "event/now", "list", "cmd", "event/ack", "renew/ask", "x")
KEPT = 3_000_000  # bytes of Python's heap
ODD = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**70,
    10**400,
    1e999,
    -1e999,
    float("nan"),
    1.5,
    "",
    "zz",
    "00" * 16,
    [],
    [1],
    ["", ""],
    {},
    {"a": {}},
    "\ud800",
    [[[]]],
)


class Client:
    """What upstream publishes."""

    def __init__(self):
        self.said = []

    async def publish(self, topic, payload, qos=0, retain=False):
        self.said.append((topic, bytes(payload)))


class World:
    """An upstream without a broker, and two doors: one is as it should be, one belongs to an attacker."""

    def __init__(self, folder):
        self.doors = {}
        keys = KeyFile(SITE)
        for number, name in enumerate((GOOD, TAKEN)):
            key, start = bytes((number,)) * 32, bytes((number,)) * 16
            keys.add(name, key, {EPOCH: start})
            self.doors[name] = FakeDoor(0, SITE, name, key, EPOCH, start)
        for _ in range(RECORDS):
            self.doors[GOOD].record(record.REFUSED)
        self.store = Store(folder / "upstream.db", durable=False)
        self.now = NOW
        self.upstream = Upstream("nowhere", 1, keys, self.store, clock=self.clock)
        self.client = self.upstream._client = Client()

    async def clock(self):
        return self.now

    async def hear(self, door, leaf, payload, retain=False):
        topic = messages.topic(SITE, door, leaf)
        await self.upstream._receive(SimpleNamespace(topic=topic, payload=payload, retain=retain))

    def state(self, name, **other):
        """A state of a door with a right MAC."""
        door = self.doors[name]
        members = {
            "v": 1, "online": 1, "nonce": door.nonce.hex(), "up": door.up, "door": "secured", "lock": "locked",
            "alarms": [], "epoch": EPOCH.hex(), "head": door.journal.head, "chain": door.journal.chain.hex(),
            "acked": 0, "oldest": 1, "list": [door.list[0].hex(), door.list[1]], "clock": "floor", "t": 0, "boot": 1,
            "sw": "0",
        }  # fmt: skip
        return messages.build_state(derive(door.key, b"state"), members | other)


def mutated(data, draw):
    """Bits turned, parts cut off, put in or doubled; sometimes plain noise."""
    data = bytearray(data or b"\0")
    kind, at = draw.randrange(6), draw.randrange(len(data))
    if kind == 0:
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = draw.randbytes(draw.randrange(1, 40))
    elif kind == 3:
        data[at:] = data[:at]
    elif kind == 4:
        data[at : at + 4] = b"\xff" * 4
    else:
        data = draw.randbytes(draw.randrange(100))
    return bytes(data)


def odd(draw, value):
    """Something else in the place of a member, or of one element of it."""
    if isinstance(value, list) and value and draw.random() < 0.5:
        value = list(value)
        value[draw.randrange(len(value))] = draw.choice(ODD)
        return value
    return draw.choice(ODD)


def nonsense(world, draw):
    """(leaf, payload) that only who has the door's keys could make."""
    door = world.doors[TAKEN]
    kind = draw.randrange(5)
    if kind == 0:
        members = json.loads(world.state(TAKEN).rpartition(b"\n")[0])
        for name in draw.sample(sorted(members), draw.randrange(1, 5)):
            members[name] = odd(draw, members[name])
        return "state", messages.build_state(derive(door.key, b"state"), members)
    if kind == 1:
        body = draw.choice((b"[]", b"1", b'"v"', b"{}", b"[" * 900, b'{"v":1}', draw.randbytes(50), b'{"v":1,"v":NaN}'))
        key = derive(door.key, b"state")
        return "state", body + b"\n" + messages.mac(key, body, len(body)).hex().encode()
    if kind == 2:
        key = derive(door.key, b"result")
        data = bytes((1,)) + draw.randbytes(23)
        return "cmd/result", data + messages.mac(key, data, 24)
    if kind == 3:
        nonce = draw.choice((door.nonce, draw.randbytes(16)))
        return "cmd/result", orders.build_result(
            derive(door.key, b"result"), draw.randrange(20), draw.randrange(20), draw.randrange(5), nonce
        )
    # Right seals, whatever they seal.
    if door.journal.head < 2000:
        for _ in range(draw.randrange(1, 20)):
            door.record(
                draw.randrange(256), reason=draw.randrange(256), pseudonym=draw.randbytes(7),
                detail=draw.randrange(2**30), time=draw.randrange(2**30),
            )  # fmt: skip
    first = draw.randrange(1, door.journal.head + 1)
    if draw.random() < 0.2:  # that overtake: of any kind, one record or some
        return "event/now", door.batch(first, min(door.journal.head, first + draw.choice((0, 0, 0, 2))))
    payload = door.batch(first, min(door.journal.head, first + draw.randrange(1, 32)))
    if draw.random() < 0.3:  # another branch of its own journal
        door.journal.chain = draw.randbytes(7)
    return "event", payload


async def one(world, draw):
    """One message, from whom it may be."""
    world.now += draw.choice((0, 1, 30))
    door = world.doors[GOOD]
    kind = draw.randrange(6)
    if kind < 2:
        leaf, payload = nonsense(world, draw)
        if draw.random() < 0.3:
            payload = mutated(payload, draw)
        await world.hear(TAKEN, leaf, payload, draw.random() < 0.2)
    elif kind < 5:
        first = draw.randrange(1, RECORDS)
        payload = draw.choice((lambda: door.batch(first, min(RECORDS, first + 20)), lambda: world.state(GOOD)))()
        await world.hear(GOOD, draw.choice(LEAVES), mutated(payload, draw), draw.random() < 0.2)
    else:
        await world.hear(
            draw.choice((GOOD, TAKEN, "nobody", "", "A/b", "x" * 40)), draw.choice(LEAVES), draw.randbytes(30)
        )


def true_records(door):
    """(sequence, bytes) of what a door made."""
    return {(number + 1, bytes(slot)) for number, slot in enumerate(door.journal.slots)}


async def test_nothing_stops_upstream_or_makes_it_believe(tmp_path):
    print(f"again: FUZZ_SEED={SEED} FUZZ_COUNT={COUNT} make fuzz ARGS=upstream")
    world = World(tmp_path)
    made = true_records(world.doors[GOOD])
    tracemalloc.start()
    begun = None
    for seed in range(SEED, SEED + COUNT):
        await one(world, random.Random(seed))
        if seed - SEED == COUNT // 2:
            gc.collect()
            begun = tracemalloc.get_traced_memory()[0]
        world.client.said = world.client.said[-200:]
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - begun
    tracemalloc.stop()
    stored = {(event.seq, event.raw) for event in world.store.events(GOOD)}
    apart = {(event.seq, event.raw) for event in world.store.apart(GOOD)}
    assert stored | apart <= made, "a record that the door did not make"
    print(len(stored), "stored,", len(world.store.findings()), "findings,", grown, "bytes more in the second half")
    assert grown < KEPT
    # It still does what it is there for.
    world.client.said.clear()
    world.now += 60
    await world.hear(GOOD, "state", world.state(GOOD))
    for _ in range(2):
        for first in range(1, RECORDS, 20):
            await world.hear(GOOD, "event", world.doors[GOOD].batch(first, first + 19))
        world.now += 60
    assert {(event.seq, event.raw) for event in world.store.events(GOOD)} == made
    acks = [payload for topic, payload in world.client.said if topic.endswith("/event/ack")]
    key = derive(world.doors[GOOD].key, b"event-ack")
    assert max(messages.parse_ack(key, ack)[1] for ack in acks) == RECORDS
    assert any(topic.endswith("front-gate/cmd") for topic, _ in world.client.said), "it gives no time any more"


async def test_nothing_is_acknowledged_that_is_not_stored(tmp_path):
    world = World(tmp_path)
    key = derive(world.doors[GOOD].key, b"event-ack")
    for seed in range(SEED, SEED + COUNT // 10):
        draw = random.Random(seed)
        first = draw.randrange(1, RECORDS)
        payload = world.doors[GOOD].batch(first, min(RECORDS, first + draw.randrange(31)))
        world.now += draw.choice((0, 20))
        await world.hear(GOOD, "event", mutated(payload, draw) if draw.random() < 0.5 else payload)
        for topic, said in world.client.said:
            if topic.endswith("/event/ack"):
                _, seq, chain = messages.parse_ack(key, said)
                # Kept apart is stored, too: a batch with an altered header may follow nothing.
                assert chain in [place[0] for place in world.store.places(GOOD, EPOCH.hex(), seq)]
        world.client.said.clear()
    assert world.store.events(GOOD)


async def test_nonsense_is_not_shown_to_others_and_renews_nothing(tmp_path):
    """What the state of a door makes public, and what certificates it gets."""
    world = World(tmp_path)
    pki = Pki.create(tmp_path / "pki")
    held = {name: pki.door(SITE, name) for name in world.doors}
    said = []
    renewals = Renewals(pki, world.upstream._keys, lambda door, text: said.append(text))
    show = Public("nowhere", 1, world.upstream._keys, world.store, home_assistant=True, clock=lambda: world.now)
    issued = len(pki.entries())
    key = derive(world.doors[TAKEN].key, b"state")
    pages = refused = 0
    for seed in range(SEED, SEED + COUNT):
        draw = random.Random(seed)
        members = json.loads(world.state(TAKEN).rpartition(b"\n")[0])
        certificate = held[TAKEN].serial, held[TAKEN].until
        members |= {"cert": list(certificate), "serial": certificate[0], "until": certificate[1], "parcel": [0, 0, 0]}
        for name in draw.sample(sorted(members), draw.randrange(1, 5)):
            members[name] = odd(draw, members[name])
        payload = messages.build_state(key, members)
        door, leaf = draw.choice((TAKEN, TAKEN, GOOD, "nobody")), draw.choice((STATE, ASK))
        if draw.random() < 0.3:
            payload = mutated(payload, draw)
        try:
            pages += len(renewals.take(door, leaf, payload, world.now + seed - SEED))
        except messages.Refused:
            refused += 1
        await world.hear(TAKEN, "state", payload)
        for topic, text in show._wanted(TAKEN).items():
            assert topic.startswith((f"menwei/v1/{SITE}/{TAKEN}/public", public.discovery_topic(SITE, TAKEN)))
            assert len(text) < 6000 and text.isprintable()
    print(pages, "pages,", refused, "refused,", len(pki.entries()) - issued, "certificates made")
    assert refused > COUNT // 10
    # A door can have its own certificate renewed: at most one in ten minutes, and never another door's.
    made = list(pki.entries()[issued:])
    assert {entry.name for entry in made} <= {f"{SITE}/{TAKEN}"}
    assert len(made) <= 1 + COUNT // 600
