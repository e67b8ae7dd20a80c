"""What the journal does once at a start: find its end, its key and its cursor again, whatever a power cut left; format.

    from storage import recovery
    recovery.mount(journal)         # Journal.mount() does this; firmware.main drops the module afterwards

A program that was cut short belongs to an append that never returned: its slots are zeroed and its sequence number is
used again. Everything here can be cut short and repeated.
"""

import os

from micropython import const

from storage import record
from storage.mac import Hmac
from storage.mending import HEADER, HEADER_END, is_genuine, mac_of, mend_header, mend_key, mend_record, try_put
from storage.record import get30

_SLOTS = const(128)
_AHEAD = const(2)
_ENOENT = const(2)
_EIO = const(5)

_FIRST = const(18)  # fields of a sector header
_ACKED = const(26)

_DAMAGED = "journal is damaged, no header can be read: read the flash out, then commission the door"
_NOT_FORMATTED = "journal is not formatted: commission the door"


def _reset(journal):
    """All state of a journal, as before its first record."""
    journal.epoch = bytes(4)
    journal.chain = bytearray(7)  # of the newest record
    journal.head = 0  # newest sequence number
    journal.acked = 0
    journal.boot = 0
    journal.last_in_batch = 0
    journal.last_time_s = journal._latest_s = 0  # it is not earlier, the newest records say
    journal.torn = 0  # slots at the end that an interrupted program or a damaged bit made worthless
    journal.failures = 0  # programs and erases that failed
    journal.key_lost = False  # the key slot was damaged: records are sealed with a key that nobody knows
    journal.stamp(0, record.FLOOR, 31)

    journal._mended = {}  # bytes 8 to 25 of headers with a flipped bit, put right, by sector
    journal._page_at = -1  # address of what stands in _page
    journal._tail = 0  # oldest sector in use
    journal._top = 0  # newest sector in use
    journal._slot = _SLOTS  # next free slot there
    journal._ahead = 0  # the last sector that was made ready or left out
    journal._ready = []  # sectors kept erased
    journal._stuck = 0  # how often the next one could not be erased
    journal._given = -1  # sector whose records are counted as given up
    journal._lost = (bytearray(24), bytearray(24))  # payloads of the next GAP records, by reason - 1
    journal._lost_count = [0, 0]
    journal._shed_report = 1  # how many records of the lower classes are counted before a record says so
    journal._tail_s = -1  # the newest record in the oldest sector is not later; -1: not looked at yet
    journal._open = 0  # the cursor: all records before this sector and slot are acknowledged
    journal._open_slot = 0
    journal._saved = 0  # the same as flash knows it, in groups of 16 slots
    journal._saved_groups = 0

    journal._mac = None  # with the key in use
    journal._next = None  # with the key of the next generation
    journal._generation = 0
    journal._made = 0  # records made with this key
    journal._key_due = False  # the next append writes a key slot
    journal._live = []  # addresses of key slots that are not wiped, newest last
    journal._last_ms = 0

    # The walk stands before the record with this number.
    journal._walk_seq = -1
    journal._walk_end = 0  # the number of the first record in the next sector
    journal._walk_ring = 0
    journal._walk_generation = 0


def format(journal, epoch, key):
    """Journal.format."""
    _reset(journal)
    top, _, _, ring = _survey(journal)
    journal._ring_number = max(ring, 0)
    for _ in range(journal._sectors):
        top = (top + 1) % journal._sectors  # newest last: a format that is cut short leaves a journal
        journal._clean(top)
    journal.epoch = bytes(epoch)
    journal._mac = Hmac(key)
    journal._top = journal._sectors - 1
    journal._ready = [0, 1]
    journal._ahead = 1
    journal._write(0)
    journal._tail = journal._open = journal._saved = journal._top


