"""A link before a canned broker, with an upstream's side that can read and say all messages."""

import asyncio
import time
from hashlib import sha256

from streams import CONNACK, Dialer, Stream, puback, publish, suback

from storage.allowlist import ListFull
from storage.mac import derive
from sync import upstream
from sync.link import Link
from sync.network import Backoff

EPOCH = b"EPCH"
OFFICE = b"OFFI"
PREFIX = b"menwei/v1/garden/gate/"
SETTINGS = {
    "host": "broker",
    "port": 1883,
    "tls": False,
    "renew_port": 0,
    "site": "garden",
    "door": "gate",
    "keepalive_s": 600,
    "wifi_ssid": "",
}


class Keys:
    wifi_secret = "secret"

    door_key = sha256(b"test").digest()

    def purpose(self, purpose):
        return derive(self.door_key, purpose)


KEYS = Keys()


class Journal:
    """Records of which the n-th is 32 times the low byte of n."""

    def __init__(self, head=0):
        self.epoch = EPOCH
        self.head = head
        self.acked = 0
        self.boot = 3
        self.last_in_batch = 0
        self.broken = False
        self.batches = []

    @property
    def chain(self):
        return self.chain_at(self.head)

    def chain_at(self, sequence):
        return b"chain" + bytes((sequence & 255, sequence >> 8))

    def oldest(self):
        return 1

    def batch(self, buf, first):
        if self.broken:
            raise OSError(5, "flash")
        last = min(self.head, first + 31)
        count = max(0, last - first + 1)
        if count:
            buf[:24] = bytes((1, 0, count, 0)) + EPOCH + bytes((first & 255, first >> 8, 0, 0, 0, 0, 0, 0)) + bytes(8)
            for index in range(count):
                at = 24 + 32 * index
                buf[at : at + 32] = bytes((first + index & 255,)) * 32
            self.last_in_batch = last
            self.batches.append((first, last))
        return count

    def ack(self, epoch, sequence, chain):
        if epoch != self.epoch or not self.acked <= sequence <= self.head or chain != self.chain_at(sequence):
            return False
        self.acked = sequence
        return True


class Allowlist:
    def __init__(self, office_epoch=OFFICE, revision=5):
        self.office_epoch = int.from_bytes(office_epoch, "little")
        self.revision = revision
        self.calls = []
        self.reconciling = None
        self.full = ()  # names of changes for which there is no room

    def put(self, *change):
        self._take("put", change)

    def set(self, *change):
        self._take("set", change)

    def suspend(self, *change):
        self._take("suspend", change)

    def revoke(self, *change):
        self._take("revoke", change)

    def forget(self, *change):
        self._take("forget", change)

    def _take(self, name, change):
        if name in self.full:
            raise ListFull(28, "list full")
        self.calls.append((name, change))

    def set_revision(self, office_epoch, revision):
        self.calls.append(("revision", (office_epoch.to_bytes(4, "little"), revision)))
        self.office_epoch = office_epoch
        self.revision = revision


class Host:
    def __init__(self):
        self.now_s = 100
        self.allowed = True
        self.commands = []
        self.refusals = []
        self.changes = []
        self.full = []
        self.failure = None
        self.answer = 0
        self.whole = []
        self.alarms = 0  # of wrong MACs

    def state(self):
        return {"door": "secured", "lock": "locked", "alarms": [], "clock": "floor", "t": 5, "sw": "0.1"}

    def command(self, command):
        self.commands.append(command)
        return self.answer

    def parcel_whole(self, number):
        self.whole.append(number)
        return self.answer

    def forged(self):
        self.alarms += 1

    def command_refused(self, operation, result, operator):
        self.refusals.append((operation, result, operator))

    def list_changed(self, first, last):
        self.changes.append((first, last))

    def list_full(self, pseudonym):
        self.full.append(pseudonym)

    def link_failed(self, error):
        self.failure = error

    def may_connect(self):
        return self.allowed

    def monotonic_s(self):
        return self.now_s


