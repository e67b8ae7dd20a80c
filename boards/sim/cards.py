"""ISO/IEC 14443-3 type A cards (PICCs) and the field they lie in: frames in, frames out, no reader chip.

    card = Card(b"\\x04\\x11\\x22\\x33\\x44\\x55\\x66")
    card.answer(b"\\x52", 7)  # WUPA, a short frame of 7 bits -> 16 bits in card.reply: b"\\x44\\x00"

A frame is bytes with the least significant bit first, as on air, and its length in bits. Its parity bits are a number
of their own (bit n: byte n), or None when they are as they should be. After `answer` the first `card.offset` bits of
`card.reply[0]` are not sent: in a bit-oriented anticollision frame (6.5.2) the card completes the byte that the reader
began.
"""

from binascii import hexlify, unhexlify

from micropython import const

# States of a card, ISO/IEC 14443-3 6.3; READY* and ACTIVE* are READY and ACTIVE of a card that was woken from HALT.
IDLE = 0
READY = 1
ACTIVE = 2
HALT = 3

_REQA = const(0x26)
_WUPA = const(0x52)
_HLTA = const(0x50)
_SELECT = const(0x93)  # cascade levels 2 and 3: 0x95, 0x97
_NVB_SELECT = const(0x70)
_CASCADE_TAG = const(0x88)
_UID_NOT_COMPLETE = const(0x04)
_SHORT_FRAME = const(7)
_PARITY = const(0x6996)  # of four bits

# From the end of the reader's last bit period to the answer, in 1/fc. The frame delay time is 1172 after a last bit 0
# and 1236 after a 1, counted from the end of the last pause (6.2.1.1), which lies 32 after or 32 before that point.
ANSWER_DELAY_FC = 1204


def crc_a(data, length, crc=0x6363):
    """Return CRC_A of data[:length]; it is sent low byte first (ISO/IEC 14443-3 annex B)."""
    for i in range(length):
        mixed = data[i] ^ (crc & 0xFF)
        mixed = (mixed ^ (mixed << 4)) & 0xFF
        crc = (crc >> 8) ^ (mixed << 8) ^ (mixed << 3) ^ (mixed >> 4)
    return crc


def with_crc(data):
    """Return data with its CRC_A behind it."""
    crc = crc_a(data, len(data))
    return bytes(data) + bytes((crc & 0xFF, crc >> 8))


def crc_fits(frame, length):
    """Tell whether the last two of frame[:length] are the CRC_A of the bytes before them."""
    crc = crc_a(frame, length - 2)
    return frame[length - 2] == crc & 0xFF and frame[length - 1] == crc >> 8


def odd_parity(data, count):
    """Return the parity bits of data[:count] (6.2.3): bit n makes the ones of byte n odd."""
    parity = 0
    for i in range(count):
        byte = data[i]
        parity |= (~(_PARITY >> (byte & 15) ^ _PARITY >> (byte >> 4)) & 1) << i
    return parity