def mount(journal):
    """Journal.mount: reads all headers and the newest sectors."""
    _reset(journal)
    top, tail, waiting, journal._ring_number = _survey(journal)
    if top < 0:
        raise OSError(*_why_none(journal))
    journal._top = top
    journal._tail = tail
    journal._ring(top)
    journal.epoch = bytes(journal._header[10:14])
    # Keys may be left to wipe in as many sectors as appends can fill while the door is never idle.
    sector = top
    for _ in range(_AHEAD):
        sector = _before(journal, sector)
    turn = 0
    while True:
        end = journal._slot
        turn, good, suspect = _replay(journal, sector, turn)
        if sector == top:
            break
        sector = journal._after(sector, journal._ring(sector))[0]
    mended = False
    if good == 1 and journal._live and journal._live[-1] == top << 12 | 32 and mend_key(journal, turn, None):
        # Nothing but a key stands there yet, with a flipped bit.
        mended = True
        good = 2
        turn = journal._generation
        suspect = None
    if good == 1:
        # Its first program was cut short.
        if top == tail:
            raise OSError(_ENOENT, _NOT_FORMATTED)
        journal._top = _before(journal, top)
        try_put(journal, top << 12, 64)
        journal._slot = good = end
        suspect = None
    # Take the next sector in if it goes on from here and only its header is damaged.
    sector = (journal._top + 1) % journal._sectors
    offset = journal._load(sector, 1)
    page = journal._page
    if journal._ring(sector) < 0 and record.key_sound(page, offset) and page[offset + 5 : offset + 12] == journal.chain:
        journal._put_header()
        end = journal._slot
        found = _replay(journal, sector, turn)
        if found[1] > 1:
            turn, good, suspect = found
            try_put(journal, sector << 12 | HEADER, 24, journal._work)
            journal._mended[sector] = bytes(journal._work[: HEADER_END - HEADER])
            journal._top = sector
            journal._ring_number += 1
            if waiting < 0:
                waiting = sector
        else:
            journal._slot = end  # it was being retired
    _settle(journal, turn, good, suspect)
    journal._key_due |= mended
    journal.boot = journal.boot + 1 & 0xFFFF
    sector = journal._ahead = journal._top
    while len(journal._ready) < _AHEAD:
        sector = (sector + 1) % journal._sectors
        if not journal._erased(sector):
            break
        journal._ahead = sector
        journal._ready.append(sector)
    _find_cursor(journal, waiting)


def _survey(journal):
    """Read all headers; newest, oldest, first not wholly acknowledged sector (-1: none), newest ring number."""
    top = lowest = after = waiting = ring_top = ring_waiting = -1
    for sector in range(journal._sectors):
        ring = journal._ring(sector)
        if ring < 0:
            ring = mend_header(journal, sector)
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
        if _groups(journal) < 8 and (waiting < 0 or ring < ring_waiting):
            waiting = sector
            ring_waiting = ring
    return top, lowest if after < 0 else after, waiting, ring_top


def _why_none(journal):
    """Arguments of the error when no sector is in use: what lies there must not be erased unless it is nothing."""
    for sector in range(journal._sectors):
        journal._load(sector, 0)
        found = bytes(journal._page[HEADER:HEADER_END])
        if found != b"\xff" * len(found) and found != bytes(len(found)):
            return _EIO, _DAMAGED
    return _ENOENT, _NOT_FORMATTED


def _groups(journal):
    """How many groups of 16 slots the header that was read last calls acknowledged."""
    bits = int.from_bytes(journal._header[_ACKED : _ACKED + 3], "little")
    groups = 0
    while groups < 8 and bits & 7 in b"\0\1\2\4":  # majority of three
        bits >>= 3
        groups += 1
    return groups


def _before(journal, sector):
    """The sector in use before this one; the oldest comes before itself."""
    start = sector
    ring = journal._ring(sector)
    while sector != journal._tail:
        sector = (sector - 1) % journal._sectors
        if 0 <= journal._ring(sector) < ring:
            return sector
    return start


