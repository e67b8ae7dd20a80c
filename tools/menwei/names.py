"""Names of the numbers in a record, for people. docs/records.md says what they mean.

    names.kind(3), names.reason(3, 5)       # "refused", "cancelled"
    names.detail(2, 0, 0x29A81)             # "classic, key version 1, counter 41, group 1"

A number without a name, from a door newer than this tool, is shown as the number.
"""

from __future__ import annotations

from storage import record
from sync import messages

NOTHING = "-"


def _table(module, *names: str, prefix: str = "") -> dict[int, str]:
    return {getattr(module, prefix + name): name.lower() for name in names}


KINDS = _table(
    record,
    *("BOOT", "GRANTED", "REFUSED", "PASSED", "NOT_PASSED", "OPENED", "CLOSED", "ALARM", "ALARM_ENDED", "RELEASED"),
    *("COMMAND", "COMMAND_REFUSED", "LIST", "CLOCK", "GAP", "REPEATED", "DROPPED", "READER"),
    *("HOUR", "SELF_TEST", "MODE", "CHANGED"),
)
REASONS = _table(
    record,
    *("OK", "UNKNOWN", "NOT_YET_VALID", "EXPIRED", "SUSPENDED", "CANCELLED", "CLOCK_UNKNOWN", "OUTSIDE_SCHEDULE"),
    *("LOCKED_DOWN", "USES_EXHAUSTED", "SEVERAL_CARDS", "NOT_RECORDED", "NOT_PROVEN", "TOO_WEAK", "PASSED_BACK"),
)
RESERVATIONS = _table(record, "IN_GRACE", "ABOVE_FLOOR", "UNTOLD")
CAUSES = _table(
    record,
    *("NONE", "CARD", "REMOTE", "EXIT", "INTERCOM", "KEY", "HANDLE", "FIRE", "SCHEDULE"),
    prefix="CAUSE_",
)
ALARMS = _table(
    record,
    *("FORCED", "HELD_WARNING", "HELD_OPEN", "CANCELLED_CARD", "TAMPER", "READER", "UNRECORDED", "FIRE"),
    *("JOURNAL_FULL", "KEYS_LOST", "JOURNAL_FILLING", "LIST_FULL", "SETTINGS_LOST", "COPY_SUSPECTED"),
    *("MAGIC_CARD", "LOCK_FAULT", "EXIT_STUCK", "SENSOR_FAULT", "AJAR", "WRONG_TRIES", "CLOSER_SLOW"),
    *("CLOCK_DOUBTED", "CLOCK_LOST", "SELF_TEST", "INTRUSION"),
    prefix="ALARM_",
)
MODES = _table(
    record,
    *("LOCKED_DOWN", "LOCK_DOWN_ENDED", "PROPPED", "PROP_ENDED", "FREE", "FREE_ENDED", "ARMED", "DISARMED", "MUTED"),
    *("RESET_ASKED", "MAINTENANCE", "MAINTENANCE_ENDED", "UNLOCKED", "UNLOCK_ENDED"),
    prefix="MODE_",
)
TRUST = _table(record, "FLOOR", "HELD", "SYNCHRONISED")
TESTS = _table(
    record,
    *("PASSED", "READER", "ANTENNA", "RELAY", "CONTACTS", "FLASH", "HEAP", "CLOCK", "NETWORK", "CERTIFICATE"),
    *("SUPPLY", "KEYS", "SETTINGS"),
    prefix="TEST_",
)
PARCELS = _table(record, "TAKEN", "REFUSED", "TAKEN_BACK", prefix="PARCEL_")
GAPS = _table(record, "NOT_STORED", "GIVEN_UP")
CREDENTIALS = _table(record, "UID", "CLASSIC", "NTAG424", "DESFIRE", prefix="KIND_")
STAGES = _table(record, "SOFT_RESET", "HARD_RESET", "SET_UP", "POWER", prefix="STAGE_")
OPERATIONS = _table(
    messages,
    *("UNLOCK", "SET_TIME", "DROP_CARD_KEY", "LOWER_CLOCK", "LOCK_DOWN", "PROP", "MUTE", "SELF_TEST", "ASK_RESET"),
    *("MAINTENANCE", "RESTART", "COLLECT", "APPLY", "DROP_DOOR_KEY"),
    prefix="OP_",
)
RESULTS = _table(
    messages,
    *("DONE", "WRONG_MAC", "WRONG_SESSION", "REPLAYED", "TOO_LATE", "NOT_APPROVED", "UNKNOWN_OPERATION", "RETAINED"),
    *("MALFORMED", "REFUSED_BY_DOOR", "DOUBTED", "BUSY"),
)
# Words of a state (docs/protocol.md); the last one stands for all that a door could not say.
DOOR_STATES = ("secured", "unlocked", "open", "held open", "propped", "ajar", "forced", "unknown")
LOCK_STATES = ("locked", "unlocked")
# Numbers of MicroPython's machine.reset_cause() on the ESP32.
RESETS = {1: "power_on", 2: "hard", 3: "watchdog", 4: "deep_sleep", 5: "soft"}

