"""MQTT 3.1.1 client over asyncio streams: QoS 0 and 1, a deadline on every wait, no allocation by a length on the wire.

    client = Mqtt(Dialer("broker.lan", 1883), "site.door", (b"a/cmd",), on_message, b"a/state", b"gone")
    slot = client.take(1000)                    # a free packet buffer of at least that size, or None
    if slot:
        room = slot.payload(b"a/event")
        client.send(slot, fill(room))           # written when there is a connection, again after a reconnect
    await client.run()                          # one connection, until it breaks: raises OSError or ValueError

Per connection one task reads, one writes, and one looks once a second whether something is overdue: cheaper than a
task with a deadline for each wait, and a loop that was stalled itself does not blame the peer, because these looks
are counted, not the clock. Clause numbers are those of the OASIS standard, MQTT 3.1.1.
"""

import asyncio
import errno

from micropython import const

_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBSCRIBE = const(0x82)
_SUBACK = const(0x90)
_PINGREQ = b"\xc0\x00"
_PINGRESP = const(0xD0)
_DUP = const(0x08)
# Clean session; a will with QoS 1, retained (3.1.2.3).
_CONNECT_FLAGS = const(0x2E)
_EIO = const(5)

# Packet ids: 1 is the subscription, and each slot has its own.
_FIRST_ID = const(2)

# Life of a slot.
_FREE = const(0)
_TAKEN = const(1)
_QUEUED = const(2)
_SENT = const(3)

# What has a deadline: places in `_since`, behind them one for each slot.
_STAGE = const(0)
_WRITE = const(1)
_READ = const(2)
_PING = const(3)
_DEADLINES = const(4)

_MOST_CONTROLS = const(8)


class Slot:
    """One PUBLISH in a buffer of its own, kept until it is acknowledged."""

    def __init__(self, size, packet_id):
        """Allocate `size` bytes: payload, topic, and 7 bytes for what MQTT adds."""
        self.buf = memoryview(bytearray(size))
        self.id = packet_id
        self.state = _FREE
        self.keep = False
        self.qos = 1
        self._at = self._start = self._end = 0

    def payload(self, topic, qos=1):
        """Put down the topic; return the room for the payload."""
        buf = self.buf
        end = 5 + len(topic)
        # Three bytes are left for the fixed header (2.2).
        buf[3] = 0
        buf[4] = len(topic)
        buf[5:end] = topic
        buf[end + 1] = self.id
        buf[end] = 0
        self.qos = qos
        self._at = end + 2 * qos
        return buf[self._at :]

    def finish(self, length, retain):
        """Complete the packet around `length` bytes of payload."""
        buf = self.buf
        self._end = self._at + length
        if self._end > len(buf):
            raise ValueError("payload does not fit into the packet buffer")
        remaining = self._end - 3
        buf[1] = remaining & 127 | 128
        buf[2] = remaining >> 7
        self._start = 0
        if remaining < 128:
            self._start = 1
            buf[2] = remaining
        buf[self._start] = _PUBLISH | self.qos << 1 | retain

    def repeat(self):
        """Mark as sent before (3.3.1.1), and send again."""
        self.buf[self._start] |= _DUP
        self.state = _QUEUED

    def packet(self):
        """Return the finished packet."""
        return self.buf[self._start : self._end]


def _text(data):
    return bytes((0, len(data))) + data


def _packet(head, body):
    # Only for packets of our own settings, far below 16 KB.
    length = len(body)
    return bytes((head, length) if length < 128 else (head, length & 127 | 128, length >> 7)) + body


def _broken():
    raise OSError(_EIO, "the broker breaks MQTT 3.1.1")


