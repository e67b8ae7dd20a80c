"""Care of the cards region while the door is idle: survey, digests, rewriting of sectors that run out of room.

    more = cardcare.work(cards)    # Allowlist.idle() does this: one bounded piece of work

`cards` is the storage.allowlist.Allowlist. Loaded on demand. A *survey* reads one logical sector page by page: it
counts, adds up digests, repairs triples and notes which slots a rewrite would keep. A *rewrite* copies those to a spare
sector, page by page, header last.
"""

from micropython import const

from storage import cardsector
from storage.allowlist import DIRTY, MARKED, NOWHERE, SLOTS, ListFull
from storage.entry import (
    COUNTER,
    DEAD,
    LIMITED,
    NO_END,
    REVOKED,
    get24,
    home_page,
    state,
    step,
    valid,
)
from storage.packing import settle, token, whole

# In the index of slots: the home page, plus 16 with a counter; once it is placed 32 plus the page where it goes.
_COUNTED = const(16)
_PLACED = const(32)
_GIVES_WAY = const(254)  # a tombstone that is not kept
_KEEP_TOMBSTONE_MIN = const(129600)  # 90 days after the card's own expiry
_ENOSPC = const(28)


def work(cards):
    """Do one piece of work; False if there is none, or if the flash refuses it."""
    try:
        if cards._job is None:
            if not cards._counts[MARKED] and _erase_one(cards):
                return True
            if cards._visits:
                cards._job_sector = cards._visits.pop()
            elif cards._counted < cards._logicals:
                cards._job_sector = cards._counted
            else:
                return _erase_one(cards)
            cards._job = care(cards, cards._job_sector)
        next(cards._job)
    except StopIteration:
        cards._job = None
    except OSError:
        cards.errors += 1
        cards._job = None
        return False
    return True


def _erase_one(cards):
    if cards._counts[DIRTY]:
        for sector in range(cards._flash.sectors):
            if cardsector.kind_of(cards, sector) == DIRTY:
                cardsector.erase(cards, sector)
                return True
    return False


def care(cards, logical, key=None, entries=()):
    """Survey a sector and rewrite it if that pays; a generator, each step is about one page.

    With a key, rewrite it in any case, with `entries` in place of all that there is of that card. Tombstones give way
    only if the time is known.

    Raises:
        ListFull: what counts and the new entries do not fit.
    """
    physical = cards._map[logical]
    overflow = cards._overflow[logical]
    index = bytearray(b"\xff" * 256)
    now_min = cards._now_min
    part = [0, 0, 0, 0]
    dropping = [0, 0, 0, 0]
    torn = used = kept = generation = 0
    pressing = False
    if physical != NOWHERE:
        head = bytearray(32)
        cardsector.load_header(cards, physical, head)
        pressing = cards._flawed
        cards.repairs += pressing
        generation = cardsector.generation_of(head)
        triples = cardsector.overflow_triples(overflow)
        if head[26:] != triples:
            pressing |= _repair(cards, physical << 12 | 26, triples)
        for number in range(2, 256):
            at = physical << 12 | number << 4
            cards._read_page(at & ~255)
            slot = cards._page[at & 255 : (at & 255) + 16]
            if min(slot) != 255:
                used += 1
                if not valid(slot, 0):
                    torn += 1
                elif key is None or slot[:6] != key[:6]:
                    old = bytes(slot)
                    settle(slot)
                    if slot != old:
                        pressing |= _repair(cards, at, slot)
                    status = state(slot, 0)
                    # Another address: superseded, but power went before it was marked so.
                    if status != DEAD and slot[13] & 3 != COUNTER and cards._seek(physical, overflow, slot, 0) == at:
                        add(part, slot, status, 1)
                        until = get24(slot, 9)
                        if (
                            status == REVOKED
                            and now_min is not None
                            and until != NO_END
                            and until + _KEEP_TOMBSTONE_MIN < now_min
                        ):
                            add(dropping, slot, status, -1)
                            index[number] = _GIVES_WAY
                        else:
                            counted = slot[13] & 3 == LIMITED and cards._counter >= 0
                            kept += 1 + counted
                            index[number] = home_page(slot, 0) | (_COUNTED if counted else 0)
            if number & 15 == 15:
                yield
    if key is None:
        if logical == cards._counted:
            cards._counted += 1
            _merge(cards, part)
            cards.torn += torn
            if cards.counted and cards._counted == cards._logicals:
                cards.counted()
        gain = used - kept
        # At two thirds of the room that a rewrite gives: later, lookups get long; earlier, flash wears.
        if not pressing and (gain < 8 or 3 * gain < 2 * (SLOTS - kept)):
            return
    if cards.giving_way and dropping[3]:
        # Told before it is done: after a power cut in between it is done, and told, again.
        for number in range(2, 256):
            if index[number] == _GIVES_WAY:
                entry = settled(cards, physical << 12 | number << 4)
                if cards.giving_way(whole(entry, logical, cards._logicals)) is False:
                    index[number] = home_page(entry, 0)
                    kept += 1
                    add(dropping, entry, REVOKED, 1)
                yield
    overflow = -1
    if kept + len(entries) <= SLOTS:
        overflow = _place(cards, physical, index)
    if overflow < 0:
        if key is None:
            return
        raise ListFull(_ENOSPC, "cards: no room for this card in its sector, remove cards")
    yield from _rewrite(cards, logical, index, entries, generation + 1, overflow)
    if logical < cards._counted:
        _merge(cards, dropping)
    cards.dropped -= dropping[3]


