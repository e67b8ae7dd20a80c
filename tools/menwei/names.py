"""Names of the numbers in a record, for people. docs/records.md says what they mean.

    names.kind(3), names.reason(3, 5)       # "refused", "cancelled"

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
)
REASONS = _table(
    record,
    *("OK", "UNKNOWN", "NOT_YET_VALID", "EXPIRED", "SUSPENDED", "CANCELLED", "CLOCK_UNKNOWN", "OUTSIDE_SCHEDULE"),
    *("LOCKED_DOWN", "USES_EXHAUSTED", "SEVERAL_CARDS", "NOT_RECORDED", "NOT_PROVEN", "TOO_WEAK"),
)
CAUSES = _table(record, "NONE", "CARD", "REMOTE", "EXIT", "INTERCOM", "KEY", "HANDLE", "FIRE", prefix="CAUSE_")
ALARMS = _table(
    record,
    *("FORCED", "HELD_WARNING", "HELD_OPEN", "CANCELLED_CARD", "TAMPER", "READER", "UNRECORDED", "FIRE"),
    *("JOURNAL_FULL", "KEYS_LOST", "JOURNAL_FILLING", "LIST_FULL", "SETTINGS_LOST", "COPY_SUSPECTED"),
    "MAGIC_CARD",
    prefix="ALARM_",
)
TRUST = _table(record, "FLOOR", "HELD", "SYNCHRONISED")
GAPS = _table(record, "NOT_STORED", "GIVEN_UP")
CREDENTIALS = _table(record, "UID", "CLASSIC", "NTAG424", "DESFIRE", prefix="KIND_")
STAGES = _table(record, "SOFT_RESET", "HARD_RESET", "SET_UP", "POWER", prefix="STAGE_")
OPERATIONS = _table(messages, "UNLOCK", "SET_TIME", "DROP_CARD_KEY", prefix="OP_")
RESULTS = _table(
    messages,
    *("DONE", "WRONG_MAC", "WRONG_SESSION", "REPLAYED", "TOO_LATE", "NOT_APPROVED", "UNKNOWN_OPERATION", "RETAINED"),
    *("MALFORMED", "REFUSED_BY_DOOR"),
)
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
}


def kind(number: int) -> str:
    """Name of a kind."""
    return KINDS.get(number, str(number))


def reason(kind_number: int, number: int) -> str:
    """Name of the reason, cause, alarm, result… that a record of this kind carries; `-` where it carries none."""
    table = REASONS_OF.get(kind_number)
    if table is None:
        return NOTHING if number == 0 else str(number)
    return table.get(number, str(number))


def trust(number: int) -> str:
    """Name of a grade of trust in a time."""
    return TRUST.get(number, str(number))
