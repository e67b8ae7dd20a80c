"""Sectors of the cards region: their headers, what each is used for, spares.

    kind = cardsector.load_header(cards, sector, head)
    sector = cardsector.spare(cards)

`cards` is the storage.allowlist.Allowlist. Loaded on demand. The layout, and why the header is programmed last:
docs/flash-formats.md.
"""

from hashlib import sha256

from micropython import const

from storage.allowlist import BAD, DIRTY, MARKED, USED

TABLE = const(0x43)
REVISIONS = const(0x52)
_FORMAT = const(1)
_EIO = const(5)


def load_header(cards, sector, head):
    """Read a header into a buffer of 32 bytes; return its kind, 0 if blank, -1 if it is none of ours.

    `cards._flawed` tells whether a bit had to be put right.
    """
    cards._flawed = False
    cards._flash.read(sector << 12, head)
    if min(head[8:22]) == 255:
        return 0
    # A header stands for up to 254 cards, so one flipped bit is put right: each is tried in turn.
    for bit in range(64, 177):
        if seal(b"menwei cards", head[8:18])[:4] == head[18:22]:
            if head[9] != _FORMAT or head[16] | head[17] << 8 != cards._logicals:
                return -1
            return head[8] if head[10] | head[11] << 8 < cards._logicals else -1
        if cards._flawed:
            head[bit - 1 >> 3] ^= 1 << (bit - 1 & 7)
        cards._flawed = True
        head[bit >> 3] ^= 1 << (bit & 7)
    return -1


def write_header(cards, sector, kind, logical, generation, overflow):
    """Make a sector count. Its overflow bits are programmed before: a torn header must not lose them."""
    if overflow:
        cards._program(sector << 12 | 26, overflow_triples(overflow))
    head = bytes((kind, _FORMAT)) + logical.to_bytes(2, "little")
    head += generation.to_bytes(4, "little") + cards._logicals.to_bytes(2, "little")
    cards._program(sector << 12 | 8, head + seal(b"menwei cards", head)[:4])


def generation_of(head):
    """Generation in a header."""
    return int.from_bytes(head[12:16], "little")


def overflow_bits(head):
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


def seal(label, data):
    """Return SHA-256(label ‖ data)."""
    return sha256(label + data).digest()


def kind_of(cards, sector):
    """DIRTY, MARKED, USED or BAD."""
    return cards._kinds[sector >> 2] >> (sector & 3) * 2 & 3


def set_kind(cards, sector, kind):
    """Keep what a sector is now."""
    old = kind_of(cards, sector)
    cards._counts[old] -= 1
    cards._counts[kind] += 1
    cards._kinds[sector >> 2] ^= (old ^ kind) << (sector & 3) * 2


def erase(cards, sector):
    """Erase a free sector; False if the flash refuses."""
    flash = cards._flash
    mark = bytearray(8)
    flash.read(sector << 12, mark)
    count = flash.clean_count(mark)
    try:
        flash.erase(sector)
        flash.mark_clean(sector, max(count, 0) + 1)
    except OSError:
        cards.errors += 1
        set_kind(cards, sector, BAD)
        return False
    set_kind(cards, sector, MARKED)
    return True


def spare(cards):
    """Take an erased sector; erases one if none is ready."""
    sectors = cards._flash.sectors
    for wanted in (MARKED, DIRTY, BAD):
        for _ in range(sectors):
            sector = cards._turn = (cards._turn + 1) % sectors
            if kind_of(cards, sector) == wanted:
                cards._cached = -1
                if _blank(cards, sector) if wanted == MARKED else erase(cards, sector):
                    set_kind(cards, sector, USED)
                    return sector
    raise OSError(_EIO, "cards: no sector can be erased, replace the controller")


def _blank(cards, sector):
    """Tell whether a marked sector is still as erased: a rewrite may have been cut before its header."""
    for at in range(sector << 12, sector + 1 << 12, 256):
        cards._read_page(at)
        if min(cards._view[0 if at & 4095 else 8 :]) != 255:
            set_kind(cards, sector, DIRTY)
            return False
    return True