def _replay(journal, sector, turn):
    """Carry number, chain, key and boot number over one sector.

    Args:
        turn: key generation of the record before.

    Returns:
        Key generation of the last record, the slot behind the last good one (1: none), what was before the last
        record, which may have to be taken back.
    """
    if journal._ring(sector) >= 0:
        journal.head = get30(journal._header, _FIRST) - 1
    suspect = None
    good = end = slot = 1
    page = journal._page
    chain = journal.chain
    while slot < _SLOTS:
        offset = journal._load(sector, slot)
        if page[offset : offset + 32] != b"\xff" * 32:
            end = slot + 1
        held = record.code(page[offset])
        second = held == record.LONG
        if second:
            # The page may change: what is judged is whether the second half is there.
            second = slot + 1 < _SLOTS and record.code(page[journal._load(sector, slot + 1)]) == record.SECOND
            offset = journal._load(sector, slot)
        if held == record.KEY:
            if page[offset + 14 : offset + 32] != bytes(18):
                journal._live.append(sector << 12 | slot << 5)  # damaged and half wiped ones, too
            # One without its key is wiped, or was cut short: then it means nothing. Records show the generation.
            sound = record.key_sound(page, offset)
            alive = sound and record.key_alive(page, offset)
            if alive or (sound and slot == 1 and journal._mac is None and not journal._made):
                turn = get30(page, offset + 1)
                chain[:] = page[offset + 5 : offset + 12]
            if alive:
                journal._mac = Hmac(page[offset + 14 : offset + 30])
                journal._generation = turn
                journal._made = 0
                suspect = None
                good = slot + 1
        elif held == record.SINGLE or second:
            suspect = (slot, bytes(chain), turn, journal.boot, journal.last_time_s, journal._latest_s)
            turn = record.turned(turn, page, offset)
            chain[:] = page[offset + record.MAC : offset + 32]
            journal.boot = page[offset + record.BOOT_NUMBER] | page[offset + record.BOOT_NUMBER + 1] << 8
            _note_time(journal, page, offset)
            journal.head += 1
            journal._made += 1
            slot += second
            end = good = slot + 1
        slot += 1
    journal._slot = end
    return turn, good, suspect


def _note_time(journal, page, offset):
    """What this record says for certain: it is not earlier.

    Of all records the second latest counts, because a flipped bit in one of them must not carry the floor beyond the
    cards of the residents. What comes before a clock that two persons set back is not believed.
    """
    earliest_s = get30(page, offset + record.TIME)
    if page[offset + record.KIND] == record.CLOCK and page[offset + record.REASON] & record.LOWERED == record.LOWERED:
        journal.last_time_s = journal._latest_s = max(earliest_s - get30(page, offset + record.DETAIL), 0)
        return
    if page[offset + record.TIME + 3] >> 6 != record.FLOOR:
        earliest_s -= 1 << page[offset + record.UNCERTAINTY] % 31
    if earliest_s > journal._latest_s:
        journal.last_time_s = journal._latest_s
        journal._latest_s = earliest_s
    elif earliest_s > journal.last_time_s:
        journal.last_time_s = earliest_s


def _settle(journal, turn, good, suspect):
    """Judge the last record, zero what was cut short behind it, bring the key up to its generation."""
    if suspect and not is_genuine(journal, turn, suspect) and not mend_record(journal, turn, suspect):
        good, chain, turn, journal.boot, journal.last_time_s, journal._latest_s = suspect
        journal.chain[:] = chain
        journal.head -= 1
        journal._made -= 1
    for slot in range(good, journal._slot):
        offset = journal._load(journal._top, slot)
        if journal._page[offset : offset + 32] != bytes(32):
            journal.torn += 1
            if journal._live and journal._live[-1] == journal._top << 12 | slot << 5:
                journal._live.pop()
            if not try_put(journal, journal._top << 12 | slot << 5, 32):
                journal._slot = _SLOTS  # nothing can be programmed here any more
    mended = journal._mac is None and mend_key(journal, turn, suspect)
    mac = mac_of(journal, turn)
    journal.key_lost = mac is None
    # Without its key, or if the slot of this key is damaged, the next append writes a new one.
    journal._key_due = journal.key_lost or mended or journal._generation != turn
    journal._mac = mac or Hmac(os.urandom(16))
    journal._generation = turn


def _find_cursor(journal, waiting):
    """The acknowledged number, as far as it was saved."""
    if waiting < 0 or journal._ring(waiting) < 0:
        journal.acked = journal.head
        journal._open = journal._saved = journal._top
        journal._open_slot = journal._slot
        journal._saved_groups = 8
        return
    groups = journal._saved_groups = _groups(journal)
    journal._saved = waiting
    journal._enter(waiting)
    offset = journal._here()
    while offset >= 0 and journal._walk_sector == waiting and journal._walk_slot < 16 * groups:
        offset = journal._step(journal._page, offset)
    journal.acked = journal._walk_seq - 1
    journal._open = journal._walk_sector
    journal._open_slot = journal._walk_slot
