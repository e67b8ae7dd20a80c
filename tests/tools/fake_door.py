"""A door in Python, as far as upstream can tell: its messages are built by sync/messages.py, its records by hand.

door = FakeDoor(broker.port, keys...)
await door.connect()
await door.send_batch(1)
ack = await door.next_ack()
"""

import asyncio
import contextlib

import aiomqtt
from journal_writer import Writer

from storage.mac import derive
from sync import messages, orders

WAIT_S = 5


class FakeDoor:
    """Speaks protocol.md, and does as it is told."""

    def __init__(self, port, site, door, door_key, epoch, journal_key):
        self.port, self.site, self.door, self.key = port, site, door, door_key
        self.journal = Writer(epoch, journal_key)
        self.before = []  # (generation, chain) before each record
        self.nonce = bytes(range(16))
        self.up = 10
        self.list = [bytes(4), 0]
        self.number = 0
        self.results = []
        self.trust = "floor"
        self.time = 0
        self.commands = asyncio.Queue()
        self.acks = asyncio.Queue()
        self.deltas = asyncio.Queue()
        self.answers = True
        self.task = None
        self.tls = None  # an SSLContext
        self.refuse_time = 0
        self.refusal = messages.TOO_LATE
        self._stack = contextlib.AsyncExitStack()

    def _key(self, purpose):
        return derive(self.key, purpose)

    def _topic(self, leaf):
        return messages.topic(self.site, self.door, leaf)

    async def connect(self):
        will = aiomqtt.Will(self._topic("state"), messages.WILL, 1, True)
        client = aiomqtt.Client("127.0.0.1", self.port, will=will, tls_context=self.tls)
        self.client = await self._stack.enter_async_context(client)
        for leaf in ("event/ack", "list", "cmd"):
            await self.client.subscribe(self._topic(leaf), qos=1)
        self.task = asyncio.create_task(self._listen())

    async def disconnect(self):
        while self.task and not self.task.done():
            self.task.cancel()  # until Python 3.12 a wait_for that just came to its end swallows it
            await asyncio.wait((self.task,), timeout=1)
        if self.task and not self.task.cancelled() and not isinstance(self.task.exception(), aiomqtt.MqttError | None):
            raise self.task.exception()
        with contextlib.suppress(aiomqtt.MqttError):  # the broker may be gone
            await self._stack.aclose()

    async def _listen(self):
        async for message in self.client.messages:
            leaf = str(message.topic).split("/", 4)[4]
            assert not message.retain
            if leaf == "event/ack":
                await self.acks.put(messages.parse_ack(self._key(b"event-ack"), message.payload))
            elif leaf == "list":
                await self._list_message(message.payload)
            else:
                await self._command(message.payload)

    async def _list_message(self, payload):
        delta = orders.parse_delta(self._key(b"list"), payload)
        await self.deltas.put(delta)
        if self.answers and delta.from_revision == self.list[1]:
            self.list = [delta.epoch.to_bytes(4, "little"), delta.to_revision]
            await self.state()

    async def _command(self, payload):
        command = orders.parse_command(self._key(b"cmd"), self._key(b"approve"), payload)
        result = messages.DONE
        if command.nonce != self.nonce:
            result = messages.WRONG_SESSION
        elif command.number <= self.number:
            result = messages.REPLAYED
        elif command.deadline_s < self.up:
            result = messages.TOO_LATE
        else:
            self.number = command.number
            if command.operation in (messages.OP_UNLOCK, messages.OP_LOWER_CLOCK) and not command.approved:
                result = messages.NOT_APPROVED
            elif command.operation == messages.OP_SET_TIME and self.refuse_time:
                self.refuse_time -= 1
                result = self.refusal
            elif command.operation == messages.OP_SET_TIME:
                self.trust, self.time = "synchronised", command.argument
        await self.commands.put((command, result))
        if self.answers:
            await self.publish(
                "cmd/result",
                orders.build_result(self._key(b"result"), command.operation, result, command.number, command.nonce),
            )

    async def publish(self, leaf, payload, retain=False):
        await self.client.publish(self._topic(leaf), payload, qos=1, retain=retain)

    async def state(self, **other):
        members = {
            "v": 1, "online": 1, "nonce": self.nonce.hex(), "up": self.up, "door": "secured", "lock": "locked",
            "alarms": [],
            "epoch": self.journal.epoch.hex(), "head": self.journal.head, "chain": self.journal.chain.hex(), "acked": 0,
            "oldest": 1,
            "list": [self.list[0].hex(), self.list[1]], "clock": self.trust, "t": self.time, "boot": 1, "sw": "0",
        }  # fmt: skip
        await self.publish("state", messages.build_state(self._key(b"state"), members | other), True)

    def record(self, kind, **fields):
        chain = self.journal.chain
        record = self.journal.record(kind, **fields)
        self.before.append((self.journal.generation, chain))
        return record

    def batch(self, first, last=None):
        """An `event` payload of the records from `first` to `last`, counted from 1."""
        last = self.journal.head if last is None else last
        generation, chain = self.before[first - 1]
        slots = b"".join(self.journal.slots[first - 1 : last])
        head = bytes([1, 0, len(slots) // 32, 0]) + self.journal.epoch
        return head + first.to_bytes(4, "little") + generation.to_bytes(4, "little") + chain + b"\0" + slots

    async def send_batch(self, first, last=None):
        await self.publish("event", self.batch(first, last))

    async def next_ack(self):
        return await asyncio.wait_for(self.acks.get(), WAIT_S)

    async def next_command(self):
        return await asyncio.wait_for(self.commands.get(), WAIT_S)

    async def next_delta(self):
        return await asyncio.wait_for(self.deltas.get(), WAIT_S)
