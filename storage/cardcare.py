"""Care of the cards region while the door is idle: survey, digests, rewriting of sectors that run out of room.

    while cards.idle(now_min):  # one bounded piece of work each
        await asyncio.sleep_ms(0)

Between storage/cardsector.py and storage/allowlist.py. A *survey* reads one logical sector page by page: it counts,
adds up digests, repairs triples and notes which slots a rewrite would keep. A *rewrite* copies those to a spare sector,
page by page, header last.
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
_TABLE = const(0x43)
_SLOTS = const(254)  # of a sector
_GONE = const(255)  # in the index: not to be kept
_KEEP_TOMBSTONE_MIN = const(129600)  # 90 days after the card's own expiry
_MOST_VISITS = const(32)
_ENOSPC = const(28)


class ListFull(OSError):
    """No room for one more entry in its sector; the list is as it was."""


class Care(Sectors):
    """Survey and rewrite."""

    def __init__(self, flash):
        super().__init__(flash)
        self._image = bytearray(256)
        self._index = bytearray(256)  # home page of each slot that a rewrite keeps
        self._visits = []  # sectors to survey, because entries went past a full page
        self._job = None
        self._now_min = None
        self.repairs = 0  # triples and headers that disagreed, since start
        self.dropped = 0  # tombstones that gave way, since start

    def _clear(self):
        super()._clear()
        self.scrub()

    def scrub(self):
        """Read and count everything again from now on; `digest` is unknown until then."""
        self._stop()
        self._job_sector = -1
        self._counted = 0  # logical sectors below this one are in the sums
        self._sums = [0, 0, 0, 0]  # digests of live entries and tombstones, and how many there are
        self.torn = 0  # entries that fail their checks

    def digest(self):
        """Return the digests of live entries and of tombstones, 8 bytes each; None before all were read."""
        if self._counted < self._logicals:
            return None
        return self._sums[0].to_bytes(8, "little"), self._sums[1].to_bytes(8, "little")

    def fill(self):
        """Return live entries, tombstones (so far, while `digest` is None) and slots in all."""
        return self._sums[2], self._sums[3], _SLOTS * self._logicals

    def idle(self, now_min=None):
        """Do one piece of work; False if there is none. Tombstones give way only if the time is known."""
        self._now_min = now_min
        try:
            if self._job is None:
                if not self._counts[_MARKED] and self._erase_one():
                    return True
                if self._visits:
                    self._job_sector = self._visits.pop()
                elif self._counted < self._logicals:
                    self._job_sector = self._counted
                else:
                    return self._erase_one()
                self._job = self._care(self._job_sector)
            next(self._job)
        except StopIteration:
            self._job = None
        except OSError:
            self.errors += 1
            self._job = None
            return False
        return True

    def _erase_one(self):
        if self._counts[_DIRTY]:
            for sector in range(self._flash.sectors):
                if self._kind(sector) == _DIRTY:
                    self._erase(sector)
                    return True
        return False

    def _stop(self):
        """Give up survey or rewrite: what was learned about a sector is no longer true after a change."""
        if self._job:
            self._job.close()
            self._job = None
            self._visit(self._job_sector)

    def _visit(self, logical):
        """Survey this sector when idle."""
        if logical not in self._visits and len(self._visits) < _MOST_VISITS:
            self._visits.append(logical)

    # --- lookup ---

    def _seek(self, physical, overflow, key, k, copies=None):
        """Return the address of the card whose six bytes stand at key[k], or -1; its page is in _page then.

        The first copy in probe order that is not dead counts; `_counter` is the address of the counter before it,
        or -1. With a list, go on and append the address of every copy and counter. Allocates nothing without.
        """
        page = home = home_page(key, k)
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
            page = page + step(key, k) & 15
            if page == home:
                return found

    def _vacant(self, physical, entry):
        """Return the address of the first erased slot for an entry, or -1; `_passed` are the full pages before it."""
        page = home_page(entry, 0)
        self._passed = 0
        while not self._passed >> page & 1:
            at = physical << 12 | page << 8
            self._read_page(at)
            for off in range(0 if page else 32, 256, 16):
                if min(self._view[off : off + 16]) == 255:
                    return at | off
            self._passed |= 1 << page
            page = page + step(entry, 0) & 15
        return -1

    # --- survey and rewrite ---

    def _care(self, logical, key=None, entries=()):
        """Survey a sector and rewrite it if that pays; a generator, each step is about one page.

        With a key, rewrite it in any case, with `entries` in place of all that there is of that card.
        """
        physical = self._map[logical]
        overflow = self._overflow[logical]
        index = self._index
        part = [0, 0, 0, 0]
        dropping = [0, 0, 0, 0]
        torn = used = kept = generation = 0
        pressing = False
        for number in range(256):
            index[number] = _GONE
        if physical != _NONE:
            self._load_header(physical)
            pressing = self._flawed
            self.repairs += pressing
            generation = int.from_bytes(self._head[12:16], "little")
            triples = overflow_triples(overflow)
            if self._head[26:] != triples:
                pressing |= self._repair(physical << 12 | 26, triples)
            for number in range(2, 256):
                at = physical << 12 | number << 4
                self._read_page(at & ~255)
                slot = self._page[at & 255 : (at & 255) + 16]
                if min(slot) != 255:
                    used += 1
                    if not valid(slot, 0):
                        torn += 1
                    elif key is None or slot[:6] != key[:6]:
                        old = bytes(slot)
                        settle(slot)
                        if slot != old:
                            pressing |= self._repair(at, slot)
                        status = state(slot, 0)
                        # Another address: superseded, but power went before it was marked so.
                        if status != DEAD and slot[13] & 3 != COUNTER and self._seek(physical, overflow, slot, 0) == at:
                            add(part, slot, status, 1)
                            until = get24(slot, 9)
                            if (
                                status == REVOKED
                                and self._now_min is not None
                                and until != NO_END
                                and until + _KEEP_TOMBSTONE_MIN < self._now_min
                            ):
                                add(dropping, slot, status, -1)
                            else:
                                kept += 1 + (slot[13] & 3 == LIMITED and self._counter >= 0)
                                index[number] = home_page(slot, 0)
                if number & 15 == 15:
                    yield
        if key is None:
            if logical == self._counted:
                self._counted += 1
                self._merge(part)
                self.torn += torn
            gain = used - kept
            # At three fifths of the room that a rewrite gives: later, lookups get long; earlier, flash wears.
            if not pressing and (gain < 8 or 5 * gain < 3 * (_SLOTS - kept)):
                return
        elif kept + len(entries) > _SLOTS:
            raise ListFull(_ENOSPC, "cards: no room for this card in its sector, remove cards")
        target = self._spare()
        try:
            overflow = 0
            for page in range(16 if kept else 0):
                # What has its home in this page goes in with one program; what finds no room stays in the index.
                start = end = 0 if page else 32
                for number in range(2, 256):
                    if index[number] == page:
                        pair = self._pair(logical, number)
                        if end + len(pair) <= 256:
                            self._image[end : end + len(pair)] = pair
                            end += len(pair)
                            index[number] = _GONE
                if end > start:
                    self._program(target << 12 | page << 8 | start, memoryview(self._image)[start:end])
                yield
            for number in range(2, 256):
                if index[number] != _GONE:
                    pair = self._pair(logical, number)
                    for at in range(0, len(pair), 16):
                        overflow |= self._add_to(target, pair[at : at + 16])
                    yield
            for entry in entries:
                overflow |= self._add_to(target, entry)
            # From this header on the new sector counts.
            self._write_header(target, _TABLE, logical, generation + 1, overflow)
            self._map[logical] = target
            self._overflow[logical] = overflow
            target = physical
            if logical < self._counted:
                self._merge(dropping)
            self.dropped -= dropping[3]
            if physical != _NONE:
                try:
                    self._program(physical << 12 | 22, b"\xf8")  # obsolete
                except OSError:
                    self.errors += 1  # its lower generation says the same
        finally:
            if target != _NONE:
                self._set_kind(target, _DIRTY)

    def _repair(self, at, buf):
        """Clear the rest of triples; True if only a rewrite helps."""
        self.repairs += 1
        try:
            self._program(at, buf)
        except OSError:
            return True
        return self._view[: len(buf)] != buf

    def _pair(self, logical, number):
        """Return a card, after its counter if it has one."""
        physical = self._map[logical]
        pair = self._settled(physical << 12 | number << 4)
        if pair[13] & 3 == LIMITED:
            self._seek(physical, self._overflow[logical], pair, 0)
            if self._counter >= 0:
                return self._settled(self._counter) + pair
        return pair

    def _settled(self, at):
        """Return the entry at an address, its triples put right."""
        entry = bytearray(16)
        self._flash.read(at, entry)
        settle(entry)
        return entry

    def _add_to(self, target, entry):
        """Program an entry into a sector without a header; return the full pages that it went past."""
        self._program(self._vacant(target, entry), entry)
        return self._passed

    def _merge(self, part):
        sums = self._sums
        sums[0] ^= part[0]
        sums[1] ^= part[1]
        sums[2] += part[2]
        sums[3] += part[3]


def add(sums, entry, status, sign):
    """Add an entry to sums, or take it away."""
    dead = status == REVOKED
    sums[dead] ^= token(entry, status)
    sums[2 + dead] += sign
