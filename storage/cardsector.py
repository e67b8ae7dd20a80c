"""Sectors of the cards region: headers, which one is current, spares, revisions.

    class Care(Sectors): ...
    cards.mount()
    cards.set_revision(office_epoch, 17)

The base of storage/cardcare.py. The layout, and why the header is programmed last: docs/flash-formats.md.
"""

from array import array
from hashlib import sha256

from micropython import const

_NONE = const(0xFFFF)  # logical sector without a physical one
_EIO = const(5)

_TABLE = const(0x43)
_REVISIONS = const(0x52)
_FORMAT = const(1)

# What a physical sector is.
_DIRTY = const(0)  # free, must be erased
_MARKED = const(1)  # free, with a clean mark
_USED = const(2)
_BAD = const(3)  # free, did not erase; tried again when nothing else is left


class Sectors:
    """The physical sectors of the region."""

    def __init__(self, flash):
        self._flash = flash
        self._logicals = flash.sectors - 4
        if self._logicals < 1:
            raise ValueError("cards: the region must have 5 sectors or more")
        self._map = array("H", bytes(2 * self._logicals))
        self._overflow = array("H", bytes(2 * self._logicals))
        self._kinds = bytearray(flash.sectors + 3 >> 2)
        self._head = bytearray(32)
        self._page = bytearray(256)
        self._view = memoryview(self._page)
        self._slot = bytearray(16)
        self._turn = 0  # spares are taken in turn
        self.errors = 0  # operations that the flash refused, since start

    # --- start ---

    def format(self):
        """Erase the whole region; the list is empty afterwards and its revision 0."""
        self._clear()
        for sector in range(self._flash.sectors):
            self._erase(sector)

    def mount(self):
        """Read the headers; nothing is erased or programmed. An unformatted region is an empty list."""
        self._clear()
        revisions = []
        head = self._head
        for sector in range(self._flash.sectors):
            kind = self._load_header(sector)
            generation = _generation(head)
            if kind == _REVISIONS:
                revisions.append((generation, sector))
                self._set_kind(sector, _USED)
            elif kind == _TABLE:
                # 0xE8: two or three of the obsolete triple are still ones.
                if 0xE8 >> (head[22] & 7) & 1:
                    logical = head[10] | head[11] << 8
                    overflow = _overflow_bits(head)
                    other = self._map[logical]
                    if other != _NONE:
                        self._load_header(other)
                        if generation < _generation(head):
                            continue
                        self._set_kind(other, _DIRTY)
                    self._map[logical] = sector
                    self._overflow[logical] = overflow
                    self._set_kind(sector, _USED)
            elif kind == 0 and self._flash.clean_count(head) >= 0:
                self._set_kind(sector, _MARKED)
        revisions.sort()
        for _, sector in revisions:
            self._add_revisions(sector)
            self._load_revision(sector)

    def _clear(self):
        for logical in range(self._logicals):
            self._map[logical] = _NONE
            self._overflow[logical] = 0
        for i in range(len(self._kinds)):
            self._kinds[i] = 0
        self._counts = [self._flash.sectors, 0, 0, 0]
        self._revisions = []  # the sector of revisions before, and the current one
        self._free = 0  # address of the next revision slot
        self._cached = -1  # address of what is in _page
        self.office_epoch = self.revision = 0

    # --- revisions ---

    def set_revision(self, office_epoch, revision):
        """Program the revision that the list has now; call it after the last change of a delta."""
        if office_epoch == self.office_epoch:
            if revision == self.revision:
                return
            if revision < self.revision:
                raise ValueError("cards: revisions never go back, send a full list instead")
        if revision >> 30 or office_epoch >> 32:
            raise ValueError("cards: a revision must be below 2^30, an office epoch below 2^32")
        slot = office_epoch.to_bytes(4, "little") + revision.to_bytes(4, "little")
        slot += _seal(b"menwei revision", slot)[:8]
        try:
            done = self._next_revision(slot)
        except OSError:
            self.errors += 1
            done = False
        if not done:
            self._open_revisions(slot)
        self.office_epoch = office_epoch
        self.revision = revision

    def _next_revision(self, slot):
        """Use the next free slot of the current sector; False if there is none."""
        while self._free & 4095:
            at = self._free
            self._free = at + 16
            self._flash.read(at, self._slot)
            if min(self._slot) == 255:
                self._program(at, slot)
                return True
        return False

    def _open_revisions(self, slot):
        """Take a spare: slot first, header last, so that no cut leaves a current sector without a revision."""
        generation = 1
        if self._revisions:
            self._load_header(self._revisions[-1])
            generation = _generation(self._head) + 1
        sector = self._spare()
        try:
            self._program(sector << 12 | 32, slot)
            self._write_header(sector, _REVISIONS, 0, generation, 0)
        except OSError:
            self._set_kind(sector, _DIRTY)
            raise
        self._add_revisions(sector)
        self._free = sector << 12 | 48

    def _add_revisions(self, sector):
        """The one before stays until the next change, in case a bit flips in the only slot of the new one."""
        self._revisions.append(sector)
        if len(self._revisions) > 2:
            self._set_kind(self._revisions.pop(0), _DIRTY)

    def _load_revision(self, sector):
        """Take the last valid slot of a sector."""
        slot = self._slot
        low = first = sector << 12 | 32
        high = sector + 1 << 12
        while low < high:
            at = low + high >> 1 & ~15
            self._flash.read(at, slot)
            if min(slot) == 255:
                high = at
            else:
                low = at + 16
        self._free = low
        while low > first:
            low -= 16
            self._flash.read(low, slot)
            if _seal(b"menwei revision", slot[:8])[:8] == slot[8:]:
                self.office_epoch = int.from_bytes(slot[:4], "little")
                self.revision = int.from_bytes(slot[4:8], "little")
                return

    # --- headers ---

    def _load_header(self, sector):
        """Read a header into _head; return its kind, 0 if blank, -1 if it is none of ours."""
        head = self._head
        self._flash.read(sector << 12, head)
        if min(head[8:22]) == 255:
            return 0
        self._flawed = False
        # A header stands for up to 254 cards, so one flipped bit is put right: each is tried in turn.
        for bit in range(64, 177):
            if _seal(b"menwei cards", head[8:18])[:4] == head[18:22]:
                if head[9] != _FORMAT or head[16] | head[17] << 8 != self._logicals:
                    return -1
                return head[8] if head[10] | head[11] << 8 < self._logicals else -1
            if self._flawed:
                head[bit - 1 >> 3] ^= 1 << (bit - 1 & 7)
            self._flawed = True
            head[bit >> 3] ^= 1 << (bit & 7)
        return -1

    def _write_header(self, sector, kind, logical, generation, overflow):
        """Make a sector count. Its overflow bits are programmed before: a torn header must not lose them."""
        if overflow:
            self._program(sector << 12 | 26, overflow_triples(overflow))
        head = bytes((kind, _FORMAT)) + logical.to_bytes(2, "little")
        head += generation.to_bytes(4, "little") + self._logicals.to_bytes(2, "little")
        self._program(sector << 12 | 8, head + _seal(b"menwei cards", head)[:4])

    # --- flash ---

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

    def _erase(self, sector):
        """Erase a free sector; False if the flash refuses."""
        self._flash.read(sector << 12, self._head)
        count = self._flash.clean_count(self._head)
        try:
            self._flash.erase(sector)
            self._flash.mark_clean(sector, max(count, 0) + 1)
        except OSError:
            self.errors += 1
            self._set_kind(sector, _BAD)
            return False
        self._set_kind(sector, _MARKED)
        return True

    def _blank(self, sector):
        """Tell whether a marked sector is still as erased: a rewrite may have been cut before its header."""
        for at in range(sector << 12, sector + 1 << 12, 256):
            self._read_page(at)
            if min(self._view[0 if at & 4095 else 8 :]) != 255:
                self._set_kind(sector, _DIRTY)
                return False
        return True

    def _spare(self):
        """Take an erased sector; erases one if none is ready."""
        for wanted in (_MARKED, _DIRTY, _BAD):
            for _ in range(self._flash.sectors):
                sector = self._turn = (self._turn + 1) % self._flash.sectors
                if self._kind(sector) == wanted:
                    self._cached = -1
                    if self._blank(sector) if wanted == _MARKED else self._erase(sector):
                        self._set_kind(sector, _USED)
                        return sector
        raise OSError(_EIO, "cards: no sector can be erased, replace the controller")

    def _kind(self, sector):
        return self._kinds[sector >> 2] >> (sector & 3) * 2 & 3

    def _set_kind(self, sector, kind):
        old = self._kind(sector)
        self._counts[old] -= 1
        self._counts[kind] += 1
        self._kinds[sector >> 2] ^= (old ^ kind) << (sector & 3) * 2


def _generation(head):
    return int.from_bytes(head[12:16], "little")


def _overflow_bits(head):
    """One bit for each page; any cleared bit of a triple means that one must read on, which never hurts."""
    triples = int.from_bytes(head[26:], "little")
    pages = 0
    for page in range(16):
        pages |= (triples >> 3 * page & 7 != 7) << page
    return pages


def overflow_triples(pages):
    """Return the six bytes of the header that say which pages are full."""
    triples = 0
    for page in range(16):
        if not pages >> page & 1:
            triples |= 7 << 3 * page
    return triples.to_bytes(6, "little")


def _seal(label, data):
    return sha256(label + data).digest()
