"""Who lies at the reader: which cards are known, whose turn it is to be asked for, and who is reported.

The base of `Iso14443a` (drivers/iso14443a.py), which does the talking. Up to four cards are known at a time; each is
one presence, however long it stays.
"""

from micropython import const

SEVERAL = const(-1)

REQA = const(0x26)  # wakes cards in IDLE, ISO/IEC 14443-3 6.4.1
WUPA = const(0x52)  # and those in HALT
MOST = const(4)

# A card that is known: UID (10 bytes), its length, times that others answered and it did not, still to be reported
LENGTH = const(10)
MISSED = const(11)
NEW = const(12)


class Presence:
    """The cards that are there."""

    def __init__(self):
        # Those that are there come first, in the order in which they came; the one behind them is for reading
        self._cards = [bytearray(13) for _ in range(MOST + 1)]
        self._count = 0
        self._turn = 0  # whose presence is asked for next; _count: are there others?
        self._last = None  # reported
        self._absent = None  # did not answer its SELECT in this find()
        self._out = self._cards[0]
        self.present = 0  # length of the UID of the card that came last, or SEVERAL
        self.several = False  # more than one card is there
        self._code = WUPA
        self._target = None  # UID for SELECT without anticollision
        self._size = 0
        self._level = 0
        self._collided = False  # in this find()

    def _next_turn(self):
        turn = self._turn
        self._absent = None
        if turn < self._count:
            self._target = card = self._cards[turn]
            self._size = card[LENGTH]
            self._turn = turn + 1
        else:
            self._code = REQA  # those that are known are in HALT and do not hear it
            self._turn = 0

    def forget(self):
        """Report the card of the last time again, if it is still there."""
        if self._last is not None:
            self._last[NEW] = 1
            self._turn = 0

    def _settle(self):
        """Those that are known are all that are there."""
        count = self._count
        self.several = count > 1
        self.present = self._cards[count - 1][LENGTH] if count else 0

    def _too_many(self):
        self.several = True
        if self.present == SEVERAL:
            return 0
        self.present = SEVERAL
        return SEVERAL

    def _rare(self):
        from drivers import anticollision  # when a card first lies beside another: most doors never need it

        return anticollision

    def _read(self):
        """A card was read by anticollision. Gives it, be it new or known."""
        count = self._count
        card = self._cards[count]
        card[LENGTH] = 3 * self._level + 4
        card[MISSED] = 0
        card[NEW] = 1
        if count:
            card = self._rare().known(self, self._cards, card)
        else:
            self._count = 1
        self._turn = self._count  # whom else?
        return card

    def _report(self, card):
        if card is self._cards[MOST]:
            return self._too_many()
        card[NEW] = 0
        self._last = card
        self.several = self._collided or self._count > 1
        self.present = length = card[LENGTH]
        out = self._out
        index = 0
        while index < length:
            out[index] = card[index]
            index += 1
        return length
