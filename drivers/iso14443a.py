"""ISO/IEC 14443-3 type A: the cards at the reader, from the first request to the UID.

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
    poll()          BUSY, TIMEOUT, COLLISION, GARBLED, NIBBLE, or the number of whole bytes received
    push(length)    sends without listening
    collision()     after COLLISION: how many bits came before it, in frame[1:]; -1 if that is not known
    authenticate(command, block, key, uid)
                    begins a MIFARE Classic session; poll() then gives 0, or TIMEOUT if the card refuses
    plain()         ends it

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
NIBBLE = const(-5)  # 4 bits, in frame[1] & 15: ACK or NAK of MIFARE Classic

# Result of find(): more cards are in the field than can be told apart; present one alone
SEVERAL = const(-1)

_REQA = const(0x26)  # wakes cards in IDLE, 6.4.1
_WUPA = const(0x52)  # and those in HALT
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
_MOST = const(4)  # cards that are known at a time

# What find() is waiting for
_START = const(0)
_FIELD_OFF = const(1)
_REQUEST = const(2)
_ANTICOLLISION = const(3)
_SELECT = const(4)

# A card that is known: UID (10 bytes), its length, times that others answered and it did not, still to be reported
_LENGTH = const(10)
_MISSED = const(11)
_NEW = const(12)


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
    """Reports each card once, however long it stays: see find()."""

    def __init__(self, transport, poll_ms=10, hold=False):
        """`poll_ms` is the pause for callers to make between two looks: with 10 a 7-byte UID takes 22 ms on average.

        With `hold` a card that find() reports stays ACTIVE, for commands, until release() or lost().
        """
        self.poll_ms = poll_ms
        self.hold = hold
        self.transport = transport
        self._frame = transport.frame
        # Those that are there come first, in the order in which they came; the one behind them is for reading
        self._cards = [bytearray(13) for _ in range(_MOST + 1)]
        self._count = 0
        self._turn = 0  # whose presence is asked for next; _count: are there others?
        self._last = None  # reported
        self._absent = None  # did not answer its SELECT in this find()
        self._out = self._cards[0]
        self._result = 0
        self.present = 0  # length of the UID of the card that came last, or SEVERAL
        self.several = False  # more than one card is there
        self.atqa = 0
        self.sak = 0
        self._step = _START
        self._code = _WUPA
        self._target = None  # UID for SELECT without anticollision
        self._size = 0
        self._chosen = False  # select(), not find()
        self._held = False
        self._level = 0
        self._more = False  # the level under way ends in another one
        self._bits = 0  # known of the level after collisions, in _part
        self._part = bytearray(5)
        self._collided = False  # in this find()
        self._heard = False  # something answered in this find()
        self._unsure = False  # a card may lie in READY or ACTIVE, where it is deaf to one request
        self._requests = 0
        self._misses = 0
        self._not_before = ticks_ms()
        # A finished await raises StopIteration with the result. Raising ready-made ones allocates nothing.
        self._stops = {}
        for result in (0, 4, 7, 10, SEVERAL):
            self._stops[result] = StopIteration(result)
        self._stops[1] = StopIteration(True)

    def start(self, *stage):
        """A coroutine: bring the reader up, also again after a ReaderFault. Cards that were there stay known."""
        self._not_before = ticks_ms()
        self._unsure = True
        return self.transport.start(*stage)

    def find(self, uid):
        """To be awaited, by one task at a time: look for a card once.

        Gives the length of its UID, which then is in `uid`, a bytearray(10); or 0 when nobody is there or nobody new;
        or SEVERAL, once, when cards cannot be told apart. Of several cards each find() gives one. Raises ReaderFault.

        It gives the loop away while a frame is in the air. It is no coroutine but an awaitable that is used again and
        again, so that the seventy idle looks of a second leave no garbage; wrap it in a coroutine to make a task of it.
        """
        self._out = uid
        if self._step != _START or self._held:  # the last find() was cancelled or met a fault
            self.lost()
            if self._step != _FIELD_OFF:
                self._step = _START
        self._requests = _REQUESTS
        self._heard = self._collided = self._chosen = False
        self._code = _WUPA
        self._target = None
        if self._count:
            self._next_turn()
        return self

    def _next_turn(self):
        turn = self._turn
        self._absent = None
        if turn < self._count:
            self._target = card = self._cards[turn]
            self._size = card[_LENGTH]
            self._turn = turn + 1
        else:
            self._code = _REQA  # those that are known are in HALT and do not hear it
            self._turn = 0

    def select(self, uid, length):
        """To be awaited like find(): wake the card of this UID. True when it is ACTIVE, until release() or lost()."""
        self.find(self._out)
        self._code = _WUPA
        self._target = uid
        self._size = length
        self._chosen = True
        return self

    def release(self):
        """Send the card that is ACTIVE to HALT."""
        if self._held:
            self._held = False
            self._halt()

    def lost(self):
        """The card that was ACTIVE is in a state that nobody knows: the next find() asks twice."""
        self._held = False
        self._unsure = True

    def forget(self):
        """Report the card of the last time again, if it is still there."""
        if self._last is not None:
            self._last[_NEW] = 1
            self._turn = 0

    def __iter__(self):
        return self

    def __next__(self):
        outcome = 0
        if self._step >= _REQUEST:
            outcome = self.transport.poll()
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
            self.transport.field(True)
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
        self._level = self._bits = 0
        self._frame[1] = self._code
        self.transport.send(1, 7, _TIMEOUT_US)
        return 1

    def _again(self):
        """A card was heard but not read: try again, as often as one find() may."""
        self._heard = self._unsure = True
        if self._requests:
            return self._request()
        self._misses = 0
        return self._end(0)

    def _refused(self):
        """Cards cannot be told apart: try again, after the last time say so."""
        if self._requests or self._chosen:
            return self._again()
        self._again()
        return self._end(self._too_many())

    def _too_many(self):
        self.several = True
        if self.present == SEVERAL:
            return 0
        self.present = SEVERAL
        return SEVERAL

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
        if self._heard or self._chosen or not self.present:
            return self._end(0)
        if self._code == _REQA:  # nobody beside those that are known
            self._settle()
            return self._end(0)
        self._misses += 1
        self._turn = 0
        if self._misses < _MISSES:
            return self._end(0)
        self._misses = self._count = 0
        self._settle()
        # The next card, or this one if it hides in a state without an answer, begins from power on
        self.transport.field(False)
        self._step = _FIELD_OFF
        return _FIELD_OFF_MS

    def _settle(self):
        """Those that are known are all that are there."""
        count = self._count
        self.several = count > 1
        self.present = self._cards[count - 1][_LENGTH] if count else 0

    def _cascade(self):
        frame = self._frame
        level = self._level
        source = self._target
        frame[1] = _SELECT_LEVEL_1 + 2 * level
        if source is None:
            self._step = _ANTICOLLISION
            frame[2] = _NOTHING
            self.transport.send(2, 0, _TIMEOUT_US)
            return 2  # 0.8 ms in the air, and a sleep of 1 ms may be 0.3
        at = 3 * level
        self._more = self._size > at + 4
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

    def _collision(self):
        """Where two cards differ go on with those that have a 1 there, 6.5.3.1 step 8."""
        self._collided = True
        frame = self._frame
        part = self._part
        bits = self._bits
        at = bits >> 3
        differ = (bits & ~7) + self.transport.collision()
        if not bits <= differ < 32:  # nor do two UIDs first differ in their check byte
            return self._refused()
        frame[1] &= 0xFF << (bits & 7)
        if not bits & 7:
            part[at] = 0
        part[at] |= frame[1]
        index = at + 1
        while index < 5:
            part[index] = frame[index - at + 1]
            index += 1
        at = differ >> 3
        part[at] = part[at] & (1 << (differ & 7)) - 1 | 1 << (differ & 7)
        self._bits = bits = differ + 1
        at = bits >> 3
        bits &= 7
        frame[1] = _SELECT_LEVEL_1 + 2 * self._level
        frame[2] = _NOTHING + (at << 4) + bits
        index = 0
        while index < 5:
            frame[3 + index] = part[index]
            index += 1
        self.transport.send(2 + at + (bits > 0), bits << 4 | bits, _TIMEOUT_US)
        return 2

    def _join(self, outcome):
        """Put what is known of the level before what came. Gives the length of both."""
        frame = self._frame
        part = self._part
        bits = self._bits
        self._bits = 0
        at = bits >> 3
        if bits & 7:
            frame[1] = frame[1] & 0xFF << (bits & 7) | part[at]
        index = 5
        while index > at:
            frame[index] = frame[index - at]
            index -= 1
        while index:
            frame[index] = part[index - 1]
            index -= 1
        return outcome + at

    def _anticollided(self, outcome):
        if outcome == COLLISION:
            return self._collision()
        if self._bits:
            outcome = self._join(outcome)
        frame = self._frame
        if outcome != 5 or frame[1] ^ frame[2] ^ frame[3] ^ frame[4] != frame[5]:
            return self._again()
        index = 5
        while index:  # make room for NVB: the answer began at 1, the command has it from 3 on
            frame[index + 2] = frame[index]
            index -= 1
        level = self._level
        frame[1] = _SELECT_LEVEL_1 + 2 * level
        target = self._cards[self._count]
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
        self.transport.send(9, 0, _TIMEOUT_US)
        return 2  # 1.2 ms in the air

    def _selected(self, outcome):
        target = self._target
        if outcome == COLLISION:
            return self._refused()
        if outcome == TIMEOUT and target is not None and not self._chosen:
            self._absent = target
            self._target = None  # somebody is there, but not the one that was: read
            return self._again()
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
        if self._chosen:
            self._held = True
            return self._end(1)
        if target is None:
            target = self._read()
        else:
            target[_MISSED] = 0
        result = self._report(target) if target[_NEW] else 0
        if result and self.hold:
            self._held = True
        else:
            self._halt()
        return self._end(result)

    def _halt(self):
        # HLTA, CRC included. It has no answer; the card then hears WUPA only.
        frame = self._frame
        frame[1] = 0x50
        frame[2] = 0x00
        frame[3] = 0x57
        frame[4] = 0xCD
        self.transport.push(4)
        self._not_before = ticks_add(ticks_ms(), _HALT_MS)

    def _read(self):
        """A card was read by anticollision. Gives it, be it new or known."""
        cards = self._cards
        count = self._count
        fresh = cards[count]
        fresh[_LENGTH] = 3 * self._level + 4
        fresh[_NEW] = 1
        index = 0
        while index < count:
            card = cards[index]
            at = 0
            while at <= _LENGTH and (card[at] == fresh[at] or fresh[_LENGTH] <= at < _LENGTH):
                at += 1
            if at > _LENGTH:
                fresh = card
                break
            index += 1
        fresh[_MISSED] = 0
        if index == count < _MOST:
            self._count = count + 1
        gone = self._absent
        if gone is not None and gone is not fresh and not self._collided:
            gone[_MISSED] += 1
            if gone[_MISSED] >= _MISSES:
                self._remove(gone)
        self._turn = self._count  # whom else?
        return fresh

    def _remove(self, card):
        cards = self._cards
        index = 0
        while cards[index] is not card:
            index += 1
        cards.append(cards.pop(index))
        self._count -= 1

    def _report(self, card):
        if card is self._cards[_MOST]:
            return self._too_many()
        card[_NEW] = 0
        self._last = card
        self.several = self._collided or self._count > 1
        self.present = length = card[_LENGTH]
        out = self._out
        index = 0
        while index < length:
            out[index] = card[index]
            index += 1
        return length
