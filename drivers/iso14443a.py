"""ISO/IEC 14443-3 type A: one card at the reader, from the first request to its UID.

    from drivers.iso14443a import Iso14443a, SEVERAL
    cards = Iso14443a(transport)          # drivers/mfrc522.py, or a fake in a test
    await cards.start()
    uid = bytearray(10)
    while True:
        length = await cards.find(uid)    # 4, 7, 10, SEVERAL, or 0: nothing new
        if length > 0:
            serve(uid, length)
        await asyncio.sleep_ms(cards.poll_ms)

A transport has `frame`, a bytearray whose bytes from index 1 on are sent and hold what came back (index 0 is the
transport's own), and

    start()         coroutine; brings the chip up with the field on, or raises ReaderFault
    field(on)       the carrier; after switching on a card needs 5.1 ms
    send(length, last_bits, timeout_us)
                    begins an exchange of `length` bytes, the last of them with `last_bits` bits (0: all 8)
    poll()          BUSY, TIMEOUT, COLLISION, GARBLED, or the number of whole bytes received
    push(length)    sends without listening

All of them return at once; waiting is done here.
"""

from asyncio import sleep_ms
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

# Outcomes of Transport.poll(), beside a count of bytes
BUSY = const(-1)
TIMEOUT = const(-2)  # the air stayed silent: the only sign of absence
COLLISION = const(-3)  # two cards spoke at once
GARBLED = const(-4)  # something answered, but not a frame

# Result of find(): more than one card is in the field; present one alone
SEVERAL = const(-1)

_WUPA = const(0x52)  # wakes cards in IDLE and in HALT, 6.4.1
_SELECT_LEVEL_1 = const(0x93)  # levels 2 and 3 are 0x95 and 0x97, 6.5.3.1
_WHOLE = const(0x70)  # NVB: SELECT with all of the level
_NOTHING = const(0x20)  # NVB: none of the level is known
_CASCADE_TAG = const(0x88)
_SAK_CASCADE = const(0x04)  # the UID goes on at the next level

# A card answers after 0.09 ms or not at all. Shorter waits than this lose cards on clones with slow receivers.
_TIMEOUT_US = const(2500)
_FIELD_OFF_MS = const(6)  # 5.1 ms resets any card
_FIELD_ON_MS = const(7)  # 5.1 ms until a card must answer; ticks may be almost 1 ms short
# HLTA is 0.4 ms of air and 1 ms of silence; the chip's timer that it started must have run out as well
_HALT_MS = const(5)
_MISSES = const(3)  # clean timeouts in a row that mean: gone
_REQUESTS = const(4)  # in one find()

# What find() is waiting for
_START = const(0)
_FIELD_OFF = const(1)
_REQUEST = const(2)
_ANTICOLLISION = const(3)
_SELECT = const(4)


class ReaderFault(OSError):
    """The reader chip is dead or cut off. start() may be tried again."""


def crc_a(frame, start, end):
    """CRC_A of frame[start:end], ISO/IEC 14443-3 annex B; the low byte is sent first."""
    # Seven bytes take 0.87 us on a computer, with a table of 512 bytes 0.59, of 32 bytes 0.82: a tap needs ten bytes,
    # which is not worth the memory. A chip's native code would need one .mpy for each kind of chip.
    crc = 0x6363
    while start < end:
        byte = (frame[start] ^ crc) & 0xFF
        byte ^= byte << 4 & 0xFF
        crc = crc >> 8 ^ byte << 8 ^ byte << 3 ^ byte >> 4
        start += 1
    return crc


