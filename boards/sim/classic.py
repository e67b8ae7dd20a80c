"""MIFARE Classic cards, from NXP's data sheet MF1S50YYX (MF1S70YYX for 4K): memory, keys, access bits, Crypto1.

    card = Classic(b"\\x11\\x22\\x33\\x44", size_k=1, magic=None, seed=None)
    card.block(4, b"..16 bytes..")  # write as the factory does; without data: read
    card.keys(1, key_a, key_b, access=b"\\xff\\x07\\x80")
    card.tear("mix")  # the next block that is programmed is torn: old, new, erased, mix or random

`writes[block]` counts programmings, `torn` the torn ones; beyond `endurance` a block keeps what it has. A card that
loses the field while it programs (`program_us`) is torn too, at random. `magic` is None, "gen1a" (answers the 7 bits 40
and then 43, and lets everybody read and write) or "cuid" (block 0 can be written). After any error the card is silent
or sends a NAK, and is back in IDLE or HALT. Not modelled: value blocks, and cards that answer a wrong proof with an
encrypted NAK.
"""

import random
from array import array
from binascii import hexlify, unhexlify

from micropython import const

from boards.sim.cards import ACTIVE, ANSWER_DELAY_FC, HALT, IDLE, Card, crc_fits, odd_parity, with_crc
from boards.sim.crypto1 import Crypto1, successor

_READ = const(0x30)
_WRITE = const(0xA0)
_AUTH_A = const(0x60)
_AUTH_B = const(0x61)
_WAKE_MAGIC = const(0x40)
_OPEN_MAGIC = const(0x43)
_ACK = const(0x0A)
_NAK = const(0x04)  # not allowed
_NAK_CRC = const(0x05)

# What the card waits for beside a command
_NOTHING = const(0)
_PROOF = const(1)
_DATA = const(2)

# Data blocks (data sheet table 8), by C1 C2 C3 as a number of three bits: bit 0 key A, bit 1 key B.
_DATA_READ = b"\x03\x03\x03\x02\x03\x02\x03\x00"
_DATA_WRITE = b"\x03\x00\x00\x02\x02\x00\x02\x00"
# Trailers (table 7): the same for the keys (both are written together), the access bits, and reading key B.
_KEYS_WRITE = b"\x01\x01\x00\x02\x02\x00\x00\x00"
_ACCESS_READ = b"\x01\x01\x01\x03\x03\x03\x03\x03"
_ACCESS_WRITE = b"\x00\x01\x00\x02\x00\x02\x00\x00"
_KEY_B_READ = b"\x01\x01\x01\x00\x00\x00\x00\x00"

_BLANK = bytes(16)
_BLANK_TRAILER = b"\xff\xff\xff\xff\xff\xff\xff\x07\x80\x69\xff\xff\xff\xff\xff\xff"
TEARS = ("old", "new", "erased", "mix", "random")


