"""Desk mode: the reader of a door board as the reader of the card office, worked by lines over the serial port.

    await desk.run(transport, "esp32")             # until `end`, or the port is closed
    asyncio.run(Station(transport, "esp32", watchdog).run())    # what a board does whose setting `desk` is on

Nothing here knows a lock or a key of the door: a board in desk mode serves no door. One request a line, one answer a
line that begins with `ok` or `error`; docs/cards.md has the table. What is not understood is answered and forgotten.
"""

import asyncio
import sys
from asyncio import sleep_ms
from binascii import hexlify, unhexlify
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const, kbd_intr

from drivers.iso14443a import NIBBLE, SEVERAL, Iso14443a, ReaderFault, crc_a, outcome
from firmware.version import VERSION

_PROTOCOL = const(1)
_LINE = const(300)  # an APDU of 140 bytes in hex, or any other request
_APDU = const(140)
_FIELD_MS = const(8)  # 5.1 ms resets any card, 5.1 ms wakes it
_REPLY_US = const(25_000)  # MIFARE Classic: read and write
_WAIT_MS = const(3000)  # `card` without a time
_WAIT_MAX_MS = const(60_000)
_POLL_MS = const(10)
_FEED_MS = const(1000)
_LAST_BLOCK = const(127)  # sectors of four blocks; a card of 4 KB has larger ones behind them
_ACK = const(0x0A)

_OK = "ok"
_NO_CARD = "error nocard: no card is on the reader"
_SEVERAL = "error several: more than one card is on the reader; leave one"
_GONE = "error gone: the card does not answer; hold it still on the reader"
_REFUSED = "error refused: the card refuses this key"
_DENIED = "error denied: the card does not allow this"
_FIRST = "error usage: ask for a card first"
_NO_SESSION = "error usage: auth must come first, for this sector"
_FAULT = "error fault: the reader chip does not answer; check its wiring"
_LONG = "error usage: the line is too long"
_UNKNOWN = "error usage: hello, card [MS], apdu HEX, auth A|B BLOCK KEY, read BLOCK, write BLOCK HEX CHECK, field, end"
_DAMAGED = "error damaged: the check value is wrong or missing; nothing was written"
_UNSAFE = "error unsafe: this would lock the sector or the card; nothing was written"

# Bytes 6 to 8 of a trailer that may be written: ours, and the factory's
_SAFE = (b"\x7f\x07\x88", b"\xff\x07\x80")


class Lines:
    """Lines of bounded length out of a stream, whatever else comes in."""

    def __init__(self, stream):
        self._reader = asyncio.StreamReader(stream)
        self._line = bytearray(_LINE)

    async def readline(self):
        """The next line that is not empty, as bytes; None: it was too long; b"": the stream has ended."""
        line = self._line
        count = 0
        while True:
            data = await self._reader.read(1)  # a chip's stdin blocks until it has all that was asked for
            if not data:
                return b""
            byte = data[0]
            if byte == 0x0A or byte == 0x0D:
                if count > _LINE:
                    return None
                if count:
                    return bytes(memoryview(line)[:count])
            elif count < _LINE:
                line[count] = byte
                count += 1
            else:
                count = _LINE + 1


