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

from drivers.presence import MISSED, NEW, REQA, WUPA, Presence

# Outcomes of Transport.poll(), beside a count of bytes
BUSY = const(-1)
TIMEOUT = const(-2)  # the air stayed silent: the only sign of absence
COLLISION = const(-3)  # two cards spoke at once
GARBLED = const(-4)  # something answered, but not a frame
NIBBLE = const(-5)  # 4 bits, in frame[1] & 15: ACK or NAK of MIFARE Classic

# Result of find(): more cards are in the field than can be told apart; present one alone
SEVERAL = const(-1)  # as in drivers/presence.py

_SELECT_LEVEL_1 = const(0x93)  # levels 2 and 3 are 0x95 and 0x97, 6.5.3.1
_WHOLE = const(0x70)  # NVB: SELECT with all of the level
_CRC_SELECT = const((0x5E12, 0x0AC2, 0x3972))  # CRC_A of the two bytes that SELECT begins with, by level
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
# A round through the event loop takes as long as a card's answer. So while one answers it is looked at so often, at
# some 0.1 ms each, before the loop is given away.
_LOOKS = const(16)

# What find() is waiting for
_START = const(0)
_FIELD_OFF = const(1)
_REQUEST = const(2)
_ANTICOLLISION = const(3)
_SELECT = const(4)


class ReaderFault(OSError):
    """The reader chip is dead or cut off. start() may be tried again."""


def crc_a(frame, start, end, crc=0x6363):
    """CRC_A of frame[start:end], ISO/IEC 14443-3 annex B; the low byte is sent first. `crc`: of what went before."""
    # Two bytes at a time, the quotient of 16 bits at once; one that is left over is a quotient of 8. A table would not
    # be worth the memory, nor native code one .mpy for each kind of chip.
    end -= 1
    while start < end:
        word = frame[start] ^ frame[start + 1] << 8 ^ crc
        half = word ^ word << 4
        word = (half ^ half << 8 ^ word << 11) & 0xFFFF
        crc = word ^ word >> 5 ^ word >> 12
        start += 2
    if start == end:
        word = (frame[start] ^ crc) & 0xFF
        word ^= word << 4 & 0xFF
        crc = crc >> 8 ^ word << 8 ^ word << 3 ^ word >> 4
    return crc


async def outcome(transport):
    """Wait for the end of the exchange that was begun; gives what poll() says then."""
    result = BUSY
    while result == BUSY:
        await sleep_ms(1)
        result = transport.poll()
    return result


class Iso14443a(Presence):
    """Reports each card once, however long it stays: see find()."""

    def __init__(self, transport, poll_ms=10, hold=False):
        """`poll_ms` is the pause for callers to make between two looks: with 10 a 7-byte UID takes 22 ms on average.

        With `hold` a card that find() reports stays ACTIVE, for commands, until release() or lost().
        """
        self.poll_ms = poll_ms
        self.hold = hold
        self.transport = transport
        self._frame = transport.frame
        super().__init__()
        self._result = 0
        self.atqa = 0
        self.sak = 0
        self._step = _START
        self._chosen = False  # select(), not find()
        self._held = False
        self._more = False  # the level under way ends in another one
        self._bits = 0  # known of the level after collisions, in _part
        self._part = bytearray(5)
        self._heard = False  # something answered in this find()
        self._unsure = False  # a card may lie in READY or ACTIVE, where it is deaf to one request
        self._requests = 0
        self._misses = 0
        self._not_before = ticks_ms()
        # A finished await raises StopIteration with the result. Raising ready-made ones allocates nothing.
        self._stops = {}
        for result in (0, 4, 7):  # the others are rare
            self._stops[result] = StopIteration(result)

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
        self._code = WUPA
        self._target = None
        if self._count:
            self._next_turn()
        return self

    def select(self, uid, length):
        """To be awaited like find(): wake the card of this UID. True when it is ACTIVE, until release() or lost()."""
        self.find(self._out)
        self._code = WUPA
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

    def __iter__(self):
        return self

    def __next__(self):
        looks = _LOOKS
        while True:
            step = self._step
            if step >= _REQUEST:
                outcome = self.transport.poll()
                if outcome == BUSY:
                    if step != _REQUEST and looks:
                        looks -= 1
                        continue
                    # Most likely nobody is there, and the chip's timer runs out 2.6 ms after sending
                    delay_ms = 2 if step == _REQUEST else 1
                else:
                    if step == _SELECT:
                        delay_ms = self._selected(outcome)
                    elif step == _ANTICOLLISION:
                        delay_ms = self._anticollided(outcome)
                    else:
                        delay_ms = self._requested(outcome)
                    if delay_ms and self._step > _REQUEST:
                        continue  # a card is there, and answers within 1.2 ms
            elif step == _FIELD_OFF:
                self.transport.field(True)
                self._not_before = ticks_add(ticks_ms(), _FIELD_ON_MS)
                delay_ms = self._end(0)
            else:
                delay_ms = ticks_diff(self._not_before, ticks_ms())
                if not 0 < delay_ms <= _FIELD_ON_MS:
                    delay_ms = self._request()
            break
        if delay_ms:
            return next(sleep_ms(delay_ms))  # puts this task back into the queue, for then
        stop = self._stops.get(self._result) or StopIteration(self._result)
        stop.__traceback__ = None
        raise stop

    # Each of these does the next piece of work after an outcome. It gives the ms to wait for it, 0 when find() has its
    # result.

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
        if self._code == REQA:  # nobody beside those that are known
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

    def _cascade(self):
        frame = self._frame
        level = self._level
        source = self._target
        if source is None:
            frame[1] = _SELECT_LEVEL_1 + 2 * level
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
        return self._select(frame, level)

    def _anticollided(self, outcome):
        frame = self._frame
        if outcome == COLLISION or self._bits:
            rare = self._rare()
            if outcome == COLLISION:
                return rare.collided(self, frame, self._part)
            outcome = rare.joined(self, frame, self._part, outcome)
        # The answer begins at 1; the command has NVB there, and this from 3 on
        first = frame[1]
        second = frame[2]
        third = frame[3]
        fourth = frame[4]
        check = frame[5]
        if outcome != 5 or first ^ second ^ third ^ fourth != check:
            return self._again()
        frame[3] = first
        frame[4] = second
        frame[5] = third
        frame[6] = fourth
        frame[7] = check
        level = self._level
        card = self._cards[self._count]
        at = 3 * level
        self._more = more = first == _CASCADE_TAG and level < 2
        if more:
            at -= 1
        else:
            card[at] = first
        card[at + 1] = second
        card[at + 2] = third
        card[at + 3] = fourth
        return self._select(frame, level)

    def _select(self, frame, level):
        frame[1] = _SELECT_LEVEL_1 + 2 * level
        frame[2] = _WHOLE
        crc = crc_a(frame, 3, 8, _CRC_SELECT[level])
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
        sak = frame[1]
        if outcome != 3 or crc_a(frame, 1, 2) != frame[2] | frame[3] << 8:
            return self._again()
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
            return self._end(True)
        if target is None:
            target = self._read()
        else:
            target[MISSED] = 0
        result = self._report(target) if target[NEW] else 0
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
