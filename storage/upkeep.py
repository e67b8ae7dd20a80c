"""The journal's upkeep: sectors kept erased, keys wiped, what is lost counted, what is old erased, the cursor saved.

    while journal.idle(keep_from_s):    # when nobody stands at the door
        pass

Between storage/ring.py, which reads, and storage/journal.py, which appends.
"""

from micropython import const

from storage import record
from storage.record import get30, put30
from storage.ring import Ring

_SLOTS = const(128)
RECORDS_PER_KEY = const(32)
_IDLE_MOVE_MS = const(900_000)
AHEAD = const(2)  # sectors kept erased
# How full the ring may be for records of class 0 and of class 1: the last quarter is kept for what counts.
CROWDED_PERCENT = const(75)
FULL_PERCENT = const(90)
_SAVE_GROUPS = const(2)
_TRIES = const(8)
_ENDLESS_S = const(0x3FFFFFFF)
_LEAST_LEFT = const(4)  # records that stay in any case: the clock's floor is the second latest of some
_EIO = const(5)
_ACKED_AT = const(26)


class Upkeep(Ring):
    """What is done for the flash; it calls the append of Journal for its own records."""

    # --- sectors ---

    def _next_sector(self):
        for _ in range(AHEAD + 2):
            if self._ready:
                return self._ready[0]
            try:
                self._advance(False)
            except OSError:
                self.failures += 1
        raise OSError(_EIO, "journal: no sector can be erased, replace the board")

    def _advance(self, idle):
        """Erase the next sector. If its records are not acknowledged they are counted first, and idle, that is all."""
        sector = (self._ahead + 1) % self._sectors
        if sector == self._top:
            self._ahead = sector  # try them all again next time
            raise OSError(_EIO, "journal: no sector is left")
        after = -1
        lossy = False
        if sector == self._tail:
            after, first = self._after(sector, self._ring(sector))
            lossy = first - 1 > self.acked
            if lossy and self._given != sector:
                self._give_up(sector)
                self._given = sector
                if idle:
                    return
        while len(self._live) > 1:
            self._wipe()
        try:
            if not self._erased(sector):
                self._clean(sector)
            self._ready.append(sector)
        except OSError:
            self._stuck += 1
            if lossy and self._stuck < _TRIES:
                raise  # records are only left behind if this sector is really worn out
            self.failures += 1
        self._stuck = 0
        self._given = -1
        self._ahead = sector
        if after >= 0:
            self._leave(sector, after)

    def _leave(self, sector, after):
        """The oldest sector was erased; `after` is the oldest now."""
        self._tail = after
        self._tail_s = -1
        if self._open == sector:
            self._open = after
            self._open_slot = 0
        if self._saved == sector:
            self._saved = after
            self._saved_groups = 0

    def _clean(self, sector):
        self._walk_seq = -1
        header = self._header
        self._flash.read(sector << 12, header)
        count = self._flash.clean_count(header)
        if count < 0:
            count = self._ring_number // self._sectors
        self._mended.pop(sector, None)
        self._put(sector << 12, bytes(64))  # so that a half erased sector is never taken for one in use
        self._flash.erase(sector)
        self._flash.mark_clean(sector, count + 1)

    def _wipe(self):
        """Zero the oldest key that is left, if the newest can be read."""
        newest = self._live[-1]
        if not record.key_alive(self._page, self._load(newest >> 12, newest >> 5 & 127)):
            self._key_due = True
            self._live.pop()
            return
        self._put(self._live.pop(0) + 14, bytes(18))

    # --- losses ---

    def fill(self):
        """Percent of the ring that is not acknowledged."""
        if self.acked == self.head:
            return 0
        return ((self._top - self._open) % self._sectors + 1) * 100 // (self._sectors - AHEAD)

    def _give_up(self, sector):
        lost = self._lost[0]
        self._enter(sector)
        offset = self._here()
        while offset >= 0 and self._walk_sector == sector:
            if self._walk_seq > self.acked:
                if not self._lost_count[0]:
                    put30(lost, 0, self._walk_seq)
                put30(lost, 4, self._walk_seq)
                self._count(record.GIVEN_UP, self._page[offset + record.KIND], self._page[offset + record.REASON])
            offset = self._step(self._page, offset)

    def _count(self, why, kind, reason):
        lost = self._lost[why - 1]
        at = 8 + 4 * record.class_of(kind, reason)
        put30(lost, at, get30(lost, at) + 1)
        self._lost_count[why - 1] += 1

    def _report(self, why):
        lost = self._lost[why - 1]
        self.append_long(record.GAP, why, None, self._lost_count[why - 1], lost)
        lost[:] = bytes(24)
        self._lost_count[why - 1] = 0

    # --- idle ---

    def idle(self, keep_from_s=0):
        """One piece of maintenance, at most one erase long. True if there may be more.

        Args:
            keep_from_s: what is acknowledged and certainly earlier than this is erased, sector by sector; seconds
                since 2020. The newest records stay: clock and boot number go on from them.
        """
        try:
            return self._maintain(keep_from_s)
        except OSError:
            self.failures += 1
            return False

    def _maintain(self, keep_from_s):
        if len(self._live) > 1:
            self._wipe()
        elif self._made and self._idle_ms() >= _IDLE_MOVE_MS:
            self._write(0)
        elif self._lost_count[0]:
            self._report(record.GIVEN_UP)
        elif self._shed_report > 1 and self.fill() <= CROWDED_PERCENT:
            if self._lost_count[1]:
                self._report(record.NOT_STORED)
            self._shed_report = 1
        elif len(self._ready) < AHEAD:
            self._advance(True)
        elif not self._save_cursor() and not self._expire(keep_from_s):
            self._mac.prepare()
            if self._made >= RECORDS_PER_KEY - 4:
                self._next_mac().prepare()
            return False
        return True

    def _save_cursor(self):
        """Clear acknowledged groups in a header: a few at a time, for a lost cursor only means sending again."""
        groups = 8
        if self._saved == self._open:
            groups = self._open_slot >> 4
            if groups < self._saved_groups + _SAVE_GROUPS:
                return False
        sector = self._saved
        done = self._saved_groups == groups
        self._saved_groups = groups
        if sector != self._open:
            self._saved = self._after(sector, self._ring(sector))[0]
            self._saved_groups = 0
        if not done:
            self._put(sector << 12 | _ACKED_AT, (0xFFFFFF << 3 * groups & 0xFFFFFF).to_bytes(3, "little"))
        return True

    def _expire(self, keep_from_s):
        """Erase the oldest sector if it is acknowledged and all of it was made before this time; True if so.

        At a door that is hardly used one sector takes months: it is closed when its first record is so old.
        """
        sector = self._tail
        closing = sector == self._top
        if (
            keep_from_s <= self._tail_s
            or not keep_from_s
            or (self.acked < self.head if closing else sector == self._open)
            # The only key that is left must lie elsewhere.
            or self._key_due
            or not self._live
            or self._live[-1] >> 12 != self._top
        ):
            return False
        if self._tail_s < 0:
            self._tail_s = self._latest_in(sector, closing)
            return True
        if closing:
            self._slot = _SLOTS
            self._write(0)
            return True
        after, first = self._after(sector, self._ring(sector))
        if after == self._top and self.head - first < _LEAST_LEFT:
            return False
        try:
            self._clean(sector)
        except OSError:
            self.failures += 1  # worn out: it is left behind, and tried again after a restart
        self._leave(sector, after)
        return True

    def _latest_in(self, sector, first):
        """The latest second at which the first or the last record of a sector can have been made.

        A record stamped with the floor of the clock does not tell: it counts as new.
        """
        for slot in range(1, _SLOTS) if first else range(_SLOTS - 1, 0, -1):
            offset = self._load(sector, slot)
            page = self._page
            if record.code(page[offset]) in (record.SINGLE, record.LONG):
                if page[offset + record.TIME + 3] >> 6 == record.FLOOR:
                    break
                return get30(page, offset + record.TIME) + (1 << page[offset + record.UNCERTAINTY] % 31)
        return _ENDLESS_S
