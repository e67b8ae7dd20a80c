"""Cards on paper, for the writers' tests: NTAG 424, DESFire and MIFARE Classic behind a desk that may die.

Written from the data sheets; imports nothing of the code under test.
"""

import os
import zlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC


class Died(Exception):
    """The card was taken away."""


def cbc(key, iv, data, decrypt=False):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    work = cipher.decryptor() if decrypt else cipher.encryptor()
    return work.update(data) + work.finalize()


def cmac(key, data):
    work = CMAC(algorithms.AES(key))
    work.update(data)
    return work.finalize()


class Ev2Card:
    """An application with AES keys, each with a version. `failed` counts refused authentications."""

    def __init__(self, uid, keys=5, tells_versions=True):
        self.uid = uid
        self.keys = [bytes(16)] * keys
        self.versions = [0] * keys
        self.failed = 0
        self.tells_versions = tells_versions
        self.off()

    def off(self):
        self.selected = False
        self.pending = self.session = None

    def apdu(self, apdu):
        if not self.selected and apdu[0] == 0x90 and apdu[1] not in (0x5A, 0xCA):
            return b"\x91\x1c"
        if apdu[:2] == b"\x00\xa4":
            return self.iso_select(apdu)
        data = apdu[5:-1] if len(apdu) > 5 else b""
        if len(apdu) > 5:
            assert apdu[4] == len(data), "Lc"
        return self.native(apdu[1], data)

    def iso_select(self, apdu):
        return b"\x6a\x82"

    def error(self, code):
        self.pending = self.session = None
        return bytes((0x91, code))

    def native(self, command, data):
        if command == 0x71:
            self.session = None
            if data[0] >= len(self.keys):
                return self.error(0x40)
            self.pending = data[0], os.urandom(16)
            return cbc(self.keys[data[0]], bytes(16), self.pending[1]) + b"\x91\xaf"
        if command == 0xAF and self.pending:
            return self.second(data)
        if command == 0x64:
            return self.key_version(data)
        if command == 0xC4:
            return self.change_key(data)
        return self.error(0x1C)

    def second(self, data):
        (number, b), self.pending = self.pending, None
        key = self.keys[number]
        text = cbc(key, bytes(16), data, True)
        a = text[:16]
        if text[16:] != b[1:] + b[:1]:
            self.failed += 1
            return self.error(0xAE)
        ti = os.urandom(4)
        context = a[:2] + bytes(x ^ y for x, y in zip(a[2:8], b[:6], strict=True)) + b[6:] + a[8:]
        enc = cmac(key, b"\xa5\x5a\x00\x01\x00\x80" + context)
        mac = cmac(key, b"\x5a\xa5\x00\x01\x00\x80" + context)
        self.session = [number, ti, enc, mac, 0]
        return cbc(key, bytes(16), ti + a[1:] + a[:1] + bytes(12)) + b"\x91\x00"

    def mac(self, first, rest):
        _, ti, _, key, counter = self.session
        return cmac(key, bytes((first,)) + counter.to_bytes(2, "little") + ti + rest)[1::2]

    def key_version(self, data):
        if self.session is None:
            if not self.tells_versions:
                return self.error(0xAE)
            return bytes((self.versions[data[0]],)) + b"\x91\x00"
        if data[1:] != self.mac(0x64, data[:1]):
            return self.error(0x1E)
        self.session[4] += 1
        answer = bytes((self.versions[data[0]],))
        return answer + self.mac(0, answer) + b"\x91\x00"

    def change_key(self, data):
        if self.session is None or self.session[0] != 0:
            return self.error(0xAE)
        number, body, mac = data[0], data[1:-8], data[-8:]
        if mac != self.mac(0xC4, data[:-8]):
            return self.error(0x1E)
        _, ti, enc, _, counter = self.session
        iv = cbc(enc, bytes(16), b"\xa5\x5a" + ti + counter.to_bytes(2, "little") + bytes(8))
        text = cbc(enc, iv, body, True).rstrip(b"\x00")
        if number == 0:
            # the version may be 00, so the layout is taken by length: 16 + 1 and the padding mark
            text = cbc(enc, iv, body, True)
            if text[17:] != b"\x80" + bytes(14):
                return self.error(0x1E)
            self.keys[0], self.versions[0] = text[:16], text[16]
            self.session = None
            return b"\x91\x00"
        text = cbc(enc, iv, body, True)
        new = bytes(x ^ y for x, y in zip(text[:16], self.keys[number], strict=True))
        if (zlib.crc32(new) ^ 0xFFFFFFFF).to_bytes(4, "little") != text[17:21] or text[21:] != b"\x80" + bytes(10):
            return self.error(0x1E)
        self.keys[number], self.versions[number] = new, text[16]
        self.session[4] += 1
        return self.mac(0, b"") + b"\x91\x00"


