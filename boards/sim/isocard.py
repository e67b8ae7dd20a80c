"""The block protocol of ISO/IEC 14443-4 as a card speaks it, in front of any set of commands.

    card = IsoCard(b"\\x04\\x11\\x22\\x33\\x44\\x55\\x66", ATS_DESFIRE, {b"\\x00\\x84\\x00\\x00\\x04": b"\\x90\\x00"})
    field.put(card)
    card.fault(LOSE, at=3)  # the answer to the third frame from now does not arrive

A subclass answers commands in `apdu`. Clauses are those of ISO/IEC 14443-4:2008; the rules by number or letter are in
7.5.3 and 7.5.4. Not modelled: other rates than 106 kbit/s (a card that accepted one by PPS hears nothing any more),
NAD, and an answer that a busy card still gives to a reader which sent something else meanwhile.
"""

from random import getrandbits

from micropython import const

from boards.sim.cards import ANSWER_DELAY_FC, HALT, Card, crc_fits, with_crc

ATS_NTAG424 = b"\x06\x77\x77\x71\x02\x80"  # FSC 128, FWI 7, SFGI 1, CID
ATS_DESFIRE = b"\x06\x75\x77\x81\x02\x80"  # FSC 64, FWI 8, SFGI 1, CID
ATS_FM1208 = b"\x10\x78\x80\x90\x02\x20\x90\x00\x00\x00\x00\x00\x7a\xb4\xab\xdc"  # FSC 256, FWI 9, CID

# Faults, see IsoCard.fault()
LOSE = 1  # the answer is sent, and the reader hears nothing
DEAF = 2  # the card does not hear the frame
DAMAGE = 3  # a wrong CRC
RENUMBER = 4  # an I-block or R-block with the other block number
OVERLONG = 5  # the whole answer in one frame, whatever the reader announced
GARBAGE = 6  # a frame of random bytes with a good CRC
REPEAT = 7  # the block before once more instead of this one

_RATS = const(0xE0)
_PPS = const(0xD0)
_WTX = const(0xF2)
_DESELECT = const(0xC2)
_R_ACK = const(0xA2)
_CHAINING = const(0x10)
_NAK = const(0x10)
_CID = const(0x08)
_NAD = const(0x04)
_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)  # FSDI and FSCI, table 1
_COMMAND_MAX = const(600)


def fc_of_us(us):
    """Return microseconds in carrier periods (1/13.56 MHz), rounded up."""
    return (us * 339 + 24) // 25


