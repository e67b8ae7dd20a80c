"""Journal records: numbers, layout and chain, defined once for the door and for the host.

    if record.code(buf[0]) == record.SINGLE and buf[record.KIND] == record.GRANTED:
        print(record.get30(buf, record.SEQ), record.get30(buf, record.TIME))

The layout is in docs/flash-formats.md. Pure: no I/O, runs on MicroPython and CPython.
"""

from micropython import const

from storage.mac import check, seal, sealed

# First byte of a slot. Any two of these, of zero (torn) and ones (erased) differ in four bits: one flip hides none.
SINGLE = const(0x55)
LONG = const(0x33)
SECOND = const(0x3C)
KEY = const(0x0F)

# Where a record's fields begin.
SEQ = const(1)  # bits 30-31: two low bits of the key generation
BOOT_NUMBER = const(5)
TIME = const(7)  # bits 30-31: trust
UNCERTAINTY = const(11)
KIND = const(12)
REASON = const(13)
PSEUDONYM = const(14)
DETAIL = const(21)
MAC = const(25)

# Why a GAP record was made (its reason).
GIVEN_UP = const(1)  # the oldest sector was erased before it was acknowledged
NOT_STORED = const(2)  # records of the lowest class, while more than 75 % are unacknowledged

# Kind of a record.
BOOT = const(1)  # reason: reset cause; detail: seconds since the last record, if known
GRANTED = const(2)  # reason: 0, or why with a reservation; detail: see evidence()
REFUSED = const(3)  # reason: see below; detail: see evidence(), group 0 if unknown
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
CLOCK = const(14)  # the clock was set; reason: trust before; detail: step in seconds, at most 2^30-1; LOWERED
GAP = const(15)  # long record: records given up, counted per class
REPEATED = const(16)  # detail: refusals that were only counted; reason and pseudonym: of the last of them
DROPPED = const(17)  # a tombstone gives way; pseudonym: as far as the list still knows it
READER = const(18)  # the reader chip was brought back; reason: by which stage; detail: how often since start
HOUR = const(19)  # long record: how the hour went, docs/closed-rate.md; detail: hours since 2020-01-01
SELF_TEST = const(20)  # reason: first item that failed, 0 all well; detail: a bit for each item that failed
MODE = const(21)  # the door works differently from now on; reason: mode; detail: its argument
CHANGED = const(22)  # settings or keys came as a parcel; reason: what became of it; detail: the parcel's number

# Added to the reason of GRANTED: with which reservation.
IN_GRACE = const(0x10)  # past its end, or perhaps, within the days of grace
ABOVE_FLOOR = const(0x20)  # whether the card has begun, or has ended, is not known: the clock stands at its floor
UNTOLD = const(0x40)  # out of touch with upstream: a cancellation may not have come through

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
NOT_PROVEN = const(12)  # on the list as a card that proves itself, and it did not
TOO_WEAK = const(13)  # a kind of credential that this door or this group does not take
PASSED_BACK = const(14)  # shown again on the same side without having left: anti-passback

# Cause of an opening.
CAUSE_NONE = const(0)
CAUSE_CARD = const(1)
CAUSE_REMOTE = const(2)
CAUSE_EXIT = const(3)
CAUSE_INTERCOM = const(4)
CAUSE_KEY = const(5)
CAUSE_HANDLE = const(6)
CAUSE_FIRE = const(7)
CAUSE_SCHEDULE = const(8)  # free passage at this time of day

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
ALARM_JOURNAL_FILLING = const(11)
ALARM_LIST_FULL = const(12)
ALARM_SETTINGS_LOST = const(13)
ALARM_COPY_SUSPECTED = const(14)  # an alert, as CANCELLED_CARD is
ALARM_MAGIC_CARD = const(15)  # an alert
ALARM_LOCK_FAULT = const(16)
ALARM_EXIT_STUCK = const(17)
ALARM_SENSOR_FAULT = const(18)
ALARM_AJAR = const(19)
ALARM_WRONG_TRIES = const(20)  # an alert
ALARM_CLOSER_SLOW = const(21)
ALARM_CLOCK_DOUBTED = const(22)
ALARM_CLOCK_LOST = const(23)
ALARM_SELF_TEST = const(24)
ALARM_INTRUSION = const(25)  # a wrong MAC on a topic of the door

# Mode of a door, the reason of MODE.
MODE_LOCKED_DOWN = const(1)
MODE_LOCK_DOWN_ENDED = const(2)
MODE_PROPPED = const(3)  # detail: seconds
MODE_PROP_ENDED = const(4)
MODE_FREE = const(5)  # free passage begins
MODE_FREE_ENDED = const(6)
MODE_ARMED = const(7)
MODE_DISARMED = const(8)
MODE_MUTED = const(9)  # detail: seconds
MODE_RESET_ASKED = const(10)  # upstream asks for somebody to reset the fire release at the door
MODE_MAINTENANCE = const(11)  # detail: seconds
MODE_MAINTENANCE_ENDED = const(12)
MODE_UNLOCKED = const(13)  # the lock stays released by command; detail: seconds
MODE_UNLOCK_ENDED = const(14)