class Ntag424(Ev2Card):
    sak, atqa = 0x20, 0x4403

    def iso_select(self, apdu):
        if apdu != bytes.fromhex("00A4040C07D276000085010100"):
            return b"\x6a\x82"
        self.session = self.pending = None
        self.selected = True
        return b"\x90\x00"


class Desfire(Ev2Card):
    sak, atqa = 0x20, 0x4403

    def __init__(self, uid, free_create=True, **options):
        super().__init__(uid, 14, **options)
        self.exists = False
        self.free_create = free_create
        self.level = 0

    def native(self, command, data):
        if command == 0x5A:
            self.session = self.pending = None
            if data == bytes(3):
                self.selected, self.level = True, 0
                return b"\x91\x00"
            if data != bytes.fromhex("574df5") or not self.exists:
                return self.error(0xA0)
            self.selected, self.level = True, 1
            return b"\x91\x00"
        if command == 0xCA:
            if self.level or not self.free_create:
                return self.error(0xAE)
            if data != bytes.fromhex("574df50b8e"):
                return self.error(0x9E)
            self.exists = True
            return b"\x91\x00"
        if not self.level:
            return self.error(0x1C)
        return super().native(command, data)


class Classic:
    """16 sectors with real access conditions for what is used here; a locked trailer stays locked."""

    sak, atqa = 0x08, 0x0004

    def __init__(self, uid):
        self.uid = uid
        self.blocks = [bytearray(16) for _ in range(64)]
        for trailer in range(3, 64, 4):
            self.blocks[trailer][:] = bytes.fromhex("ffffffffffffff078069ffffffffffff")
        self.failed = 0
        self.off()

    def off(self):
        self.session = None

    def condition(self, block):
        trailer = self.blocks[block | 3]
        c1, c2, c3 = trailer[7] >> 4, trailer[8] & 15, trailer[8] >> 4
        assert (trailer[6] & 15, trailer[6] >> 4, trailer[7] & 15) == (c1 ^ 15, c2 ^ 15, c3 ^ 15), "sector is dead"
        return tuple(c >> (block & 3) & 1 for c in (c1, c2, c3))

    def auth(self, letter, block, key):
        trailer = self.blocks[block | 3]
        if bytes(trailer[0:6] if letter == "A" else trailer[10:16]) != key:
            self.session = None
            self.failed += 1
            return False
        self.session = letter, block >> 2
        return True

    def allowed(self, block):
        if self.session is None or self.session[1] != block >> 2:
            raise Died("not authenticated")
        if self.session[0] == "B" and self.condition(block | 3) == (0, 0, 1):
            raise Died("a key B that can be read opens nothing")

    def read(self, block):
        self.allowed(block)
        data = bytes(self.blocks[block])
        if block & 3 == 3:
            data = bytes(6) + data[6:10] + (data[10:] if self.condition(block) == (0, 0, 1) else bytes(6))
        return data

    def write(self, block, data):
        self.allowed(block)
        condition = self.condition(block)
        if block & 3 == 3:
            if (condition, self.session[0]) not in (((0, 0, 1), "A"), ((0, 1, 1), "B")):
                raise Died("refused")
        elif condition != (0, 0, 0):
            raise Died("refused")
        self.blocks[block][:] = data


class DyingDesk:
    """Passes exchanges on; the one with number `dies_at` is lost on its way there or back."""

    def __init__(self, card, gone, dies_at=None, before=True):
        self.card = card
        self.gone = gone
        self.dies_at = dies_at
        self.before = before
        self.count = 0
        self.log = []

    def __getattr__(self, name):
        def exchange(*arguments):
            number, self.count = self.count, self.count + 1
            self.log.append((name, arguments))
            if number == self.dies_at and self.before:
                self.card.off()
                raise self.gone("taken away")
            try:
                answer = getattr(self.card, name)(*arguments)
            except Died as error:
                raise self.gone(str(error)) from error
            if number == self.dies_at:
                self.card.off()
                raise self.gone("taken away")
            return answer

        return exchange
