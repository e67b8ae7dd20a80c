"""NTAG 424 DNA and DESFire EV2/EV3: the card proves by AES that it holds the key of the community.

    prover = Ev2(transport, [(version, number, key)], NTAG424)
    if await prover.prove(credential) == PROVEN: ...

AuthenticateEV2First as in NXP AN12196 6.6, in ISO 7816-4 frames, with the card's own key by AN10922. A card counts as
genuine by its cryptogram only: 16 random bytes of ours, which it returns rotated and encrypted.
"""

import os

from cryptolib import aes
from micropython import const

from drivers.cmac import Cmac
from drivers.credential import FALSE, LOST, NTAG424, PROVEN
from drivers.isodep import IsoDep

_CBC = const(2)

# Select by DF name, and SelectApplication
_SELECT_NTAG = const(b"\x00\xa4\x04\x0c\x07\xd2\x76\x00\x00\x85\x01\x01\x00")
_SELECT_DESFIRE = const(b"\x90\x5a\x00\x00\x03\x57\x4d\xf5\x00")
# 01 || M of AN10922: the UID comes to 1, the key number to 17
_MESSAGE_NTAG = const(b"\x01.......\x01\x00\x00menwei.")
_MESSAGE_DESFIRE = const(b"\x01.......\x57\x4d\xf5menwei.")
_FIRST = const(b"\x90\x71\x00\x00\x02\x00\x00\x00")  # the key number comes to 5; no PCDcap2
_SECOND = const(b"\x90\xaf\x00\x00\x20")
_CLEAR = const(34)  # where in the buffer an answer is decrypted to

# Frame waiting times of these cards' ATS: 06 77 77 71 02 80 (FWI 7) and 06 75 77 81 02 80 (FWI 8)
_FWT_NTAG_MS = const(39)
_FWT_DESFIRE_MS = const(78)


class Ev2:
    """A prover (drivers/credential.py) for one kind, NTAG424 or DESFIRE."""

    def __init__(self, transport, keys, kind):
        """`keys` are tuples (version, key number on the card, 16 bytes), the newest first."""
        self.keys = keys
        self._transport = transport
        self._ntag = kind == NTAG424
        self._data = self._random = None

    async def prove(self, credential):
        """Try the key versions, the newest first. Gives PROVEN, with `version` set, FALSE or LOST.

        FALSE is only what came whole: another answer than a genuine card's, refusal of all keys included. Silence,
        damage, and a card that makes its holder wait after failed attempts (91AD) are LOST.
        """
        if credential.length != 7:
            return FALSE
        # Made for each proof: between two of them the room is somebody else's, and no other kind keeps its own
        link = IsoDep(self._transport, _FWT_NTAG_MS if self._ntag else _FWT_DESFIRE_MS)
        self._data = data = bytearray(_CLEAR + 32)
        self._random = bytearray(32)  # RndA || RndB'
        result = FALSE
        length = -1
        if await link.activate():
            length = await link.exchange(data, self._put(_SELECT_NTAG if self._ntag else _SELECT_DESFIRE))
            if length == 2 and data[0] | 1 == 0x91 and not data[1]:
                for version, number, master in self.keys:
                    key = self._card_key(master, credential.uid, number)
                    self._put(_FIRST)
                    data[5] = number
                    length = await link.exchange(data, 8)
                    if length == 18 and data[16] == 0x91 and data[17] == 0xAF:
                        self._respond(key)
                        length = await link.exchange(data, 38)
                        if length == 34 and data[32] == 0x91 and not data[33] and self._fits(key):
                            credential.version = version
                            result = PROVEN
                            break
                    if length == 2 and data[1] == 0xAD:
                        length = -1
                    if length < 0:
                        break
        if length < 0 and not link.broken:
            result = LOST
        await link.deselect()
        return result

    def _put(self, apdu):
        """A command into the buffer; gives its length."""
        length = len(apdu)
        self._data[:length] = apdu
        return length

    def _card_key(self, master, uid, number):
        """The card's own key."""
        message = bytearray(_MESSAGE_NTAG if self._ntag else _MESSAGE_DESFIRE)
        message[1:8] = uid[:7]
        message[17] = number
        return Cmac(master).tag(message, 18, 32)

    def _opened(self, key):
        """Both blocks of the answer, decrypted; of the first answer, which has only one, the second means nothing."""
        view = memoryview(self._data)
        clear = view[_CLEAR:]
        aes(key, _CBC, bytes(16)).decrypt(view[:32], clear)
        return clear

    def _respond(self, key):
        """The second command, from the card's E(RndB): E(RndA || RndB rotated left by a byte)."""
        clear = self._opened(key)
        secret = self._random
        secret[:16] = os.urandom(16)
        for index in range(16):
            secret[16 + index] = clear[(index + 1) & 15]
        self._put(_SECOND)
        aes(key, _CBC, bytes(16)).encrypt(secret, memoryview(self._data)[5:37])
        self._data[37] = 0

    def _fits(self, key):
        """Whether the answer E(TI || RndA rotated || PDcap2 || PCDcap2) holds all of RndA; in constant time."""
        clear = self._opened(key)
        secret = self._random
        differs = 0
        for index in range(16):
            differs |= clear[4 + index] ^ secret[(index + 1) & 15]
        return not differs
