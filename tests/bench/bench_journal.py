"""The journal: flash operations of an event with everything that belongs to it, capacity, days without upstream.

The events are those of traffic_door.py, with the idle work of quiet seconds between them. Online an office acknowledges
every visit; offline nothing is acknowledged until a record is lost whose class is not the lowest.
"""

from tests.bench.unix_port import run_all

EVENTS_A_DAY = 2_000
DAYS = 30  # the ring goes round nearly four times, after one turn that is not counted
SEED = 1
OFFLINE = (200, 500, 2_000)
SECTORS = 128  # of a 4 MB board
ONLINE = ("journal_door.py", "online", DAYS, EVENTS_A_DAY, SEED)
LINES = ("littlefs_door.py", "lines", 8_000, SECTORS)
LINE_ROOM = ("littlefs_door.py", "line_room", SECTORS)


def measure():
    """Return the figures."""
    online, lines, room, full, *offline = run_all(
        ONLINE,
        LINES,
        LINE_ROOM,
        ("journal_door.py", "capacity"),
        *(("journal_door.py", "offline", events, SEED) for events in OFFLINE),
    )
    events = online["events"]
    programs, erases = round(lines["programs"], 4), round(lines["erases"], 4)
    measured = {
        "journal.append.programs": (round(online["append_programs"] / events, 4), programs),
        "journal.append.erases_on_path": (online["append_erases"], erases),
        "journal.programs_per_event": (round(online["programs"] / events, 4), programs),
        "journal.erases_per_event": (round(online["erases"] / events, 5), erases),
        "journal.capacity_4mb": (full["records"], room["lines"]),
    }
    for a_day, result in zip(OFFLINE, offline, strict=True):
        measured[f"journal.days_offline.{a_day}"] = round(result["days"], 1), round(room["lines"] / a_day, 1)
    return measured