class Rig:
    """One door; `connect` makes the canned broker accept it."""

    def __init__(self, head=0, journal=None, allowlist=None):
        self.journal = journal or Journal(head)
        self.allowlist = allowlist or Allowlist()
        self.host = Host()
        self.dialer = Dialer()
        self.link = Link(SETTINGS, KEYS, self.journal, self.allowlist, self.host, dialer=self.dialer, tick_ms=4)
        self.link._backoff = Backoff(2, 4, lambda bits: 0)
        self.task = None
        self.stream = None
        self.acknowledge = True
        self.unacknowledged = []
        self.published = []  # (leaf, payload, flags)
        self.seen = 0

    async def connect(self):
        """Let the next attempt succeed; return the door's state message."""
        stream = Stream()
        stream.say(CONNACK + suback((1, 1, 1, 1)))
        if self.stream:
            self.stream.hang_up()
            await until(lambda: not self.link.connected)
        self.stream = stream
        self.dialer.streams.append(stream)
        if self.task is None:
            self.task = asyncio.create_task(self.link.run())
        await until(lambda: self.link.connected)
        return await self.state()

    async def look(self):
        """Take in what the door has written, and acknowledge it to the door as a broker would."""
        await settle()
        for head, body in self.stream.packets():
            if head & 0xF0 != 0x30:
                continue
            length = body[0] << 8 | body[1]
            topic = body[2 : 2 + length]
            if not topic.startswith(PREFIX):
                raise AssertionError(topic)
            packet_id = body[2 + length] << 8 | body[3 + length]
            self.published.append((topic[len(PREFIX) :].decode(), memoryview(body)[4 + length :], head))
            if self.acknowledge:
                self.stream.say(puback(packet_id))
            else:
                self.unacknowledged.append(packet_id)
        await settle()

    async def wait(self, leaf):
        """The next payload on a topic."""
        for _ in range(400):
            await self.look()
            for index, (name, payload, _head) in enumerate(self.published):
                if name == leaf:
                    del self.published[index]
                    return bytes(payload) if len(payload) < 1000 else payload
            await asyncio.sleep_ms(1)
        raise AssertionError("nothing on " + leaf + ", " + repr(self.link.last_error))

    async def state(self):
        return upstream.parse_state(KEYS.purpose(b"state"), await self.wait("state"))

    async def result(self):
        return upstream.parse_result(KEYS.purpose(b"result"), await self.wait("cmd/result"))

    async def batch(self):
        """First and last sequence number of the next batch."""
        batch = upstream.parse_batch(await self.wait("event"))
        return batch.first, batch.first + batch.count - 1

    async def nothing(self, leaf=None):
        """True if nothing (more) comes on a topic."""
        for _ in range(4):
            await self.look()
            await asyncio.sleep_ms(2)
        return not [one for one in self.published if leaf in (None, one[0])]

    async def say(self, leaf, payload, retain=0):
        self.stream.say(publish(PREFIX + leaf, payload, retain=retain))
        await settle()
        await settle()

    async def ack(self, sequence, epoch=EPOCH, chain=None, key=None):
        chain = chain or self.journal.chain_at(sequence)
        await self.say(b"event/ack", upstream.build_ack(key or KEYS.purpose(b"event-ack"), epoch, sequence, chain))

    def finish(self):
        if self.task:
            self.task.cancel()


async def settle():
    for _ in range(16):
        await asyncio.sleep_ms(0)


async def until(condition, limit_ms=3000):
    start_ms = time.ticks_ms()
    while not condition():
        if time.ticks_diff(time.ticks_ms(), start_ms) > limit_ms:
            raise AssertionError("it did not come about")
        await asyncio.sleep_ms(1)


def run(work):
    asyncio.new_event_loop()
    asyncio.run(asyncio.wait_for(work, 20))
