"""The allowlist: a hash table of cards on raw flash that no power cut can leave empty or half.

    cards = Allowlist(Flash(esp32.Partition.find(label="cards")[0]))
    cards.mount()
    if cards.find(pseudonym) and cards.entry.state == LIVE: ...
    cards.put(pseudonym, valid_from, valid_until, group)  # renewal and resumption, too
    cards.set_revision(office_epoch, revision)  # after all changes of a delta

`find` and `use` are the card path: they erase nothing, and `find` allocates nothing and reads one page in the common case.
Times are minutes since 2020. Every change takes effect in one program and may be applied again. Layout: docs/flash-formats.md.
"""

from micropython import const

from storage.cardcare import Care
from storage.cardcare import ListFull as ListFull  # for callers
from storage.entry import (
    CARD,
    COUNTER,
    LIMITED,
    LIVE,
    REVOKED,
    SUSPENDED,
    Entry,
    mark,
    next_use,
    pack,
    pack_counter,
    sector_of,
    state,
    uses_left,
)

_NONE = const(0xFFFF)
_FORGOTTEN = const(-1)


class Allowlist(Care):
    """The cards that a door knows."""

    def __init__(self, flash):
        super().__init__(flash)
        self.entry = Entry()
        self._new = bytearray(16)
        self._old = bytearray(16)

    def find(self, pseudonym):
        """Look a pseudonym up and fill `entry`; False if it is unknown."""
        logical = sector_of(pseudonym, self._logicals)
        physical = self._map[logical]
        if physical == _NONE:
            return False
        self._cached = -1  # what lies in flash now decides, not what was read before
        at = self._seek(physical, self._overflow[logical], pseudonym, 1)
        if at < 0:
            return False
        entry = self.entry
        entry.load(self._page, at & 255)
        counter = self._counter
        if entry.limited and counter >= 0:
            if counter >> 8 == at >> 8:
                entry.uses_left = uses_left(self._page, counter & 255)
            else:
                self._flash.read(counter, self._slot)
                entry.uses_left = uses_left(self._slot, 0)
        return True

    def use(self, pseudonym):
        """Take one use from a card with limited uses; return how many are left."""
        if not self.find(pseudonym) or not self.entry.uses_left:
            raise ValueError("cards: this card has no use left, look before using")
        self._touch(sector_of(pseudonym, self._logicals))
        self._flash.read(self._counter, self._slot)
        bit = 3 * next_use(self._slot, 0)
        clear = ~(7 << (bit & 7))
        self._slot[0] = clear & 255
        self._slot[1] = clear >> 8 & 255
        self._program(self._counter + 6 + (bit >> 3), memoryview(self._slot)[:2])
        self.entry.uses_left -= 1
        return self.entry.uses_left

    def put(self, pseudonym, valid_from, valid_until, group, key_version=0, uses=0):
        """Make a card live with exactly these values, whatever it was before; uses 0 = no limit.

        A put of what is already there changes nothing, uses that were taken included.
        """
        self._apply(LIVE, pseudonym, valid_from, valid_until, group, key_version, uses)

    def suspend(self, pseudonym, valid_from, valid_until, group, key_version=0, uses=0):
        """Suspend a card; the values count only if it is unknown. A revoked card stays revoked."""
        self._apply(SUSPENDED, pseudonym, valid_from, valid_until, group, key_version, uses)

    def revoke(self, pseudonym, valid_from, valid_until, group, key_version=0, uses=0):
        """Revoke a card, which stays known as revoked; the values count only if it is unknown."""
        self._apply(REVOKED, pseudonym, valid_from, valid_until, group, key_version, uses)

    def forget(self, pseudonym):
        """Make a card unknown."""
        self._apply(_FORGOTTEN, pseudonym, 0, 0, 0, 0, 0)

    # --- changes ---

    def _apply(self, wanted, pseudonym, valid_from, valid_until, group, key_version, uses):
        new = self._new
        entries = []  # what there shall be of this pseudonym, the counter before its card
        pack(new, pseudonym, valid_from, valid_until, group, key_version, LIMITED if uses else CARD)
        if uses:
            counter = bytearray(16)
            pack_counter(counter, pseudonym, uses)
            entries.append(counter)
        logical = sector_of(pseudonym, self._logicals)
        physical = self._map[logical]
        self._touch(logical)
        copies = []
        before = -1
        first = self._seek(physical, self._overflow[logical], new, 0, copies) if physical != _NONE else -1
        if first >= 0:
            self._flash.read(first, self._old)
            before = state(self._old, 0)
        elif wanted == _FORGOTTEN and not copies:
            return
        card = new
        if wanted == _FORGOTTEN:
            entries = []
        else:
            if wanted != LIVE and first >= 0:
                wanted = max(wanted, before)
                card = bytearray(self._old)
                entries = []
                if self._counter >= 0:
                    self._flash.read(self._counter, self._slot)
                    entries.append(bytearray(self._slot))
                keep = first, self._counter
            else:
                keep = self._same(copies, uses) if wanted == LIVE else (-1, -1)
            mark(card, wanted)
            entries.append(card)
        try:
            done = False
            if physical != _NONE:
                try:
                    if wanted == _FORGOTTEN:
                        done = self._kill(copies, -1, -1)
                    elif keep[0] < 0:
                        done = self._place_all(logical, entries) and self._kill(copies, -1, -1)
                    else:
                        if wanted != before and wanted != LIVE:
                            self._mark_at(keep[0], card)
                        done = self._kill(copies, keep[0], keep[1])
                except OSError:
                    self.errors += 1
            if not done:
                self._rewrite(logical, new, entries)
        except ListFull:
            raise
        except OSError:
            self.scrub()  # how far it came is not known
            raise
        if logical < self._counted:
            if before >= 0:
                self._account(self._sums, self._totals, self._old, before, -1)
            if wanted != _FORGOTTEN:
                self._account(self._sums, self._totals, card, wanted, 1)

    def _same(self, copies, uses):
        """Return the addresses of a live card that equals _new, and of its counter; -1 for none."""
        counter = -1
        slot = self._slot
        for at in copies:
            self._flash.read(at, slot)
            if slot[13] & 3 == COUNTER:
                counter = at
                granted = slot[12]
            elif slot[:14] == self._new[:14] and state(slot, 0) == LIVE:
                if not uses:
                    return at, -1
                if counter >= 0 and granted == uses:
                    return at, counter
        return -1, -1

    def _place_all(self, logical, entries):
        for entry in entries:
            if not self._place(logical, entry):
                return False
        return True

    def _place(self, logical, entry):
        """Program a new entry into the first erased slot; False if there is none."""
        physical = self._map[logical]
        at = self._vacant(physical, entry)
        if at < 0:
            return False
        passed = self._passed
        if passed:
            self._visit(logical)
            if passed & ~self._overflow[logical]:
                self._write_overflow(physical, passed)
                self._overflow[logical] |= passed
        if state(entry, 0) != LIVE:
            # Before the entry itself, which a torn program could else leave live.
            self._mark_at(at, entry)
        self._program(at, entry)
        return True

    def _mark_at(self, at, entry):
        """Clear the state triples that are cleared in `entry`."""
        self._program(at + 14, bytes((entry[14] | 127, entry[15])))

    def _kill(self, copies, card, counter):
        """Mark all copies dead but these two, the last in probe order first: until the end the first one counts."""
        for at in reversed(copies):
            if at != card and at != counter:
                self._program(at + 15, b"\x1f")
        return True
