"""Revision slots of the cards region: which revision the list has, how far a reconciliation has come.

    cardrevision.set_revision(cards, office_epoch, 17)
    cardrevision.set_progress(cards, office_epoch, 18, position)

Loaded on demand, with storage/cardsector.py. The slots are in docs/flash-formats.md.
"""

from micropython import const

from storage import cardsector
from storage.allowlist import DIRTY

REVISION = const(0)  # kinds of a slot
PROGRESS = const(1)

_LIMIT = const(30)  # bits of a revision
_FIRST_SLOT = const(32)


def read_slot(slot):
    """Return (office epoch, revision, kind, position) of a valid slot of 16 bytes, or None."""
    kind = slot[7] >> 6
    checked = 12 if kind == PROGRESS else 8
    if kind > PROGRESS or cardsector.seal(b"menwei revision", slot[:checked])[: 16 - checked] != slot[checked:]:
        return None
    revision = int.from_bytes(slot[4:7], "little") | (slot[7] & 63) << 24
    return int.from_bytes(slot[:4], "little"), revision, kind, int.from_bytes(slot[8:12], "little")


def make_slot(office_epoch, revision, position=None):
    """Return the 16 bytes of a revision slot, or of a progress slot with a position.

    Raises:
        ValueError: a number that cannot be.
    """
    if revision >> _LIMIT or office_epoch >> 32:
        raise ValueError("cards: a revision must be below 2^30, an office epoch below 2^32")
    slot = office_epoch.to_bytes(4, "little")
    if position is None:
        slot += revision.to_bytes(4, "little")
    else:
        slot += (revision | PROGRESS << _LIMIT).to_bytes(4, "little") + position.to_bytes(4, "little")
    return slot + cardsector.seal(b"menwei revision", slot)[: 16 - len(slot)]


def set_revision(cards, office_epoch, revision):
    """Allowlist.set_revision; it ends a reconciliation."""
    if office_epoch == cards.office_epoch:
        if revision == cards.revision and not cards.reconciling:
            return
        if revision < cards.revision:
            raise ValueError("cards: revisions never go back, send a full list instead")
    _add(cards, make_slot(office_epoch, revision))
    cards.office_epoch = office_epoch
    cards.revision = revision
    cards.reconciling = None


def set_progress(cards, office_epoch, revision, position):
    """Keep that the list is what the office says below `position` (storage/cardpages.py)."""
    _add(cards, make_slot(office_epoch, revision, position))
    cards.reconciling = (office_epoch, revision, position)


def _add(cards, slot):
    try:
        done = _use_next(cards, slot)
    except OSError:
        cards.errors += 1
        done = False
    if not done:
        _open_sector(cards, slot)


def _use_next(cards, slot):
    """Use the next free slot of the current sector; False if there is none."""
    old = bytearray(16)
    while cards._free & 4095:
        at = cards._free
        cards._flash.read(at, old)
        blank = min(old) == 255
        if blank:
            cards._program(at, slot)  # refused, it stays the next one if it is blank: a mount looks for the first blank
        cards._free = at + 16
        if blank:
            return True
    return False


def _open_sector(cards, slot):
    """Take a spare: slots first, header last, so that no cut leaves a current sector without a revision."""
    generation = 1
    if cards._revisions:
        head = bytearray(32)
        cardsector.load_header(cards, cards._revisions[-1], head)
        generation = cardsector.generation_of(head) + 1
    # The revision goes along in front of a progress slot, because the sector where it stands will be given up.
    slots = slot if slot[7] < 64 else make_slot(cards.office_epoch, cards.revision) + slot
    sector = cardsector.spare(cards)
    try:
        cards._program(sector << 12 | _FIRST_SLOT, slots)
        cardsector.write_header(cards, sector, cardsector.REVISIONS, 0, generation, 0)
    except OSError:
        cardsector.set_kind(cards, sector, DIRTY)
        raise
    add_sector(cards, sector)
    cards._free = (sector << 12 | _FIRST_SLOT) + len(slots)


def add_sector(cards, sector):
    """The one before stays until the next change, in case a bit flips in the only slot of the new one."""
    cards._revisions.append(sector)
    if len(cards._revisions) > 2:
        cardsector.set_kind(cards, cards._revisions.pop(0), DIRTY)
