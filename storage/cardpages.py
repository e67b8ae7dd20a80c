"""Full reconciliation of the allowlist, page by page and in place: no moment at which a valid card is missing.

    for _ in cards.reconcile(office_epoch, revision, first, last, page):  # Allowlist.reconcile
        await asyncio.sleep_ms(0)  # a card may be waiting
    cards.reconciling  # (office epoch, revision, position): the next page begins there, also after a power cut

The *position* of a card is `logical sector << 16 | p[1] << 8 | p[2]` of its pseudonym p. A page is a list of all cards
that the office has from position `first` up to, not including, `last`, in one sector, each as (state, pseudonym,
valid_from, valid_until, group, key_version, granted). What else the door holds there is forgotten, except revoked
cards: those stay, and what the door knows as revoked does not become live by a page; `conflicts` counts them, and the
digests tell the office. The last page ends at `logical sectors << 16` and sets the revision. Loaded on demand.
"""

from storage import cardchange, cardrevision
from storage.allowlist import FORGOTTEN, NOWHERE, ListFull
from storage.entry import COUNTER, DEAD, LIVE, REVOKED, SUSPENDED, sector_of, state, valid
from storage.packing import pack, whole


def reconcile(cards, office_epoch, revision, first, last, page):
    """Make one page of the list be what the office says; a generator, each step is about one change.

    It yields the pseudonym of a card for which there was no room, else None.

    It may be stopped anywhere and given again. A change by other ways between two steps ends it: the page then has to
    be given again, or another reconciliation begun.

    Raises:
        ValueError: the page is not the next one, or breaks its own limits; nothing was changed.
        ListFull: no room for one of its cards or more; all else of the page is done, and the next one may come.
    """
    end = cards._logicals << 16
    under_way = cards.reconciling
    state_before = cards.office_epoch, cards.revision
    done = under_way[2] if under_way and under_way[:2] == (office_epoch, revision) else 0
    logical = first >> 16
    if not 0 <= first < last <= end or last - 1 >> 16 != logical:
        raise ValueError("cards: a page must lie in one of the %d sectors" % cards._logicals)
    if last <= done or (last == end and not under_way and state_before == (office_epoch, revision)):
        return  # it was taken before
    if first > done:
        raise ValueError("cards: pages come in order, the next one begins at position %d" % done)
    if office_epoch == cards.office_epoch and revision < cards.revision:
        raise ValueError("cards: revisions never go back, this list has %d" % cards.revision)
    if under_way and office_epoch == under_way[0] and revision < under_way[1]:
        raise ValueError("cards: a reconciliation towards revision %d is under way" % under_way[1])
    cardrevision.make_slot(office_epoch, revision)
    known = bytearray()
    scratch = bytearray(16)
    for card in page:
        pack(scratch, *card[1:])
        if not first <= _position(card[1], cards._logicals) < last or card[0] not in (LIVE, SUSPENDED, REVOKED):
            raise ValueError("cards: a card does not belong to this page")
        known += card[1][1:]
        yield None
    if cards.reconciling is not under_way or (cards.office_epoch, cards.revision) != state_before:
        return
    if not under_way or under_way[:2] != (office_epoch, revision):
        # Known before the first change: a delta must not go on from where the list no longer stands.
        cardrevision.set_progress(cards, office_epoch, revision, 0)
        under_way = cards.reconciling
    full = None
    for work in (
        # Revocations first: in place they need no room. What shall go makes room for what shall come.
        _close(cards, page),
        _forget_others(cards, logical, first & 0xFFFF, last - 1 & 0xFFFF, known),
        _make_exact(cards, page),
    ):
        for problem in work:
            full = problem or full
            yield problem and problem.pseudonym
            if cards.reconciling is not under_way or (cards.office_epoch, cards.revision) != state_before:
                return
    if last == end:
        cardrevision.set_revision(cards, office_epoch, revision)
    else:
        cardrevision.set_progress(cards, office_epoch, revision, last)
    if full:
        raise full


def _close(cards, page):
    """Suspend and revoke the known cards that the page names so."""
    for card in page:
        if card[0] != LIVE and cards.find(card[1]) and cards.entry.state < card[0]:
            cardchange.apply(cards, card[0], card[1], card[2:])
            yield None


def _make_exact(cards, page):
    """Give each card of the page its state and values; yields what the list says of a card that finds no room."""
    for card in page:
        full = None
        if cards.find(card[1]) and cards.entry.state == REVOKED != card[0]:
            cards.conflicts += 1
        else:
            try:
                cardchange.apply(cards, card[0], card[1], card[2:], True)
            except ListFull as error:
                full = error
                full.pseudonym = card[1]
        yield full


def _position(pseudonym, logicals):
    return sector_of(pseudonym, logicals) << 16 | pseudonym[1] << 8 | pseudonym[2]


def _forget_others(cards, logical, low, high, known):
    """Forget the cards between two positions of a sector whose six bytes do not stand in `known`."""
    physical = -1
    number = 2
    while number < 256:
        if physical != cards._map[logical]:
            # From the beginning: what counts lies elsewhere now, because idle work or a change rewrote the sector.
            physical = cards._map[logical]
            number = 2
        if physical == NOWHERE:
            return
        slot = bytearray(16)
        cards._flash.read(physical << 12 | number << 4, slot)
        number += 1
        if (
            low <= (slot[0] << 8 | slot[1]) <= high
            and valid(slot, 0)
            and slot[13] & 3 != COUNTER
            and state(slot, 0) not in (REVOKED, DEAD)
            and not any(known[at : at + 6] == slot[:6] for at in range(0, len(known), 6))
        ):
            pseudonym = whole(slot, logical, cards._logicals)
            # What counts may be another copy, if a power cut left this one.
            if cards.find(pseudonym) and cards.entry.state != REVOKED:
                cardchange.apply(cards, FORGOTTEN, pseudonym, (0, 0, 0))
            yield None
        elif number & 15 == 0:
            yield None
