"""Lines of storage/ that must not be otherwise, journal and below; `python -m tests.mutants` tells the form."""

_HERE = "tests/storage"
_CUTS = f"{_HERE}/test_power_cuts.py -k journal"
_FAULTS = f"{_HERE}/chip_journal_faults.py"
_FLIPS = f"{_HERE}/test_flipped_bits.py -k journal"
_JOURNAL = (f"{_HERE}/chip_journal.py", _CUTS, _FAULTS)
_RECORD = (f"{_HERE}/chip_record.py",)
_MAC = (f"{_HERE}/chip_mac.py",)

MUTANTS = [
    # --- flash ---
    (
        "storage/flash.py",
        "self.program(sector << 12, mark)",
        "",
        "a half erased sector is taken for an erased one, an erased one never",
        (f"{_HERE}/chip_flash.py",),
    ),
    (
        "storage/flash.py",
        'if buf[0] != _MARK or not sealed(b"menwei clean", buf, 0, 4, 4):',
        "if buf[0] != _MARK:",
        "a torn mark says that the erase came to its end",
        (f"{_HERE}/chip_flash.py",),
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
        (_FAULTS,),
    ),
    ("storage/journal.py", "self.head += 1", "self.head += 2", "a number is left out", _JOURNAL),
    (
        "storage/journal.py",
        "self._put(self._live.pop(0) + 14, bytes(18))",
        "self._live.pop(0)",
        "an old key is not wiped",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        "if not record.key_alive(self._page, self._load(newest >> 12, newest >> 5 & 127)):",
        "if False:",
        "the old key is wiped though the new one cannot be read",
        (_FAULTS, _FLIPS),
    ),
    (
        "storage/journal.py",
        "_RECORDS_PER_KEY = const(32)",
        "_RECORDS_PER_KEY = const(64)",
        "the key moves half as often as promised",
        (f"{_HERE}/chip_journal.py", *_JOURNAL),
    ),
    (
        "storage/journal.py",
        "mac = self._next_mac()",
        "pass",
        "the key does not move",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        "self._put(sector << 12, bytes(64))  # so that a half erased sector is never taken for one in use",
        "pass",
        "a half erased sector is taken for one in use",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        "self._put(self._target, bytes(length))",
        "pass",
        "what a failed program left has meaning after a start",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        "lossy = first - 1 > self.acked",
        "lossy = False",
        "records are given up and nobody counts them",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        "if record.class_of(kind, reason) == record.LOW and self.fill() > _CROWDED_PERCENT:",
        "if self.fill() > _CROWDED_PERCENT:",
        "grants and alarms are not stored when the ring is crowded",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        "groups = self._open_slot >> 4",
        "groups = (self._open_slot >> 4) + 1",
        "the saved cursor is ahead of what upstream has",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        'self._put(sector << 12 | _ACKED_AT, (0xFFFFFF << 3 * groups & 0xFFFFFF).to_bytes(3, "little"))',
        "pass",
        "the cursor is lost with the power",
        _JOURNAL,
    ),
    (
        "storage/journal.py",
        "put30(work, 10, self.head + 1)",
        "put30(work, 10, self.head)",
        "a sector's first number is wrong",
        _JOURNAL,
    ),
    # --- ring ---
    (
        "storage/ring.py",
        "if bytes(epoch) != self.epoch or not self.acked <= seq <= self.head:",
        "if bytes(epoch) != self.epoch or not self.acked <= seq:",
        "an acknowledgement beyond the head is searched for",
        _JOURNAL,
    ),
    (
        "storage/ring.py",
        "if offset < 0 or self._walk_seq != seq or not same(chain, self._page, offset + record.MAC):",
        "if offset < 0 or self._walk_seq != seq:",
        "the cursor moves without a look at the chain",
        _JOURNAL,
    ),
    (
        "storage/ring.py",
        'if header[8:10] != b"J\\1" or not sealed(b"menwei journal", header, 8, 22, 4):',
        'if header[8:10] != b"J\\1":',
        "a torn header counts",
        (_CUTS, _FAULTS, _FLIPS),
    ),
    ("storage/ring.py", "self._walk_seq += 1", "self._walk_seq += 2", "numbers of a walk are wrong", _JOURNAL),
    # --- recovery ---
    (
        "storage/recovery.py",
        "if suspect and not _is_genuine(journal, turn, suspect):",
        "if False:",
        "a torn record is taken for one",
        (_CUTS, _FLIPS),
    ),
    (
        "storage/recovery.py",
        "for slot in range(good, journal._slot):",
        "for slot in range(good, good):",
        "what was cut short stays, and may count later",
        (_CUTS, f"{_HERE}/chip_journal_cuts.py"),
    ),
    (
        "storage/recovery.py",
        "journal.head -= 1",
        "pass",
        "the number of a record that was cut short is left out",
        (_CUTS,),
    ),
    (
        "storage/recovery.py",
        "journal.boot = journal.boot + 1 & 0xFFFF",
        "pass",
        "two starts have one boot number",
        (f"{_HERE}/chip_journal.py",),
    ),
    (
        "storage/recovery.py",
        "journal._key_due = journal.key_lost or journal._generation != turn",
        "journal._key_due = False",
        "records are sealed with a key of which no slot tells",
        (_FLIPS, _CUTS),
    ),
    (
        "storage/recovery.py",
        'while groups < 8 and bits & 7 in b"\\0\\1\\2\\4":  # majority of three',
        "while groups < 8 and bits & 7 != 7:",
        "one flipped bit acknowledges 16 records",
        (_FLIPS, _FAULTS),
    ),
    (
        "storage/recovery.py",
        'if journal._flash.clean_count(page) < 0 or page[8:_FIRST_PROGRAM] != b"\\xff" * (_FIRST_PROGRAM - 8):',
        "if journal._flash.clean_count(page) < 0:",
        "a sector in which a program was begun is used as an erased one",
        (_CUTS, f"{_HERE}/chip_journal_cuts.py"),
    ),
]
