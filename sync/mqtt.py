"""MQTT 3.1.1 client over asyncio streams: QoS 1, a deadline on every wait, no allocation by a length on the wire.

    client = Mqtt(Dialer("broker.lan", 1883), b"site.door", b"a/", (b"cmd",), on_message, on_change, b"gone")
    room = client.room(b"event", 1000)          # room for a payload of that size in a free packet buffer, or None
    if room:
        client.send(fill(room))                 # written when there is a connection, again after a reconnect
    await client.run()                          # one connection, until it breaks: raises OSError or ValueError

Per connection one task reads, one writes, and one looks once a second whether something is overdue: cheaper than a
task with a deadline for each wait, and a loop that was stalled itself does not blame the peer, because these looks
are counted, not the clock. Clause numbers are those of the OASIS standard, MQTT 3.1.1.
"""

import asyncio
import errno

from micropython import const

from storage import ondemand

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBLISH_1 = const(0x32)  # with QoS 1
_PUBACK = const(0x40)
_SUBACK = const(0x90)
_PINGREQ = b"\xc0\x00"
_PINGRESP = const(0xD0)
_DUP = const(0x08)
# Clean session; a will with QoS 1, retained; user name and password (3.1.2.3).
WITH_WILL = const(0x2E)
WITH_PASSWORD = const(0xC2)
_EIO = const(5)
_EACCES = const(13)
_ECONNRESET = const(104)

# What has a deadline: places in `_since`. There stands the second since when it is waited for, or one of these.
_STAGE = const(0)
_WRITE = const(1)
_READ = const(2)
_PING = const(3)
# Behind them the publishes, by packet id. The subscription has packet id 1.
_FIRST_ID = const(4)
_MOST_PUBLISHES = const(3)

_NOTHING = const(0)
_QUEUED = const(-1)

# A slot is a list: one packet buffer and the publish in it.
_ID = const(0)  # 0: the slot is free
_BUFFER = const(1)
_PACKET = const(2)
_KEEP = const(3)

_MOST_CONTROLS = const(8)


def _broken():
    raise OSError(_EIO, "the broker breaks MQTT 3.1.1")