class Mqtt:
    """A client with a fixed number of publishes under way."""

    def __init__(
        self,
        dialer,
        client_id,
        topics,
        on_message,
        will_topic,
        will,
        keepalive_s=60,
        sizes=(640, 1152, 1152),
        timeout_s=20,
        tick_ms=1000,
    ):
        """Allocate all buffers.

        Args:
            dialer: Dialer, or what else has `open()` and `worked()`.
            client_id: bytes.
            topics: bytes, subscribed with QoS 1; no wildcards. Topics and will have 255 bytes at most.
            on_message: async function of (number of the topic, payload as a memoryview that is valid until it
                returns, retained). It must not wait for a publish of its own.
            will_topic: bytes.
            will: bytes, published by the broker when the connection is lost.
            keepalive_s: a ping goes out after half of it.
            sizes: of the packet buffers, the smallest first; as many publishes can be under way. Incoming packets
                have a buffer as large as the last; longer ones are read past.
            timeout_s: for each single answer.
            tick_ms: length of the seconds above; shorter in tests.
        """
        self._dialer = dialer
        self._topics = topics
        self._on_message = on_message
        keep = bytes((_CONNECT_FLAGS, keepalive_s >> 8, keepalive_s & 255))
        body = b"\x00\x04MQTT\x04" + keep + _text(client_id) + _text(will_topic) + _text(will)
        self._connect = _packet(_CONNECT, body)
        body = b"\x00\x01"
        for topic in topics:
            body += _text(topic) + b"\x01"
        self._subscribe = _packet(_SUBSCRIBE, body)
        self._slots = [Slot(size, _FIRST_ID + number) for number, size in enumerate(sizes)]
        self._pending = []
        self._rx = memoryview(bytearray(sizes[-1]))
        self._controls = []
        self._since = [0] * (_DEADLINES + len(sizes))
        self._now = self._written = 0
        self._wake = asyncio.Event()
        self._ping_after = keepalive_s // 2
        self._timeout = timeout_s
        self._tick_ms = tick_ms
        self._greeted = False
        self._stream = self._reader = self._error = None
        self.ready = False
        self.on_change = None  # called when `ready` has become true, when a slot has become free, and each second
        self.oversize = 0
        self.strays = 0

    # Publishing

    def take(self, size):
        """Return the smallest free slot with at least `size` bytes, or None. Then `send` or `drop` it."""
        for slot in self._slots:
            if slot.state == _FREE and len(slot.buf) >= size:
                slot.state = _TAKEN
                return slot

    def drop(self, slot):
        """Give a slot back that was taken."""
        slot.state = _FREE

    def send(self, slot, length, retain=False, keep=True):
        """Queue the slot with `length` bytes of payload. Without `keep` it is forgotten when the connection breaks."""
        slot.finish(length, retain)
        slot.keep = keep
        slot.state = _QUEUED
        self._pending.append(slot)
        self._wake.set()

    def _free(self, slot):
        self._pending.remove(slot)
        self._since[_DEADLINES - _FIRST_ID + slot.id] = 0
        slot.state = _FREE
        self._changed()

    def _changed(self):
        if self.on_change:
            self.on_change()

    # One connection

    async def run(self):
        """Connect, subscribe and serve until something breaks; always ends with an exception."""
        try:
            stream = await asyncio.wait_for_ms(self._dialer.open(), self._timeout * self._tick_ms)
        except asyncio.TimeoutError:
            raise OSError(errno.ETIMEDOUT, "no answer from the broker's address")
        self._begin()
        self._stream = stream
        tasks = [asyncio.create_task(self._guard(work())) for work in (self._read, self._write, self._watch)]
        self._reader = tasks[0]
        try:
            await self._reader
        finally:
            self.ready = False
            for task in tasks:
                task.cancel()
            stream.close()
            await stream.wait_closed()
        # A cancellation of this task goes on to the reader, which ends without an error.
        raise self._error or asyncio.CancelledError

    def _begin(self):
        self._error = None
        self._greeted = False
        self._controls.clear()
        since = self._since
        for index in range(len(since)):
            since[index] = 0
        self._now = since[_STAGE] = 1
        for slot in list(self._pending):
            if not slot.keep:
                self._free(slot)
            elif slot.state == _SENT:
                slot.repeat()

    async def _guard(self, work):
        try:
            await work
        except asyncio.CancelledError:
            pass
        except (OSError, ValueError, MemoryError) as error:
            if not self._error:
                self._error = error
            if asyncio.current_task() is not self._reader:
                self._reader.cancel()

    async def _watch(self):
        since = self._since
        while True:
            await asyncio.sleep_ms(self._tick_ms)
            self._now += 1
            for start in since:
                if start and self._now - start > self._timeout:
                    raise OSError(errno.ETIMEDOUT, "the broker is silent")
            if self.ready and not since[_PING] and self._now - self._written >= self._ping_after:
                since[_PING] = self._now
                self._control(_PINGREQ)
            self._changed()

    # Writing

    def _control(self, packet):
        self._controls.append(packet)
        self._wake.set()

    async def _write(self):
        await self._put(self._connect)
        while True:
            self._wake.clear()
            while self._controls:
                await self._put(self._controls.pop(0))
            for slot in self._pending:
                if slot.state == _QUEUED and self._greeted:
                    slot.state = _SENT
                    self._since[_DEADLINES - _FIRST_ID + slot.id] = self._now
                    await self._put(slot.packet())
                    if not slot.qos:
                        self._free(slot)
                    self._wake.set()
                    break
            await self._wake.wait()

    async def _put(self, packet):
        self._written = self._since[_WRITE] = self._now
        self._stream.write(packet)
        await self._stream.drain()
        self._since[_WRITE] = 0

    # Reading

    async def _fill(self, start, end):
        while start < end:
            count = await self._stream.readinto(self._rx[start:end])
            if count:
                start += count
                self._since[_READ] = self._now
            elif count == 0:
                raise OSError(errno.ECONNRESET, "the broker closed the connection")
            # None: TLS has taken in a record that holds nothing for us yet.

    async def _read(self):
        rx = self._rx
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
            if head & 0xF0 == _PUBLISH:
                await self._published(head, length, kept)
            else:
                self._since[_READ] = 0
                self._answered(head, length)
            while len(self._controls) > _MOST_CONTROLS:
                await asyncio.sleep_ms(self._tick_ms)

    async def _published(self, head, length, kept):
        rx = self._rx
        by_id = head & 2
        at = 2 + (rx[0] << 8 | rx[1]) + by_id
        if not self._greeted or head & 4 or kept < 2 or at > kept:
            _broken()
        packet_id = bytes(rx[at - 2 : at])
        if length > kept:
            # Read past it, and acknowledge it: else the broker counts it as under way for ever.
            self.oversize += 1
            while length > kept:
                length -= kept
                await self._fill(0, min(length, kept))
            self._since[_READ] = 0
        else:
            self._since[_READ] = 0
            topic = rx[2 : at - by_id]
            for number, known in enumerate(self._topics):
                if topic == known:
                    await self._on_message(number, rx[at:length], head & 1)
                    break
            else:
                self.strays += 1
        if by_id:
            self._control(b"\x40\x02" + packet_id)

    def _answered(self, head, length):
        rx = self._rx
        if head == _PUBACK and length == 2:
            for slot in self._pending:
                if slot.state == _SENT and slot.id == rx[0] << 8 | rx[1]:
                    self._free(slot)
                    break
        elif head == _PINGRESP and length == 0:
            self._since[_PING] = 0
        elif head == _CONNACK and length == 2 and not self._greeted:
            if rx[1]:
                raise OSError(errno.EACCES, "the broker refuses this door, code %d" % rx[1])
            self._dialer.worked()
            self._greeted = True
            self._control(self._subscribe)
        elif head == _SUBACK and length == 2 + len(self._topics) and self._greeted:
            for index in range(2, length):
                if rx[index] > 1:
                    raise OSError(errno.EACCES, "the broker refuses a subscription")
            self._since[_STAGE] = 0
            self.ready = True
            self._changed()
        else:
            _broken()
