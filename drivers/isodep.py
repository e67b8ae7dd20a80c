"""ISO/IEC 14443-4 as a reader: half-duplex blocks with a card that is ACTIVE. Clauses are those of its 2008 edition.

    link = IsoDep(transport)                   # as described in drivers/iso14443a.py
    data = bytearray(64)
    if await link.activate():
        length = await link.exchange(data, put_command_into(data))
        await link.deselect()                  # the card is in HALT: WUPA finds it again

106 kbit/s, no CID, no NAD. Nothing that a card sends raises; ReaderFault passes.
"""

from asyncio import sleep_ms

from micropython import const

from drivers.iso14443a import BUSY, crc_a

_RATS = const(0xE0)
_PARAMETERS = const(0x50)  # FSDI 5: frames of 64 bytes, all that the FIFO of the chip holds; CID 0
_ACK = const(0xA2)
_NAK = const(0xB2)
_DESELECT = const(0xC2)
_WTX = const(0xF2)
_CHAINING = const(0x10)

_FRAME = const(64)
_UNIT_US = const(303)  # 256 * 16 / fc, rounded up; FWT and SFGT are this, doubled FWI or SFGI times, 7.2
_ACTIVATION_US = const(6_000)  # 4.83 ms for RATS, 5.6.1.1, and for S(DESELECT), 8.1; the chip's clock is a poor one
_TRIES = const(2)  # times that one block is asked for again
_WAITS = const(2)  # S(WTX) in one exchange
_PIECES = const(4)  # I-blocks of one answer: a card of ours needs one, and each may take its time
_WAIT_MS = const(250)  # bound of an extended waiting time; the standard has 4949
_GUARD_MS = const(20)  # bound of the SFGT; NTAG 424 DNA and DESFire have 0.6


class IsoDep:
    """One card at a time: activate(), exchange() as often as needed, deselect()."""

    def __init__(self, transport, max_fwt_ms=78):
        """`max_fwt_ms` bounds the frame waiting time that a card may ask for: FWI 8 of DESFire's ATS is 77.4 ms."""
        self._transport = transport
        self._frame = transport.frame
        self._max_us = max_fwt_ms * 1000
        self._fwt_us = 0
        self._piece = 0  # bytes of data in one I-block to the card
        self._number = 0
        self.broken = False  # the last failure was an answer that came whole, and that no genuine card gives

    def _send(self, length, timeout_us):
        """Begin to exchange frame[1:1 + length], to which a CRC is added."""
        frame = self._frame
        crc = crc_a(frame, 1, 1 + length)
        frame[1 + length] = crc & 0xFF
        frame[2 + length] = crc >> 8
        self._transport.send(2 + length, 0, timeout_us)

    def _heard(self):
        """BUSY, 0 for silence and for what is no block, or the bytes in frame[1:], their CRC taken off."""
        count = self._transport.poll()
        if count < 3:
            return count if count == BUSY else 0
        return 0 if crc_a(self._frame, 1, 1 + count) else count - 2

    async def activate(self):
        """Request the answer to select and take its limits. Gives True; False leaves the card in an unknown state."""
        self.broken = False
        self._number = 0
        count = await self._ask(_RATS, 2)
        if not count:
            return False
        guard_ms = self._parameters(count)
        if guard_ms < 0:
            self.broken = True
            return False
        if guard_ms:
            await sleep_ms(guard_ms)
        return True

    def _parameters(self, count):
        """Read the ATS, 5.2: gives the ms to wait before the first block, -1 if it is none."""
        frame = self._frame
        if frame[1] != count:  # TL counts itself
            return -1
        size = 32
        timing = 0x40  # FWI 4, SFGI 0
        if count > 1:
            form = frame[2]
            at = 3 + (form >> 4 & 1)  # behind TA: other bit rates, which nobody asked for
            if at + (form >> 5 & 1) + (form >> 6 & 1) > count + 1:
                return -1
            if form & 0x20:
                timing = frame[at]
            form &= 15
            size = 16 + 8 * form if form < 5 else _FRAME  # table 1; from 6 on cards take more than we send
        self._piece = size - 3
        fwi = timing >> 4
        timing &= 15
        # 15 is RFU and means the default, 5.2.5
        self._fwt_us = min(_UNIT_US << (fwi if fwi < 15 else 4), self._max_us)
        # A sleep may be almost a millisecond short
        return min((_UNIT_US << timing) // 1000 + 2, _GUARD_MS) if 0 < timing < 15 else 0

    async def exchange(self, buf, length):
        """Send buf[:length] and receive the answer into buf. Gives its length, or -1 and `broken`.

        An answer longer than buf is refused. A block is asked for again twice at most, by the rules of 7.5.4 and 7.5.5.
        """
        frame = self._frame
        begin = 0  # of the piece on its way, which ends at `end`
        end = min(length, self._piece)
        got = -1  # bytes of the answer; the card has not begun it
        tries = _TRIES
        waits = _WAITS
        pieces = _PIECES
        pcb = 0  # 0: the I-block, else what is sent instead
        self.broken = False
        timeout_us = self._fwt_us
        while True:
            size = 1
            if not pcb:
                pcb = 0x02 | self._number
                if end < length:
                    pcb |= _CHAINING
                size += end - begin
                for index in range(1, size):
                    frame[1 + index] = buf[begin + index - 1]
            elif pcb == _WTX:
                size = 2  # WTXM as it came
            frame[1] = pcb
            self._send(size, timeout_us)
            timeout_us = self._fwt_us
            count = BUSY
            while count == BUSY:
                await sleep_ms(1)
                count = self._heard()
            number = self._number
            answer = frame[1]
            pcb = (_NAK if got < 0 else _ACK) | number  # what asks for it again: rules 4 and 5
            if count == 2 and answer == _WTX:
                pcb = _WTX
                frame[2] &= 0x3F
                if not 0 < frame[2] < 60:  # 7.3
                    break
                if not waits:
                    return -1  # slow is not false
                waits -= 1
                timeout_us = min(timeout_us * frame[2], _WAIT_MS * 1000)
                continue
            if count > 0 and answer & 0xEF == 0x02 | number and end == length:
                self._number = number ^ 1
                got = max(got, 0)
                count -= 1
                pieces -= 1
                if got + count > len(buf) or (answer & _CHAINING and not (count and pieces)):
                    break
                for index in range(count):
                    buf[got + index] = frame[2 + index]
                got += count
                if not answer & _CHAINING:
                    return got
                tries = _TRIES
                pcb = _ACK | number ^ 1
                continue
            if count == 1 and answer & 0xFE == _ACK and got < 0:
                if answer & 1 != number:  # the piece has not come: rule 6
                    count = pcb = 0
                elif end < length:  # the next one: rule 7
                    self._number = number ^ 1
                    begin = end
                    end = min(length, end + self._piece)
                    tries = _TRIES
                    pcb = 0
                    continue
            # Nothing, or nothing that belongs here
            if not tries:
                self.broken = count > 0
                return -1
            tries -= 1
        self.broken = True
        return -1

    def deselect(self):
        """To be awaited: send the card to HALT, 8.1. It may be gone already."""
        return self._ask(_DESELECT, 1)

    async def _ask(self, first, length):
        """RATS or S(DESELECT), twice if need be. Gives the bytes of the answer, 0 for none."""
        frame = self._frame
        count = 0
        tries = _TRIES
        while tries and not count:
            tries -= 1
            frame[1] = first
            frame[2] = _PARAMETERS
            self._send(length, _ACTIVATION_US)
            count = BUSY
            while count == BUSY:
                await sleep_ms(1)
                count = self._heard()
        return count
