"""Lines of storage/ that must not be otherwise, journal and below; `python -m tests.mutants` tells the form."""

from tests.mutants._tests import chip, cuts


def _works(*tests):
    return (chip("journal", *(f"Functions.test_{test}" for test in tests)),)


def _retention(test):
    return (chip("journal_retention", f"Retention.test_{test}"),)


def _headers(test):
    return (chip("journal_faults", f"Headers.test_{test}"),)


_CUTS = cuts("journal")
_FLASH = (chip("flash"),)
_MAC = (chip("mac"),)
_RECORD = (chip("record"),)
_ACK = _works("acknowledgements_that_are_not_ours")
_CURSOR = _works("the_cursor_survives_coarsely_and_never_runs_ahead")
_KEYS_MOVE = _works("keys_move_and_are_wiped")
_ROUND = _works("the_ring_goes_round_several_times")
_SHED = _works("the_last_quarter_is_kept_for_what_counts")
_GAP = _works("gap_is_counted_per_class")
_FAILED = (chip("journal_faults", "Failures.test_a_record_whose_append_failed_never_comes_back"),)
_KEY_BIT = (chip("journal_faults", "Keys.test_a_flipped_bit_in_the_only_key_does_not_lose_it"),)
_TORN = (chip("journal_cuts", "PowerCuts.test_around_a_key_move"), _CUTS)