# Item of a self-test: its reason is the first one that failed, its detail the sum of 1 << item.
TEST_PASSED = const(0)
TEST_READER = const(1)
TEST_ANTENNA = const(2)
TEST_RELAY = const(3)
TEST_CONTACTS = const(4)
TEST_FLASH = const(5)
TEST_HEAP = const(6)
TEST_CLOCK = const(7)
TEST_NETWORK = const(8)
TEST_CERTIFICATE = const(9)
TEST_SUPPLY = const(10)
TEST_KEYS = const(11)
TEST_SETTINGS = const(12)

# What became of a parcel, the reason of CHANGED.
PARCEL_TAKEN = const(0)
PARCEL_REFUSED = const(1)  # nothing of it was taken
PARCEL_TAKEN_BACK = const(2)  # no connection with it for 15 minutes: what was there before it is back

# Kind of a credential: 0 in records of older software, which knew UIDs only.
KIND_UID = const(1)
KIND_CLASSIC = const(2)
KIND_NTAG424 = const(3)
KIND_DESFIRE = const(4)

# By what a reader chip was brought back.
STAGE_SOFT_RESET = const(1)
STAGE_HARD_RESET = const(2)
STAGE_SET_UP = const(3)
STAGE_POWER = const(4)

# Added to the reason of CLOCK: two persons set it back, also behind the floor. Three bits, so that no flip makes one.
LOWERED = const(0x70)

# Trust in a time.
FLOOR = const(0)
HELD = const(1)
SYNCHRONISED = const(2)

# Class by kind: 0 goes first under pressure, 2 last.
LOW = const(0)
HIGH = const(2)
_CLASSES = b"\x02\x01\x02\x01\x02\x01\x00\x00\x02\x02\x02\x02\x01\x01\x01\x02\x01\x02\x01\x01\x01\x02"


def class_of(kind, reason):
    """Class of a record: 0, 1 or 2."""
    if kind == REFUSED and reason == UNKNOWN:
        return 0
    if kind >= len(_CLASSES) or (kind == OPENED and reason == CAUSE_NONE):
        return 2
    return _CLASSES[kind]


def evidence(group, kind, version=0, counted=False, counter=0):
    """Detail of a record about a credential: 30 bits, docs/records.md, "What a card showed"."""
    return group | kind << 6 | (version & 3) << 9 | counted << 11 | (counter & 0x3FFFF) << 12


def shown(detail):
    """Return (kind, key version, counted, counter) of what evidence() made."""
    return detail >> 6 & 7, detail >> 9 & 3, detail >> 11 & 1, detail >> 12


def code(value):
    """What a slot with this first byte holds, one flipped bit forgiven; 0 for none of the four."""
    for known in b"\x55\x33\x3c\x0f":
        difference = value ^ known
        if not difference & (difference - 1):
            return known
    return 0


def get30(buf, at):
    """Read 30 bits; a small integer on every port."""
    return buf[at] | buf[at + 1] << 8 | buf[at + 2] << 16 | (buf[at + 3] & 63) << 24


def put30(buf, at, value, top=0):
    """Write 30 bits and two more above them."""
    buf[at] = value & 255
    buf[at + 1] = value >> 8 & 255
    buf[at + 2] = value >> 16 & 255
    buf[at + 3] = value >> 24 & 63 | top << 6


def turned(generation, buf, offset):
    """Key generation of this record, if the one before it has `generation`; one damaged record does not lead astray."""
    step = (buf[offset + 4] >> 6) - generation & 3
    return generation + (0, 1, 0, -1)[step]


def next_key(key):
    """Key of the next generation."""
    return check(b"menwei next key", key, 0, 16, 16)


def put_key(buf, offset, generation, chain, key):
    """Write a key slot."""
    buf[offset] = KEY
    put30(buf, offset + 1, generation)
    buf[offset + 5 : offset + 12] = chain
    seal(b"menwei slot", buf, offset + 1, offset + 12, 2)
    buf[offset + 14 : offset + 30] = key
    seal(b"menwei key", buf, offset + 1, offset + 30, 2)


def key_sound(buf, offset):
    """Whether a key slot with its generation and chain value stands here."""
    return code(buf[offset]) == KEY and sealed(b"menwei slot", buf, offset + 1, offset + 12, 2)


def key_alive(buf, offset):
    """Whether its key is there, too, not yet wiped."""
    return sealed(b"menwei key", buf, offset + 1, offset + 30, 2)