class IsoCard(Card):
    """A card with ISO/IEC 14443-4. `replies` maps commands to answers; other commands get 6D00.

    `busy_us` is the time that a command takes, `durations` has exceptions by instruction byte; `ignores_fsd` is a card
    that answers in one frame whatever the reader can take, as a FM1208 does.
    """

    def __init__(self, uid, ats, replies=None, pps=True, busy_us=0, ignores_fsd=False, **card):
        self.ats = bytes(ats)
        self.replies = replies or {}
        self.pps = pps
        self.busy_us = busy_us
        self.durations = {}
        self.ignores_fsd = ignores_fsd
        self.seen = []  # the commands, as they came
        self.frames = 0  # frames heard at this level since the card was made
        self._kind = self._at = self._times = 0
        self._wtx = 0
        self._multiplier = 1
        position = 2
        present = ats[1] if len(ats) > 1 else 0x02
        self.fsc = _SIZES[min(present & 0x0F, 8)]
        guard = 0
        options = 0x02  # without TC: CID, no NAD (5.2.6)
        if present & 0x10:
            position += 1
        self.fwi = 4
        if present & 0x20:
            self.fwi = ats[position] >> 4
            guard = ats[position] & 0x0F
            position += 1
        if present & 0x40:
            options = ats[position]
        self.guard_fc = 4096 << guard if 0 < guard < 15 else 0  # SFGT, 5.2.5
        self._has_cid = options & 2
        card.setdefault("sak", 0x20)
        super().__init__(uid, **card)

    # For tests

    def fault(self, kind, at=1, times=1):
        """Let the `at`-th frame from now meet a fault, and the `times` - 1 after it; times < 0: for ever."""
        self._kind = kind
        self._at = at
        self._times = times

    def wtx(self, count, multiplier=1):
        """Let the card ask for more time `count` times with WTXM `multiplier` before its next answer; < 0: for ever."""
        self._wtx = count
        self._multiplier = multiplier

    # Commands

    def apdu(self, command):
        """Take a command and return its answer, both whole; `self.work_us` is the time that it takes."""
        return self.replies.get(command, b"\x6d\x00")

    def leave(self):
        """Forget what does not outlive an activation: the field has gone, or the card was deselected."""

    # States

    def power(self, on):
        """Enter or leave a field."""
        super().power(on)
        self._free_us = 0  # busy until then
        self._end()

    def _end(self):
        self.protocol = False
        self._may_pps = False
        self._mute = False
        self._number = 1  # rule C
        self._last = b""  # the block that a R(NAK) asks for
        self._command = b""
        self._answer = None  # what is still to be sent
        self._asked = 0  # WTXM of the request that is open
        self.delay_fc = ANSWER_DELAY_FC
        self.leave()

    def fail(self):
        """Take an error: silence. A card in PROTOCOL stays there (7.5.5)."""
        return 0 if self.protocol else super().fail()

    def answer(self, frame, bits):
        """Take a frame; return the number of bits of the answer in `reply`, 0 for silence."""
        self.delay_fc = ANSWER_DELAY_FC
        if not self.protocol:
            return super().answer(frame, bits)
        self.offset = 0
        if bits < 24 or bits & 7:
            return 0
        return self._faulty(frame, bits)

    def application(self, frame, bits):
        """Take RATS. A damaged one is ignored (5.6.1.2); other frames are errors as in ISO/IEC 14443-3."""
        if bits != 32 or frame[0] != _RATS:
            return None
        return self._faulty(frame, bits)

    def _faulty(self, frame, bits):
        if 0 <= self.heard_us < self._free_us or self._mute:
            return 0
        self.frames += 1
        kind = 0
        if self._at > 1:
            self._at -= 1
        elif self._at and self._times:
            kind = self._kind
            self._times -= 1
        if kind == DEAF:
            return 0
        before = self._last
        size = bits >> 3
        if not crc_fits(frame, size):
            self._may_pps = False
            return 0
        block = self._block(bytes(frame[: size - 2]), kind == OVERLONG or self.ignores_fsd)
        if self.delay_fc != ANSWER_DELAY_FC:
            # Start of communication and 9 bit periods a byte, then the work: deaf until its answer begins.
            self._free_us = self.heard_us + ((1 + 9 * size) * 128 + self.delay_fc) * 25 // 339
        if not block or kind == LOSE:
            return 0
        if kind == REPEAT and before:
            block = before
        elif kind == RENUMBER and block[0] & 0xC0 != 0xC0:
            block = bytes((block[0] ^ 1,)) + block[1:]
        elif kind == GARBAGE:
            block = bytes(getrandbits(8) for _ in range(1 + getrandbits(4)))
        self.reply = with_crc(block)
        if kind == DAMAGE:
            self.reply = self.reply[:-1] + bytes((self.reply[-1] ^ 0x10,))
        return 8 * len(self.reply)

    def _block(self, block, overlong):
        """Take a block without its CRC; return the one to send, empty for silence."""
        first = block[0]
        if not self.protocol:
            if block[1] & 0x0F == 15:
                return b""
            self._fsd = _SIZES[min(block[1] >> 4, 8)]
            self._cid = block[1] & 0x0F
            self.protocol = self._may_pps = True
            self._number = 1
            if self.guard_fc:
                self._free_us = self.heard_us + (37 * 128 + 1204 + (1 + 9 * (len(self.ats) + 2)) * 128) * 25 // 339
                self._free_us += self.guard_fc * 25 // 339
            return self.ats
        if self._may_pps:
            self._may_pps = False
            if first == _PPS | self._cid:
                return self._select_parameters(block)
        header = 1
        addressed = b""
        if first & _CID:
            if not self._has_cid or len(block) < 2 or block[1] & 0x0F != self._cid:
                return b""
            addressed = bytes((self._cid,))
            header = 2
        elif self._cid:
            return b""
        self._addressed = addressed
        if len(block) + 2 > self.fsc:
            return b""
        body = block[header:]
        if first & 0xE2 == 0x02:
            return b"" if first & _NAD else self._take(first, body, overlong)
        if first & 0xE6 == 0xA2:
            return b"" if body else self._acknowledged(first, overlong)
        if first & 0xF7 == _DESELECT and not body:
            self._end()
            self.state = HALT
            return self._with_cid(_DESELECT, addressed)
        if first & 0xF7 == _WTX and self._asked and body and body[0] & 0x3F == self._asked:
            self._asked = 0
            return self._respond(overlong)
        return b""

    def _select_parameters(self, block):
        # PPS0 with bit 5: PPS1 follows (5.3)
        if not self.pps or len(block) not in (2, 3) or block[1] != (0x01, 0x11)[len(block) - 2]:
            return b""
        self._mute = len(block) == 3 and block[2] & 0x0F != 0
        return block[:1]

    def _with_cid(self, first, addressed):
        return bytes((first | _CID,)) + addressed if addressed else bytes((first,))

    def _take(self, first, body, overlong):
        self._number ^= 1  # rule D
        self._asked = 0
        self._answer = None
        if len(self._command) + len(body) > _COMMAND_MAX:
            self._command = b""
            return b""
        self._command += body
        if first & _CHAINING:
            self._last = self._with_cid(_R_ACK | self._number, self._addressed)  # rule 2
            return self._last
        command = self._command
        self._command = b""
        self.seen.append(command)
        if len(self.seen) > 16:
            self.seen.pop(0)
        self.work_us = self.busy_us
        if len(command) > 1:
            self.work_us = self.durations.get(command[1], self.busy_us)
        answer = self.apdu(command)
        if answer is None:  # the card lost its power
            self._end()
            self._mute = self.protocol = True
            return b""
        self._answer = answer
        self._wait_fc = fc_of_us(self.work_us)
        return self._respond(overlong)

    def _respond(self, overlong):
        if self._wtx:
            self._wtx -= self._wtx > 0
            self._asked = self._multiplier & 0x3F
            self._last = self._with_cid(_WTX, self._addressed) + bytes((self._asked,))  # rule 9
            return self._last
        self.delay_fc = ANSWER_DELAY_FC + self._wait_fc
        return self._send(overlong)

    def _send(self, overlong):
        room = 4096 if overlong else self._fsd - 3 - len(self._addressed)
        part = self._answer[:room]
        self._answer = self._answer[room:]
        first = 0x02 | self._number | (_CHAINING if self._answer else 0)
        self._last = self._with_cid(first, self._addressed) + part
        return self._last

    def _acknowledged(self, first, overlong):
        if first & 1 == self._number:
            return self._last  # rule 11
        if first & _NAK:
            return self._with_cid(_R_ACK | self._number, self._addressed)  # rule 12
        if not self._answer or self._asked:
            return b""
        self._number ^= 1  # rule E
        return self._send(overlong)  # rule 13
