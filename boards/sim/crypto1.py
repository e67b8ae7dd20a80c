"""The stream cipher of MIFARE Classic, for the models of the card and of the reader chip.

    cipher = Crypto1(key)  # 6 bytes
    cipher.stream(uid ^ nonce, 32)  # both as little-endian numbers: the bit that is first on air is bit 0

From Garcia, de Koning Gans et al., "Dismantling MIFARE Classic" (2008): a shift register of 48 bits x0 (the oldest) to
x47, of which every second one goes into the filter. They are kept as two numbers, x0 x2 .. x46 and x1 x3 .. x47: when
the register moves by one the halves change places.
"""

from micropython import const

# Feedback: x0 5 9 10 12 14 15 17 19 24 25 27 29 35 39 41 42 43 (section 4.1)
_EVEN_TAPS = const(0x2010E1)
_ODD_TAPS = const(0x3A7394)
_PARITY = const(0x6996)  # of four bits

# Filter (section 4.1), as truth tables; the first argument is bit 0 of the index.
_FILTER_A = const(0xB48E)
_FILTER_B = const(0x9E98)
_FILTER_C = const(0xEC57E80A)


class Crypto1:
    """One end of a session: both ends go through the same steps."""

    def __init__(self, key):
        even = odd = 0
        number = int.from_bytes(key, "little")
        for i in range(24):
            even |= (number >> 2 * i & 1) << i
            odd |= (number >> 2 * i + 1 & 1) << i
        self._even = even
        self._odd = odd

    def peek(self):
        """Return the bit of key stream that comes next; it also covers the parity of the byte that has just gone."""
        odd = self._odd
        index = (
            (_FILTER_A >> (odd >> 4 & 15) & 1)
            | (_FILTER_B >> (odd >> 8 & 15) & 1) << 1
            | (_FILTER_B >> (odd >> 12 & 15) & 1) << 2
            | (_FILTER_A >> (odd >> 16 & 15) & 1) << 3
            | (_FILTER_B >> (odd >> 20 & 15) & 1) << 4
        )
        return _FILTER_C >> index & 1

    def stream(self, fed, count, encrypted=False):
        """Move on by `count` bits, feeding `fed` from bit 0 on; return the key stream of these bits.

        With `encrypted` the fed bits are decrypted on their way in.
        """
        even = self._even
        odd = self._odd
        keys = 0
        for i in range(count):
            index = (
                (_FILTER_A >> (odd >> 4 & 15) & 1)
                | (_FILTER_B >> (odd >> 8 & 15) & 1) << 1
                | (_FILTER_B >> (odd >> 12 & 15) & 1) << 2
                | (_FILTER_A >> (odd >> 16 & 15) & 1) << 3
                | (_FILTER_B >> (odd >> 20 & 15) & 1) << 4
            )
            key = _FILTER_C >> index & 1
            keys |= key << i
            mixed = (even & _EVEN_TAPS) ^ (odd & _ODD_TAPS)
            mixed ^= mixed >> 16
            mixed ^= mixed >> 8
            mixed ^= mixed >> 4
            bit = (_PARITY >> (mixed & 15) ^ fed >> i) & 1
            if encrypted:
                bit ^= key
            even, odd = odd, even >> 1 | bit << 23
        self._even = even
        self._odd = odd
        return keys

    def cover(self, data, bits, parity):
        """Encrypt or decrypt a frame: `bits` bits of `data` in place, and the parity bits of its whole bytes.

        Bit n of `parity` belongs to byte n. Return the parity bits, encrypted or decrypted.
        """
        for i in range(bits >> 3):
            data[i] ^= self.stream(0, 8)
            parity ^= self.peek() << i
        rest = bits & 7
        if rest:
            data[bits >> 3] = (data[bits >> 3] ^ self.stream(0, rest)) & ((1 << rest) - 1)
        return parity

    def cover_fed(self, data, fed, parity, encrypted=False):
        """Encrypt or decrypt whole bytes of `data` in place while the bytes of `fed` go in, as in `stream`."""
        for i in range(len(data)):
            data[i] ^= self.stream(fed[i], 8, encrypted)
            parity ^= self.peek() << i
        return parity


def successor(nonce, count):
    """Return a card's nonce (a little-endian number of 32 bits) after `count` steps of its generator (section 4.3)."""
    for _ in range(count):
        nonce = nonce >> 1 | ((nonce >> 16 ^ nonce >> 18 ^ nonce >> 19 ^ nonce >> 21) & 1) << 31
    return nonce
