"""Lines of storage/ that must not be otherwise, allowlist; `python -m tests.mutants` tells the form."""

from tests.mutants._tests import chip, cuts

_ENTRY = (chip("entry"), "tests/storage/test_entry.py")
_STATES = (chip("allowlist", "TestLookup.test_states_and_back"),)
_USES = (chip("allowlist", "TestLookup.test_uses_run_out"),)
_DIGEST = (chip("allowlist", "TestWorkload.test_digest_is_kept_without_reading_again"),)
_MIDDLE = (chip("allowlist", "TestWorkload.test_change_in_the_middle_of_a_rewrite"),)
_FULL = (chip("allowlist", "TestWorkload.test_full_list_refuses_and_stays"),)
_LIMIT = (chip("allowlist", "TestWorkload.test_at_the_limit"),)
_GRANT = (chip("allowlist_cuts", "TestPowerCuts.test_grant"), cuts("cards"))
_RENEW = (chip("allowlist_cuts", "TestPowerCuts.test_renew"), cuts("cards"))
_REVOKE = (chip("allowlist_cuts", "TestPowerCuts.test_revoke_an_unknown_card"),)
_BEGUN = (chip("allowlist_cuts", "TestPowerCuts.test_a_spare_in_which_a_rewrite_was_begun"),)
_SUPERSEDED = (chip("allowlist_faults", "TestFlippedBits.test_a_superseded_sector_never_comes_back"),)
_TOMBSTONES = (chip("allowlist_tombstones"),)
_PAGES = (chip("allowlist_pages", "Pages.test_pages_come_in_order_and_survive_a_restart"),)
_OFFICE = (chip("allowlist_pages", "Pages.test_the_list_becomes_the_offices"),)


def _revision(test):
    return (chip("allowlist_faults", f"TestRevision.test_{test}"),)


