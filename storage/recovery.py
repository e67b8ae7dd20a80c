"""What the journal does at a start: find its end, its key and its cursor again, whatever a power cut left.

Base of storage/journal.py, on top of storage/ring.py. A program that was cut short belongs to an append that never
returned: its slots are zeroed and its sequence number is used again. Everything here can be cut short and repeated.
"""

import os

from micropython import const

from storage import record
from storage.mac import Hmac, same
from storage.ring import Ring

_SLOTS = const(128)
_AHEAD = const(2)
_ENOENT = const(2)
_FIRST_PROGRAM = const(128)  # no first program of a sector reaches further


class Recovery(Ring):
    """Adds the state that appends need."""

    def __init__(self, flash):
        Ring.__init__(self, flash)
        self.epoch = bytes(4)
        self.acked = 0
        self.boot = 0
        self.chain = bytearray(7)
        self.last_time_s = 0  # latest time of a synchronised record in the newest sectors
        self.torn = 0  # slots at the end of the journal that an interrupted program or a damaged bit made worthless
        self.failures = 0  # programs and erases that failed
        self.key_lost = False  # the key slot was damaged: records are sealed with a key that nobody knows
        self._key = None
        self._generation = 0
        self._made = 0  # records made with this key
        self._key_due = False  # the next append writes a key slot

    def _survey(self):
        """Read all headers; newest, oldest, first not wholly acknowledged sector (-1: none), newest ring number."""
        top = lowest = after = waiting = ring_top = ring_waiting = -1
        for sector in range(self._sectors):
            ring = self._ring(sector)
            if ring < 0:
                continue
            if lowest < 0:
                lowest = sector
            if ring > ring_top:
                top = sector
                ring_top = ring
                after = -1
            elif after < 0:
                after = sector
            if self._groups() < 8 and (waiting < 0 or ring < ring_waiting):
                waiting = sector
                ring_waiting = ring
        return top, lowest if after < 0 else after, waiting, ring_top

    def mount(self):
        """Find the end of the journal, the key and the cursor. Reads all headers and the newest sectors."""
        self._page_at = self._walk_seq = -1
        self._top, self._tail, waiting, self._ring_number = self._survey()
        if self._top < 0:
            raise OSError(_ENOENT, "journal is not formatted: commission the door")
        self._ring(self._top)
        self.epoch = bytes(self._header[10:14])
        self._key = self._next = None
        self._made = self._generation = self._turn = self.boot = 0
        self._live = []
        self._key_due = False
        # Keys may be left to wipe in as many sectors as appends can fill while the door is never idle.
        sector = self._top
        for _ in range(_AHEAD):
            sector = self._before(sector)
        while sector != self._top:
            self._replay(sector)
            sector = self._after(sector, self._ring(sector))[0]
        end = self._slot
        if not self._replay(sector) and sector != self._tail:
            # Its first program was cut short.
            self._top = self._before(sector)
            self._retire(sector)
            self._slot = self._good = end
            self._suspect = None
        self._adopt()
        self._settle()
        self.boot = self.boot + 1 & 0xFFFF
        self._ahead = self._top
        self._ready = []
        while len(self._ready) < _AHEAD and self._is_clean((self._ahead + 1) % self._sectors):
            self._ahead = (self._ahead + 1) % self._sectors
            self._ready.append(self._ahead)
        self._find_cursor(waiting)

    def _replay(self, sector):
        """Carry number, chain, key and boot number over one sector. False if there is nothing whole in it."""
        if self._ring(sector) >= 0:
            self.head = record.get30(self._header, 18) - 1
        self._suspect = None
        self._good = self._slot = slot = 1
        page = self._page
        while slot < _SLOTS:
            offset = self._load(sector, slot)
            if page[offset : offset + 32] != b"\xff" * 32:
                self._slot = slot + 1
            held = record.code(page[offset])
            if held == record.KEY and record.key_sound(page, offset):
                # One without its key is wiped, or was cut short: then it means nothing. Records show the generation.
                alive = record.key_alive(page, offset)
                if alive or (slot == 1 and self._key is None and not self._made):
                    self._turn = record.get30(page, offset + 1)
                    self.chain[:] = page[offset + 5 : offset + 12]
                if alive:
                    self._key = page[offset + 14 : offset + 30]
                    self._generation = self._turn
                    self._live.append(sector << 12 | slot << 5)
                    self._made = 0
                    self._suspect = None
                    self._good = slot + 1
            elif held == record.SINGLE or (held == record.LONG and self._has_second(sector, slot)):
                offset = self._load(sector, slot)
                # The last record of all is judged in _settle(), and may have to be taken back.
                self._suspect = (slot, bytes(self.chain), self._turn, self.boot, self.last_time_s)
                self._turn = record.turned(self._turn, page, offset)
                self.chain[:] = page[offset + record.MAC : offset + 32]
                self.boot = page[offset + record.BOOT_NUMBER] | page[offset + record.BOOT_NUMBER + 1] << 8
                if page[offset + record.TIME + 3] >> 6 == record.SYNCHRONISED:
                    self.last_time_s = max(self.last_time_s, record.get30(page, offset + record.TIME))
                self.head += 1
                self._made += 1
                if held == record.LONG:
                    slot += 1
                self._slot = self._good = slot + 1
            slot += 1
        return self._good > 1

    def _has_second(self, sector, slot):
        return slot + 1 < _SLOTS and record.code(self._page[self._load(sector, slot + 1)]) == record.SECOND

    def _adopt(self):
        """Take the next sector in if it goes on from here and only its header is damaged."""
        sector = (self._top + 1) % self._sectors
        if self._ring(sector) >= 0:
            return
        offset = self._load(sector, 1)
        page = self._page
        if record.key_sound(page, offset) and page[offset + 5 : offset + 12] == self.chain:
            self._repair_header(sector)
            self._top = sector
            self._ring_number += 1
            self._replay(sector)

    def _settle(self):
        """Judge the last record, zero what was cut short behind it, bring the key up to its generation."""
        if self._suspect and not self._is_genuine():
            self._good, chain, self._turn, self.boot, self.last_time_s = self._suspect
            self.chain[:] = chain
            self.head -= 1
            self._made -= 1
        for slot in range(self._good, self._slot):
            offset = self._load(self._top, slot)
            if self._page[offset : offset + 32] != bytes(32):
                self.torn += 1
                self._page_at = -1
                try:
                    self._flash.program(self._top << 12 | slot << 5, bytes(32))
                except OSError:
                    self.failures += 1
                    self._slot = _SLOTS  # nothing can be programmed here any more
        self._key = self._key_of(self._turn)
        if self._key is None:
            self.key_lost = True
            self._key = os.urandom(16)
            self._key_due = True
        elif self._generation != self._turn:
            self._key_due = True  # the slot of this key is damaged
        self._generation = self._turn
        self._mac = Hmac(self._key)

    def _key_of(self, generation):
        """Key of this generation from the newest one found, None if there is no way to it."""
        key = self._key
        if key is None or generation < self._generation:
            return None
        for _ in range(generation - self._generation):
            key = record.next_key(key)
        return key

    def _is_genuine(self):
        """Whether the last record's MAC is right."""
        slot, chain = self._suspect[:2]
        if self._key is None:
            return True  # nobody can tell here; upstream will
        key = self._key_of(self._turn)
        if key is None:
            return False
        offset = self._load(self._top, slot)
        page = self._page
        tag = page[offset + record.MAC : offset + 32]
        mac = Hmac(key)
        mac.update(chain)
        mac.update(page[offset : offset + record.MAC])
        if record.code(page[offset]) == record.LONG:
            offset = self._load(self._top, slot + 1)
            mac.update(page[offset : offset + record.MAC])
            tag += page[offset + record.MAC : offset + 32]
        return same(tag, mac.digest(), 0)

    def _is_clean(self, sector):
        """Whether this sector was erased to the end and no program was begun in it."""
        self._load(sector, 0)
        page = self._page
        return self._flash.clean_count(page) >= 0 and page[8:_FIRST_PROGRAM] == b"\xff" * (_FIRST_PROGRAM - 8)

    def _find_cursor(self, waiting):
        """The acknowledged number, as far as it was saved."""
        if waiting < 0 or self._ring(waiting) < 0:
            self.acked = self.head
            self._open = self._saved = self._top
            self._open_slot = self._slot
            self._saved_groups = 8
            return
        self._saved = waiting
        self._saved_groups = self._groups()
        self._enter(waiting)
        offset = self._here()
        while offset >= 0 and self._walk_sector == waiting and self._walk_slot < 16 * self._saved_groups:
            self._pass(offset)
            offset = self._here()
        self.acked = self._walk_seq - 1
        self._open = self._walk_sector
        self._open_slot = self._walk_slot
