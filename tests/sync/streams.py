"""A stream and a dialer made of canned bytes, for tests of the MQTT client and of the link on the unix port."""

import asyncio


class Stream:
    """What a broker would be at the other end; `say` is the broker speaking, `heard` what the client wrote."""

    def __init__(self, piece=1000):
        self._piece = piece
        self._incoming = bytearray()
        self._event = asyncio.Event()
        self._closed_by_broker = False
        self.heard = bytearray()
        self.stalled = False
        self.broken = False
        self.closed = False
        self.asked = 0  # the largest read the client asked for

    def say(self, data):
        self._incoming += data
        self._event.set()

    def hang_up(self):
        self._closed_by_broker = True
        self._event.set()

    async def readinto(self, buf):
        self.asked = max(self.asked, len(buf))
        while not self._incoming and not self._closed_by_broker:
            self._event.clear()
            await self._event.wait()
        count = min(len(buf), len(self._incoming), self._piece)
        buf[:count] = self._incoming[:count]
        self._incoming = self._incoming[count:]
        return count

    def write(self, data):
        if self.broken:
            raise OSError(104, "reset")
        self.heard += data

    async def drain(self):
        while self.stalled:
            await asyncio.sleep_ms(1)
        await asyncio.sleep_ms(0)

    def close(self):
        pass

    async def wait_closed(self):
        self.closed = True

    def packets(self):
        """What was written so far, taken apart and forgotten."""
        found = []
        data = self.heard
        self.heard = bytearray()
        at = 0
        while at < len(data):
            length = data[at + 1] & 127
            start = at + 2
            if data[at + 1] & 128:
                length |= data[at + 2] << 7
                start += 1
            found.append((data[at], bytes(memoryview(data)[start : start + length])))
            at = start + length
        return found


class Dialer:
    """Hands out streams that the test prepared; None stands for a connection that never comes about."""

    def __init__(self, *streams):
        self.streams = list(streams)
        self.dialled = 0
        self.spoken = False
        self.answered = 0

    async def open(self):
        self.dialled += 1
        if not self.streams:
            raise OSError(111, "refused")
        stream = self.streams.pop(0)
        if stream is None:
            await asyncio.sleep_ms(100000)
        if isinstance(stream, Exception):
            raise stream
        return stream

    def worked(self):
        self.answered += 1


CONNACK = b"\x20\x02\x00\x00"


def suback(codes):
    return bytes((0x90, 2 + len(codes), 0, 1)) + bytes(codes)


def puback(packet_id):
    return bytes((0x40, 2, packet_id >> 8, packet_id & 255))


def publish(topic, payload, qos=1, packet_id=7, retain=0):
    body = bytes((len(topic) >> 8, len(topic) & 255)) + topic
    if qos:
        body += bytes((packet_id >> 8, packet_id & 255))
    body += payload
    head = bytes((0x30 | qos << 1 | retain,))
    length = len(body)
    while True:
        more = length >> 7
        head += bytes((length & 127 | (128 if more else 0),))
        length = more
        if not length:
            return head + body
