"""The journal's ring of sectors: which are in use, a walk over the records in them, and what upstream gets of them.

Base of storage/upkeep.py. The walk takes a record's number from its place, not from its bytes: a sector header names
the first one and no damaged record shifts the others.
"""

from micropython import const

from storage import record
from storage.mac import same, sealed
from storage.record import get30, put30

_PAGE = const(256)
_SLOTS = const(128)
_BATCH_HEADER = const(24)
_BATCH_SLOTS = const(32)
_ENDLESS = const(0x3FFFFFFF)
_FIRST_PROGRAM = const(128)  # no first program of a sector reaches further

_FIRST = const(18)  # number of the first record, in a sector header


class Ring:
    """Reads only; what programs or erases is in Upkeep and Journal."""

    def __init__(self, flash):
        self._flash = flash
        self._sectors = flash.sectors
        self._page = bytearray(_PAGE)
        self._header = bytearray(32)
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
        if not self._sound(header):
            if sector not in self._mended:
                return -1
            header[8:26] = self._mended[sector]
        return get30(header, 14)

    def _sound(self, header):
        return header[8:10] == b"J\1" and sealed(b"menwei journal", header, 8, 22, 4)

    def _after(self, sector, ring):
        """The sector in use after this one; its first number. The newest sector comes after itself."""
        while sector != self._top:
            sector = (sector + 1) % self._sectors
            if self._ring(sector) > ring:
                return sector, get30(self._header, _FIRST)
        return sector, _ENDLESS

    def _erased(self, sector):
        """Whether a sector was erased to the end and no program was begun in it since."""
        page = self._page
        self._load(sector, 0)
        return self._flash.clean_count(page) >= 0 and page[8:_FIRST_PROGRAM] == b"\xff" * (_FIRST_PROGRAM - 8)

    def _enter(self, sector):
        """Start the walk at this sector's first record. False if its key slot is damaged: chain and generation stay."""
        self._walk_sector = sector
        self._walk_slot = 1
        ring = self._ring(sector)
        if ring < 0:
            return False
        self._walk_ring = ring
        self._walk_seq = get30(self._header, _FIRST)
        self._walk_end = self._after(sector, ring)[1]
        offset = self._load(sector, 1)
        page = self._page
        if not record.key_sound(page, offset):
            return False
        self._anchor(page, offset)
        return True

    def _anchor(self, page, offset):
        """Take key generation and chain value from a key slot."""
        self._walk_generation = get30(page, offset + 1)
        self._walk_chain[:] = page[offset + 5 : offset + 12]

    def _here(self):
        """Go to the next record: its place in self._page, or -1 if there is none up to the head."""
        while self._walk_seq <= self.head:
            sector = self._walk_sector
            newest = sector == self._top
            if self._walk_seq >= self._walk_end:
                self._enter(self._after(sector, self._walk_ring)[0])
            elif self._walk_slot < (self._slot if newest else _SLOTS):
                offset = self._load(sector, self._walk_slot)
                page = self._page
                code = record.code(page[offset])
                if code == record.SINGLE or code == record.LONG:
                    return offset
                if code == record.KEY and record.key_sound(page, offset):
                    self._anchor(page, offset)  # whatever a damaged record said
                self._walk_slot += 1
            elif newest:
                break
            else:
                # Records are missing here: perhaps they stand in a sector whose header is damaged.
                sector = (sector + 1) % self._sectors
                self._walk_sector = sector
                self._walk_slot = 1
                if self._ring(sector) > self._walk_ring:
                    self._enter(sector)
        return -1

    def _step(self, buf, at):
        """Step over the record that _here() found and that stands in buf, on to the next one."""
        self._walk_generation = record.turned(self._walk_generation, buf, at)
        self._walk_chain[:] = buf[at + record.MAC : at + 32]
        self._walk_seq += 1
        self._walk_slot += 1 + (record.code(buf[at]) == record.LONG)
        return self._here()

    def _seek(self, seq):
        """Walk to record `seq`, or the first one after it that is left: its place in self._page, or -1."""
        if self._walk_seq != seq:
            sector = self._open if seq > self.acked else self._tail
            while True:
                after, first = self._after(sector, self._ring(sector))
                if first > seq:
                    break
                sector = after
            # Behind a damaged key slot, chain and generation come from the sector before.
            while not self._enter(sector) and sector != self._tail:
                sector = (sector - 1) % self._sectors
        offset = self._here()
        while offset >= 0 and self._walk_seq < seq:
            offset = self._step(self._page, offset)
        return offset

    def oldest(self):
        """Number of the oldest record that is left; `head` + 1 if none is."""
        self._ring(self._tail)
        return get30(self._header, _FIRST)

    def batch(self, buf, first_seq):
        """Fill buf with an `event` payload of the records from first_seq on; how many slots are in it."""
        room = min(_BATCH_SLOTS, (len(buf) - _BATCH_HEADER) // 32)
        offset = self._seek(first_seq)
        page = self._page
        slots = 0
        if offset >= 0:
            buf[0] = 1
            buf[1] = buf[3] = buf[23] = 0
            buf[4:8] = self.epoch
            put30(buf, 8, self._walk_seq)
            put30(buf, 12, record.turned(self._walk_generation, page, offset))
            buf[16:23] = self._walk_chain
        while offset >= 0:
            at = _BATCH_HEADER + 32 * slots
            long = record.code(page[offset]) == record.LONG
            slots += 1 + long
            if slots > room:
                slots -= 1 + long
                break
            buf[at : at + 32] = page[offset : offset + 32]
            if long:
                offset = self._load(self._walk_sector, self._walk_slot + 1)
                buf[at + 32 : at + 64] = page[offset : offset + 32]
            self.last_in_batch = self._walk_seq
            offset = self._step(buf, at)
        buf[2] = slots
        return slots

    def chain_of(self, seq, out):
        """Put the chain value of a record into out; False if it is not there."""
        offset = self._seek(seq)
        if offset < 0 or self._walk_seq != seq:
            return False
        out[:7] = self._page[offset + record.MAC : offset + 32]
        return True

    def ack(self, epoch, seq, chain):
        """Everything up to seq is stored upstream. False (and nothing happens) unless it is this journal's record."""
        if bytes(epoch) != self.epoch or not self.acked <= seq <= self.head:
            return False
        offset = self._seek(seq)
        if offset < 0 or self._walk_seq != seq or not same(chain, self._page, offset + record.MAC):
            return False
        self._step(self._page, offset)
        self.acked = seq
        self._tail_s = -1
        self._open = self._walk_sector
        self._open_slot = self._walk_slot
        return True