MUTANTS = [
    # --- entry: what a bit may decide ---
    (
        "storage/entry.py",
        "bits |= (0xE8 >> (triples >> 3 * i & 7) & 1) << i",
        "bits |= (0x80 >> (triples >> 3 * i & 7) & 1) << i",
        "one flipped bit of three decides: a card is revoked or dead by it",
        _ENTRY,
    ),
    (
        "storage/entry.py",
        "return DEAD if bits < 4 else REVOKED if bits < 6 else SUSPENDED if bits < 7 else LIVE",
        "return DEAD if bits < 4 else SUSPENDED if bits < 7 else LIVE",
        "a revoked card is only suspended",
        _ENTRY,
    ),
    (
        "storage/entry.py",
        "return buf[off + 14] & 127 == found >> 8 and buf[off + 13] & 252 == found & 252 and buf[off + 13] & 3 != 0",
        "return buf[off + 13] & 252 == found & 252 and buf[off + 13] & 3 != 0",
        "a torn entry with the right CRC is a card",
        _ENTRY,
    ),
    (
        "storage/entry.py",
        "if kind == COUNTER and 6 <= i < 12:",
        "if kind == COUNTER and 7 <= i < 12:",
        "a counter is no longer valid once a use is taken",
        _ENTRY,
    ),
    (
        "storage/packing.py",
        "_put_uses(buf, uses(buf, 0))",
        "",
        "a rewrite carries over bits of a counter that disagree",
        _ENTRY,
    ),
    # --- allowlist: the card path ---
    (
        "storage/allowlist.py",
        "self._cached = -1  # what lies in flash now decides, not what was read before",
        "",
        "a lookup answers from memory",
        (chip("allowlist", "TestLookup.test_lookup_reads_one_page_and_allocates_nothing"),),
    ),
    ("storage/allowlist.py", "and state(buf, off) != DEAD", "and True", "a superseded entry counts", _STATES),
    ("storage/allowlist.py", "and valid(buf, off)", "and buf[off + 13] & 3", "a torn entry counts", _GRANT),
    (
        "storage/allowlist.py",
        "if not overflow >> page & 1:",
        "if True:",
        "a lookup does not read on behind a full page",
        _FULL,
    ),
    (
        "storage/allowlist.py",
        "self.entry.uses_left -= 1",
        "",
        "one use more is left than there is",
        _USES,
    ),
    ("storage/allowlist.py", "bit += 3", "bit += 2", "the triples of two uses are mixed up", _USES),
    (
        "storage/allowlist.py",
        'self._program(at + (bit >> 3), (~(7 << (bit & 7)) & 0xFFFF).to_bytes(2, "little"))',
        'self._program(at + (bit >> 3), (~(1 << (bit & 7)) & 0xFFFF).to_bytes(2, "little"))',
        "one bit of three is cleared: no use is taken",
        _USES,
    ),
    (
        "storage/allowlist.py",
        "if back[i] & ~buf[i]:",
        "if False:",
        "no read-back: what is superseded goes though its successor is not there",
        (chip("allowlist_faults", "TestErrors.test_a_program_that_silently_fails_is_seen"),),
    ),
    (
        "storage/allowlist.py",
        "if logical == self._job_sector:",
        "if False:",
        "a rewrite that is under way loses the change",
        _MIDDLE,
    ),
    # --- cardchange: the order of programs ---
    (
        "storage/cardchange.py",
        "_mark(cards, at, entry)",
        "",
        "an unknown card that is revoked stands there live when the program is torn",
        _REVOKE,
    ),
    (
        "storage/cardchange.py",
        "for at in reversed(copies):",
        "for at in copies:",
        "the copy that counts goes first: for a moment an older one counts",
        _RENEW,
    ),
    (
        "storage/cardchange.py",
        "entries.append(card)",
        "entries.insert(0, card)",
        "a card before its counter: torn in between it has no uses, or those of before",
        _GRANT,
    ),
    (
        "storage/cardchange.py",
        "if passed & ~cards._overflow[logical]:",
        "if False:",
        "an entry behind a full page that no lookup reads on for",
        _FULL,
    ),
    (
        "storage/cardchange.py",
        "wanted = max(wanted, before)",
        "",
        "suspending a revoked card would be no change of state, but the digests say so",
        _DIGEST,
    ),
    (
        "storage/cardchange.py",
        "if at != keep and at != counter and (wanted != FORGOTTEN or settled(cards, at)[13] & 3 != COUNTER):",
        "if at != keep and (wanted != FORGOTTEN or settled(cards, at)[13] & 3 != COUNTER):",
        "the counter of the card that is kept goes",
        (chip("allowlist", "TestLookup.test_put_of_what_is_there_programs_nothing"),),
    ),
    (
        "storage/cardchange.py",
        "if counter >= 0 and granted == entries[0][12]:",
        "if counter >= 0:",
        "more uses are granted, the counter stays as it is",
        _USES,
    ),
    (
        "storage/cardchange.py",
        "add(cards._sums, old, before, -1)",
        "",
        "the digests keep what a change took away",
        _DIGEST,
    ),
    # --- cardcare: survey and rewrite ---
    (
        "storage/cardcare.py",
        "if status != DEAD and slot[13] & 3 != COUNTER and cards._seek(physical, overflow, slot, 0) == at:",
        "if status != DEAD and slot[13] & 3 != COUNTER:",
        "a card is counted twice when power went before its older copy was marked",
        _RENEW,
    ),
    (
        "storage/cardcare.py",
        "if min(cards._view[off : off + 16]) == 255:",
        "if cards._view[off] == 255:",
        "a slot that was begun is used again",
        (chip("allowlist_cuts", "TestPowerCuts.test_first_card_of_all", "TestPowerCuts.test_storm"), cuts("cards")),
    ),
    (
        "storage/cardcare.py",
        "_KEEP_TOMBSTONE_MIN = const(129600)  # 90 days after the card's own expiry",
        "_KEEP_TOMBSTONE_MIN = const(129599)",
        "a tombstone goes a minute too early",
        _TOMBSTONES,
    ),
    (
        "storage/cardcare.py",
        "status == REVOKED",
        "status != 1",
        "a live card that expired gives way like a tombstone",
        _TOMBSTONES,
    ),
    (
        "storage/cardcare.py",
        "and now_min is not None",
        "and True",
        "tombstones go while the time is unknown",
        _TOMBSTONES,
    ),
    (
        "storage/cardcare.py",
        "if cards.giving_way(whole(entry, logical, cards._logicals)) is False:",
        "if False:",
        "a tombstone goes and nobody is told",
        _TOMBSTONES,
    ),
    ("storage/cardcare.py", "_merge(cards, dropping)", "", "the digests keep tombstones that are gone", _TOMBSTONES),
    (
        "storage/cardcare.py",
        "index[number] = home_page(slot, 0) | (_COUNTED if counted else 0)",
        "",
        "a rewrite leaves cards out",
        _MIDDLE,
    ),
    (
        "storage/cardcare.py",
        "if not pressing and (gain < 8 or 3 * gain < 2 * (SLOTS - kept)):",
        "if gain < 8 or 3 * gain < 2 * (SLOTS - kept):",
        "a bit that flipped stays until a second one tips it over",
        (chip("allowlist_faults", "TestFlippedBits.test_a_flipped_state_bit_is_put_right"),),
    ),
    (
        "storage/cardcare.py",
        "passed |= seen",
        "",
        "a straggler of a rewrite lies behind a full page and is not found",
        _LIMIT,
    ),
    (
        "storage/cardcare.py",
        "overflow |= _add_to(cards, target, entry)",
        "_add_to(cards, target, entry)",
        "the new entry of a rewrite lies behind a full page and is not found",
        (*_FULL, *_LIMIT, cuts("cards")),
    ),
    (
        "storage/cardcare.py",
        "yield from _rewrite(cards, logical, index, entries, generation + 1, overflow)",
        "yield from _rewrite(cards, logical, index, entries, generation, overflow)",
        "the rewritten sector and the old one have one generation: the old one may win",
        _SUPERSEDED,
    ),
    (
        "storage/cardcare.py",
        'cards._program(physical << 12 | 22, b"\\xf8")  # obsolete',
        "",
        "a flipped bit in the new header revives the old sector",
        _SUPERSEDED,
    ),
    # --- cardmount, cardsector: headers and spares ---
    (
        "storage/cardmount.py",
        "if (sound, generation) < (not cards._flawed, cardsector.generation_of(other_head)):",
        "if (sound, generation) > (not cards._flawed, cardsector.generation_of(other_head)):",
        "the older of two sectors wins",
        _SUPERSEDED,
    ),
    (
        "storage/cardmount.py",
        "if 0xE8 >> (head[22] & 7) & 1:",
        "if True:",
        "an obsolete sector counts",
        _SUPERSEDED,
    ),
    (
        "storage/cardmount.py",
        "newest = newest or found",
        "newest = found",
        "a start forgets how far a reconciliation came",
        _PAGES,
    ),
    (
        "storage/cardmount.py",
        "if found[2] == REVISION:",
        "if True:",
        "half a reconciliation has the revision of a whole one",
        _PAGES,
    ),
    (
        "storage/cardsector.py",
        "if _blank(cards, sector) if wanted == MARKED else erase(cards, sector):",
        "if True if wanted == MARKED else erase(cards, sector):",
        "a spare sector in which a rewrite was begun is used again",
        _BEGUN,
    ),
    (
        "storage/cardsector.py",
        "pages |= (triples >> 3 * page & 7 != 7) << page",
        "pages |= (triples >> 3 * page & 7 == 0) << page",
        "one flipped or torn bit hides all that lies behind a full page",
        (chip("allowlist_faults", "TestFlippedBits.test_what_lies_behind_full_pages_is_found"),),
    ),
    (
        "storage/cardsector.py",
        "head[bit >> 3] ^= 1 << (bit & 7)",
        "",
        "one flipped bit of a header costs 254 cards",
        (chip("allowlist_faults", "TestFlippedBits.test_everywhere"),),
    ),
    # --- cardrevision ---
    (
        "storage/cardrevision.py",
        "if revision < cards.revision:",
        "if False:",
        "a revision goes back",
        _revision("goes_up_only"),
    ),
    (
        "storage/cardrevision.py",
        "cards._program(sector << 12 | _FIRST_SLOT, slots)",
        "",
        "a new sector of revisions without a revision",
        _revision("three_sectors_full"),
    ),
    (
        "storage/cardrevision.py",
        "if len(cards._revisions) > 2:",
        "if len(cards._revisions) > 1:",
        "a bit that flips in the only slot of a new sector takes the revision back to 0",
        _revision("a_flipped_bit_in_the_only_slot_of_a_new_sector"),
    ),
    (
        "storage/cardrevision.py",
        "blank = min(old) == 255",
        "blank = True",
        "a revision goes into a slot with a flipped bit and is not there",
        _revision("a_flipped_bit_in_the_next_free_slot"),
    ),
    (
        "storage/cardrevision.py",
        "slots = slot if slot[7] < 64 else make_slot(cards.office_epoch, cards.revision) + slot",
        "slots = slot",
        "a long reconciliation loses the revision that the list still has",
        (chip("allowlist_pages", "Pages.test_revision_outlives_any_number_of_progress_slots"),),
    ),
    (
        "storage/cardrevision.py",
        "if revision == cards.revision and not cards.reconciling:",
        "if revision == cards.revision:",
        "a reconciliation to the revision that the list has never ends",
        (chip("allowlist_pages", "Pages.test_a_list_of_the_same_revision_comes_to_an_end"),),
    ),
    # --- cardpages ---
    ("storage/cardpages.py", "if first > done:", "if False:", "a page is left out", _PAGES),
    (
        "storage/cardpages.py",
        "cardrevision.set_progress(cards, office_epoch, revision, 0)",
        "pass",
        "half a first page is not known after a power cut, and an old delta revives a card",
        ("tests/sync/chip_link_pages.py::Pages.test_half_a_first_page_is_known_after_a_power_cut",),
    ),
    (
        "storage/cardpages.py",
        "if under_way and office_epoch == under_way[0] and revision < under_way[1]:",
        "if False:",
        "an older page takes the place of what is under way",
        ("tests/sync/chip_link_pages.py",),
    ),
    (
        "storage/cardpages.py",
        "done = under_way[2] if under_way and under_way[:2] == (office_epoch, revision) else 0",
        "done = under_way[2] if under_way else 0",
        "a list goes on where another one stopped",
        _PAGES,
    ),
    (
        "storage/cardpages.py",
        "if office_epoch == cards.office_epoch and revision < cards.revision:",
        "if False:",
        "an old full list is taken",
        _PAGES,
    ),
    (
        "storage/cardpages.py",
        "if last <= done or (last == end and not under_way and state_before == (office_epoch, revision)):",
        "if last < 0:",
        "a page that is given again takes the progress back",
        _PAGES,
    ),
    (
        "storage/cardpages.py",
        "if cards.find(card[1]) and cards.entry.state == REVOKED != card[0]:",
        "if False:",
        "a page revives a revoked card",
        (chip("allowlist_pages", "Pages.test_no_page_revives_a_revoked_card_but_a_put_does"),),
    ),
    (
        "storage/cardpages.py",
        "if physical != cards._map[logical]:",
        "if physical < 0 and (physical := cards._map[logical]) < 0:",
        "cards stay that the office no longer has",
        (chip("allowlist_breaks", "Breaks.test_idle_work_between_two_steps_lets_nobody_slip_through"),),
    ),
    (
        "storage/cardchange.py",
        "at, passed = vacant(cards, physical, entry, cards._overflow[logical])",
        "at, passed = vacant(cards, physical, entry)",
        "a renewed visitor gets the counter of before",
        (chip("allowlist_breaks", "Breaks.test_a_renewed_visitor_never_gets_the_old_counter"),),
    ),
    (
        "storage/cardpages.py",
        "if card[0] != LIVE and cards.find(card[1]) and cards.entry.state < card[0]:",
        "if False:",
        "a card that finds no room keeps another from being revoked",
        (chip("allowlist_breaks", "Breaks.test_a_full_sector_keeps_no_page_from_revoking"),),
    ),
    (
        "storage/cardpages.py",
        "if cards.find(pseudonym) and cards.entry.state != REVOKED:",
        "if True:",
        "a tombstone goes with a live copy that a power cut left behind it",
        (chip("allowlist_breaks", "Breaks.test_a_tombstone_with_a_live_copy_behind_it_is_not_forgotten"),),
    ),
]
