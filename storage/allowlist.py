"""The allowlist: a hash table of cards on raw flash that no power cut can leave empty or half.

    cards = Allowlist(Flash(esp32.Partition.find(label="cards")[0]))
    cards.mount()
    if cards.find(pseudonym) and cards.entry.state == LIVE: ...
    cards.put(pseudonym, valid_from, valid_until, group, key_version=0, granted=0)  # renewal and resumption, too
    cards.set_revision(office_epoch, revision)  # after all changes of a delta

`find` and `use` are the card path: they erase nothing; `find` allocates nothing and reads one page in the common case.
Times are minutes since 2020. Every change takes effect in one program and may be applied again. The layout is in
docs/flash-formats.md.
"""

from micropython import const

from storage.cardcare import Care, ListFull, add
from storage.cardsector import overflow_triples
from storage.entry import (
    COUNTER,
    LIMITED,
    LIVE,
    REVOKED,
    SUSPENDED,
    Entry,
    mark,
    pack,
    pack_counter,
    sector_of,
    state,
    uses,
)

_NONE = const(0xFFFF)
_FORGOTTEN = const(-1)


class Allowlist(Care):
    """The cards that a door knows. The values of a change are those of `storage.entry.pack`."""

    def __init__(self, flash):
        super().__init__(flash)
        self.entry = Entry()
        self._new = bytearray(16)

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
        if entry.limited and self._counter >= 0:
            self._read_page(self._counter & ~255)
            left = uses(self._page, self._counter & 255)
            while left:
                entry.uses_left += left & 1
                left >>= 1
        return True

    def use(self, pseudonym):
        """Take one use from a card with limited uses; return how many are left."""
        if not self.find(pseudonym) or not self.entry.uses_left:
            raise ValueError("cards: this card has no use left, look before using")
        self._change(sector_of(pseudonym, self._logicals))
        at = self._counter
        left = uses(self._page, at & 255)
        bit = 48
        while not left & 1:
            left >>= 1
            bit += 3
        self._program(at + (bit >> 3), (~(7 << (bit & 7)) & 0xFFFF).to_bytes(2, "little"))
        self.entry.uses_left -= 1
        return self.entry.uses_left

    def put(self, pseudonym, *values):
        """Make a card live with exactly these values, whatever it was before.

        A put of what is already there changes nothing, uses that were taken included.
        """
        self._apply(LIVE, pseudonym, *values)

    def suspend(self, pseudonym, *values):
        """Suspend a card; the values count only if it is unknown. A revoked card stays revoked."""
        self._apply(SUSPENDED, pseudonym, *values)

    def revoke(self, pseudonym, *values):
        """Revoke a card, which stays known as revoked; the values count only if it is unknown."""
        self._apply(REVOKED, pseudonym, *values)

    def forget(self, pseudonym):
        """Make a card unknown."""
        self._apply(_FORGOTTEN, pseudonym, 0, 0, 0)

    # --- changes ---

    def _change(self, logical):
        if logical == self._job_sector:
            self._stop()

    def _apply(self, wanted, pseudonym, *values):
        new = card = self._new
        pack(new, pseudonym, *values)
        logical = sector_of(pseudonym, self._logicals)
        physical = self._map[logical]
        self._change(logical)
        copies = []
        entries = []  # what there shall be of this pseudonym, the counter before its card
        first = before = keep = counter = -1
        if physical != _NONE:
            first = self._seek(physical, self._overflow[logical], new, 0, copies)
        if first >= 0:
            old = self._settled(first)
            before = state(old, 0)
        if wanted == _FORGOTTEN:
            if not copies:
                return
        else:
            if wanted != LIVE and first >= 0:
                wanted = max(wanted, before)
                card = bytearray(old)
                keep = first
                counter = self._counter
                if counter >= 0:
                    entries.append(self._settled(counter))
            else:
                if new[13] & 3 == LIMITED:
                    entries.append(bytearray(16))
                    pack_counter(entries[0], pseudonym, values[4])
                if wanted == LIVE:
                    keep, counter = self._same(copies, entries)
            mark(card, wanted)
            entries.append(card)
        try:
            done = physical != _NONE and self._in_place(logical, wanted > before, keep, entries)
            if done:
                # The last in probe order first: until the end the one that counted before counts.
                for at in reversed(copies):
                    if at != keep and at != counter:
                        self._program(at + 15, b"\x1f")
        except OSError:
            self.errors += 1
            done = False
        if not done:
            self._stop()
            try:
                for _ in self._care(logical, new, entries):
                    pass
            except ListFull:
                self._visit(logical)  # tombstones may give way there
                raise
            except OSError:
                self.scrub()  # how far it came is not known
                raise
        if logical < self._counted:
            if before >= 0:
                add(self._sums, old, before, -1)
            if wanted != _FORGOTTEN:
                add(self._sums, card, wanted, 1)

    def _same(self, copies, entries):
        """Return the addresses of a live card that equals _new, and of its counter; -1 for none."""
        counter = -1
        for at in copies:
            slot = self._settled(at)
            if slot[13] & 3 == COUNTER:
                counter = at
                granted = slot[12]
            elif slot[:14] == self._new[:14] and state(slot, 0) == LIVE:
                if not entries:
                    return at, -1
                if counter >= 0 and granted == entries[0][12]:
                    return at, counter
        return -1, -1

    def _in_place(self, logical, marking, keep, entries):
        """Mark the card that is kept, or program new entries; False if there is no room."""
        if keep >= 0:
            if marking:
                self._mark(keep, entries[-1])
            return True
        physical = self._map[logical]
        for entry in entries:
            at = self._vacant(physical, entry)
            if at < 0:
                return False
            passed = self._passed
            if passed:
                self._visit(logical)
                if passed & ~self._overflow[logical]:
                    self._program(physical << 12 | 26, overflow_triples(passed))
                    self._overflow[logical] |= passed
            if state(entry, 0) != LIVE:
                # Before the entry itself, which a torn program could else leave live.
                self._mark(at, entry)
            self._program(at, entry)
        return True

    def _mark(self, at, entry):
        """Clear the state triples that are cleared in `entry`."""
        self._program(at + 14, bytes((entry[14] | 127, entry[15])))
