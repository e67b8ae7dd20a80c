"""A look at the headers of both regions, for a self-test: reads only, and no buffer of a store is disturbed.

    for _ in survey.look(journal, allowlist, found):     # found is a list of four numbers, all 0 at first
        await sleep_ms(0)

Loaded when it is needed.
"""

from micropython import const

from storage import cardsector
from storage.allowlist import USED
from storage.mac import sealed

MODULES = ("storage.survey", "storage.cardsector")

# Places in `found`.
JOURNAL_SECTORS = const(0)  # in use or kept erased
CARD_SECTORS = const(1)  # in use
FREE_CARD_SECTORS = const(2)
DAMAGED = const(3)  # headers in use that cannot be read, even with one bit put right

_STEP = const(16)  # headers looked at in one go


def look(journal, allowlist, found):
    """Read the header of each sector of both; a generator that yields after a few of them.

    Raises:
        OSError: the flash cannot be read.
    """
    head = bytearray(32)
    flash = journal._flash
    for sector in range(flash.sectors):
        flash.read(sector << 12, head)
        # The header of a sector in use stands behind the mark of its erasing (docs/flash-formats.md).
        sound = (head[8:10] == b"J\1" and sealed(b"menwei journal", head, 8, 22, 4)) or sector in journal._mended
        if sound or flash.clean_count(head) >= 0:
            found[JOURNAL_SECTORS] += 1
        if sector == journal._top and journal.head and not sound:
            found[DAMAGED] += 1  # records go there now
        if not sector % _STEP:
            yield
    for sector in range(allowlist._flash.sectors):
        if cardsector.kind_of(allowlist, sector) == USED:
            found[CARD_SECTORS] += 1
            found[DAMAGED] += cardsector.load_header(allowlist, sector, head) <= 0
        else:
            found[FREE_CARD_SECTORS] += 1
        if not sector % _STEP:
            yield