MUTANTS = [
    # --- flash ---
    (
        "storage/flash.py",
        "self.program(sector << 12, mark)",
        "",
        "a half erased sector is taken for an erased one, an erased one never",
        _FLASH,
    ),
    (
        "storage/flash.py",
        'if buf[0] != _MARK or not sealed(b"menwei clean", buf, 0, 4, 4):',
        "if buf[0] != _MARK:",
        "a torn mark says that the erase came to its end",
        _FLASH,
    ),
    # --- mac ---
    (
        "storage/mac.py",
        "if offset + len(tag) > len(buf):",
        "if False:",
        "a tag that is cut short by the end of a message",
        _MAC,
    ),
    (
        "storage/mac.py",
        "difference |= value ^ buf[offset + i]",
        "difference = value ^ buf[offset + i]",
        "the last byte decides",
        _MAC,
    ),
    # --- record ---
    (
        "storage/record.py",
        "return generation + (0, 1, 0, -1)[step]",
        "return generation + (0, 1, 2, -1)[step]",
        "one damaged record leads two key generations on",
        _RECORD,
    ),
    (
        "storage/record.py",
        "if not difference & (difference - 1):",
        "if not difference:",
        "a flipped bit in a slot's code hides a record",
        _RECORD,
    ),
    (
        "storage/record.py",
        "if kind >= len(_CLASSES) or (kind == OPENED and reason == CAUSE_NONE):",
        "if kind >= len(_CLASSES):",
        "a forced door is not stored when the ring is crowded",
        _RECORD,
    ),
    # --- journal ---
    (
        "storage/journal.py",
        "if back != data:",
        "if False:",
        "no read-back: a record that is not there is called durable",
        (chip("journal_faults", "Failures.test_a_program_that_silently_fails_is_seen"),),
    ),
    ("storage/journal.py", "self.head += 1", "self.head += 2", "a number is left out", _ROUND),
    ("storage/journal.py", "mac = self._next_mac()", "", "the key does not move", _KEYS_MOVE),
    (
        "storage/journal.py",
        "self._put(self._target, bytes(length))",
        "",
        "what a failed program left has meaning after a start",
        _FAILED,
    ),
    (
        "storage/journal.py",
        "if rank < record.HIGH and self.fill() > (FULL_PERCENT if rank else CROWDED_PERCENT):",
        "if self.fill() > (FULL_PERCENT if rank else CROWDED_PERCENT):",
        "grants and alarms are not stored when the ring is crowded",
        _GAP,
    ),
    (
        "storage/journal.py",
        "self._shed_report = min(max(_SHED_REPORT, 2 * self._shed_report), _MOST_SHED)",
        "",
        "what is only counted fills the ring with its counts",
        _SHED,
    ),
    (
        "storage/journal.py",
        "put30(work, 10, self.head + 1)",
        "put30(work, 10, self.head)",
        "a sector's first number is wrong",
        _ROUND,
    ),
    # --- upkeep ---
    (
        "storage/upkeep.py",
        "RECORDS_PER_KEY = const(32)",
        "RECORDS_PER_KEY = const(64)",
        "the key moves half as often as promised",
        _KEYS_MOVE,
    ),
    (
        "storage/upkeep.py",
        "CROWDED_PERCENT = const(75)",
        "CROWDED_PERCENT = const(90)",
        "junk cards take the room of known ones",
        _SHED,
    ),
    (
        "storage/upkeep.py",
        "FULL_PERCENT = const(90)",
        "FULL_PERCENT = const(100)",
        "refused cards take the room of grants",
        _SHED,
    ),
    (
        "storage/upkeep.py",
        "self._put(self._live.pop(0) + 14, bytes(18))",
        "self._live.pop(0)",
        "an old key is not wiped",
        _KEYS_MOVE,
    ),
    (
        "storage/upkeep.py",
        "if not record.key_alive(self._page, self._load(newest >> 12, newest >> 5 & 127)):",
        "if False:",
        "the old key is wiped though the new one cannot be read",
        (chip("journal_faults", "Keys.test_the_old_key_stays_while_the_new_one_cannot_be_read"),),
    ),
    (
        "storage/upkeep.py",
        "self._put(sector << 12, bytes(64))  # so that a half erased sector is never taken for one in use",
        "",
        "a half erased sector is taken for one in use",
        (chip("journal_cuts", "PowerCuts.test_a_half_erased_sector_is_none_in_use"),),
    ),
    (
        "storage/upkeep.py",
        "lossy = first - 1 > self.acked",
        "lossy = False",
        "records are given up and nobody counts them",
        _GAP,
    ),
    (
        "storage/upkeep.py",
        "groups = self._open_slot >> 4",
        "groups = (self._open_slot >> 4) + 1",
        "the saved cursor is ahead of what upstream has",
        _CURSOR,
    ),
    (
        "storage/upkeep.py",
        'self._put(sector << 12 | _ACKED_AT, (0xFFFFFF << 3 * groups & 0xFFFFFF).to_bytes(3, "little"))',
        "",
        "the cursor is lost with the power",
        _CURSOR,
    ),
    (
        "storage/upkeep.py",
        "keep_from_s <= self._tail_s",
        "keep_from_s <= 0",
        "records go before the site's limit",
        _retention("not_without_a_limit_or_a_time"),
    ),
    (
        "storage/upkeep.py",
        "or (self.acked < self.head if closing else sector == self._open)",
        "or False",
        "records go before upstream has them",
        _retention("not_before_it_is_acknowledged"),
    ),
    (
        "storage/upkeep.py",
        "if after == self._top and self.head - first < _LEAST_LEFT:",
        "if False:",
        "clock and boot number have nothing to go on from",
        _retention("a_record_a_month_leaves_more_than_the_last_one"),
    ),
    # --- ring ---
    (
        "storage/ring.py",
        "if bytes(epoch) != self.epoch or not self.acked <= seq <= self.head:",
        "if bytes(epoch) != self.epoch or not seq <= self.head:",
        "an old acknowledgement takes the cursor back",
        _ACK,
    ),
    (
        "storage/ring.py",
        "if offset < 0 or self._walk_seq != seq or not same(chain, self._page, offset + record.MAC):",
        "if offset < 0 or self._walk_seq != seq:",
        "the cursor moves without a look at the chain",
        _ACK,
    ),
    (
        "storage/ring.py",
        'return header[8:10] == b"J\\1" and sealed(b"menwei journal", header, 8, 22, 4)',
        'return header[8:10] == b"J\\1"',
        "a torn header counts",
        (*_headers("of_the_only_sector"), _CUTS),
    ),
    (
        "storage/ring.py",
        "header[8:26] = self._mended[sector]",
        "",
        "a header with a flipped bit is put right at the start and wrong afterwards",
        _headers("of_the_only_sector"),
    ),
    (
        "storage/ring.py",
        "self._anchor(page, offset)  # whatever a damaged record said",
        "",
        "one damaged record leads astray for good",
        (chip("journal_faults", "Newest.test_a_damaged_generation_leads_the_walk_astray_to_the_next_key_slot_only"),),
    ),
    (
        "storage/ring.py",
        'return self._flash.clean_count(page) >= 0 and page[8:_FIRST_PROGRAM] == b"\\xff" * (_FIRST_PROGRAM - 8)',
        "return self._flash.clean_count(page) >= 0",
        "a sector in which a program was begun is used as an erased one",
        (chip("journal_cuts", "PowerCuts.test_a_sector_in_which_a_program_was_begun_is_erased_first"),),
    ),
    ("storage/ring.py", "self._walk_seq += 1", "self._walk_seq += 2", "numbers of a walk are wrong", _ROUND),
    # --- recovery ---
    (
        "storage/recovery.py",
        "if suspect and not is_genuine(journal, turn, suspect) and not mend_record(journal, turn, suspect):",
        "if False:",
        "a torn record is taken for one",
        _TORN,
    ),
    (
        "storage/recovery.py",
        "for slot in range(good, journal._slot):",
        "for slot in range(good, good):",
        "what was cut short stays, and may count later",
        _TORN,
    ),
    ("storage/recovery.py", "journal.head -= 1", "", "the number of a record that was cut short is left out", _TORN),
    (
        "storage/mending.py",
        "for bit in range(57):",
        "for bit in range(1):",
        "a flipped bit in the record before takes the newest one back",
        (chip("journal_faults", "Newest.test_a_flipped_bit_in_the_record_before_does_not_take_the_newest_back"),),
    ),
    (
        "storage/recovery.py",
        "journal.boot = journal.boot + 1 & 0xFFFF",
        "",
        "two starts have one boot number",
        _works("stamp_and_boot"),
    ),
    (
        "storage/recovery.py",
        "for _ in range(_AHEAD):",
        "for _ in range(1):",
        "keys that a busy door left stay for good",
        _works("keys_left_by_a_busy_door_are_wiped_after_a_restart"),
    ),
    (
        "storage/recovery.py",
        "journal._key_due = journal.key_lost or mended or journal._generation != turn",
        "journal._key_due = False",
        "records are sealed with a key of which no slot tells, or a damaged one",
        (chip("journal_faults", "Keys.test_the_slot_of_a_key_that_was_mended_is_replaced"),),
    ),
    (
        "storage/recovery.py",
        "mended = journal._mac is None and mend_key(journal, turn, suspect)",
        "mended = False",
        "one flipped bit costs the key",
        _KEY_BIT,
    ),
    (
        "storage/recovery.py",
        "if page[offset + 14 : offset + 32] != bytes(18):",
        "if record.key_alive(page, offset):",
        "a key that is half wiped stays so",
        (chip("journal_faults", "Keys.test_a_wipe_that_power_cut_short_is_finished"),),
    ),
    (
        "storage/recovery.py",
        "ring = mend_header(journal, sector)",
        "",
        "one flipped bit in a header costs up to 126 records",
        _headers("of_the_only_sector"),
    ),
    (
        "storage/mending.py",
        "try_put(journal, sector << 12 | HEADER, len(found), found)  # a bit that came up goes down again",
        "",
        "a header is left for a second flipped bit",
        _headers("of_the_only_sector"),
    ),
    (
        "storage/recovery.py",
        "if waiting < 0:",
        "if False:",
        "a newest sector that was taken in again counts as acknowledged",
        _headers("of_the_newest_one_beyond_mending"),
    ),
    (
        "storage/recovery.py",
        "return _EIO, _DAMAGED",
        "",
        "a journal that cannot be read is taken for none and formatted",
        _headers("what_cannot_be_read_is_not_taken_for_nothing"),
    ),
    (
        "storage/recovery.py",
        'while groups < 8 and bits & 7 in b"\\0\\1\\2\\4":  # majority of three',
        "while groups < 8 and bits & 7 != 7:",
        "one flipped bit acknowledges 16 records",
        _headers("that_tells_what_is_acknowledged"),
    ),
]
