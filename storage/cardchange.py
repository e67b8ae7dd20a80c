"""Changes of the allowlist: grant, renew, suspend, revoke, forget.

    cardchange.apply(cards, LIVE, pseudonym, (valid_from, valid_until, group))

`cards` is the storage.allowlist.Allowlist. Loaded on demand. A change takes effect in one program, and a sector that
has no room is rewritten at once; which programs in which order: docs/flash-formats.md.
"""

from storage import cardcare, cardsector
from storage.allowlist import FORGOTTEN, NOWHERE, ListFull
from storage.cardcare import add, settled, vacant
from storage.entry import COUNTER, LIMITED, LIVE, sector_of, state
from storage.packing import mark, pack, pack_counter


def apply(cards, wanted, pseudonym, values, exact=False):
    """Make a card have the wanted state; the values are those of storage.packing.pack.

    A card that is known keeps its values when it is suspended or revoked, and stays revoked; not if `exact`.

    Raises:
        ListFull, OSError, ValueError: as Allowlist.put says.
    """
    new = card = bytearray(16)
    pack(new, pseudonym, *values)
    logical = sector_of(pseudonym, cards._logicals)
    physical = cards._map[logical]
    cards._change(logical)
    copies = []
    entries = []  # what there shall be of this pseudonym, the counter before its card
    first = before = keep = counter = -1
    if physical != NOWHERE:
        first = cards._seek(physical, cards._overflow[logical], new, 0, copies)
    if first >= 0:
        old = settled(cards, first)
        before = state(old, 0)
    if wanted == FORGOTTEN:
        if not copies:
            return
    else:
        if wanted != LIVE and first >= 0 and not exact:
            wanted = max(wanted, before)
            card = bytearray(old)
            keep = first
            counter = cards._counter
            if counter >= 0:
                entries.append(settled(cards, counter))
        else:
            if new[13] & 3 == LIMITED:
                entries.append(bytearray(16))
                pack_counter(entries[0], pseudonym, values[4])
            keep, counter = _same(cards, copies, entries, new, wanted)
        mark(card, wanted)
        entries.append(card)
    try:
        done = physical != NOWHERE and _in_place(cards, logical, wanted > before, keep, entries)
        if done:
            # The last in probe order first: until the end the one that counted before counts.
            for at in reversed(copies):
                # A counter without its card means nothing; it goes when the sector is rewritten, or the card comes.
                if at != keep and at != counter and (wanted != FORGOTTEN or settled(cards, at)[13] & 3 != COUNTER):
                    cards._program(at + 15, b"\x1f")
    except OSError:
        cards.errors += 1
        done = False
    if not done:
        cards._stop()
        try:
            for _ in cardcare.care(cards, logical, new, entries):
                pass
        except ListFull:
            cards._visit(logical)  # tombstones may give way there
            raise
        except OSError:
            cards.scrub()  # how far it came is not known
            raise
    if logical < cards._counted:
        if before >= 0:
            add(cards._sums, old, before, -1)
        if wanted != FORGOTTEN:
            add(cards._sums, card, wanted, 1)


def _same(cards, copies, entries, new, wanted):
    """Return the addresses of a card in the wanted state that equals `new`, and of its counter; -1 for none."""
    counter = -1
    for at in copies:
        slot = settled(cards, at)
        if slot[13] & 3 == COUNTER:
            counter = at
            granted = slot[12]
        elif slot[:14] == new[:14] and state(slot, 0) == wanted:
            if not entries:
                return at, -1
            if counter >= 0 and granted == entries[0][12]:
                return at, counter
    return -1, -1


def _in_place(cards, logical, marking, keep, entries):
    """Mark the card that is kept, or program new entries; False if there is no room."""
    if keep >= 0:
        if marking:
            _mark(cards, keep, entries[-1])
        return True
    physical = cards._map[logical]
    for entry in entries:
        at, passed = vacant(cards, physical, entry, cards._overflow[logical])
        if at < 0:
            return False
        if passed:
            cards._visit(logical)
            if passed & ~cards._overflow[logical]:
                cards._program(physical << 12 | 26, cardsector.overflow_triples(passed))
                cards._overflow[logical] |= passed
        if state(entry, 0) != LIVE:
            # Before the entry itself, which a torn program could else leave live.
            _mark(cards, at, entry)
        cards._program(at, entry)
    return True


def _mark(cards, at, entry):
    """Clear the state triples that are cleared in `entry`."""
    cards._program(at + 14, bytes((entry[14] | 127, entry[15])))
