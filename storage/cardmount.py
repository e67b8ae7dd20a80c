"""What the allowlist does once at a start: find its sectors and its revision; format.

    cardmount.mount(cards)      # Allowlist.mount() does this; firmware.main drops the module afterwards

Nothing is erased or programmed by a mount: that waits until the door is idle.
"""

from micropython import const

from storage import cardsector
from storage.allowlist import DIRTY, MARKED, NOWHERE, USED
from storage.cardrevision import PROGRESS, REVISION, add_sector, read_slot

_FIRST_SLOT = const(32)


def _clear(cards):
    """All state of a list, as if nothing were in flash."""
    for logical in range(cards._logicals):
        cards._map[logical] = NOWHERE
        cards._overflow[logical] = 0
    for i in range(len(cards._kinds)):
        cards._kinds[i] = 0
    cards._counts = [cards._flash.sectors, 0, 0, 0]  # physical sectors by kind
    cards._revisions = []  # the sector of revisions before, and the current one
    cards._free = 0  # address of the next revision slot
    cards._cached = -1  # address of what is in _page
    cards._counter = -1  # address of the counter that the last search met
    cards.office_epoch = cards.revision = 0
    cards.reconciling = None  # (office epoch, revision, position) of a reconciliation that has begun
    cards.scrub()


def format(cards):
    """Allowlist.format."""
    _clear(cards)
    for sector in range(cards._flash.sectors):
        cardsector.erase(cards, sector)


def mount(cards):
    """Allowlist.mount: reads all headers and the newest revisions."""
    _clear(cards)
    revisions = []
    head = bytearray(32)
    other_head = bytearray(32)
    for sector in range(cards._flash.sectors):
        kind = cardsector.load_header(cards, sector, head)
        generation = cardsector.generation_of(head)
        sound = not cards._flawed
        if kind == cardsector.REVISIONS:
            revisions.append((generation, sound, sector))
            cardsector.set_kind(cards, sector, USED)
        elif kind == cardsector.TABLE:
            # 0xE8: two or three of the obsolete triple are still ones.
            if 0xE8 >> (head[22] & 7) & 1:
                logical = head[10] | head[11] << 8
                other = cards._map[logical]
                if other != NOWHERE:
                    cardsector.load_header(cards, other, other_head)
                    # A header with a wrong bit may be one that did not take when the flash was asked to program it:
                    # then the older sector went on.
                    if (sound, generation) < (not cards._flawed, cardsector.generation_of(other_head)):
                        continue
                    cardsector.set_kind(cards, other, DIRTY)
                cards._map[logical] = sector
                cards._overflow[logical] = cardsector.overflow_bits(head)
                cardsector.set_kind(cards, sector, USED)
        elif kind == 0 and cards._flash.clean_count(head) >= 0:
            cardsector.set_kind(cards, sector, MARKED)
    revisions.sort()
    for _, _, sector in revisions:
        add_sector(cards, sector)
        _load_revision(cards, sector)


def _load_revision(cards, sector):
    """Take the last valid revision of a sector, and the progress of a reconciliation if one stands behind it."""
    slot = bytearray(16)
    low = first = sector << 12 | _FIRST_SLOT
    high = sector + 1 << 12
    while low < high:
        at = low + high >> 1 & ~15
        cards._flash.read(at, slot)
        if min(slot) == 255:
            high = at
        else:
            low = at + 16
    cards._free = low
    newest = None
    while low > first:
        low -= 16
        cards._flash.read(low, slot)
        found = read_slot(slot)
        if found:
            newest = newest or found
            if found[2] == REVISION:
                cards.office_epoch = found[0]
                cards.revision = found[1]
                break
    if newest:
        cards.reconciling = (newest[0], newest[1], newest[3]) if newest[2] == PROGRESS else None