REASONS_OF = {
    record.BOOT: RESETS,
    record.GRANTED: REASONS,
    record.REFUSED: REASONS,
    record.PASSED: CAUSES,
    record.NOT_PASSED: CAUSES,
    record.OPENED: CAUSES,
    record.CLOSED: CAUSES,
    record.ALARM: ALARMS,
    record.ALARM_ENDED: ALARMS,
    record.RELEASED: CAUSES,
    record.COMMAND: OPERATIONS,
    record.COMMAND_REFUSED: RESULTS,
    record.CLOCK: TRUST,
    record.GAP: GAPS,
    record.REPEATED: REASONS,
    record.READER: STAGES,
    record.MODE: MODES,
    record.SELF_TEST: TESTS,
    record.CHANGED: PARCELS,
}


def kind(number: int) -> str:
    """Name of a kind."""
    return KINDS.get(number, str(number))


def reason(kind_number: int, number: int) -> str:
    """Name of the reason, cause, alarm, result… that a record of this kind carries; `-` where it carries none."""
    table = REASONS_OF.get(kind_number)
    if table is None:
        return NOTHING if number == 0 else str(number)
    if kind_number == record.GRANTED and number:
        known = sum(RESERVATIONS)
        words = [name for bit, name in RESERVATIONS.items() if number & bit]
        return "+".join(words + [str(number & ~known)] * bool(number & ~known))
    if kind_number == record.CLOCK and number & record.LOWERED == record.LOWERED:
        return f"lowered+{trust(number & ~record.LOWERED)}"
    return table.get(number, str(number))


def trust(number: int) -> str:
    """Name of a grade of trust in a time."""
    return TRUST.get(number, str(number))


# Alarms about a card: their detail is what it showed.
_ABOUT_CARD = (
    record.ALARM_CANCELLED_CARD,
    record.ALARM_COPY_SUSPECTED,
    record.ALARM_MAGIC_CARD,
    record.ALARM_WRONG_TRIES,
)
_DETAILS = {
    record.CLOSED: "open for {:,} s",
    record.ALARM_ENDED: "after {:,} s",
    record.COMMAND: "command {}",
    record.COMMAND_REFUSED: "operator {}",
    record.LIST: "revision {:,}",
    record.CLOCK: "by {:,} s",
    record.REPEATED: "{:,} refusals",
    record.READER: "{:,} times since the start",
    record.MODE: "{:,}",
    record.HOUR: "hour {:,}",
    record.CHANGED: "parcel {}",
}
# Numbers of docs/door.md: the detail of a sensor fault.
CONTACTS = ("leaf", "exit", "fire", "key", "intercom", "tamper", "bolt", "handle")


def about_card(kind_number: int, reason_number: int) -> bool:
    """Whether the detail of such a record says what a card showed."""
    if kind_number == record.ALARM:
        return reason_number in _ABOUT_CARD
    return kind_number == record.GRANTED or (kind_number == record.REFUSED and reason_number != record.SEVERAL_CARDS)


def evidence(detail_number: int) -> dict:
    """What a card showed, docs/records.md. `kind` is None in records of software that knew UIDs only."""
    number, version, counted, counter = record.shown(detail_number)
    return {
        "group": detail_number & 63,
        "kind": CREDENTIALS.get(number, str(number)) if number else None,
        "version": version,
        "counted": bool(counted),
        "counter": counter,
    }


def detail(kind_number: int, reason_number: int, number: int) -> str:
    """The detail of a record in words; `-` where it carries none."""
    if kind_number == record.SELF_TEST or (kind_number, reason_number) == (record.ALARM, record.ALARM_SELF_TEST):
        failed = [TESTS.get(item, str(item)) for item in range(1, 30) if number >> item & 1]
        return "failed: " + ", ".join(failed) if failed else NOTHING
    if kind_number in (record.ALARM, record.ALARM_ENDED) and reason_number == record.ALARM_SENSOR_FAULT:
        return CONTACTS[number - 1] if 1 <= number <= len(CONTACTS) else str(number)
    if not about_card(kind_number, reason_number):
        form = _DETAILS.get(kind_number)
        return form.format(number) if form and (number or kind_number == record.LIST) else NOTHING
    shown = evidence(number)
    words = [shown["kind"] or "uid"]
    if words[0] == "uid":
        words[0] = "uid (weak)"
    if shown["version"]:
        words.append(f"key version {shown['version']}")
    if shown["counter"] or shown["counted"]:
        words.append(f"counter {shown['counter']:,}" + ("" if shown["counted"] else " (not moved on)"))
    if shown["group"]:
        words.append(f"group {shown['group']}")
    return ", ".join(words)