class Classic(Card):
    """One card with 1 or 4 KB."""

    kind = "classic"

    def __init__(self, uid, size_k=1, magic=None, seed=None, program_us=4000, endurance=None):
        if size_k not in (1, 4) or len(uid) not in (4, 7):
            raise ValueError("a MIFARE Classic has 1 or 4 KB and a UID of 4 or 7 bytes")
        if magic not in (None, "gen1a", "cuid"):
            raise ValueError("magic is gen1a, cuid or None")
        self.memory = bytearray(1024 * size_k)
        self.writes = array("I", bytes(256 * size_k))
        self.size_k = size_k
        self.magic = magic
        self.program_us = program_us
        self.endurance = endurance
        self.torn = 0
        self._tear = None
        self._pending = None  # (block, old, when it is done)
        seed = random.getrandbits(16) if seed is None else seed
        self._nonce = successor((seed & 0xFFFF or 1) << 16, 32)
        for sector in range(16 if size_k == 1 else 40):
            self.block(_first_block(sector + 1) - 1, _BLANK_TRAILER)
        sak = 0x18 if size_k == 4 else 0x08
        atqa = bytes((0x02 if size_k == 4 else 0x04, 0)) if len(uid) == 4 else b"\x44\x00"
        super().__init__(uid, atqa, sak)
        head = (self._levels[0] if len(uid) == 4 else self.uid) + bytes((sak,)) + atqa  # 4 bytes have a check byte
        self.block(0, head + bytes(16 - len(head)))

    # From outside

    def block(self, number, data=None):
        """Return 16 bytes; with `data` set them first, past all access conditions."""
        start = 16 * number
        if data is not None:
            if len(data) != 16:
                raise ValueError("a block has 16 bytes")
            self.memory[start : start + 16] = data
        return bytes(self.memory[start : start + 16])

    def keys(self, sector, key_a, key_b, access=None, general=0x69):
        """Set a sector's trailer; `access` is its bytes 6 to 8."""
        trailer = _first_block(sector + 1) - 1
        bits = self.block(trailer)[6:9] if access is None else access
        self.block(trailer, bytes(key_a) + bytes(bits) + bytes((general,)) + bytes(key_b))

    def copy(self, full=False, magic=None):
        """Return a copy: as a kiosk makes it (block 0, else blank), or in full by somebody who knows all keys."""
        card = Classic(self.uid, self.size_k, magic)
        if full:
            card.memory[:] = self.memory
        else:
            card.block(0, self.block(0))
        return card

    def uid_copy(self):
        """Return what a street kiosk makes of this card."""
        return self.copy()

    def tear(self, how):
        """Lose the field in the next programming of a block."""
        if how not in TEARS:
            raise ValueError("a write is torn to: " + ", ".join(TEARS))
        self._tear = how

    def to_dict(self):
        """Return all that the card is, for JSON."""
        blocks = {}
        writes = {}
        for number in range(64 * self.size_k):
            data = self.block(number)
            if data != (_BLANK_TRAILER if _is_trailer(number) else _BLANK):
                blocks[str(number)] = hexlify(data).decode()
            if self.writes[number]:
                writes[str(number)] = self.writes[number]
        return {
            "kind": self.kind,
            "uid": hexlify(self.uid).decode(),
            "size_k": self.size_k,
            "magic": self.magic,
            "program_us": self.program_us,
            "endurance": self.endurance,
            "torn": self.torn,
            "blocks": blocks,
            "writes": writes,
        }

    @classmethod
    def from_dict(cls, kept):
        """Make a card of what `to_dict` gave; what is missing is as in a new one."""
        card = cls(
            unhexlify(kept["uid"]),
            kept.get("size_k", 1),
            kept.get("magic"),
            None,
            kept.get("program_us", 4000),
            kept.get("endurance"),
        )
        card.torn = kept.get("torn", 0)
        for number, data in kept.get("blocks", {}).items():
            card.block(int(number), unhexlify(data))
        for number, count in kept.get("writes", {}).items():
            card.writes[int(number)] = count
        return card

    # Frames

    def power(self, on):
        """Enter or leave a field; what is being programmed then is torn."""
        if self._pending and self.at_us < self._pending[2]:
            self._torn("random")
        super().power(on)
        self._quit()

    def fail(self):
        """Take an error; a session ends with it."""
        self._quit()
        return super().fail()

    def receive(self, frame, bits, parity=None):
        """Take a frame, encrypted in a session."""
        self.delay_fc = ANSWER_DELAY_FC
        self.reply_parity = None
        self.offset = 0
        if self.state == ACTIVE and self._step == _PROOF:
            return self._check_proof(frame, bits, parity)
        if self.state != ACTIVE or self._cipher is None:
            return super().receive(frame, bits, parity)
        whole = (bits + 7) >> 3
        plain = bytearray(frame[:whole])
        parity = self._cipher.cover(plain, bits, odd_parity(plain, bits >> 3) if parity is None else parity)
        if parity != odd_parity(plain, bits >> 3):
            return self.fail()
        cipher = self._cipher
        count = self.answer(plain, bits)
        if count and self._step != _PROOF:
            self.reply = reply = bytearray(self.reply)
            self.reply_parity = cipher.cover(reply, count, odd_parity(reply, count >> 3))
        return count

    def answer(self, frame, bits):
        """Take a frame in plain; magic cards know two more."""
        if self.magic == "gen1a" and self.state in (IDLE, HALT):
            if bits == 7 and frame[0] & 0x7F == _WAKE_MAGIC:
                self._magic_step = 1
                return self._nibble(_ACK)
            if bits == 8 and frame[0] == _OPEN_MAGIC and self._magic_step:
                self.woken = self.state == HALT
                self.state = ACTIVE
                self._open = True
                return self._nibble(_ACK)
            self._magic_step = 0
        count = super().answer(frame, bits)
        if self.state == HALT:
            self._quit()
        return count

    def application(self, frame, bits):
        """Take a command of the card or, after WRITE, its data."""
        if bits < 24 or bits & 7:
            return None
        size = bits >> 3
        if not crc_fits(frame, size):
            return self._refuse(_NAK_CRC)
        if self._step == _DATA:
            self._step = _NOTHING
            return self._program(frame) if size == 18 else self._refuse(_NAK)
        if size != 4:
            return None
        code = frame[0]
        block = frame[1]
        if code in (_AUTH_A, _AUTH_B) and not self._open:
            return self._send_nonce(block, code - _AUTH_A)
        if code == _READ:
            return self._read(block)
        if code == _WRITE:
            if not self._may(block, _DATA_WRITE) or (block == 0 and not (self.magic == "cuid" or self._open)):
                return self._refuse(_NAK)
            self._step = _DATA
            self._block = block
            return self._nibble(_ACK)
        return self._refuse(_NAK)

    def _quit(self):
        self._cipher = None
        self._step = _NOTHING
        self._sector = -1
        self._open = False
        self._magic_step = 0

    def _nibble(self, value):
        self.reply = bytes((value,))
        return 4

    def _refuse(self, nak):
        self.fail()
        return self._nibble(nak)  # which in a session is still encrypted

    # Authentication (data sheet 10.1)

    def _send_nonce(self, block, which):
        if block >= 64 * self.size_k:
            return self._refuse(_NAK)
        nested = self._cipher is not None
        self._sector = _sector(block)
        self._which = which
        trailer = self.block(_first_block(self._sector + 1) - 1)
        self._nonce = nonce = successor(self._nonce, 64 + random.getrandbits(6))
        self._cipher = cipher = Crypto1(trailer[10:] if which else trailer[:6])
        reply = bytearray(nonce.to_bytes(4, "little"))
        fed = bytes(reply[i] ^ self.uid[i - 4] for i in range(4))  # the last 4 bytes of a longer UID (AN10927 3.2.5)
        if nested:
            self.reply_parity = cipher.cover_fed(reply, fed, odd_parity(reply, 4))
        else:
            cipher.stream(int.from_bytes(fed, "little"), 32)
        self.reply = reply
        self._step = _PROOF
        return 32

    def _check_proof(self, frame, bits, parity):
        self._step = _NOTHING
        if bits != 64:
            return self.fail()
        if parity is None:
            parity = odd_parity(frame, 8)
        cipher = self._cipher
        nonce = bytearray(frame[:4])
        proof = bytearray(frame[4:8])
        right = cipher.cover_fed(nonce, bytes(nonce), parity & 15, True) == odd_parity(nonce, 4)
        right &= cipher.cover(proof, 32, parity >> 4) == odd_parity(proof, 4)
        if not right or int.from_bytes(proof, "little") != successor(self._nonce, 64):
            return self.fail()
        self.reply = reply = bytearray(successor(self._nonce, 96).to_bytes(4, "little"))
        self.reply_parity = cipher.cover(reply, 32, odd_parity(reply, 4))
        return 32

    # Memory (data sheet 8.6, 8.7)

    def _condition(self, block):
        """Return C1 C2 C3 of a block as a number, -1 when the access bits are damaged."""
        sector = _sector(block)
        trailer = 16 * (_first_block(sector + 1) - 1)
        inverted, first, second = self.memory[trailer + 6 : trailer + 9]
        if inverted ^ 0xFF != (first >> 4 | second << 4 & 0xF0) or first & 15 != second >> 4 ^ 15:
            return -1
        group = block - _first_block(sector)
        if sector >= 32:
            group //= 5
        return (first >> 4 + group & 1) << 2 | (second >> group & 1) << 1 | (second >> 4 + group & 1)

    def _may(self, block, data_rights):
        if block >= 64 * self.size_k:
            return False
        if self._open:
            return True
        if self._cipher is None or self._sector != _sector(block):
            return False
        condition = self._condition(block)
        if condition < 0:
            return False
        trailer = _first_block(self._sector + 1) - 1
        if self._which and _KEY_B_READ[self._condition(trailer)]:
            return False  # a key that can be read is data, and opens nothing
        if block != trailer:
            return bool(data_rights[condition] >> self._which & 1)
        if data_rights is _DATA_READ:
            return True
        return bool((_KEYS_WRITE[condition] | _ACCESS_WRITE[condition]) >> self._which & 1)

    def _read(self, block):
        if not self._may(block, _DATA_READ):
            return self._refuse(_NAK)
        data = bytearray(self.block(block))
        if _is_trailer(block) and not self._open:
            condition = self._condition(block)
            data[:6] = bytes(6)
            if not _ACCESS_READ[condition] >> self._which & 1:
                data[6:10] = bytes(4)
            if not _KEY_B_READ[condition] >> self._which & 1:
                data[10:] = bytes(6)
        self.reply = with_crc(data)
        return 144

    def _program(self, frame):
        block = self._block
        old = self.block(block)
        data = bytearray(frame[:16])
        if _is_trailer(block) and not self._open:
            condition = self._condition(block)
            if not _KEYS_WRITE[condition] >> self._which & 1:
                data[:6] = old[:6]
                data[10:] = old[10:]
            if not _ACCESS_WRITE[condition] >> self._which & 1:
                data[6:10] = old[6:10]
        self.writes[block] += 1
        if self.endurance is None or self.writes[block] <= self.endurance:
            self.block(block, data)
            self._pending = (block, old, self.at_us + self.program_us)
        if self._tear:
            how, self._tear = self._tear, None
            self._torn(how)
            self.state = IDLE
            self._quit()
            return 0
        self.delay_fc = ANSWER_DELAY_FC + self.program_us * 339 // 25
        return self._nibble(_ACK)

    def _torn(self, how):
        """The field is gone while a block is programmed: first its bits are erased, then the new ones are set."""
        if not self._pending:
            return
        block, old, _ = self._pending
        self._pending = None
        self.torn += 1
        new = self.block(block)
        if how == "random":
            how = TEARS[random.getrandbits(2)]
        if how == "old":
            self.block(block, old)
        elif how == "erased":
            self.block(block, _BLANK)
        elif how == "mix":
            # Half erased or half set: a bit is what it was, what it shall be, or not there yet.
            mixed = bytearray(16)
            for i in range(16):
                taken = random.getrandbits(8)
                mixed[i] = (old[i] & ~taken & 0xFF | new[i] & taken) & (random.getrandbits(8) | random.getrandbits(8))
            self.block(block, mixed)


def _sector(block):
    return block >> 2 if block < 128 else 32 + (block - 128 >> 4)


def _first_block(sector):
    return 4 * sector if sector <= 32 else 128 + 16 * (sector - 32)


def _is_trailer(block):
    return block & 3 == 3 if block < 128 else block & 15 == 15
