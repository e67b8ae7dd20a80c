"""What the journal's start makes of one flipped bit, and of the last record: header, key slot, record, chain value.

    ring = mending.mend_header(journal, sector)
    if not mending.is_genuine(journal, turn, suspect): ...

Part of storage/recovery.py, which drives it, and like it not kept in memory.
"""

from micropython import const

from storage import record
from storage.mac import Hmac, same
from storage.record import get30

HEADER = const(8)  # where a sector's header begins behind the clean mark, and where it ends
HEADER_END = const(26)


def try_put(journal, address, length, data=bytes(64)):
    """Program the first bytes of data; a worn sector does not stop the start."""
    try:
        journal._put(address, data[:length])
        return True
    except OSError:
        journal.failures += 1
        return False


def mend_header(journal, sector):
    """Ring number if one flipped bit makes the header that was read last none of ours, else -1.

    A header stands for up to 126 records, and for the whole journal if it is the only one.
    """
    header = journal._header
    found = header[HEADER:HEADER_END]
    if found == b"\xff" * len(found) or found == bytes(len(found)):
        return -1  # erased, or retired
    for bit in range(8 * HEADER, 8 * HEADER_END):
        header[bit >> 3] ^= 1 << (bit & 7)
        if journal._sound(header):
            journal._mended[sector] = found = bytes(header[HEADER:HEADER_END])
            try_put(journal, sector << 12 | HEADER, len(found), found)  # a bit that came up goes down again
            return get30(header, 14)
        header[bit >> 3] ^= 1 << (bit & 7)
    return -1


def mac_of(journal, generation):
    """HMAC with the key of this generation, from the newest one found; None if there is no way to it."""
    mac = journal._mac
    if mac is None or generation < journal._generation:
        return None
    for _ in range(generation - journal._generation):
        mac = Hmac(record.next_key(mac.key))
    return mac


def is_genuine(journal, turn, suspect):
    """Whether the last record's MAC is right; a flipped bit in the MAC of the one before does not make it wrong."""
    slot, before = suspect[:2]
    if journal._mac is None:
        return True  # nobody can tell here; upstream will
    mac = mac_of(journal, turn)
    if mac is None:
        return False
    content = b""
    tag = b""
    page = journal._page
    while True:
        offset = journal._load(journal._top, slot)
        content += page[offset : offset + record.MAC]
        tag += page[offset + record.MAC : offset + 32]
        if record.code(page[offset]) != record.LONG:
            break
        slot += 1
    chain = bytearray(before)
    for bit in range(57):
        mac.update(chain)
        mac.update(content)
        if same(tag, mac.digest(), 0):
            return True
        chain[:] = before
        if bit < 56:
            chain[bit >> 3] ^= 1 << (bit & 7)
    return False


def mend_key(journal, turn, suspect):
    """Find the key again if one flipped bit spoilt the newest slot: one with right checks that fits the last record."""
    if journal._live:
        address = journal._live[-1]
        offset = journal._load(address >> 12, address >> 5 & 127)
        slot = bytearray(journal._page[offset : offset + 32])
        older = journal._mac, journal._generation
        for bit in range(256):
            slot[bit >> 3] ^= 1 << (bit & 7)
            if record.key_alive(slot, 0) and record.key_sound(slot, 0):
                journal._mac = Hmac(slot[14:30])
                journal._generation = get30(slot, 1)
                if not suspect:
                    # No record was made with it.
                    journal.chain[:] = slot[5:12]
                    journal._made = 0
                    return True
                if is_genuine(journal, turn, suspect):
                    return True
            slot[bit >> 3] ^= 1 << (bit & 7)
        journal._mac, journal._generation = older
    return False


def mend_record(journal, turn, suspect):
    """Keep the last record if one wrong bit spoils its MAC; a program that lacks one bit is brought to its end.

    A bit that fell stays: upstream proves it by turning it back.
    """
    slot, before = suspect[:2]
    mac = mac_of(journal, turn)
    offset = journal._load(journal._top, slot)
    found = bytearray(journal._page[offset : offset + 32])
    if mac is None or record.code(found[0]) != record.SINGLE:
        return False
    view = memoryview(found)
    for bit in range(256):
        found[bit >> 3] ^= 1 << (bit & 7)
        mac.update(before)
        mac.update(view[: record.MAC])
        if same(found[record.MAC :], mac.digest(), 0):
            try_put(journal, journal._top << 12 | slot << 5, 32, found)
            offset = journal._load(journal._top, slot)
            journal.chain[:] = journal._page[offset + record.MAC : offset + 32]
            journal.boot = found[record.BOOT_NUMBER] | found[record.BOOT_NUMBER + 1] << 8
            return True
        found[bit >> 3] ^= 1 << (bit & 7)
    return False
