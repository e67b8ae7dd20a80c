"""The wire that goes wrong does what it says, and nothing when it is told to do nothing."""

import asyncio
import contextlib
import random
import time

import aiomqtt
import pytest
from chaos import Chaos, Faults, Packets

from menwei.broker import EmbeddedBroker

SEED = 4711


class Echo:
    """A server that says again what it hears."""

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def wired(tls=True, seed=SEED):
    """A wire to an echo, and a connection through it."""
    async with Echo() as echo:
        wire = Chaos("127.0.0.1", echo.port, seed, tls)
        await wire.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        try:
            yield wire, reader, writer
        finally:
            writer.close()
            await wire.stop()


async def said(reader, writer, data):
    """What comes back of what was said, until it is complete or the connection ends."""
    writer.write(data)
    heard = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            while len(heard) < len(data):
                piece = await reader.read(65536)
                if not piece:
                    break
                heard += piece
    return heard


async def test_without_faults_everything_passes():
    async with wired() as (wire, reader, writer):
        data = random.Random(1).randbytes(300_000)
        assert await said(reader, writer, data) == data
        assert not wire.done


async def test_a_throttled_wire_is_as_slow_as_it_says():
    async with wired() as (wire, reader, writer):
        wire.set(up=Faults(rate=1000))
        began = time.monotonic()
        assert await said(reader, writer, bytes(700)) == bytes(700)
        assert 0.65 < time.monotonic() - began < 2
        wire.set()
        began = time.monotonic()
        assert len(await said(reader, writer, bytes(10_000))) == 10_000
        assert time.monotonic() - began < 0.5


async def test_a_delay_keeps_the_order():
    async with wired() as (wire, reader, writer):
        wire.set(Faults(delay_s=0.1), Faults(delay_s=0.1))
        heard = b""
        for number in range(10):
            heard += await said(reader, writer, bytes([number]) * 100)
        assert heard == b"".join(bytes([number]) * 100 for number in range(10))
        assert wire.done["delay"] >= 20


async def test_a_cut_connection_is_reset_and_a_new_one_works():
    async with wired() as (wire, reader, writer):
        wire.set(up=Faults(cut=1))
        assert await said(reader, writer, b"x") == b""
        wire.set()
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await said(reader, writer, b"x") == b"x"
        wire.cut_now()
        assert await said(reader, writer, b"y") == b""
        assert wire.done["cut"] >= 2


async def test_truncated_data_is_a_true_beginning():
    for seed in range(5):
        async with wired(seed=seed) as (wire, reader, writer):
            wire.set(down=Faults(truncate=1))
            data = random.Random(2).randbytes(1000)
            heard = await said(reader, writer, data)
            assert len(heard) < 1000 and data.startswith(heard)
            assert wire.done["truncate"] == 1


async def test_one_bit_is_turned():
    async with wired() as (wire, reader, writer):
        wire.set(up=Faults(flip=1))
        heard = await said(reader, writer, bytes(100))
        assert sum(byte.bit_count() for byte in heard) == 1


async def test_a_lost_network_says_nothing_and_comes_back():
    async with wired() as (wire, reader, writer):
        wire.away()
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        wire.back()
        with contextlib.suppress(OSError):
            assert await reader.read(1) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await said(reader, writer, b"x") == b"x"


def test_packets_however_they_are_cut():
    whole = [b"\xc0\x00", b"\x30\x05\x00\x01ahi", b"\x30\x83\x01" + bytes(131), b"\x40\x02\x00\x01"]
    for step in (1, 2, 3, 7, 1000):
        packets, found, stream = Packets(), [], b"".join(whole)
        for at in range(0, len(stream), step):
            found += packets.split(stream[at : at + step])
        assert found == whole


@contextlib.asynccontextmanager
async def published(faults, count=20, *, down=None, qos=1):
    """Publish numbers through a wire; yield the list of numbers that arrive."""
    async with EmbeddedBroker() as broker:
        wire = Chaos("127.0.0.1", broker.port, SEED)
        await wire.start()
        numbers, ready = [], asyncio.Event()

        async def listen(port):
            async with aiomqtt.Client("127.0.0.1", port) as client:
                await client.subscribe("t", qos=1)
                ready.set()
                async for message in client.messages:
                    numbers.append(int(message.payload))

        listening = asyncio.create_task(listen(wire.port if down else broker.port))
        await ready.wait()
        async with aiomqtt.Client("127.0.0.1", broker.port if down else wire.port) as client:
            wire.set(faults, down)
            for number in range(count):
                # Its PUBACK may never come.
                with contextlib.suppress(aiomqtt.MqttError):
                    await client.publish("t", str(number), qos=qos, timeout=0.2)
            await asyncio.sleep(0.3)
            yield wire, numbers
            wire.set()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await wire.stop()


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("kind", ["drop", "duplicate", "reorder"])
async def test_publishes_are_lost_doubled_and_overtaken(kind, direction):
    faults = Faults(**{kind: 0.5})
    ways = {"faults": faults} if direction == "up" else {"faults": None, "down": faults}
    async with published(**ways, qos=0) as (wire, numbers):
        done = wire.done[kind]
        assert done > 2 and not wire.done.keys() - {kind}
        if kind == "drop":
            assert numbers == sorted(set(numbers)) and len(numbers) == 20 - done
        elif kind == "duplicate":
            assert numbers == sorted(numbers) and len(numbers) == 20 + done and len(set(numbers)) == 20
        else:
            assert sorted(numbers) == list(range(20)) and numbers != sorted(numbers)


async def test_a_dropped_publish_is_never_acknowledged():
    """The sender notices it by nothing but the missing PUBACK."""
    async with published(Faults(drop=1), count=0) as (wire, numbers), aiomqtt.Client("127.0.0.1", wire.port) as client:
        with pytest.raises(aiomqtt.MqttError):
            await client.publish("t", "1", qos=1, timeout=0.5)
        assert not numbers and wire.done["drop"] == 1


async def test_a_seed_decides():
    found = []
    for _ in range(2):
        async with published(Faults(drop=0.3, duplicate=0.3), qos=0) as (_, numbers):
            found.append(list(numbers))
    assert found[0] == found[1] != list(range(20))