def _rewrite(cards, logical, index, entries, generation, overflow):
    """Copy the slots that have their place to a spare sector, `entries` behind them, and make it count."""
    physical = cards._map[logical]
    target = cardsector.spare(cards)
    try:
        image = bytearray(256)
        for page in range(16):
            start = end = 0 if page else 32
            for number in range(2, 256):
                if index[number] == _PLACED + page:
                    pair = _pair(cards, logical, number)
                    image[end : end + len(pair)] = pair
                    end += len(pair)
            if end > start:
                cards._program(target << 12 | page << 8 | start, memoryview(image)[start:end])
                yield
        for entry in entries:
            overflow |= _add_to(cards, target, entry)
        # From this header on the new sector counts.
        cardsector.write_header(cards, target, cardsector.TABLE, logical, generation, overflow)
        cards._map[logical] = target
        cards._overflow[logical] = overflow
        target = physical
        if physical != NOWHERE:
            try:
                cards._program(physical << 12 | 22, b"\xf8")  # obsolete
            except OSError:
                cards.errors += 1  # its lower generation says the same
    finally:
        if target != NOWHERE:
            cardsector.set_kind(cards, target, DIRTY)


def _place(cards, physical, index):
    """Give each slot of the index its page, with its counter; return the pages that were too full, -1 if none will do.

    First what finds room in its home page, then the others along their probe order.
    """
    room = bytearray(b"\x0e" + b"\x10" * 15)  # slots left in each page
    passed = 0
    for straggling in (False, True):
        for number in range(2, 256):
            home = index[number]
            if home < _PLACED:
                size = 1 + (home >> 4)
                page = home & 15
                if straggling:
                    entry = settled(cards, physical << 12 | number << 4)
                    seen = 0
                    while room[page] < size:
                        if seen >> page & 1:
                            return -1
                        seen |= 1 << page
                        page = page + step(entry, 0) & 15
                    passed |= seen
                elif room[page] < size:
                    continue
                room[page] -= size
                index[number] = _PLACED + page
    return passed


def _repair(cards, at, buf):
    """Clear the rest of triples; True if only a rewrite helps."""
    cards.repairs += 1
    try:
        cards._program(at, buf)
    except OSError:
        return True
    return cards._view[: len(buf)] != buf


def _pair(cards, logical, number):
    """Return a card, after its counter if it has one."""
    physical = cards._map[logical]
    pair = settled(cards, physical << 12 | number << 4)
    if pair[13] & 3 == LIMITED:
        cards._seek(physical, cards._overflow[logical], pair, 0)
        if cards._counter >= 0:
            return settled(cards, cards._counter) + pair
    return pair


def settled(cards, at):
    """Return the entry at an address, its triples put right."""
    entry = bytearray(16)
    cards._flash.read(at, entry)
    settle(entry)
    return entry


def vacant(cards, physical, entry, full=0):
    """Return the address of the first erased slot for an entry, or -1, and the full pages before it as bits.

    Pages in `full` are passed even if a rewrite left a hole there: what is newer must not come before what is older.
    """
    page = home_page(entry, 0)
    passed = 0
    while not passed >> page & 1:
        at = physical << 12 | page << 8
        if not full >> page & 1:
            cards._read_page(at)
            for off in range(0 if page else 32, 256, 16):
                if min(cards._view[off : off + 16]) == 255:
                    return at | off, passed
        passed |= 1 << page
        page = page + step(entry, 0) & 15
    return -1, passed


def _add_to(cards, target, entry):
    """Program an entry into a sector without a header; return the full pages that it went past."""
    at, passed = vacant(cards, target, entry)
    cards._program(at, entry)
    return passed


def _merge(cards, part):
    sums = cards._sums
    sums[0] ^= part[0]
    sums[1] ^= part[1]
    sums[2] += part[2]
    sums[3] += part[3]


def add(sums, entry, status, sign):
    """Add an entry to sums, or take it away."""
    dead = status == REVOKED
    sums[dead] ^= token(entry, status)
    sums[2 + dead] += sign
