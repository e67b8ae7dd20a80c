"""Care of the cards region while the door is idle: survey, digests, rewriting of sectors that run out of room.

    while cards.idle(now_min):  # one bounded piece of work each
        await asyncio.sleep_ms(0)

Between storage/cardsector.py and storage/allowlist.py. A *survey* reads one logical sector page by page: it counts, adds up
digests, repairs triples and notes which slots a rewrite would keep. A *rewrite* copies those to a spare sector, page by page, header last.
"""

from micropython import const

from storage.cardsector import Sectors, overflow_triples
from storage.entry import (
    COUNTER,
    DEAD,
    LIMITED,
    NO_END,
    REVOKED,
    get24,
    home_page,
    settle,
    state,
    step,
    token,
    valid,
)

_NONE = const(0xFFFF)
_DIRTY = const(0)
_MARKED = const(1)
_BAD = const(3)
_TABLE = const(0x43)
_SLOTS = const(254)  # of a sector
_GONE = const(255)  # in the index: not to be kept
_KEEP_TOMBSTONE_MIN = const(129600)  # 90 days after the card's own expiry
_EIO = const(5)
_ENOSPC = const(28)


class ListFull(OSError):
    """No room for one more entry in its sector; the list is as it was."""


class Care(Sectors):
    """Survey and rewrite."""

    def __init__(self, flash):
        super().__init__(flash)
        self._source = bytearray(256)
        self._image = bytearray(256)
        self._pair = bytearray(32)  # a counter and its card on their way
        self._index = bytearray(256)  # home page of each slot that a rewrite keeps
        self._sums = bytearray(16)  # digests of live entries and tombstones
        self._part = bytearray(16)  # of the sector under survey
        self._dropping = bytearray(16)  # of the tombstones that the rewrite leaves out
        self._totals = [0, 0]  # live entries and tombstones
        self._part_totals = [0, 0]
        self._dropping_totals = [0, 0]
        self._survey = self._target = -1
        self._now_min = None
        self.dropped = 0  # tombstones that gave way, since start
        self.scrub()

    def scrub(self):
        """Read and count everything again from now on; `digest` is unknown until then."""
        self._survey = -1
        self._counted = 0  # logical sectors below this one are in the totals
        self._sums[:] = bytes(16)
        self._totals[:] = [0, 0]
        self.torn = 0  # entries that fail their checks

    def _forget(self):
        super()._forget()
        self._target = -1
        self.scrub()

    def digest(self):
        """Return the digests of live entries and of tombstones, 8 bytes each; None before all were read."""
        if self._counted < self._logicals:
            return None
        return bytes(self._sums[:8]), bytes(self._sums[8:])

    def fill(self):
        """Return live entries, tombstones (so far, while `digest` is None) and slots in all."""
        return self._totals[0], self._totals[1], _SLOTS * self._logicals

    def idle(self, now_min=None):
        """Do one piece of work; False if there is none. Tombstones give way only if the time is known."""
        self._now_min = now_min
        try:
            return self._work()
        except OSError:
            self.errors += 1
            self._abort(_BAD)
            return False

    def _work(self):
        if self._target >= 0:
            self._copy_step()
        elif self._survey >= 0:
            self._survey_step()
        elif not self._counts[_MARKED] and self._erase_one():
            pass
        elif max(self._visits):
            for logical in range(self._logicals):
                if self._visits[logical >> 3] >> (logical & 7) & 1:
                    break
            self._visits[logical >> 3] ^= 1 << (logical & 7)
            self._begin(logical)
        elif self._counted < self._logicals:
            if self._map[self._counted] == _NONE:
                self._counted += 1
            else:
                self._begin(self._counted)
        else:
            return self._erase_one()
        return True

    # --- lookup ---

    def _seek(self, physical, overflow, key, k, copies=None):
        """Return the address of the card whose six bytes stand at key[k], or -1; its page is in _page then.

        The first copy in probe order that is not dead counts; `_counter` is the address of the counter before it, or -1.
        With a list, go on and append the address of every copy and counter. Allocates nothing without.
        """
        page = home = home_page(key, k)
        stride = step(key, k)
        buf = self._page
        counter = found = -1
        while True:
            at = physical << 12 | page << 8
            self._read_page(at)
            off = 0 if page else 32
            while off < 256:
                if (
                    buf[off] == key[k]
                    and buf[off + 1] == key[k + 1]
                    and buf[off + 2] == key[k + 2]
                    and buf[off + 3] == key[k + 3]
                    and buf[off + 4] == key[k + 4]
                    and buf[off + 5] == key[k + 5]
                    and valid(buf, off)
                    and state(buf, off) != DEAD
                ):
                    if copies is not None:
                        copies.append(at | off)
                    if buf[off + 13] & 3 == COUNTER:
                        counter = at | off
                    elif found < 0:
                        found = at | off
                        self._counter = counter
                        if copies is None:
                            return found
                off += 16
            if not overflow >> page & 1:
                return found
            page = page + stride & 15
            if page == home:
                return found

    def _vacant(self, physical, entry):
        """Return the address of the first erased slot for an entry, or -1; `_passed` are the full pages before it."""
        page = home_page(entry, 0)
        stride = step(entry, 0)
        self._passed = 0
        while not self._passed >> page & 1:
            at = physical << 12 | page << 8
            self._read_page(at)
            for off in range(0 if page else 32, 256, 16):
                if min(self._view[off : off + 16]) == 255:
                    return at | off
            self._passed |= 1 << page
            page = page + stride & 15
        return -1

    # --- survey ---

    def _begin(self, logical):
        self._survey = logical
        self._survey_page = 0
        self._used = self._kept = self._part_torn = 0
        self._urgent = False
        for i in range(16):
            self._part[i] = self._dropping[i] = 0
        for i in range(2):
            self._part_totals[i] = self._dropping_totals[i] = 0

    def _survey_step(self):
        """Survey one page; after the last, decide whether the sector is to be rewritten."""
        self._survey_page_now()
        if self._survey_page == 16:
            self._merge()
            reclaimable = self._used - self._kept
            # At three fifths of the room that a rewrite gives: later, lookups get long; earlier, flash wears.
            if self._urgent or (reclaimable >= 8 and 5 * reclaimable >= 3 * (_SLOTS - self._kept)):
                self._begin_copy()
            else:
                self._survey = -1

    def _merge(self):
        """Put a sector that was never counted into the totals."""
        if self._survey == self._counted:
            _add(self._sums, self._totals, self._part, self._part_totals, 1)
            self.torn += self._part_torn
            self._counted += 1

    def _survey_page_now(self):
        logical = self._survey
        page = self._survey_page
        physical = self._map[logical]
        if page == 0:
            self._survey_header(logical)
        at = physical << 12 | page << 8
        self._flash.read(at, self._source)
        for off in range(0 if page else 32, 256, 16):
            self._index[page << 4 | off >> 4] = self._survey_slot(logical, at | off, self._source[off : off + 16])
        self._survey_page = page + 1

    def _survey_header(self, logical):
        """Repair overflow triples; a header that was put right while reading asks for a rewrite."""
        physical = self._map[logical]
        self._load_header(physical)
        self._urgent = self._flawed
        triples = overflow_triples(self._overflow[logical])
        for i in range(6):
            if self._head[26 + i] & ~triples[i]:
                self._repair(physical << 12 | 26, triples)
                break

    def _repair(self, at, buf):
        """Clear the rest of triples; where the flash refuses, a rewrite helps."""
        self.repairs += 1
        try:
            self._program(at, buf)
        except OSError:
            self.errors += 1
            self._urgent = True

    def _survey_slot(self, logical, at, slot):
        """Look at one slot; return its home page if a rewrite keeps it."""
        if min(slot) == 255:
            return _GONE
        self._used += 1
        if not valid(slot, 0):
            self._part_torn += 1
            return _GONE
        status = state(slot, 0)
        old = bytes(slot)
        if settle(slot):
            self._repair(at, slot)
            # What should be ones again needs a fresh slot.
            for i in range(6, 16):
                if slot[i] & ~old[i] and status != DEAD:
                    self._urgent = True
        if status == DEAD or slot[13] & 3 == COUNTER:
            return _GONE
        if self._seek(self._map[logical], self._overflow[logical], slot, 0) != at:
            return _GONE  # superseded, but power went before it was marked so
        self._account(self._part, self._part_totals, slot, status, 1)
        until = get24(slot, 9)
        if (
            status == REVOKED
            and self._now_min is not None
            and until != NO_END
            and until + _KEEP_TOMBSTONE_MIN < self._now_min
        ):
            self._account(self._dropping, self._dropping_totals, slot, status, 1)
            return _GONE
        self._kept += 1 + (slot[13] & 3 == LIMITED and self._counter >= 0)
        return home_page(slot, 0)

    def _account(self, sums, totals, slot, status, sign):
        """Add an entry to digests and totals, or take it away."""
        dead = status == REVOKED
        totals[dead] += sign
        at = 8 if dead else 0
        for byte in token(slot, status):
            sums[at] ^= byte
            at += 1

    # --- rewrite ---

    def _begin_copy(self):
        """Rewrite the sector that was surveyed."""
        self._target = self._spare()
        self._target_overflow = 0
        self._copy_page = 0 if self._map[self._survey] != _NONE else 16

    def _copy_step(self):
        if self._copy_page < 16:
            self._copy_page_now()
        elif not self._copy_rest():
            self._finish()

    def _copy_page_now(self):
        """Program what has its home in one page with one program; what finds no room there stays in the index."""
        page = self._copy_page
        start = end = 0 if page else 32
        for slot in range(2, 256):
            if self._index[slot] == page:
                size = self._load(slot)
                if end + size <= 256:
                    self._image[end : end + size] = self._pair[32 - size :]
                    end += size
                    self._index[slot] = _GONE
        if end > start:
            self._program(self._target << 12 | page << 8 | start, memoryview(self._image)[start:end])
        self._copy_page = page + 1

    def _copy_rest(self):
        """Copy one card that found no room in its home page; False if there is none."""
        for slot in range(2, 256):
            if self._index[slot] != _GONE:
                self._index[slot] = _GONE
                size = self._load(slot)
                if size == 32:
                    self._add_to_target(self._pair[:16])
                self._add_to_target(self._pair[16:])
                return True
        return False

    def _load(self, slot):
        """Have a card in the second half of _pair, its counter in the first if it has one; return their size."""
        physical = self._map[self._survey]
        card = memoryview(self._pair)[16:]
        self._flash.read(physical << 12 | slot << 4, card)
        settle(card)
        if card[13] & 3 == LIMITED:
            self._seek(physical, self._overflow[self._survey], card, 0)
            if self._counter >= 0:
                counter = memoryview(self._pair)[:16]
                self._flash.read(self._counter, counter)
                settle(counter)
                return 32
        return 16

    def _add_to_target(self, entry):
        at = self._vacant(self._target, entry)
        if at < 0:
            raise OSError(_EIO, "cards: a rewritten sector has less room than it should, replace the controller")
        self._target_overflow |= self._passed
        self._program(at, entry)

    def _finish(self):
        """Let the rewritten sector take over: one program, the header, decides."""
        logical = self._survey
        source = self._map[logical]
        generation = self._generation(source) + 1 if source != _NONE else 1
        self._write_header(self._target, _TABLE, logical, generation, self._target_overflow)
        self._map[logical] = self._target
        self._overflow[logical] = self._target_overflow
        self._target = self._survey = -1
        if logical < self._counted:
            _add(self._sums, self._totals, self._dropping, self._dropping_totals, -1)
        self.dropped += self._dropping_totals[1]
        if source != _NONE:
            self._set_kind(source, _DIRTY)
            try:
                self._program(source << 12 | 22, b"\xf8")
            except OSError:
                self.errors += 1  # its lower generation says the same

    def _abort(self, kind=_DIRTY):
        """Give up survey and rewrite; the list is as it was."""
        if self._target >= 0:
            self._set_kind(self._target, kind)
        self._target = self._survey = -1

    def _touch(self, logical):
        """Before a change of this sector: what was learned about it is no longer true."""
        if self._survey == logical:
            self._abort()
            self._visit(logical)

    def _visit(self, logical):
        """Survey this sector again when idle."""
        self._visits[logical >> 3] |= 1 << (logical & 7)

    def _rewrite(self, logical, key, entries):
        """Rewrite a sector at once, with `entries` in place of all that it has of the card at `key`."""
        self._abort()
        self._begin(logical)
        self._now_min = None
        physical = self._map[logical]
        if physical != _NONE:
            while self._survey_page < 16:
                self._survey_page_now()
            at = self._seek(physical, self._overflow[logical], key, 0)
            if at >= 0:
                self._index[at >> 4 & 255] = _GONE
                self._kept -= 1 + (self._page[(at & 255) + 13] & 3 == LIMITED and self._counter >= 0)
        else:
            for slot in range(256):
                self._index[slot] = _GONE
        if self._kept + len(entries) > _SLOTS:
            self._abort()
            self._visit(logical)  # tombstones may give way there
            raise ListFull(_ENOSPC, "cards: no room for this card in its sector, remove cards or use a larger flash")
        try:
            self._begin_copy()
            while self._copy_page < 16:
                self._copy_page_now()
            while self._copy_rest():
                pass
            for entry in entries:
                self._add_to_target(entry)
            self._finish()
        except OSError:
            self._abort(_BAD)
            raise


def _add(sums, totals, part, part_totals, sign):
    """Add the sums of a part to those of the whole, or take them away."""
    for i in range(16):
        sums[i] ^= part[i]
    for i in range(2):
        totals[i] += sign * part_totals[i]
