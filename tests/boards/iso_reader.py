"""The reader's side of ISO/IEC 14443-4 and of EV2 secure messaging, for tests of the card models.

It shares nothing with the models but CRC_A and does one thing after the other, without error recovery.
"""

from binascii import unhexlify

from cryptolib import aes

from boards.sim.cards import with_crc


def x(text):
    """Return the bytes of a hexadecimal string with blanks."""
    return unhexlify(text.replace(" ", ""))


def levels(uid):
    """Split a UID as the cascade does (ISO/IEC 14443-3 6.5.4)."""
    whole = [b"\x88" + uid[i : i + 3] for i in range(0, len(uid) - 4, 3)]
    whole.append(uid[-4:])
    return whole


def select(card, request=0x52):
    """Bring a card to ACTIVE; return its SAK."""
    if card.answer(bytes((request,)), 7) != 16:
        return None
    for i, part in enumerate(levels(card.uid)):
        check = part[0] ^ part[1] ^ part[2] ^ part[3]
        if card.answer(with_crc(bytes((0x93 + 2 * i, 0x70)) + part + bytes((check,))), 72) != 24:
            return None
    return card.reply[0]


def send(card, block):
    """Send a block; return the answer without its CRC, None for silence, b"" for a damaged one."""
    frame = with_crc(block)
    if not card.answer(frame, 8 * len(frame)):
        return None
    answer = bytes(card.reply)
    return answer[:-2] if with_crc(answer[:-2]) == answer else b""


class Reader:
    """One activation of a card: RATS with FSDI 5 (64 bytes), then commands."""

    def __init__(self, card, fsdi=5, fsc=64):
        card.power(True)
        if select(card) is None:
            raise ValueError("the card does not answer")
        self.card = card
        self.number = 0
        self.room = fsc - 3
        self.blocks = 0
        self.ats = send(card, bytes((0xE0, fsdi << 4)))

    def apdu(self, command):
        """Exchange a command, chained as need be; granting more time. Return the answer, None for silence."""
        while True:
            part = command[: self.room]
            command = command[self.room :]
            answer = send(self.card, bytes((0x02 | self.number | (0x10 if command else 0),)) + part)
            if not command:
                break
            if answer != bytes((0xA2 | self.number,)):
                return None
            self.number ^= 1
        whole = b""
        while answer:
            self.blocks += 1
            if answer[0] == 0xF2:
                answer = send(self.card, answer)
                continue
            if answer[0] & 0xEF != 0x02 | self.number:
                return None
            self.number ^= 1
            whole += answer[1:]
            if not answer[0] & 0x10:
                return whole
            answer = send(self.card, bytes((0xA2 | self.number,)))
        return None

    def native(self, code, data=b""):
        """Exchange a wrapped native command."""
        head = bytes((0x90, code, 0, 0))
        return self.apdu(head + (bytes((len(data),)) + data if data else b"") + b"\x00")


def cmac(key, message):
    """AES-CMAC by the steps of RFC 4493 2.4, on integers."""
    one = (1 << 128) - 1
    k = int.from_bytes(aes(key, 1).encrypt(bytes(16)), "big")
    k = (k << 1 & one) ^ (0x87 if k >> 127 else 0)
    blocks = [message[i : i + 16] for i in range(0, len(message), 16)] or [b""]
    last = blocks.pop()
    if len(last) == 16:
        last = int.from_bytes(last, "big") ^ k
    else:
        k = (k << 1 & one) ^ (0x87 if k >> 127 else 0)
        last = int.from_bytes((last + b"\x80" + bytes(16))[:16], "big") ^ k
    state = 0
    blocks.append(last.to_bytes(16, "big"))
    for block in blocks:
        state ^= int.from_bytes(block, "big")
        state = int.from_bytes(aes(key, 1).encrypt(state.to_bytes(16, "big")), "big")
    return state.to_bytes(16, "big")


