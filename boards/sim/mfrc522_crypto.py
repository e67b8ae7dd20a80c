"""Crypto1 in the MFRC522: MFAuthent (data sheet 10.3.1.9) and what MFCrypto1On does to every frame.

The chip authenticates in three passes with a nonce of its own, then encrypts what it sends and decrypts what it
receives, parity bits included, until the host clears MFCrypto1On. A host that forgets it has a deaf reader: cards do
not understand an encrypted REQA. When MFAuthent starts while the bit is set its command goes out encrypted (nested
authentication).

What the data sheet leaves open: after a wrong answer (ProtocolErr) MFAuthent does not end and the timer stands still;
after a nested attempt without any answer MFCrypto1On is still set.
"""

import random

from micropython import const

from boards.sim.cards import crc_a, odd_parity
from boards.sim.mfrc522_units import Units, us_of_fc

_STATUS2 = const(0x08)
_CRYPTO1_ON = const(0x08)
_PROTOCOL_ERROR = const(0x01)
_GUARD_FC = const(1172)  # from the card's last bit to the reader's next frame (ISO/IEC 14443-3 6.2.1.2)
_ETU_FC = const(128)


class Crypto(Units):
    """The cipher unit; the key lies in the chip for as long as a session lasts."""

    def __init__(self):
        super().__init__()
        self._cipher = None
        self._pass = 0  # of the authentication under way: 1 the command is out, 2 the reader's answer is
        self._arguments = b""  # command, block, key, UID part
        self._nonce = 0  # the card's
        self._parity = None  # of the frame on its way out, if it is not the usual one

    def _conceal(self, bits):
        """Encrypt the frame that goes out, if that is switched on."""
        self._parity = None
        if not self.registers[_STATUS2] & _CRYPTO1_ON:
            self._cipher = None
            return
        if self._cipher is None:  # the bit is set and no key ever was: anything
            from boards.sim.crypto1 import Crypto1

            self._cipher = Crypto1(b"stale!")
        self._parity = self._cipher.cover(self._out, bits, odd_parity(self._out, bits >> 3))

    def _reveal(self, reply, bits, parity):
        """Decrypt an answer in place, if that is switched on; tell whether its parity bits are right."""
        count = bits >> 3
        if self._pass or not self.registers[_STATUS2] & _CRYPTO1_ON or self._cipher is None:
            return parity is None or self._pass or parity == odd_parity(reply, count)
        if parity is None:
            parity = odd_parity(reply, count)
        parity = self._cipher.cover(reply, bits, parity)
        return parity == odd_parity(reply, count)

    def _begin_authentication(self):
        """Put the first frame into `_out`; return its length in bytes."""
        out = self._out
        self._arguments = bytes(out[:12])
        self._pass = 1
        crc = crc_a(out, 2)
        out[2] = crc & 0xFF
        out[3] = crc >> 8
        return 4

    def _authentication_goes_on(self, due_us):
        """Take the card's answer to either pass.

        Return when to send the 8 bytes in `_out` (µs), None when both sides are authenticated, False after an error.
        """
        reply = self._in
        parity = self.field.parity
        if parity is None:
            parity = odd_parity(reply, 4)
        if self._in_bits != 32 or self._in_errors:
            fits = False
        elif self._pass == 1:
            fits = self._take_nonce(reply, parity)
        else:
            from boards.sim.crypto1 import successor

            parity = self._cipher.cover(reply, 32, parity)
            proof = successor(self._nonce, 96)
            fits = int.from_bytes(reply, "little") == proof and parity == odd_parity(reply, 4)
        registers = self.registers
        if not fits:
            self._pass = 0
            registers[_STATUS2] &= ~_CRYPTO1_ON & 0xFF
            self._raise(_PROTOCOL_ERROR)
            return False
        if self._pass == 1:
            self._pass = 2
            self._prove()
            registers[_STATUS2] &= ~_CRYPTO1_ON & 0xFF
            return due_us + us_of_fc(_GUARD_FC)
        self._pass = 0
        registers[_STATUS2] |= _CRYPTO1_ON
        return None

    def _take_nonce(self, nonce, parity):
        from boards.sim.crypto1 import Crypto1

        uid = self._arguments[8:]
        cipher = Crypto1(self._arguments[2:8])
        fed = bytes(nonce[i] ^ uid[i] for i in range(4))
        if self.registers[_STATUS2] & _CRYPTO1_ON:
            parity = cipher.cover_fed(nonce, fed, parity, True)
        else:
            cipher.stream(int.from_bytes(fed, "little"), 32)
        self._cipher = cipher
        self._nonce = int.from_bytes(nonce, "little")
        return parity == odd_parity(nonce, 4)

    def _prove(self):
        from boards.sim.crypto1 import successor

        mine = bytearray(random.getrandbits(8) for _ in range(4))
        parity = self._cipher.cover_fed(mine, bytes(mine), odd_parity(mine, 4))
        proof = bytearray(successor(self._nonce, 64).to_bytes(4, "little"))
        self._parity = parity | self._cipher.cover(proof, 32, odd_parity(proof, 4)) << 4
        self._out[:4] = mine
        self._out[4:8] = proof
