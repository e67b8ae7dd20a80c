"""Journal records: numbers, layout and chain, defined once for the door and for the host.

The layout is in docs/flash-formats.md. Pure: no I/O, runs on MicroPython and CPython.
"""

from micropython import const

# Kind of a record.
BOOT = const(1)  # reason: reset cause; detail: seconds since the last record, if known
GRANTED = const(2)  # reason: 0, or why with a reservation; detail: group
REFUSED = const(3)  # reason: see below; detail: group, 0 if unknown
PASSED = const(4)  # the door opened after an authorised release; reason: cause
NOT_PASSED = const(5)  # it did not; reason: cause
OPENED = const(6)  # the leaf opened; reason: cause, CAUSE_NONE for forced
CLOSED = const(7)  # the leaf closed; reason: cause of the opening; detail: seconds it was open
ALARM = const(8)  # raised; reason: alarm
ALARM_ENDED = const(9)  # reason: alarm; detail: seconds it lasted
RELEASED = const(10)  # the lock was released without a card; reason: cause
COMMAND = const(11)  # long record: accepted, about to be executed; reason: operation
COMMAND_REFUSED = const(12)  # reason: result of protocol.md; detail: operator
LIST = const(13)  # detail: revision now held
CLOCK = const(14)  # the clock was set; reason: trust before; detail: step in seconds, at most 2^30-1
GAP = const(15)  # long record: records given up, counted per class
REPEATED = const(16)  # detail: number of folded refusals of one reason

# Reason of GRANTED and REFUSED.
OK = const(0)
UNKNOWN = const(1)
NOT_YET_VALID = const(2)
EXPIRED = const(3)
SUSPENDED = const(4)
CANCELLED = const(5)
CLOCK_UNKNOWN = const(6)
OUTSIDE_SCHEDULE = const(7)
LOCKED_DOWN = const(8)
USES_EXHAUSTED = const(9)
SEVERAL_CARDS = const(10)
NOT_RECORDED = const(11)  # visitors and commands when the journal cannot be written

# Cause of an opening.
CAUSE_NONE = const(0)
CAUSE_CARD = const(1)
CAUSE_REMOTE = const(2)
CAUSE_EXIT = const(3)
CAUSE_INTERCOM = const(4)
CAUSE_KEY = const(5)
CAUSE_HANDLE = const(6)
CAUSE_FIRE = const(7)

# Alarm. CANCELLED_CARD is an alert: it is raised and ends with the showing.
ALARM_FORCED = const(1)
ALARM_HELD_WARNING = const(2)
ALARM_HELD_OPEN = const(3)
ALARM_CANCELLED_CARD = const(4)
ALARM_TAMPER = const(5)
ALARM_READER = const(6)
ALARM_UNRECORDED = const(7)
ALARM_FIRE = const(8)
ALARM_JOURNAL_FULL = const(9)
ALARM_KEYS_LOST = const(10)

# Trust in a time.
FLOOR = const(0)
HELD = const(1)
SYNCHRONISED = const(2)
