"""A list of cards and what an office changes in it, for the benches. Runs on MicroPython.

    office = Office(Allowlist(flash), seed=1)
    office.load(24000)
    for _ in range(CHANGES_A_YEAR):
        office.change()

Of 100 changes 30 let residents move (in while the list is smaller than it was loaded, else out), 20 are visitors with
up to 16 uses who stay a week, 28 renew a card, 16 suspend one or let it be used again, 6 revoke one. A card is valid
for one to five years, so tombstones give way in time.
"""

import random
from hashlib import sha256

from storage.allowlist import ListFull

CHANGES_A_DAY = 50
CHANGES_A_YEAR = 365 * CHANGES_A_DAY

_VISITORS = 35  # five a day, a week each
_MOST_SUSPENDED = 40
_NOW_MIN = 3_200_000  # since 2020: in the year 2026
_YEAR_MIN = 525_600
_KEPT_MIN = 129_600  # a tombstone may give way so long after its card's own expiry


class Office:
    """The list as the office knows it, beside the door's."""

    def __init__(self, cards, seed, changes_a_day=CHANGES_A_DAY):
        random.seed(seed)
        print("seed", seed)
        self.cards = cards
        self.refused = 0
        self.changes = 0
        self._seed = seed
        self._changes_a_day = changes_a_day
        self._now_min = _NOW_MIN
        self._size = 0
        self._serial = 0
        self._residents = []
        self._tombstones = []
        self._visitors = []
        self._suspended = []
        self._until = {}  # numbers only: small objects all over the heap would leave no room for a large one

    def pseudonym(self, number):
        """Return the 7 bytes of a card; numbers that were not given yet are unknown cards."""
        return sha256(b"bench %d card %d" % (self._seed, number)).digest()[:7]

    # --- bulk load ---

    def load(self, count):
        """Put so many cards on the list, a tenth of them tombstones; False as soon as one is refused."""
        for _ in range(count):
            number = self._serial
            until = _NOW_MIN + random.randrange(5 * _YEAR_MIN)
            change = self.cards.revoke if number % 10 == 9 else self.cards.put
            try:
                change(self.pseudonym(number), _NOW_MIN, until, number % 5)
            except ListFull:
                return False
            (self._tombstones if number % 10 == 9 else self._residents).append(number)
            self._until[number] = until
            self._serial += 1
            self._size += 1
        return True

    def known(self):
        """Return the numbers of all cards and tombstones that the door must know."""
        return self._residents + self._visitors + [number for number in self._tombstones if self._is_kept(number)]

    def _is_kept(self, number):
        return self._until[number] + _KEPT_MIN >= self._now_min

    # --- changes ---

    def change(self):
        """One change, its revision, and all the idle work that follows."""
        try:
            self._any()
        except ListFull:
            self.refused += 1
        self.changes += 1
        self._now_min = _NOW_MIN + self.changes * 1440 // self._changes_a_day
        self.cards.set_revision(1, self.changes)
        self.settle()

    def settle(self):
        """Let the list do its idle work until there is none."""
        while self.cards.idle(self._now_min):
            pass

    def _any(self):
        dice = random.randrange(100)
        if dice < 30:
            if sum(self.cards.fill()[:2]) < self._size:
                self._residents.append(self._new(0))
            else:
                self._leave()
        elif dice < 50:
            if len(self._visitors) < _VISITORS:
                self._visitors.append(self._new(1 + random.randrange(16)))
            else:
                self.cards.forget(self.pseudonym(self._visitors[0]))
                self._visitors.pop(0)
        elif dice < 78:
            self._renew(random.choice(self._residents))
        elif dice < 94:
            if len(self._suspended) < _MOST_SUSPENDED:
                number = random.choice(self._residents)
                self.cards.suspend(self.pseudonym(number), 0, 0, 0)
                self._suspended.append(number)
            else:
                self._renew(self._suspended[0])
                self._suspended.pop(0)
        else:
            index = random.randrange(len(self._residents))
            number = self._residents[index]
            self.cards.revoke(self.pseudonym(number), 0, 0, 0)
            self._tombstones.append(number)
            self._take_off(index)

    def _new(self, uses):
        number = self._serial
        self._put(number, uses)
        self._serial += 1
        return number

    def _renew(self, number):
        self._put(number, 0)

    def _put(self, number, uses):
        until = self._now_min + (1 + random.randrange(5)) * _YEAR_MIN
        self.cards.put(self.pseudonym(number), self._now_min, until, number % 5, 0, uses)
        if not uses:
            self._until[number] = until

    def _leave(self):
        """The office forgets a card, or a tombstone that it no longer needs."""
        while True:
            index = random.randrange(len(self._residents) + len(self._tombstones))
            if index < len(self._residents):
                number = self._residents[index]
                self.cards.forget(self.pseudonym(number))
                self._take_off(index)
                del self._until[number]
                return
            number = self._tombstones.pop(index - len(self._residents))
            kept = self._is_kept(number)
            del self._until[number]
            if kept:
                self.cards.forget(self.pseudonym(number))
                return

    def _take_off(self, index):
        number = self._residents[index]
        self._residents[index] = self._residents[-1]
        self._residents.pop()
        while number in self._suspended:
            self._suspended.remove(number)
