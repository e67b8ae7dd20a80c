"""The allowlist: a hash table of cards on raw flash that no power cut can leave empty or half.

    cards = Allowlist(Flash(esp32.Partition.find(label="cards")[0]))
    cards.mount()
    if cards.find(pseudonym) and cards.entry.state == LIVE: ...
    cards.put(pseudonym, valid_from, valid_until, group, key_version=0, granted=0)  # renewal and resumption, too
    cards.set_revision(office_epoch, revision)  # after all changes of a delta
    while cards.idle(now_min):  # one bounded piece of work each
        await asyncio.sleep_ms(0)

`find` and `use` are the card path: they erase nothing and load nothing; `find` allocates nothing and reads one page in
the common case. All else lies in modules that are loaded when they are needed, and dropped when idle work is done.
Times are minutes since 2020. Every change takes effect in one program and may be applied again. The layout is in
docs/flash-formats.md.
"""

from array import array

from micropython import const

from storage import ondemand
from storage.entry import (
    COUNTER,
    DEAD,
    LIVE,
    REVOKED,
    SUSPENDED,
    Entry,
    home_page,
    sector_of,
    state,
    step,
    uses,
    valid,
)

NOWHERE = const(0xFFFF)  # logical sector without a physical one
FORGOTTEN = const(-1)  # instead of a state
SLOTS = const(254)  # of a sector

# What a physical sector is.
DIRTY = const(0)  # free, must be erased
MARKED = const(1)  # free, with a clean mark
USED = const(2)
BAD = const(3)  # free, did not erase; tried again when nothing else is left

_MOST_VISITS = const(32)
_EIO = const(5)
_ON_DEMAND = (
    "storage.cardchange",
    "storage.cardcare",
    "storage.cardpages",
    "storage.cardrevision",
    "storage.cardsector",
    "storage.packing",
)


class ListFull(OSError):
    """No room for one more entry in its sector; the list is as it was."""


class Allowlist:
    """The cards that a door knows. The values of a change are those of `storage.packing.pack`.

    To read: entry, office_epoch, revision, reconciling, torn, repairs, dropped, errors.
    """

    def __init__(self, flash):
        """Allocate all buffers; nothing is read yet.

        Raises:
            ValueError: the region is too small.
        """
        self._flash = flash
        self._logicals = flash.sectors - 4
        if self._logicals < 1:
            raise ValueError("cards: the region must have 5 sectors or more")
        self._map = array("H", bytes(2 * self._logicals))
        self._overflow = array("H", bytes(2 * self._logicals))
        self._kinds = bytearray(flash.sectors + 3 >> 2)
        self._page = bytearray(256)
        self._view = memoryview(self._page)
        self.entry = Entry()
        self._visits = []  # sectors to survey, because entries went past a full page
        self._job = None  # a generator of storage/cardcare.py
        self._now_min = None
        self._changed = False  # since the last idle work
        self._turn = 0  # spares are taken in turn
        self.giving_way = None  # called with the pseudonym of a tombstone that is about to go; False keeps it
        self.counted = None  # called when all was read and counted: `digest` is known
        self.errors = 0  # operations that the flash refused, since start
        self.repairs = 0  # triples and headers that disagreed, since start
        self.dropped = 0  # tombstones that gave way, since start
        self.conflicts = 0  # revoked cards that a reconciliation would have revived, since start

    # --- card path ---

    def find(self, pseudonym):
        """Look a pseudonym up and fill `entry`; False if it is unknown."""
        logical = sector_of(pseudonym, self._logicals)
        physical = self._map[logical]
        if physical == NOWHERE:
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

    def _read_page(self, at):
        """Have the page at this address in _page."""
        if at != self._cached:
            self._cached = -1
            self._flash.read(at, self._page)
            self._cached = at

    def _program(self, at, buf):
        """Program and read back to _page: what is superseded goes only after its successor is really there."""
        self._cached = -1
        self._flash.program(at, buf)
        back = self._view[: len(buf)]
        self._flash.read(at, back)
        if back != buf:
            for i in range(len(buf)):
                if back[i] & ~buf[i]:
                    raise OSError(_EIO, "cards: the flash did not take a program, it may be worn out")

    # --- start ---

    def format(self):
        """Erase the whole region; the list is empty afterwards and its revision 0."""
        from storage import cardmount

        cardmount.format(self)

    def mount(self):
        """Read the headers; nothing is erased or programmed. An unformatted region is an empty list."""
        from storage import cardmount

        cardmount.mount(self)

    # --- changes ---

    def put(self, pseudonym, *values):
        """Make a card live with exactly these values, whatever it was before.

        A put of what is already there changes nothing, uses that were taken included.

        Raises:
            ListFull: no room; the list is as it was (also of the other changes).
            OSError: the flash refuses; the change may be applied again.
            ValueError: a value that cannot be.
        """
        self._apply(LIVE, pseudonym, values)

    def suspend(self, pseudonym, *values):
        """Suspend a card; the values count only if it is unknown. A revoked card stays revoked."""
        self._apply(SUSPENDED, pseudonym, values)

    def revoke(self, pseudonym, *values):
        """Revoke a card, which stays known as revoked; the values count only if it is unknown."""
        self._apply(REVOKED, pseudonym, values)

    def forget(self, pseudonym):
        """Make a card unknown."""
        self._apply(FORGOTTEN, pseudonym, (0, 0, 0))

    def set(self, state, pseudonym, *values):
        """Make a card have exactly this state and these values in one step, also one that is known as revoked."""
        self._apply(state, pseudonym, values, True)

    def _apply(self, wanted, pseudonym, values, exact=False):
        from storage import cardchange

        self._changed = True
        if self.reconciling and self.reconciling[2]:
            from storage import cardrevision

            # If its revision is never reached, what was reconciled so far is no longer what the office says.
            cardrevision.set_progress(self, self.reconciling[0], self.reconciling[1], 0)
        cardchange.apply(self, wanted, pseudonym, values, exact)

    def set_revision(self, office_epoch, revision):
        """Program the revision that the list has now; call it after the last change of a delta.

        Raises:
            ValueError: it would go back within its office epoch.
        """
        from storage import cardrevision

        cardrevision.set_revision(self, office_epoch, revision)

    def reconcile(self, office_epoch, revision, first, last, cards):
        """Make one page of the list be what the office says: storage/cardpages.py. A generator."""
        from storage import cardpages

        self._changed = True
        return cardpages.reconcile(self, office_epoch, revision, first, last, cards)

    def _change(self, logical):
        if logical == self._job_sector:
            self._stop()

    # --- idle ---

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
        return self._sums[2], self._sums[3], SLOTS * self._logicals

    def idle(self, now_min=None):
        """Do one piece of work; False if there is none. Tombstones give way only if the time is known."""
        self._now_min = now_min
        if self._job or self._visits or self._counted < self._logicals or self._counts[DIRTY]:
            from storage import cardcare

            return cardcare.work(self)
        if not self._changed:
            ondemand.drop(_ON_DEMAND)
        self._changed = False  # in the middle of a delta they are needed again at once
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
