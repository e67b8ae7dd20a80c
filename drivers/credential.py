"""What somebody presents at a door, and how much it proves.

    credential = Credential()
    length = await cards.find(credential.uid)
    credential.show(UID, length)
    mac.update(credential.input())          # for the pseudonym
    proof = await prover.prove(credential)  # kinds that prove themselves

It says nothing of how it came here: an MFRC522 at the bus is one way. A reader of another kind fills the same fields
under a kind of its own. A prover is whatever has `async prove(credential)`, which gives PROVEN, FALSE or LOST; the card
is ACTIVE when it is called, and in no known state afterwards.
"""

from micropython import const

# Kinds, as storage/record.py numbers them
UID = const(1)
CLASSIC = const(2)
NTAG424 = const(3)
DESFIRE = const(4)

# What a proof came to
PROVEN = const(1)  # the credential showed that it holds the key; a UID has nothing to prove
FALSE = const(2)  # it answered, and not as a genuine one does
LOST = const(3)  # the exchange broke off: nothing is known, it may be tried again

_LONGEST = const(10)
_STRENGTH = b"\0\1\2\3\3"


class Credential:
    """One presentation, filled in place, allocated once.

    To read: `uid` (10 bytes), `length` of it, `kind`; what a prover found: key `version` that fitted, `counter` that
    the card certainly holds, `counted` if this passage has moved it on.
    """

    def __init__(self):
        self._message = bytearray(1 + _LONGEST)
        view = memoryview(self._message)
        self.uid = view[1:]
        self._inputs = (view[:5], view[:8], view[:11])  # made once: a slice allocates
        self.kind = self.length = self.version = self.counter = 0
        self.counted = False

    def show(self, kind, length):
        """Begin a presentation: `uid` holds a UID of 4, 7 or 10 bytes, nothing is proved yet."""
        self.kind = kind
        self.length = length
        self.version = self.counter = 0
        self.counted = False

    def input(self):
        """What the pseudonym is made of: kind and UID. So a UID alone never meets the entry of a card with keys."""
        self._message[0] = self.kind
        return self._inputs[(self.length - 4) // 3]

    @property
    def strength(self):
        """1 weak (it can be copied in seconds), 2 (copied by who has broken the card), 3 (AES; not copied so far)."""
        return _STRENGTH[self.kind]