class Mqtt:
    """A client with a fixed number of publishes under way."""

    def __init__(
        self,
        dialer,
        client_id,
        prefix,
        topics,
        on_message,
        on_change,
        will,
        keepalive_s=60,
        tick_ms=1000,
        sizes=(640, 160, 1152),
        timeout_s=20,
    ):
        """Allocate all buffers.

        Args:
            dialer: Dialer, or what else has `open()` and `worked()`.
            client_id: bytes.
            prefix: bytes, what all topics begin with. Topics have 255 bytes at most.
            topics: tuple of bytes behind the prefix, subscribed with QoS 1; no wildcards.
            on_message: async function of (number of the topic, payload as a memoryview that is valid until it
                returns, retained). It must not wait for a publish of its own.
            on_change: function, called before the next packet is written, when `ready` has become true, when there may
                be room again, after `wake.set()`, and each second: the place to send from.
            will: bytes, published by the broker as `state` when the connection is lost.
            keepalive_s: a ping goes out after half of it.
            tick_ms: length of the seconds here; shorter in tests.
            sizes: of the buffer for incoming packets, longer ones are read past, and of those for outgoing ones, the
                smallest first: payload, topic, and 7 bytes for what MQTT adds.
            timeout_s: for each single answer.
        """
        self._dialer = dialer
        self._prefix = prefix
        # Another connection may be set up with other ones, and back again (sync/renewal.py).
        self.flags = WITH_WILL
        self.texts = client_id, prefix + b"state", will
        self.topics = topics
        self.on_message = on_message
        self.on_change = on_change
        self._keepalive_s = keepalive_s
        self._slots = []
        for size in sizes[1:]:
            self._slots.append([0, memoryview(bytearray(size)), None, False])
        self._rx = memoryview(bytearray(sizes[0]))
        self._pending = []  # slots in use, in the order in which they were sent
        self._since = [_NOTHING] * (_FIRST_ID + _MOST_PUBLISHES)
        self.wake = asyncio.Event()
        self._timeout = timeout_s
        self._tick_ms = tick_ms
        self.ready = self.greeted = False
        self.oversize = self.strays = 0

    # Publishing

    def room(self, topic, size):
        """Return the room for `size` bytes of payload, at least, in the smallest free buffer that has it, or None.

        `topic` is what stands behind the prefix. Nothing is taken before `send`, which completes what this began.
        """
        prefix = self._prefix
        start = 5 + len(prefix)
        end = start + len(topic)
        if _NOTHING in self._since[_FIRST_ID:]:
            for slot in self._slots:
                buf = slot[_BUFFER]
                if not slot[_ID] and len(buf) >= end + 2 + size:
                    self._next = slot
                    # Three bytes are left for the fixed header (2.2).
                    buf[3] = buf[end] = 0
                    buf[4] = end - 5
                    buf[5:start] = prefix
                    buf[start:end] = topic
                    return buf[end + 2 :]

    def send(self, length, retain=False, keep=True):
        """Queue a publish with the `length` bytes that were written into the room.

        With `keep` it stays in its buffer until it is acknowledged, over reconnects (3.3.1.1). Without, the buffer is
        free when it is written, and it is forgotten when the connection breaks.
        """
        slot = self._next
        buf = slot[_BUFFER]
        start = 7 + buf[4]
        end = start + length
        if end > len(buf):
            raise ValueError("too long")
        packet_id = self._since.index(_NOTHING, _FIRST_ID)
        self._since[packet_id] = _QUEUED
        slot[_ID] = buf[start - 1] = packet_id
        remaining = end - 3
        start = 1
        if remaining > 127:
            start = 0
            buf[1] = remaining & 127 | 128
            remaining >>= 7
        buf[2] = remaining
        buf[start] = _PUBLISH_1 | retain
        slot[_PACKET] = buf[start:end]
        slot[_KEEP] = keep
        self._pending.append(slot)
        self.wake.set()

    def _free(self, packet_id):
        for slot in self._pending:
            if slot[_ID] == packet_id:
                self._pending.remove(slot)
                slot[_ID] = 0
                break

    # One connection

    async def run(self):
        """Connect, subscribe and serve until something breaks; always ends with an exception."""
        self.greeted = False
        from sync import dialling

        try:
            # What is made here is not kept: a connection is rare, and RAM is rarer.
            self._greeting = dialling.greeting(self)
            stream = await asyncio.wait_for_ms(self._dialer.open(), self._timeout * self._tick_ms)
        except asyncio.TimeoutError:
            raise OSError(errno.ETIMEDOUT, "no answer from the broker")
        finally:
            ondemand.drop(dialling.MODULES)
            dialling = None  # else this frame keeps it
        self._stream = stream
        self._controls = [self._greeting[0]]
        since = [_NOTHING] * len(self._since)
        self._now = since[_STAGE] = 1
        for slot in list(self._pending):
            packet_id = slot[_ID]
            if not slot[_KEEP]:
                self._free(packet_id)
            else:
                if self._since[packet_id] > 0:
                    slot[_PACKET][0] |= _DUP
                since[packet_id] = _QUEUED
        self._since = since
        tasks = list(map(asyncio.create_task, (self._read(), self._write(), self._watch())))
        try:
            await asyncio.gather(*tasks)
        finally:
            self.ready = False
            for task in tasks:
                task.cancel()
            stream.close()
            await stream.wait_closed()

    async def _watch(self):
        since = self._since
        while True:
            await asyncio.sleep_ms(self._tick_ms)
            self._now += 1
            for start in since:
                if start > 0 and self._now - start > self._timeout:
                    raise OSError(errno.ETIMEDOUT, "the broker is silent")
            if self.ready and not since[_PING] and self._now - self._written >= self._keepalive_s >> 1:
                since[_PING] = self._now
                self._controls.append(_PINGREQ)
            self.wake.set()

    async def _write(self):
        since = self._since
        while True:
            self.wake.clear()
            self.on_change()
            packet_id = 0
            if self._controls:
                packet = self._controls.pop(0)
            else:
                for slot in self._pending:
                    packet_id = slot[_ID]
                    if self.greeted and since[packet_id] == _QUEUED:
                        break
                else:
                    await self.wake.wait()
                    continue
                packet = slot[_PACKET]
                since[packet_id] = self._now
            self._written = since[_WRITE] = self._now
            self._stream.write(packet)
            # The stream has sent it or made a copy.
            if packet_id and not slot[_KEEP]:
                self._free(packet_id)
            await self._stream.drain()
            since[_WRITE] = _NOTHING

    # Reading

    async def _fill(self, start, end):
        while start < end:
            count = await self._stream.readinto(self._rx[start:end])
            if count:
                start += count
                self._since[_READ] = self._now
            elif count == 0:
                raise OSError(_ECONNRESET, "closed by the broker")
            # None: TLS has taken in a record that holds nothing for us yet.

    async def _read(self):
        rx = self._rx
        since = self._since
        size = len(rx)
        while True:
            await self._fill(0, 2)
            head = rx[0]
            length = rx[1] & 127
            shift = 7
            while rx[1] & 128:
                if shift > 14:  # more than 2 MB
                    _broken()
                await self._fill(1, 2)
                length |= (rx[1] & 127) << shift
                shift += 7
            kept = min(length, size)
            await self._fill(0, kept)
            since[_READ] = _NOTHING
            if head & 0xF0 == _PUBLISH:
                by_id = head & 2
                at = 2 + (rx[0] << 8 | rx[1]) + by_id
                if not self.greeted or head & 4 or kept < 2 or at > kept:
                    _broken()
                puback = b"\x40\x02" + rx[at - 2 : at]
                if length > kept:
                    # Read past it, and acknowledge it: else the broker counts it as under way for ever.
                    self.oversize += 1
                    while length > kept:
                        length -= kept
                        await self._fill(0, min(length, kept))
                    since[_READ] = _NOTHING
                else:
                    start = 2 + len(self._prefix)
                    topics = self.topics if rx[2:start] == self._prefix else ()
                    for number, topic in enumerate(topics):
                        if topic == rx[start : at - by_id]:
                            await self.on_message(number, rx[at:length], head & 1)
                            break
                    else:
                        self.strays += 1
                if by_id:
                    self._controls.append(puback)
            elif head == _PUBACK and length == 2:
                packet_id = rx[0] << 8 | rx[1]
                if _FIRST_ID <= packet_id < len(since) and since[packet_id] > 0:
                    since[packet_id] = _NOTHING
                    self._free(packet_id)
            elif head == _PINGRESP and length == 0:
                since[_PING] = _NOTHING
            elif head == _CONNACK and length == 2 and not self.greeted:
                if rx[1]:
                    raise OSError(_EACCES, "refused by the broker, code %d" % rx[1])
                self._dialer.worked()
                self.greeted = True
                self._controls.append(self._greeting[1])
                self._greeting = None
            elif head == _SUBACK and length == 2 + len(self.topics) and self.greeted:
                if max(rx[2:length]) > 1:
                    raise OSError(_EACCES, "a subscription is refused")
                since[_STAGE] = _NOTHING
                self.ready = True
            else:
                _broken()
            self.wake.set()
            # Acknowledgements must not pile up behind a wire that is full.
            while len(self._controls) > _MOST_CONTROLS:
                await asyncio.sleep_ms(self._tick_ms)