class Iso14443a:
    """Reports a card once, however long it stays: see find()."""

    def __init__(self, transport, poll_ms=10):
        """`poll_ms` is the pause for callers to make between two looks: with 10 a 7-byte UID takes 22 ms on average."""
        self.poll_ms = poll_ms
        self._transport = transport
        self._frame = transport.frame
        self._uid = bytearray(10)  # of the card that is there
        self._reading = bytearray(10)  # of the card that is being read
        self._out = self._reading
        self._result = 0
        self.present = 0  # length of the UID of the card that is there, or SEVERAL
        self.atqa = 0
        self.sak = 0
        self._step = _START
        self._level = 0
        self._more = False  # the level under way ends in another one
        self._known = False  # SELECT the card that was there, without anticollision
        self._heard = False  # something answered in this find()
        self._unsure = False  # a card may lie in READY or ACTIVE, where it is deaf to one request
        self._requests = 0
        self._misses = 0
        self._not_before = ticks_ms()
        # A finished await raises StopIteration with the result. Raising ready-made ones allocates nothing.
        self._stops = {}
        for result in (0, 4, 7, 10, SEVERAL):
            self._stops[result] = StopIteration(result)

    def start(self):
        """A coroutine: bring the reader up, also again after a ReaderFault. A card that was there stays known."""
        self._not_before = ticks_ms()
        self._unsure = True
        return self._transport.start()

    def find(self, uid):
        """To be awaited, by one task at a time: look for a card once.

        Gives the length of its UID, which then is in `uid`, a bytearray(10); or 0 when nobody is there or the card of
        the last time still is; or SEVERAL, once, until they are fewer. Raises ReaderFault.

        It gives the loop away while a frame is in the air. It is no coroutine but an awaitable that is used again and
        again, so that the seventy idle looks of a second leave no garbage; wrap it in a coroutine to make a task of it.
        """
        self._out = uid
        if self._step != _START:  # the last find() was cancelled or met a fault
            self._unsure = True
            if self._step != _FIELD_OFF:
                self._step = _START
        self._requests = _REQUESTS
        self._known = self.present > 0
        self._heard = False
        return self

    def __iter__(self):
        return self

    def __next__(self):
        outcome = 0
        if self._step >= _REQUEST:
            outcome = self._transport.poll()
        if outcome != BUSY:
            delay_ms = self._advance(outcome)
        elif self._step == _REQUEST:
            delay_ms = 2  # most likely nobody is there, and the chip's timer runs out 2.6 ms after sending
        else:
            delay_ms = 1
        if delay_ms > 0:
            return next(sleep_ms(delay_ms))  # puts this task back into the queue, for then
        stop = self._stops[self._result]
        stop.__traceback__ = None
        raise stop

    def _advance(self, outcome):
        """The next piece of work after `outcome`. Gives the ms to wait for it, 0 when find() has its result."""
        step = self._step
        if step == _SELECT:
            return self._selected(outcome)
        if step == _ANTICOLLISION:
            return self._anticollided(outcome)
        if step == _REQUEST:
            return self._requested(outcome)
        if step == _FIELD_OFF:
            self._transport.field(True)
            self._not_before = ticks_add(ticks_ms(), _FIELD_ON_MS)
            return self._end(0)
        delay_ms = ticks_diff(self._not_before, ticks_ms())
        if 0 < delay_ms <= _FIELD_ON_MS:
            return delay_ms
        return self._request()

    def _end(self, result):
        self._result = result
        self._step = _START
        return 0

    def _request(self):
        self._requests -= 1
        self._step = _REQUEST
        self._level = 0
        self._frame[1] = _WUPA
        self._transport.send(1, 7, _TIMEOUT_US)
        return 1

    def _again(self, result=0):
        """A card was heard but not read. Try again, end with `result` after the last time."""
        self._heard = self._unsure = True
        if self._requests:
            return self._request()
        self._misses = 0
        if result:
            if self.present == result:
                result = 0
            else:
                self.present = result
        return self._end(result)

    def _requested(self, outcome):
        if outcome == TIMEOUT:
            return self._silence()
        # Different cards may answer with different ATQA at once: a collision here is an answer, 6.4.2
        if outcome == COLLISION:
            self.atqa = 0
        elif outcome == 2:
            self.atqa = self._frame[1] | self._frame[2] << 8
        else:
            return self._again()
        self._heard = self._unsure = True
        return self._cascade()

    def _silence(self):
        """Nobody answers the request."""
        if self._unsure and self._requests:
            self._unsure = False  # a card in READY has gone back to IDLE or HALT now, 6.3: ask once more
            return self._request()
        if self._heard or not self.present:
            return self._end(0)
        self._misses += 1
        if self._misses < _MISSES:
            return self._end(0)
        self._misses = 0
        self.present = 0
        # The next card, or this one if it hides in a state without an answer, begins from power on
        self._transport.field(False)
        self._step = _FIELD_OFF
        return _FIELD_OFF_MS

    def _cascade(self):
        frame = self._frame
        level = self._level
        frame[1] = _SELECT_LEVEL_1 + 2 * level
        if not self._known:
            self._step = _ANTICOLLISION
            frame[2] = _NOTHING
            self._transport.send(2, 0, _TIMEOUT_US)
            return 2  # 0.8 ms in the air, and a sleep of 1 ms may be 0.3
        self._more = self.present > 3 * level + 4
        at = 3 * level
        source = self._uid
        if self._more:
            frame[3] = _CASCADE_TAG
            at -= 1
        else:
            frame[3] = source[at]
        frame[4] = source[at + 1]
        frame[5] = source[at + 2]
        frame[6] = source[at + 3]
        frame[7] = frame[3] ^ frame[4] ^ frame[5] ^ frame[6]
        return self._select()

    def _anticollided(self, outcome):
        frame = self._frame
        if outcome == COLLISION:
            return self._again(SEVERAL)
        if outcome != 5 or frame[1] ^ frame[2] ^ frame[3] ^ frame[4] != frame[5]:
            return self._again()
        index = 5
        while index:  # make room for NVB: the answer began at 1, the command has it from 3 on
            frame[index + 2] = frame[index]
            index -= 1
        level = self._level
        frame[1] = _SELECT_LEVEL_1 + 2 * level
        target = self._reading
        at = 3 * level
        self._more = frame[3] == _CASCADE_TAG and level < 2
        if self._more:
            at -= 1
        else:
            target[at] = frame[3]
        target[at + 1] = frame[4]
        target[at + 2] = frame[5]
        target[at + 3] = frame[6]
        return self._select()

    def _select(self):
        frame = self._frame
        frame[2] = _WHOLE
        crc = crc_a(frame, 1, 8)
        frame[8] = crc & 0xFF
        frame[9] = crc >> 8
        self._step = _SELECT
        self._transport.send(9, 0, _TIMEOUT_US)
        return 2  # 1.2 ms in the air

    def _selected(self, outcome):
        if outcome == TIMEOUT and self._known:
            self._known = False  # somebody is there, but not the one that was: read
            return self._again()
        if outcome == COLLISION:
            return self._again(SEVERAL)
        frame = self._frame
        if outcome != 3 or crc_a(frame, 1, 4):  # the CRC over data and its own CRC is 0
            return self._again()
        sak = frame[1]
        # A single UID may not begin with the cascade tag, table 7: a cut UID is never taken for a whole one
        if (sak & _SAK_CASCADE != 0) != self._more:
            return self._again()
        if self._more:
            self._level += 1
            return self._cascade()
        self.sak = sak
        self._unsure = False
        self._misses = 0
        # HLTA, CRC included. It has no answer; the card then hears WUPA only.
        frame[1] = 0x50
        frame[2] = 0x00
        frame[3] = 0x57
        frame[4] = 0xCD
        self._transport.push(4)
        self._not_before = ticks_add(ticks_ms(), _HALT_MS)
        if self._known:
            return self._end(0)
        return self._arrived(3 * self._level + 4)

    def _arrived(self, length):
        fresh = self._reading
        old = self._uid
        out = self._out
        same = self.present == length
        for index in range(length):
            out[index] = fresh[index]
            if fresh[index] != old[index]:
                same = False
        if same:
            return self._end(0)
        self._uid = fresh
        self._reading = old
        self.present = length
        return self._end(length)
