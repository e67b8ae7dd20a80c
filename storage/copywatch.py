"""Finds a copied card by its passage counter: the journal itself remembers what each card held when it left.

    copies = CopyWatch(journal)              # after the journal is mounted
    while copies.look():                     # a page of flash each; False: nothing left to look at
        if copies.rolled_back: ...           # pseudonym, evidence: of the passage that came with too low a counter

A record of a passage carries the counter that the card certainly held afterwards (record.evidence). Who comes with a
lower one later is a copy, or the copy was here between. Each new record is compared with the newest one before it of
the same card; so no memory is needed, a restart forgets nothing, and a tap does not wait for it.
"""

from micropython import const

from storage import record

_SLOTS = const(128)
_SLOTS_IN_PAGE = const(8)


class CopyWatch:
    """Follows one journal from now on."""

    def __init__(self, journal):
        self._journal = journal
        self._sector = journal._top
        self._slot = journal._slot
        self._back = -1  # slot of the search backwards, -1: there is none
        self._left = 0  # sectors that it may still go through
        self.pseudonym = bytearray(7)
        self.evidence = 0
        self.rolled_back = False

    def look(self):
        """Look at one page, backwards, or at one record, forwards. False if all records have been compared."""
        self.rolled_back = False
        if self._back >= 0:
            self._search()
            return True
        journal = self._journal
        if self._slot >= (journal._slot if self._sector == journal._top else _SLOTS):
            if self._sector == journal._top:
                return False
            self._sector = journal._after(self._sector, journal._ring(self._sector))[0]
            self._slot = 1
            return True
        offset = journal._load(self._sector, self._slot)
        if self._counts(offset):
            page = journal._page
            self.pseudonym[:] = page[offset + record.PSEUDONYM : offset + record.DETAIL]
            self.evidence = record.get30(page, offset + record.DETAIL)
            self._at = self._sector
            self._back = self._slot - 1
            self._left = journal._sectors
        self._slot += 1
        return True

    def _counts(self, offset):
        """Is this a passage with a counter?"""
        page = self._journal._page
        return (
            record.code(page[offset]) == record.SINGLE
            and page[offset + record.KIND] == record.GRANTED
            and record.shown(record.get30(page, offset + record.DETAIL))[0] == record.KIND_CLASSIC
        )

    def _search(self):
        """One page further back, until the card's passage before is found or the journal ends."""
        journal = self._journal
        slot = self._back
        offset = journal._load(self._at, slot)
        page = journal._page
        pseudonym = self.pseudonym
        if bytes(pseudonym) in page:
            while offset >= 0:
                if page[offset + record.PSEUDONYM : offset + record.DETAIL] == pseudonym and self._counts(offset):
                    self._compare(record.get30(page, offset + record.DETAIL))
                    self._back = -1
                    return
                offset -= 32
        self._back = (slot & -_SLOTS_IN_PAGE) - 1
        if self._back < 0:
            self._left -= 1
            if self._at != journal._tail and self._left:
                self._at = (self._at - 1) % journal._sectors
                self._back = _SLOTS - 1

    def _compare(self, before):
        _, _, counted, held = record.shown(self.evidence)
        if counted:
            held -= 1  # what it held when it came
        self.rolled_back = held < record.shown(before)[3]