class Card:
    """One card. Subclasses add what happens in ACTIVE: see `application`; a cipher goes into `receive`."""

    kind = "uid"

    def __init__(self, uid, atqa=None, sak=None, powerup_us=5000, min_gain=0):
        size = len(uid)
        if size not in (4, 7, 10):
            raise ValueError("a UID has 4, 7 or 10 bytes")
        self.uid = bytes(uid)
        levels = []
        for start in range(0, size - 4, 3):
            levels.append(bytes((_CASCADE_TAG,)) + self.uid[start : start + 3])
        levels.append(self.uid[-4:])
        if self.uid[-4] == _CASCADE_TAG:
            raise ValueError("no card has this UID: its last 4 bytes begin with 0x88, the cascade tag")
        self._levels = [level + bytes((level[0] ^ level[1] ^ level[2] ^ level[3],)) for level in levels]
        # Bits 7 and 8 tell the size of the UID, bit 3 is the one bit set for bit frame anticollision (6.4.2).
        self.atqa = atqa or bytes((0x04 | (size - 4) // 3 << 6, 0))
        self.sak = (0x08 if size == 4 else 0x00) if sak is None else sak
        self._sak_frame = with_crc(bytes((self.sak,)))
        self._cascade_frame = with_crc(bytes((_UID_NOT_COMPLETE,)))
        self.powerup_us = powerup_us  # a card must accept a request after 5 ms in the field (5.1)
        self.min_gain = min_gain  # a weakly coupled card needs the reader's RxGain code to be at least this
        self.delay_fc = ANSWER_DELAY_FC
        self.heard_us = -1  # when the frame began that the card hears; negative: nobody keeps the time
        self.reply = b""
        self.reply_parity = None
        self.at_us = 0  # when what the card is told now happens: the end of the frame, the loss of the field
        self.power(False)

    def uid_copy(self):
        """Return what a street kiosk makes of this card: a card with its UID, and with nothing else."""
        return Card(self.uid, self.atqa, self.sak)

    def to_dict(self):
        """Return all that the card is, for JSON; `from_dict` makes the card of it again."""
        return {"kind": self.kind, "uid": hexlify(self.uid).decode(), "sak": self.sak}

    @classmethod
    def from_dict(cls, kept):
        """Make a card of what `to_dict` gave."""
        return cls(unhexlify(kept["uid"]), sak=kept.get("sak"))

    def power(self, on):
        """Enter or leave a field; either way the card forgets everything."""
        self.state = IDLE
        self.woken = False  # READY* and ACTIVE*: falls back to HALT instead of IDLE
        self.level = 0
        self.offset = 0

    def fail(self):
        """Take an error or a command that has no place here: silence, and back to IDLE or HALT (figure 7)."""
        if self.state in (READY, ACTIVE):
            self.state = HALT if self.woken else IDLE
        return 0

    def receive(self, frame, bits, parity=None):
        """Take a frame with its parity bits from the air; `answer` sees it in plain, and with right parity."""
        self.reply_parity = None
        if parity is not None and parity != odd_parity(frame, bits >> 3):
            self.offset = 0
            return self.fail()
        return self.answer(frame, bits)

    def answer(self, frame, bits):
        """Take a frame; return the number of bits of the answer in `reply`, 0 for silence."""
        state = self.state
        self.offset = 0
        if bits == _SHORT_FRAME:
            code = frame[0] & 0x7F
            if (state == IDLE and code in (_REQA, _WUPA)) or (state == HALT and code == _WUPA):
                self.woken = state == HALT
                self.state = READY
                self.level = 0
                self.reply = self.atqa
                return 16
            return self.fail()
        if state == READY:
            return self._select(frame, bits)
        if state == ACTIVE:
            if bits == 32 and frame[0] == _HLTA and frame[1] == 0 and crc_fits(frame, 4):
                self.state = HALT
                return 0
            count = self.application(frame, bits)
            if count is not None:
                return count
            return self.fail()
        return 0

    def application(self, frame, bits):
        """Take a command in ACTIVE: bits of the answer, 0 to stay silent and active, None if it is no command."""
        return None

    def _select(self, frame, bits):
        part = self._levels[self.level]
        if bits < 16 or frame[0] != _SELECT + 2 * self.level:
            return self.fail()
        valid_bits = frame[1]
        if valid_bits == _NVB_SELECT:
            if bits != 72 or frame[2:7] != part or not crc_fits(frame, 9):
                return self.fail()
            if self.level + 1 < len(self._levels):
                self.level += 1
                self.reply = self._cascade_frame
            else:
                self.state = ACTIVE
                self.reply = self._sak_frame
            return 24
        known = (valid_bits >> 4) * 8 + (valid_bits & 0x0F) - 16
        if valid_bits & 0x08 or not 0 <= known < 40 or bits != known + 16:
            return self.fail()
        whole = known >> 3
        offset = known & 7
        if frame[2 : 2 + whole] != part[:whole] or (offset and (frame[2 + whole] ^ part[whole]) & ((1 << offset) - 1)):
            return self.fail()  # the reader is speaking to another card
        self.reply = part[whole:] if whole else part
        self.offset = offset
        return 40 - known


class Field:
    """The cards in front of one antenna; what two of them send at once is laid one over the other.

    `reader` is the chip behind the antenna: `settle()` brings it up to the present, `cut(now_us)` tells it that a
    card which may be speaking has gone.
    """

    def __init__(self, reader):
        self._reader = reader
        self._on = False
        self.cards = []
        self._since = []
        self.reply = b""
        self.parity = None
        self.offset = 0
        self.delay_fc = ANSWER_DELAY_FC
        self.collision = -1  # index of the first bit of the answer in which two cards differ

    def put(self, card):
        """Bring a card into the field."""
        now_us = self._reader.settle()
        if card not in self.cards:
            card.at_us = now_us
            card.power(self._on)
            self.cards.append(card)
            self._since.append(now_us)

    def remove(self, card=None):
        """Take a card away, or all of them."""
        now_us = self._reader.settle()
        for i in range(len(self.cards) - 1, -1, -1):
            if card is None or self.cards[i] is card:
                gone = self.cards.pop(i)
                gone.at_us = now_us
                gone.power(False)
                self._since.pop(i)
                self._reader.cut(now_us)

    def switch(self, on, at_us):
        """Follow the reader's antenna."""
        self._on = on
        for i, card in enumerate(self.cards):
            card.at_us = at_us
            card.power(on)
            self._since[i] = at_us

    def answer(self, frame, bits, start_us, gain, parity=None):
        """Let all cards hear a frame that began at start_us; return the bits that come back in `reply` and `parity`.

        A `parity` of -1 fits nothing: the frame was sent without.
        """
        self.collision = -1
        count = 0
        if self._on:
            end_us = start_us + (1 + bits + bits // 8) * 3200 // 339  # 128/fc for each bit
            for i, card in enumerate(self.cards):
                if start_us - self._since[i] < card.powerup_us or gain < card.min_gain:
                    continue
                card.heard_us = start_us
                card.at_us = end_us
                heard = card.receive(frame, bits, parity)
                if not heard:
                    continue
                if count:
                    count = self._overlay(card, heard, count)
                else:
                    count = heard
                    self.reply = card.reply
                    self.parity = card.reply_parity
                    self.offset = card.offset
                    self.delay_fc = card.delay_fc
        return count

    def _overlay(self, card, heard, count):
        # Manchester coding with a subcarrier: where one sends 1 and the other 0 the reader hears both halves modulated.
        mine = int.from_bytes(self.reply, "little") >> self.offset
        other = int.from_bytes(card.reply, "little") >> card.offset
        differs = (mine ^ other) & ((1 << min(count, heard)) - 1)
        index = 0
        while differs and not differs >> index & 1:
            index += 1
        if self.parity is not None or card.reply_parity is not None:
            parities = [self.parity, card.reply_parity]
            for i, reply in enumerate((self.reply, card.reply)):
                if parities[i] is None:
                    parities[i] = odd_parity(reply, len(reply))
            self.parity = parities[0] | parities[1]
        if differs and (self.collision < 0 or index < self.collision):
            self.collision = index
        count = max(count, heard)
        self.reply = ((mine | other) << self.offset).to_bytes((self.offset + count + 7) // 8, "little")
        return count
