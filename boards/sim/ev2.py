"""AES, CMAC and the sessions of EV2 secure messaging, as a card computes them.

Written from RFC 4493, the NTAG 424 DNA data sheet (NT4H2421Gx, rev. 3.0, section 9.1) and NXP's AN12196 and AN12343.
"""

from binascii import crc32

from cryptolib import aes
from micropython import const

_ECB = const(1)
_CBC = const(2)

_NOTHING = bytes(16)


def encrypt(key, data, iv=_NOTHING):
    """Return data, whole blocks of 16 bytes, encrypted with AES-128-CBC."""
    return aes(key, _CBC, iv).encrypt(data)


def decrypt(key, data, iv=_NOTHING):
    """Return what encrypt() was given."""
    return aes(key, _CBC, iv).decrypt(data)


def _double(block):
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value ^= (1 << 128) | 0x87
    return value.to_bytes(16, "big")


def xor(one, other):
    """Return the exclusive or of two strings of the same length."""
    return bytes(one[i] ^ other[i] for i in range(len(one)))


def cmac(key, message):
    """Return the AES-CMAC of a message, 16 bytes (RFC 4493)."""
    subkey = _double(aes(key, _ECB).encrypt(_NOTHING))
    rest = len(message) % 16
    if rest or not message:
        message = message + b"\x80" + bytes(15 - rest)
        subkey = _double(subkey)
    return encrypt(key, message[:-16] + xor(message[-16:], subkey))[-16:]


def short_mac(key, message):
    """Return the MACt: the second, fourth, ... byte of the CMAC, 8 bytes (9.1.3)."""
    whole = cmac(key, message)
    return bytes(whole[i] for i in range(1, 16, 2))


def crc32_nk(key):
    """Return the check value of a new key in ChangeKey: CRC-32 without its last inversion, low byte first."""
    return (crc32(key) ^ 0xFFFFFFFF).to_bytes(4, "little")


def pad(data):
    """Return data padded to whole blocks with 80 00 ..., always at least one byte (ISO/IEC 9797-1, method 2)."""
    return data + b"\x80" + bytes(15 - len(data) % 16)


def unpad(data):
    """Return data without its padding, or None if it has none."""
    end = len(data) - 1
    while end >= 0 and not data[end]:
        end -= 1
    return data[:end] if end >= 0 and data[end] == 0x80 else None


def session_keys(key, rnd_a, rnd_b):
    """Return SesAuthENCKey and SesAuthMACKey (9.1.7)."""
    middle = rnd_a[:2] + xor(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]
    return cmac(key, b"\xa5\x5a\x00\x01\x00\x80" + middle), cmac(key, b"\x5a\xa5\x00\x01\x00\x80" + middle)


class Session:
    """What a card remembers of an authentication: key number, session keys, transaction identifier, counter."""

    def __init__(self, number, keys, identifier, counter=0):
        self.number = number
        self.enc, self.mac = keys
        self.identifier = identifier
        self.counter = counter

    def tag(self, first, data):
        """Return the MACt over a command or status byte, counter, TI and data (9.1.9)."""
        return short_mac(self.mac, bytes((first, self.counter & 0xFF, self.counter >> 8)) + self.identifier + data)

    def iv(self, answer):
        """Return the initial vector for the data of a command or an answer (9.1.4)."""
        label = b"\x5a\xa5" if answer else b"\xa5\x5a"
        counter = bytes((self.counter & 0xFF, self.counter >> 8))
        return aes(self.enc, _ECB).encrypt(label + self.identifier + counter + bytes(8))