def diversify(master, message):
    """AN10922 2.2: the CMAC of 01 and up to 31 bytes, always padded to two blocks."""
    data = b"\x01" + message
    if len(data) == 32:
        return cmac(master, data)
    k = int.from_bytes(aes(master, 1).encrypt(bytes(16)), "big")
    for _ in range(2):
        k = (k << 1) ^ ((1 << 128 | 0x87) if k >> 127 else 0)
    data = (data + b"\x80" + bytes(32))[:32]
    last = int.from_bytes(data[16:], "big") ^ k
    return aes(master, 2, bytes(16)).encrypt(data[:16] + last.to_bytes(16, "big"))[16:]


class Ev2Reader:
    """A reader that authenticates with EV2First or NonFirst and then speaks MAC and FULL."""

    def __init__(self, reader):
        self.reader = reader
        self.ti = bytes(4)
        self.counter = 0

    def authenticate(self, number, key, rnd_a=bytes(range(16)), first=True):
        """Return the last status, 0x00 when the card proved the key, -1 when its proof is wrong."""
        answer = self.reader.native(0x71, bytes((number, 0))) if first else self.reader.native(0x77, bytes((number,)))
        if answer[-1] != 0xAF:
            return answer[-1]
        rnd_b = aes(key, 2, bytes(16)).decrypt(answer[:16])
        answer = self.reader.native(0xAF, aes(key, 2, bytes(16)).encrypt(rnd_a + rnd_b[1:] + rnd_b[:1]))
        if answer[-1]:
            return answer[-1]
        plain = aes(key, 2, bytes(16)).decrypt(answer[:-2])
        if first:
            self.ti = plain[:4]
            self.counter = 0
            plain = plain[4:]
        if plain[:16] != rnd_a[1:] + rnd_a[:1]:
            return -1
        vector = bytearray(rnd_a[:8] + rnd_b[6:] + rnd_a[8:])
        for i in range(6):
            vector[2 + i] ^= rnd_b[i]
        self.enc = cmac(key, b"\xa5\x5a\x00\x01\x00\x80" + vector)
        self.mac = cmac(key, b"\x5a\xa5\x00\x01\x00\x80" + vector)
        return 0

    def _tag(self, first, data):
        whole = cmac(self.mac, bytes((first,)) + self.counter.to_bytes(2, "little") + self.ti + data)
        return bytes(whole[2 * i + 1] for i in range(8))

    def _iv(self, label):
        return aes(self.enc, 1).encrypt(label + self.ti + self.counter.to_bytes(2, "little") + bytes(8))

    def command(self, code, header=b"", data=b"", full=False):
        """Send a command in CommMode.MAC or FULL; return (status, data), status -1 if the card's MAC is wrong."""
        if full and data:
            padded = (data + b"\x80" + bytes(15))[: len(data) // 16 * 16 + 16]
            data = aes(self.enc, 2, self._iv(b"\xa5\x5a")).encrypt(padded)
        answer = self.reader.native(code, header + data + self._tag(code, header + data))
        if answer is None:
            return None, None
        self.counter += 1
        body = answer[:-2]
        if answer[-1] or len(body) < 8:
            return answer[-1], body
        if self._tag(0, body[:-8]) != body[-8:]:
            return -1, body
        body = body[:-8]
        if full and body:
            body = aes(self.enc, 2, self._iv(b"\x5a\xa5")).decrypt(body).rstrip(b"\x00")[:-1]
        return answer[-1], body

    def change_key(self, number, new, version, old=None):
        """Change a key: `old` is its value if it is another key than that of the session. Return status and data."""
        if old is None:
            return self.command(0xC4, bytes((number,)), new + bytes((version,)), True)
        crc = 0xFFFFFFFF
        for byte in new:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
        mixed = bytes(new[i] ^ old[i] for i in range(16))
        return self.command(0xC4, bytes((number,)), mixed + bytes((version,)) + crc.to_bytes(4, "little"), True)
