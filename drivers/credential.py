"""What a card shows of itself, and how a proof of it can end.

    credential = Credential()                  # once; filled in place at each presentation
    credential.length = await cards.find(credential.uid)
    credential.sak = cards.sak
    if await prover.prove(credential) == PROVEN:
        serve(credential)

A prover (drivers/ev2.py, drivers/classic.py) has the one method `prove(credential)`. It wants the card ACTIVE with
`uid`, `length` and `sak` set, fills in the rest, and leaves the card deselected or in an unknown state: cards.lost()
comes next. Nothing here assumes that the reader hangs on a bus of this chip.
"""

from micropython import const

# Kinds
UID = const(1)
CLASSIC = const(2)
NTAG424 = const(3)
DESFIRE = const(4)

# Results of prove()
PROVEN = const(1)  # the card holds the key
FALSE = const(2)  # it answered, whole and clearly, and not as a genuine card does
LOST = const(3)  # the exchange broke off, or the card asks for time: nothing is known, try again


class Credential:
    """One presentation of a card."""

    def __init__(self, kind=UID):
        self.kind = kind
        self.uid = bytearray(10)
        self.length = 0
        self.sak = 0
        self.version = 0  # of the key that fitted
        self.counter = 0  # classic: passages that the card certainly holds now
        self.counted = False  # classic: this passage was counted on the card and read back
        self.rolled = False  # classic: the counter is behind the one last seen; the caller judges that

    @property
    def strength(self):
        """1: a UID is copied in seconds, 2: Crypto1 stops kiosks but no laboratory, 3: AES."""
        return self.kind if self.kind < NTAG424 else 3