class Desk:
    """One card at a time; `transport` is as drivers/iso14443a.py describes it."""

    def __init__(self, transport, board):
        self._cards = Iso14443a(transport, _POLL_MS, True)
        self._transport = transport
        self._board = board
        self._frame = transport.frame
        self._uid = bytearray(10)
        self._length = 0  # of the UID; 0: no card has been asked for
        self._active = False  # selected, and spoke nothing yet
        self._link = None  # IsoDep, once it was needed
        self._linked = False
        self._sector = -1  # with Crypto1 on
        self._data = bytearray(_APDU)

    async def answer(self, line):
        """Carry out one request; returns the line to answer with, None after `end`."""
        try:
            words = line.decode().split()
            if not words:
                return _UNKNOWN
            return await self._do(words[0], words[1:])
        except (ValueError, IndexError):  # UnicodeError is a ValueError
            return _UNKNOWN
        except ReaderFault:
            self._length = 0
            self._drop()
            try:
                await self._transport.start()
            except ReaderFault:
                pass  # answered below, and tried again with the next request
            return _FAULT

    async def _do(self, verb, words):
        if verb == "hello":
            return "ok menwei desk %d %s %s" % (_PROTOCOL, self._board, VERSION)
        if verb == "card":
            return await self._card(min(int(words[0]), _WAIT_MAX_MS) if words else _WAIT_MS)
        if verb == "field":
            await self._leave()
            await self._cycle()
            return _OK
        if verb == "end":
            await self._leave()
            return None
        if not self._length:
            return _FIRST
        if verb == "apdu":
            return await self._apdu(unhexlify(words[0]))
        if verb == "auth":
            return await self._auth(("A", "B").index(words[0]), int(words[1]), unhexlify(words[2]))
        if verb == "read":
            return await self._read(int(words[0]))
        if verb == "write":
            check = int(words[2], 16) if len(words) > 2 else -1
            return await self._write(int(words[0]), unhexlify(words[1]), check)
        return _UNKNOWN

    def _drop(self):
        """The card is in a state that nobody knows."""
        if self._sector >= 0:
            self._transport.plain()
        self._sector = -1
        self._active = self._linked = False
        self._cards.lost()

    async def _leave(self):
        """End whatever the card is in, so that the next request finds it by its UID."""
        if self._linked:
            await self._link.deselect()
        self._drop()

    async def _cycle(self):
        self._transport.field(False)
        await sleep_ms(_FIELD_MS)
        self._transport.field(True)
        await sleep_ms(_FIELD_MS)

    async def _select(self):
        """Make the card ACTIVE and nothing more, also out of a session; False: it does not answer."""
        if not self._active:
            await self._leave()
            self._active = bool(await self._cards.select(self._uid, self._length))
        return self._active

    async def _card(self, wait_ms):
        await self._leave()
        self._length = 0
        # Off and on with nobody known: all cards begin as equals, and one that was there is found again
        await self._cycle()
        cards = self._cards = Iso14443a(self._transport, _POLL_MS, True)
        deadline = ticks_add(ticks_ms(), wait_ms)
        while True:
            length = await cards.find(self._uid)
            if length == SEVERAL or cards.several:
                self._drop()
                return _SEVERAL
            if length:
                break
            if ticks_diff(deadline, ticks_ms()) <= 0:
                return _NO_CARD
            await sleep_ms(_POLL_MS)
        self._length = length
        self._active = True
        sak = cards.sak
        atqa = cards.atqa
        magic = False
        if sak & 0x08:
            from drivers.magic import is_magic

            magic = await is_magic(cards)
            self._drop()
        uid = hexlify(memoryview(self._uid)[:length]).decode().upper()
        return "ok uid=%s sak=%02X atqa=%04X magic=%d" % (uid, sak, atqa, magic)

    async def _exchange(self, length, last_bits, timeout_us):
        transport = self._transport
        transport.send(length, last_bits, timeout_us)
        return await outcome(transport)

    async def _apdu(self, command):
        if not self._linked:
            if not await self._select():
                return _GONE
            if self._link is None:
                from drivers.isodep import IsoDep

                self._link = IsoDep(self._transport)
            self._active = False
            self._linked = await self._link.activate()
        if self._linked:
            self._data[: len(command)] = command
            count = await self._link.exchange(self._data, len(command)) if len(command) <= _APDU else -1
            if count >= 0:
                return "ok " + hexlify(memoryview(self._data)[:count]).decode()
        self._drop()
        return _GONE

    async def _auth(self, letter, block, key):
        if len(key) != 6 or not 0 <= block <= _LAST_BLOCK:
            return _UNKNOWN
        if not await self._select():
            return _GONE
        self._active = False
        transport = self._transport
        transport.authenticate(0x60 + letter, block, key, self._uid[self._length - 4 : self._length])
        count = await outcome(transport)
        self._sector = block >> 2
        if count == 0:
            return _OK
        self._drop()
        # Silence is a wrong key or an empty reader: the card decides by answering its UID
        return _REFUSED if await self._select() else _GONE

    def _with_crc(self, length):
        frame = self._frame
        crc = crc_a(frame, 1, 1 + length)
        frame[1 + length] = crc & 0xFF
        frame[2 + length] = crc >> 8
        return length + 2

    async def _command(self, code, block):
        self._frame[1] = code
        self._frame[2] = block
        return await self._exchange(self._with_crc(2), 0, _REPLY_US)

    def _failed(self, count):
        self._drop()
        return _DENIED if count == NIBBLE else _GONE

    async def _read(self, block):
        if not 0 <= block <= _LAST_BLOCK or block >> 2 != self._sector:
            return _NO_SESSION
        count = await self._command(0x30, block)
        if count != 18 or crc_a(self._frame, 1, 19):
            return self._failed(count)
        return "ok " + hexlify(memoryview(self._frame)[1:17]).decode()

    async def _write(self, block, data, check):
        if len(data) != 16:
            return _UNKNOWN
        if not 0 <= block <= _LAST_BLOCK or block >> 2 != self._sector:
            return _NO_SESSION
        if not block or (block & 3 == 3 and data[6:9] not in _SAFE):
            return _UNSAFE
        # One bit that flips in a key on the serial line would lock the sector for ever, and no key can be read back
        if (check >= 0 or block & 3 == 3) and crc_a(data + bytes((block,)), 0, 17) != check:
            return _DAMAGED
        frame = self._frame
        count = await self._command(0xA0, block)
        if count == NIBBLE and frame[1] & 15 == _ACK:
            frame[1:17] = data
            count = await self._exchange(self._with_crc(16), 0, _REPLY_US)
            if count == NIBBLE and frame[1] & 15 == _ACK:
                return _OK
        return self._failed(count)


async def serve(transport, readline, write, board=""):
    """Answer requests until `end` or the end of the stream.

    `readline` is Lines.readline or its like, `write` takes text. The chip is started here.
    """
    desk = Desk(transport, board)
    try:
        await transport.start()
    except ReaderFault:
        write(_FAULT + "\n")  # requests are answered all the same
    while True:
        line = await readline()
        if line == b"":
            return
        answer = _LONG if line is None else await desk.answer(line)
        write((answer or _OK) + "\n")
        if answer is None:
            return


async def run(transport, board=""):
    """Serve the chip's own serial port."""
    kbd_intr(-1)  # a stray 03 on the line must not end it; `end` does
    try:
        await serve(transport, Lines(sys.stdin.buffer).readline, sys.stdout.write, board)
    finally:
        kbd_intr(3)


class Station:
    """A board that stands in the card office: it serves its serial port, as firmware.service.Service serves a door."""

    def __init__(self, transport, board, watchdog):
        self._transport = transport
        self._board = board
        self._watchdog = watchdog

    async def run(self):
        """Until `end`, or the port is closed; then the board starts again."""
        feeding = asyncio.create_task(self._feed())
        await run(self._transport, self._board)
        feeding.cancel()

    async def _feed(self):
        while True:
            self._watchdog.feed()
            await sleep_ms(_FEED_MS)
