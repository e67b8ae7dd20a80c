"""The door's journal: records on raw flash that no power cut can lose, sealed by a key that moves forward.

    journal = Journal(Flash(partition))
    journal.mount()                                     # or once: format(epoch, key)
    journal.stamp(now_s, record.SYNCHRONISED, 1)
    journal.append(record.GRANTED, 0, pseudonym, group)   # durable when it returns
    while journal.idle():                               # when nobody stands at the door
        pass
    slots = journal.batch(buf, journal.acked + 1)       # buf[: 24 + 32 * slots] is the payload

Formats are in docs/flash-formats.md. An append is one program, read back; it has to erase only if idle() was not
called for two sectors.
"""

import time

from micropython import const

from storage import record
from storage.mac import Hmac, seal
from storage.record import put30
from storage.upkeep import CROWDED_PERCENT, FULL_PERCENT, RECORDS_PER_KEY, Upkeep

_SLOTS = const(128)
_SHED_REPORT = const(64)
_MOST_SHED = const(1024)
_EIO = const(5)

# self._work, what one program can hold: bytes 8 to 31 of a sector header, a key slot, a record, its second half.
_KEY_AT = const(24)
_AT = const(56)
_SECOND_AT = const(88)
_END = const(120)


class Journal(Upkeep):
    """One region. To read: epoch, head, acked, boot, chain, torn, failures, key_lost, last_time_s, last_in_batch.

    What all of its state means stands in storage/recovery.py, which sets it at a start and is not kept in memory.
    """

    def __init__(self, flash):
        super().__init__(flash)
        work = self._work = bytearray(b"\xff" * _END)
        self._back = bytearray(_END)
        # Views for the common record, so that the card path allocates two digests and nothing else.
        view = memoryview(work)
        self._single = view[_AT:_SECOND_AT]
        self._single_back = memoryview(self._back)[: _SECOND_AT - _AT]
        self._signed = view[_AT : _AT + record.MAC]
        self._signed_second = view[_SECOND_AT : _SECOND_AT + record.MAC]

    def format(self, epoch, key):
        """Begin a new journal: erases everything. The caller forgets the key afterwards; the office keeps it."""
        from storage import recovery

        recovery.format(self, epoch, key)

    def mount(self):
        """Find the end of the journal, the key and the cursor. OSError if it was never formatted."""
        from storage import recovery

        recovery.mount(self)
        self._last_ms = time.ticks_ms()

    # --- append ---

    def stamp(self, time_s, grade, uncertainty):
        """Time, trust and uncertainty of the appends that follow."""
        put30(self._work, _AT + record.TIME, time_s, grade)
        self._work[_AT + record.UNCERTAINTY] = uncertainty

    def append(self, kind, reason=0, pseudonym=None, detail=0):
        """Make a record; it is durable when this returns its sequence number. OSError if two slots failed.

        While more than 75 % are unacknowledged, records of the lowest class are only counted (`head` is returned),
        those of the middle class, too, above 90 %.
        """
        rank = record.class_of(kind, reason)
        if rank < record.HIGH and self.fill() > (FULL_PERCENT if rank else CROWDED_PERCENT):
            self._count(record.NOT_STORED, kind, reason)
            if self._lost_count[1] >= self._shed_report:
                self._report(record.NOT_STORED)
                # Ever less often: what is only counted must not fill the ring with its counts.
                self._shed_report = min(max(_SHED_REPORT, 2 * self._shed_report), _MOST_SHED)
            return self.head
        self._fields(kind, reason, pseudonym, detail)
        self._work[_AT] = record.SINGLE
        return self._write(1)

    def append_long(self, kind, reason, pseudonym, detail, payload):
        """The same with 24 bytes more, never left out."""
        self._fields(kind, reason, pseudonym, detail)
        self._work[_AT] = record.LONG
        self._work[_SECOND_AT] = record.SECOND
        self._signed_second[1:] = payload
        return self._write(2)

    def _fields(self, kind, reason, pseudonym, detail):
        work = self._work
        work[_AT + record.BOOT_NUMBER] = self.boot & 255
        work[_AT + record.BOOT_NUMBER + 1] = self.boot >> 8
        work[_AT + record.KIND] = kind
        work[_AT + record.REASON] = reason
        for i in range(7):
            work[_AT + record.PSEUDONYM + i] = pseudonym[i] if pseudonym else 0
        put30(work, _AT + record.DETAIL, detail)

    def _write(self, slots):
        """Program what is in self._work; if that fails, once more in another sector."""
        for attempt in range(2):
            try:
                self._program(slots)
                break
            except OSError:
                self.failures += 1
                self._abandon()
                if attempt:
                    raise
        if slots:
            self._last_ms = time.ticks_ms()
        return self.head

    def _idle_ms(self):
        return time.ticks_diff(time.ticks_ms(), self._last_ms)

    def _program(self, slots):
        """One program: a record of so many slots, behind a key slot and a sector header where they are due."""
        self._target_length = 0
        sector = self._top
        slot = self._slot
        due = self._key_due or self._made >= RECORDS_PER_KEY or not slots
        start = _KEY_AT if due else _AT
        fresh = slot + slots + due > _SLOTS
        if fresh:
            sector = self._next_sector()
            slot = 1
            start = 0
            self._put_header()
        work = self._work
        mac = self._mac
        generation = self._generation
        if start < _AT:
            if self._made:  # every generation signs at least one record
                mac = self._next_mac()
                generation += 1
            record.put_key(work, _KEY_AT, generation, self.chain, mac.key)
        if slots:
            put30(work, _AT + record.SEQ, self.head + 1, generation & 3)
            mac.update(self.chain)
            mac.update(self._signed)
            if slots == 2:
                mac.update(self._signed_second)
            digest = mac.digest()
            for i in range(7):
                work[_AT + record.MAC + i] = digest[i]
                if slots == 2:
                    work[_SECOND_AT + record.MAC + i] = digest[7 + i]
        data = self._single
        back = self._single_back
        if start < _AT or slots != 1:
            data = memoryview(work)[start : _AT + 32 * slots]
            back = memoryview(self._back)[: len(data)]
        address = sector << 12 | (slot << 5 if start else 8)
        self._target = address
        self._target_length = len(data)
        self._put(address, data)
        self._flash.read(address, back)
        if back != data:
            raise OSError(_EIO, "journal: the flash did not take a record")
        if fresh:
            self._tail_s = -1
            self._top = self._ready.pop(0)
            self._ring_number += 1
            self._walk_seq = -1
        if start < _AT:
            self._live.append(sector << 12 | slot << 5)
            slot += 1
            if mac is self._next:
                self._mac = mac
                self._next = None
                self._generation = generation
            self._made = 0
            self._key_due = False
        self._slot = slot + slots
        if slots:
            for i in range(7):
                self.chain[i] = digest[i]
            self.head += 1
            self._made += 1

    def _put(self, address, data):
        self._page_at = -1
        self._flash.program(address, data)

    def _put_header(self):
        work = self._work
        work[:2] = b"J\1"
        work[2:6] = self.epoch
        put30(work, 6, self._ring_number + 1)
        put30(work, 10, self.head + 1)
        seal(b"menwei journal", work, 0, 14, 4)

    def _abandon(self):
        """A program failed: leave its sector alone and what may stand there without meaning."""
        length = self._target_length
        if not length:
            return
        if self._target >> 12 == self._top:
            self._slot = _SLOTS
        else:
            self._ready.pop(0)
            self._ring_number += 1
        try:
            self._put(self._target, bytes(length))
        except OSError:
            self.failures += 1  # then the numbers in the next header tell that nothing counts here

    def _next_mac(self):
        if self._next is None:
            self._next = Hmac(record.next_key(self._mac.key))
        return self._next
