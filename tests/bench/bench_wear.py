"""Ten years at 2,000 events and 50 list changes a day on a 4 MB board: erases, refused changes, the cost of a change.

The list is 75 % full, counted in its slots, tombstones included. Its 182,500 changes are all made, in two processes:
each has half of the logical sectors, half of the cards and half of the changes, and sectors share nothing but spares
and revisions. The journal goes round nearly four times with a door's events (bench_journal.py); that all its sectors
are erased equally often is checked, and ten years follow from the erases per event. In the file system settings are
saved every week, and 60 KB of software every three months; keys are written to NVS every year. Nothing else is counted
there: floor of the clock, boot number and revision lie in the two stores.
"""

from tests.bench.bench_cards import JSON_CARDS, JSON_SECTORS
from tests.bench.bench_journal import EVENTS_A_DAY, LINES, ONLINE, SECTORS
from tests.bench.unix_port import run_all

CHANGES_A_DAY = 50
FILL_PERCENT = 75
SLOTS = 254
HALF = (SECTORS - 4) // 2 + 4  # four sectors are no part of the table
DAYS = 3_650


def measure():
    """Return the figures."""
    one, other, online, files, lines, json_cards, json_room = run_all(
        *(("wear_door.py", "cards", HALF, CHANGES_A_DAY // 2, FILL_PERCENT, seed) for seed in (1, 2)),
        ONLINE,
        ("wear_door.py", "files", 1),
        LINES,
        ("littlefs_door.py", "cards", JSON_CARDS, JSON_SECTORS),
        ("littlefs_door.py", "card_room", SECTORS),
    )
    if online["most_erases"] - online["least_erases"] > 1:
        raise SystemExit("the journal's sectors are not erased equally often: ten years do not follow from a few turns")
    turns = -(-online["erases"] * DAYS * EVENTS_A_DAY // (online["events"] * SECTORS))
    journal = turns + 1  # and once at format
    cards = max(one["most_erases"], other["most_erases"])
    print(f"most erases in ten years: cards {cards}, journal {journal}, vfs {files['vfs']}, nvs {files['nvs']}")
    worst_year = {}
    for what in ("programs", "erases"):
        print(f"{what} a change, each year of the first half: {[round(value, 4) for value in one[what]]}")
        worst_year[what] = max(sum(year) / 2 for year in zip(one[what], other[what], strict=True))
    return {
        "cards.update.programs": (round(worst_year["programs"], 4), round(json_cards["update_programs"], 4)),
        "cards.update.erases": (round(worst_year["erases"], 4), round(json_cards["update_erases"], 4)),
        "wear.max_erases_10y": (
            max(cards, journal, files["vfs"], files["nvs"]),
            round(lines["erases"] * DAYS * EVENTS_A_DAY / SECTORS),
        ),
        "wear.refused_10y": (
            one["refused"] + other["refused"],
            (SECTORS - 4) * SLOTS * FILL_PERCENT // 100 - json_room["cards"],
        ),
    }
