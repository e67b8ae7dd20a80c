"""What each figure must reach. A name that is measured but does not stand here fails `make bench`.

Budgets (`boot.*`, `tap.alloc_bytes`) only ever go down.
"""

_JSON = "one JSON file per card on LittleFS, 1,000 cards"
_LINE = "LittleFS, append and flush a line of 32 bytes"
_LINES = "LittleFS, lines of 32 bytes in the same region"
_PUBLIC = "mfrc522 0.0.7 of PyPI on the same chip model"
_PUBLISHED = "published for the known MicroPython driver, not measured"
_NAIVE = "a loop every 100 ms, a JSON file per card (100), a line appended before the relay"
_SOFTWARE = "a button that only the firmware senses; it was given up after that time"
_SINGLES = "one event a publish with QoS 1, the same link, broker and database (1,000, times 10)"
_ROOM = "JSON files on LittleFS in a region of that size"

TARGETS = {
    # name: (comparison, limit, unit, what the alternative is)
    "boot.modules_bytes": ("<=", 49_152, "bytes", "the same modules as source files"),
    "boot.heap32_bytes": ("<=", 86_016, "bytes", "the same door loaded from source files, not precompiled"),
    "boot.heap32_changing_bytes": ("<=", 106_496, "bytes", "the same, loaded from source files"),
    "boot.heap32_ordered_bytes": ("<=", 106_496, "bytes", "the same, loaded from source files"),
    "tap.flash_reads": ("<=", 4, "a granted tap, at most", _NAIVE),
    "tap.flash_programs": ("<=", 2, "a granted tap, at most", _NAIVE),
    "tap.flash_erases": ("<=", 0, "a granted tap, at most", _NAIVE),
    "tap.ms.p99": ("<=", 60, "ms, field to relay", _NAIVE),
    "exit.worst_ms": ("<=", 50, "ms", _SOFTWARE),
    "fire.worst_ms": ("<=", 50, "ms", _SOFTWARE),
    "tap.alloc_bytes": ("<=", 1_024, "bytes", "the same tap with hashing not prepared ahead"),
    "cards.update.programs": ("<=", 3, "a change", _JSON),
    "cards.update.erases": ("<=", 0.025, "a change", _JSON),
    "cards.capacity_4mb": (">=", 24_000, "cards", _ROOM),
    "cards.capacity_8mb": (">=", 48_000, "cards", _ROOM + " (512 KB measured, times 2)"),
    "cards.capacity_16mb": (">=", 98_000, "cards", _ROOM + " (512 KB measured, times 4)"),
    "cards.ram_bytes": ("<=", 4_096, "bytes, 98,000 cards", "a dict in RAM, 1,000 cards"),
    "cards.ram_survey_bytes": ("<=", 5_120, "bytes, a survey under way", "a dict in RAM, 1,000 cards"),
    "journal.append.programs": ("<=", 1, "an event", _LINE),
    "journal.append.erases_on_path": ("<=", 0, "erases in all appends", _LINE + " (mean)"),
    "journal.programs_per_event": ("<=", 1.15, "an event, all in", _LINE),
    "journal.erases_per_event": ("<=", 0.01, "an event", _LINE),
    "journal.capacity_4mb": (">=", 15_000, "records", _LINES),
    "journal.days_offline.200": (">=", 70, "days at 200 events", _LINES),
    "journal.days_offline.500": (">=", 28, "days at 500 events", _LINES),
    "journal.days_offline.2000": (">=", 7, "days at 2,000 events", _LINES),
    "uplink.bytes_per_event": ("<=", 36, "bytes, MQTT's included", "one event a publish, the longest names, too"),
    "uplink.backlog_10k.speedup": (">=", 10, "times as fast, 10,000 events", _SINGLES),
    "revoke.online_ms": ("<=", 500, "ms, office to flash, 99 of 100", "the list of 1,000 cards sent again"),
    "link.heap_bytes": ("<=", 12_288, "bytes", "micropython-mqtt-async 0.7b4 of PyPI, without buffers"),
    "link.loop_block_ms": ("<=", 50, "ms, 999 of 1,000", "umqtt.simple 1.3.4 of PyPI, broker stopped for 3 s"),
    "mount.reads": ("<=", 600, "reads", "reading both regions through, 256 bytes at a time"),
    "mount.bytes": ("<=", 262_144, "bytes", "reading both regions through"),
    "reader.ntag424.ms": ("<=", 45, "ms, from the first look", "HLTA and SELECT again, then a look every 10 ms"),
    "reader.uid4.cs": ("<=", 28, "chip selects", _PUBLIC),
    "reader.uid4.bytes": ("<=", 84, "bytes", _PUBLIC),
    "reader.uid7.cs": ("<=", 46, "chip selects", _PUBLISHED),
    "reader.uid7.bytes": ("<=", 140, "bytes", _PUBLISHED),
    "reader.idle.cs": ("<=", 10, "chip selects", _PUBLIC),
    "reader.idle.block_ms": ("<=", 3, "ms", _PUBLIC + ", the same clock"),
    "reader.detect_ms.mean": ("<=", 22, "ms", _PUBLIC + ": the look before that alone"),
    "reader.detect_ms.p99": ("<=", 50, "ms", _PUBLIC + ": the look before that alone"),
    "reader.alloc_bytes": ("<=", 256, "bytes", _PUBLISHED),
    "wear.max_erases_10y": (
        "<=",
        600,
        "erases (journal: from four turns)",
        _LINE + ", levelled evenly over the same region",
    ),
    "wear.refused_10y": ("<=", 0, "changes", "cards of that list for which JSON files in the region have no room"),
}

for _cards in (1_000, 24_000, 48_000, 98_000):
    for _name, _limit, _unit in (
        ("lookup_hit.reads", 1.2, "reads"),
        ("lookup_miss.reads", 1.3, "reads"),
        ("lookup_hit.bytes", 512, "bytes"),
        ("lookup_hit.reads_p999", 4, "reads"),
        ("aged_hit.reads", 1.4, "reads"),
        ("aged_miss.reads", 1.6, "reads"),
        ("aged_hit.reads_p999", 8, "reads"),
    ):
        TARGETS[f"cards.{_name}.{_cards}"] = "<=", _limit, _unit, _JSON
for _name in ("lookup_hit", "lookup_miss", "aged_hit", "aged_miss"):
    TARGETS[f"cards.{_name}.ratio"] = "<=", 1.6, "times the reads of 1,000", "JSON files, 1,000 cards to 100"
