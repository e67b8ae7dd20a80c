"""Sectors of the cards region: headers, which one is current, spares, revisions.

    class Allowlist(Sectors): ...
    cards.mount()
    cards.set_revision(office_epoch, 17)

The base of storage/allowlist.py. The layout, and why the header is programmed last: docs/flash-formats.md.
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
_BAD = const(3)  # free, failed since the start; tried again when nothing else is left


class Sectors:
    """The physical sectors of the region."""

    def __init__(self, flash):
        self._flash = flash
        self._logicals = flash.sectors - 4
        if self._logicals < 1:
            raise ValueError("cards: the region must have 5 sectors or more")
        self._map = array("H", bytes(2 * self._logicals))
        self._overflow = array("H", bytes(2 * self._logicals))
        self._visits = bytearray(self._logicals + 7 >> 3)
        self._kinds = bytearray(flash.sectors + 3 >> 2)
        self._counts = [0] * 4
        self._head = bytearray(32)
        self._page = bytearray(256)
        self._view = memoryview(self._page)
        self._slot = bytearray(16)
        self._cached = -1  # the address whose page is in _page
        self._turn = 0  # spares are taken in turn
        self.errors = 0  # operations that the flash refused, since start
        self.repairs = 0  # bits and headers that disagreed, since start

    # --- start ---

    def format(self):
        """Erase the whole region; the list is empty afterwards and its revision 0."""
        self._forget()
        for sector in range(self._flash.sectors):
            self._erase(sector)

    def mount(self):
        """Read the headers; nothing is erased or programmed. An unformatted region is an empty list."""
        self._forget()
        newest = older = 0
        for sector in range(self._flash.sectors):
            kind = self._load_header(sector)
            head = self._head
            generation = _get(head, 12)
            if kind == _TABLE:
                logical = head[10] | head[11] << 8
                # Two or three zeros: obsolete.
                if logical < self._logicals and 0xE8 >> (head[22] & 7) & 1:
                    overflow = _overflow_bits(head)
                    other = self._map[logical]
                    if other == _NONE or generation > self._generation(other):
                        if other != _NONE:
                            self._set_kind(other, _DIRTY)
                        self._map[logical] = sector
                        self._overflow[logical] = overflow
                        self._set_kind(sector, _USED)
            elif kind == _REVISIONS:
                self._set_kind(sector, _USED)
                drop = sector
                if generation > newest:
                    drop, self._older, self._newest = self._older, self._newest, sector
                    older, newest = newest, generation
                elif generation > older:
                    drop, self._older = self._older, sector
                    older = generation
                if drop != _NONE:
                    self._set_kind(drop, _DIRTY)
            elif kind == 0 and self._flash.clean_count(head) >= 0 and min(head[8:]) == 255:
                self._set_kind(sector, _MARKED)
        if self._newest != _NONE and not self._load_revision(self._newest) and self._older != _NONE:
            free = self._free
            self._load_revision(self._older)
            self._free = free

    def _forget(self):
        for logical in range(self._logicals):
            self._map[logical] = _NONE
            self._overflow[logical] = 0
        for i in range(len(self._kinds)):
            self._kinds[i] = 0
        self._counts[:] = [self._flash.sectors, 0, 0, 0]
        self._newest = self._older = _NONE  # sectors of revisions
        self._free = 0  # address of the next revision slot
        self._cached = -1
        self.office_epoch = self.revision = 0

    # --- revisions ---

    def set_revision(self, office_epoch, revision):
        """Program the revision that the list has now; call it after the last change of a delta."""
        if not (0 <= office_epoch < 1 << 32 and 0 <= revision < 1 << 30):
            raise ValueError("cards: office epoch must be below 2^32, revision below 2^30")
        if office_epoch == self.office_epoch:
            if revision == self.revision:
                return
            if revision < self.revision:
                raise ValueError("cards: revisions never go back, send a full list instead")
        slot = bytearray(office_epoch.to_bytes(4, "little") + revision.to_bytes(4, "little"))
        slot += _seal(b"menwei revision", slot)[:8]
        if not self._add_revision(slot):
            self._open_revisions(slot)
        self.office_epoch = office_epoch
        self.revision = revision

    def _add_revision(self, slot):
        """Use the next free slot of the current sector; False if there is none."""
        while self._newest != _NONE and self._free >> 12 == self._newest:
            at = self._free
            self._free = at + 16
            self._flash.read(at, self._slot)
            if min(self._slot) == 255:
                try:
                    self._program(at, slot)
                except OSError:
                    self.errors += 1
                    return False
                return True
        return False

    def _open_revisions(self, slot):
        """Take a spare: slot first, header last, so that no cut leaves a current sector without a revision."""
        generation = self._generation(self._newest) + 1 if self._newest != _NONE else 1
        spare = self._spare()
        try:
            self._program(spare << 12 | 32, slot)
            self._write_header(spare, _REVISIONS, 0, generation)
        except OSError:
            self._set_kind(spare, _BAD)
            raise
        # The sector before is kept until the next change, in case a bit flips in the only slot of the new one.
        if self._older != _NONE:
            self._set_kind(self._older, _DIRTY)
        self._older = self._newest
        self._newest = spare
        self._free = spare << 12 | 48

    def _load_revision(self, sector):
        """Take the last valid slot; False if there is none."""
        self._free = 0
        page = self._page
        self._cached = -1
        for at in range((sector << 12) + 3840, (sector << 12) - 1, -256):
            self._flash.read(at, page)
            for off in range(240, -1 if at & 4095 else 31, -16):
                if min(self._view[off : off + 16]) == 255:
                    continue
                if not self._free:
                    self._free = at + off + 16
                if _seal(b"menwei revision", self._view[off : off + 8])[:8] == self._view[off + 8 : off + 16]:
                    self.office_epoch = int.from_bytes(page[off : off + 4], "little")
                    self.revision = _get(page, off + 4)
                    return True
        return False

    # --- headers ---

    def _load_header(self, sector):
        """Read a header into _head; return its kind, 0 if blank, -1 if it is none of ours."""
        head = self._head
        self._flash.read(sector << 12, head)
        if min(head[8:22]) == 255:
            return 0
        self._flawed = False
        if not self._sealed():
            # A header stands for up to 254 cards, so one flipped bit is put right.
            self._flawed = True
            for bit in range(64, 176):
                head[bit >> 3] ^= 1 << (bit & 7)
                if self._sealed():
                    break
                head[bit >> 3] ^= 1 << (bit & 7)
            else:
                return -1
        if head[9] != _FORMAT or head[16] | head[17] << 8 != self._logicals:
            return -1
        return head[8]

    def _sealed(self):
        return _seal(b"menwei cards", self._head[8:18])[:4] == self._head[18:22]

    def _generation(self, sector):
        self._load_header(sector)
        return _get(self._head, 12)

    def _write_header(self, sector, kind, logical, generation, overflow=0):
        """Make a sector count. Its overflow bits are programmed before: a torn header must not lose them."""
        if overflow:
            self._write_overflow(sector, overflow)
        head = bytearray(14)
        head[0] = kind
        head[1] = _FORMAT
        head[2] = logical & 255
        head[3] = logical >> 8
        for i in range(4):
            head[4 + i] = generation >> 8 * i & 255
        head[8] = self._logicals & 255
        head[9] = self._logicals >> 8
        head[10:] = _seal(b"menwei cards", head[:10])[:4]
        self._program(sector << 12 | 8, head)

    def _write_overflow(self, sector, pages):
        self._program(sector << 12 | 26, overflow_triples(pages))

    # --- flash ---

    def _read_page(self, at):
        """Have the page at this address in _page."""
        if at != self._cached:
            self._cached = -1
            self._flash.read(at, self._page)
            self._cached = at

    def _program(self, at, buf):
        """Program and read back: what is superseded goes only after its successor is really there. Uses _page."""
        self._cached = -1
        self._flash.program(at, buf)
        back = self._view[: len(buf)]
        self._flash.read(at, back)
        if back != buf:
            for i in range(len(buf)):
                if back[i] & ~buf[i]:
                    raise OSError(_EIO, "cards: the flash did not take a program, the sector may be worn out")

    def _erase(self, sector):
        """Erase a free sector; False if the flash refuses."""
        self._cached = -1
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

    def _erase_one(self):
        """Erase a dirty sector if there is one."""
        if self._counts[_DIRTY]:
            for sector in range(self._flash.sectors):
                if self._kind(sector) == _DIRTY:
                    self._erase(sector)
                    return True
        return False

    def _blank(self, sector):
        """Tell whether a marked sector is still as erased: a rewrite may have been cut before its header."""
        self._cached = -1
        for at in range(sector << 12, sector + 1 << 12, 256):
            self._flash.read(at, self._page)
            if min(self._view if at & 4095 else self._view[8:]) != 255:
                return False
        return True

    def _spare(self):
        """Take an erased sector; erases one if none is ready."""
        for wanted in (_MARKED, _DIRTY, _BAD):
            for _ in range(self._flash.sectors):
                sector = self._turn = (self._turn + 1) % self._flash.sectors
                if self._kind(sector) == wanted:
                    if self._blank(sector) if wanted == _MARKED else self._erase(sector):
                        self._set_kind(sector, _USED)
                        return sector
                    if wanted == _MARKED:
                        self._set_kind(sector, _DIRTY)
        raise OSError(_EIO, "cards: no sector can be erased, replace the controller")

    def _kind(self, sector):
        return self._kinds[sector >> 2] >> (sector & 3) * 2 & 3

    def _set_kind(self, sector, kind):
        old = self._kind(sector)
        self._counts[old] -= 1
        self._counts[kind] += 1
        self._kinds[sector >> 2] ^= (old ^ kind) << (sector & 3) * 2


def _get(buf, off):
    """Four bytes of which we only write 30 bits."""
    return buf[off] | buf[off + 1] << 8 | buf[off + 2] << 16 | (buf[off + 3] & 63) << 24


def _overflow_bits(head):
    """One bit for each page; any cleared bit of a triple means that one must read on, which never hurts."""
    pages = 0
    for bit in range(48):
        if not head[26 + (bit >> 3)] >> (bit & 7) & 1:
            pages |= 1 << bit // 3
    return pages


def overflow_triples(pages):
    """Return the six bytes of the header that say which pages are full."""
    triples = bytearray(b"\xff" * 6)
    for bit in range(48):
        if pages >> bit // 3 & 1:
            triples[bit >> 3] &= ~(1 << (bit & 7))
    return triples


def _seal(label, data):
    hasher = sha256(label)
    hasher.update(data)
    return hasher.digest()
