"""A wire that goes wrong: between a door and its broker, or between anybody and anything.

    wire = Chaos("127.0.0.1", 1883, seed=7)         # tls=True if that is what passes
    await wire.start()                              # connect to wire.port
    wire.set(up=Faults(delay_s=0.2, rate=1000))     # towards the broker; `down` towards the door
    wire.set()                                      # everything passes again
    print(wire.done)                                # what was really done, so that a test can see that it was

What concerns bytes (delay, throttle, cut, truncation, a turned bit) works with TLS, too. What concerns packets (drop,
duplicate, reorder) concerns the PUBLISH of MQTT 3.1.1 without TLS; all other packets pass. A PUBLISH with QoS 1 that is
dropped is a loss which its sender notices only because no PUBACK comes.

Seconds and rates are those of the computer's clock. What is drawn comes from the seed, in the order of the traffic.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from menwei.proxy import Proxy

_CHUNK = 4096
_HOLD_S = 0.05  # a packet that waits to be overtaken goes on alone after that
_PIECE_S = 0.05  # of a throttled stream
_PUBLISH = 0x30


@dataclass(frozen=True)
class Faults:
    """What happens in one direction; probabilities are 0 to 1.

    delay_s: each piece of data comes later by up to so much; order is kept, as TCP does.
    rate: bytes in a second, 0: as fast as it goes.
    cut: probability, for each piece of data, that the connection is reset in front of it.
    truncate: the same, but the first part of the piece still arrives.
    flip: probability that one bit of a piece arrives turned.
    drop, duplicate, reorder: of each PUBLISH.
    """

    delay_s: float = 0
    rate: int = 0
    cut: float = 0
    truncate: float = 0
    flip: float = 0
    drop: float = 0
    duplicate: float = 0
    reorder: float = 0

    @property
    def of_packets(self) -> bool:
        """Whether MQTT has to be read."""
        return bool(self.drop or self.duplicate or self.reorder)


class Broken(Exception):
    """The connection ends here."""


class Chaos(Proxy):
    """A proxy with faults."""

    def __init__(self, host: str, port: int, seed: int = 0, tls: bool = False) -> None:
        super().__init__(host, port)
        self._tls = tls
        self._random = random.Random(seed)
        self._up = self._down = Faults()
        self.done: Counter[str] = Counter()

    def set(self, up: Faults | None = None, down: Faults | None = None) -> None:
        """Faults from now on, for the connections that are there as well."""
        self._up, self._down = up or Faults(), down or Faults()

    def cut_now(self) -> None:
        """Reset every connection, both sides."""
        for writer in self._door_side | self._broker_side:
            writer.transport.abort()
            self.done["cut"] += 1

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        direction = "_up" if writer in self._broker_side else "_down"
        packets, held = Packets(self._tls), b""
        try:
            while True:
                try:
                    async with asyncio.timeout(_HOLD_S if held else None):
                        data = await reader.read(_CHUNK)
                except TimeoutError:
                    await self._send(writer, direction, held)
                    held = b""
                    continue
                if not data:
                    break
                if not self._open.is_set():
                    packets, held = Packets(self._tls), b""
                    continue  # lost on the way
                self.forwarded += len(data)
                for packet in packets.split(data):
                    held = await self._pass(writer, direction, packet, held)
        except (OSError, Broken):
            await self._open.wait()  # the end of a connection is lost on the way, too
            writer.transport.abort()
            return
        await self._open.wait()
        writer.close()

    async def _pass(self, writer: asyncio.StreamWriter, direction: str, packet: bytes, held: bytes) -> bytes:
        """Do with one packet what the faults say; return the one that is held back after it."""
        faults: Faults = getattr(self, direction)
        if packet[0] & 0xF0 == _PUBLISH and faults.of_packets:
            if self._chance(faults.drop):
                self.done["drop"] += 1
                return held
            if self._chance(faults.duplicate):
                self.done["duplicate"] += 1
                packet += bytes((packet[0] | (8 if packet[0] & 6 else 0),)) + packet[1:]
            if not held and self._chance(faults.reorder):
                return packet
        await self._send(writer, direction, packet)
        if held:
            self.done["reorder"] += 1
            await self._send(writer, direction, held)
        return b""

    async def _send(self, writer: asyncio.StreamWriter, direction: str, data: bytes) -> None:
        faults: Faults = getattr(self, direction)
        if self._chance(faults.cut):
            self.done["cut"] += 1
            raise Broken
        if self._chance(faults.truncate):
            self.done["truncate"] += 1
            writer.write(data[: self._random.randrange(len(data))])
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.drain()
            # What was written has to leave before the reset overtakes it.
            await asyncio.sleep(0.01)
            raise Broken
        if self._chance(faults.flip):
            self.done["flip"] += 1
            bit = self._random.randrange(8 * len(data))
            data = data[: bit >> 3] + bytes((data[bit >> 3] ^ 1 << (bit & 7),)) + data[(bit >> 3) + 1 :]
        if faults.delay_s:
            self.done["delay"] += 1
            await asyncio.sleep(self._random.random() * faults.delay_s)
        piece = max(1, int(faults.rate * _PIECE_S)) if faults.rate else len(data)
        for at in range(0, len(data), piece):
            if faults.rate:
                self.done["throttle"] += 1
                await asyncio.sleep(min(piece, len(data) - at) / faults.rate)
            if not self._open.is_set():
                return
            writer.write(data[at : at + piece])
            await writer.drain()


class Packets:
    """Takes a stream of MQTT apart into whole packets; with `tls` nothing can be read, and all goes on as it comes."""

    def __init__(self, tls: bool = False) -> None:
        self._tls = tls
        self._buffer = b""

    def split(self, data: bytes) -> list[bytes]:
        """All packets that are complete now (2.2.3 Remaining Length)."""
        if self._tls:
            return [data]
        self._buffer += data
        found = []
        while size := self._first():
            found.append(self._buffer[:size])
            self._buffer = self._buffer[size:]
        return found

    def _first(self) -> int:
        """Size of the first packet, or 0 while it is not complete."""
        length = 0
        for at in range(1, min(5, len(self._buffer))):
            length |= (self._buffer[at] & 127) << 7 * (at - 1)
            if not self._buffer[at] & 128:
                size = at + 1 + length
                return size if size <= len(self._buffer) else 0
        return 0
