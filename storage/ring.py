"""The journal's ring of sectors: which are in use, in which order, and a walk over the records in them.

Base of storage/journal.py. The walk takes a record's number from its place, not from its bytes: a sector header names
the first one and no damaged record shifts the others.
"""

from micropython import const

from storage import record

_PAGE = const(256)
_SLOTS = const(128)
_VERSION = const(1)
_MAGIC = const(0x4A)
_FIRST = const(18)  # fields of a sector header
_ACKED = const(26)
_ENDLESS = const(0x3FFFFFFF)


class Ring:
    """Reads only; everything that programs or erases is in Journal."""

    def __init__(self, flash):
        self._flash = flash
        self._sectors = flash.sectors
        self._page = bytearray(_PAGE)
        self._page_at = -1
        self._header = bytearray(32)
        self._tail = 0  # oldest sector in use
        self._top = 0  # newest sector in use
        self._slot = _SLOTS  # next free slot there
        self.head = 0  # newest sequence number
        # The walk stands before the record with this number.
        self._walk_seq = -1
        self._walk_end = 0  # the number of the first record in the next sector
        self._walk_ring = 0
        self._walk_sector = 0
        self._walk_slot = 0
        self._walk_generation = 0
        self._walk_chain = bytearray(7)

    def _load(self, sector, slot):
        """Read the page with this slot; return the slot's place in self._page."""
        address = sector << 12 | slot << 5
        start = address & -_PAGE
        if start != self._page_at:
            self._page_at = -1  # in case the read fails
            self._flash.read(start, self._page)
            self._page_at = start
        return address - start

    def _ring(self, sector):
        """Ring number of a sector, -1 if it is not in use. Its header stays in self._header."""
        header = self._header
        self._flash.read(sector << 12, header)
        if header[8] != _MAGIC or header[9] != _VERSION or header[22:26] != record.header_check(header, 8):
            return -1
        return record.get30(header, 14)

    def _groups(self):
        """How many groups of 16 slots the header in self._header calls acknowledged."""
        header = self._header
        bits = header[_ACKED] | header[_ACKED + 1] << 8 | header[_ACKED + 2] << 16
        groups = 0
        while groups < 8 and bits & 7 in b"\0\1\2\4":  # majority of three
            bits >>= 3
            groups += 1
        return groups

    def _after(self, sector, ring):
        """The sector in use after this one; its first number. The newest sector comes after itself."""
        while sector != self._top:
            sector = (sector + 1) % self._sectors
            if self._ring(sector) > ring:
                return sector, record.get30(self._header, _FIRST)
        return sector, _ENDLESS

    def _before(self, sector):
        """The sector in use before this one; the oldest comes before itself."""
        start = sector
        ring = self._ring(sector)
        while sector != self._tail:
            sector = (sector - 1) % self._sectors
            if 0 <= self._ring(sector) < ring:
                return sector
        return start

    def _enter(self, sector):
        """Start the walk at this sector's first record. False if its key slot is damaged: chain and generation stay."""
        self._walk_sector = sector
        self._walk_slot = 1
        ring = self._ring(sector)
        if ring < 0:
            return False
        self._walk_ring = ring
        self._walk_seq = record.get30(self._header, _FIRST)
        self._walk_end = self._after(sector, ring)[1]
        offset = self._load(sector, 1)
        page = self._page
        if not record.key_sound(page, offset):
            return False
        self._walk_generation = record.get30(page, offset + 1)
        self._walk_chain[:] = page[offset + 5 : offset + 12]
        return True

    def _here(self):
        """Go to the next record: its place in self._page, or -1 if there is none up to the head."""
        while self._walk_seq <= self.head:
            sector = self._walk_sector
            newest = sector == self._top
            if self._walk_seq >= self._walk_end:
                self._enter(self._after(sector, self._walk_ring)[0])
            elif self._walk_slot >= (self._slot if newest else _SLOTS):
                if newest:
                    break
                # Records are missing here: perhaps they stand in a sector whose header is damaged.
                sector = (sector + 1) % self._sectors
                self._walk_sector = sector
                self._walk_slot = 1
                if self._ring(sector) > self._walk_ring:
                    self._enter(sector)
            else:
                offset = self._load(sector, self._walk_slot)
                if record.code(self._page[offset]) in (record.SINGLE, record.LONG):
                    return offset
                self._walk_slot += 1
        return -1

    def _pass(self, offset):
        """Step over the record that _here() found. True if it was a long one."""
        page = self._page
        self._walk_generation = record.turned(self._walk_generation, page, offset)
        self._walk_chain[:] = page[offset + record.MAC : offset + 32]
        self._walk_seq += 1
        long = record.code(page[offset]) == record.LONG
        self._walk_slot += 2 if long else 1
        return long

    def _first(self, place):
        """First number in the place-th sector from the oldest on, -1 if it is not in use."""
        if self._ring((self._tail + place) % self._sectors) < 0:
            return -1
        return record.get30(self._header, _FIRST)

    def _seek(self, seq):
        """Walk to record `seq`, or the first one after it that is left: its place in self._page, or -1."""
        if self._walk_seq != seq:
            low = 0
            high = (self._top - self._tail) % self._sectors
            oldest = self._first(0)
            while low < high:
                middle = (low + high + 1) >> 1
                probe = middle
                first = self._first(probe)
                while first < oldest and probe < high:  # a sector that is not in use, or a worn one left behind
                    probe += 1
                    first = self._first(probe)
                if first < oldest or first > seq:
                    high = middle - 1
                else:
                    low = probe
            # Behind a damaged key slot, chain and generation come from the sector before.
            while not self._enter((self._tail + low) % self._sectors) and low:
                low -= 1
        offset = self._here()
        while offset >= 0 and self._walk_seq < seq:
            self._pass(offset)
            offset = self._here()
        return offset
