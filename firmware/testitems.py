"""What a self-test makes of its findings: passed, failed or left out, item by item, and one screen of text. Pure.

    items = judge(facts)                        # [(item, verdict, text), …] in the order of the numbers
    mask = failed(items)
    for line in report(items, "door", 3600, "…", 12): ...

docs/self-test.md tells what each item looks at, and what it cannot tell. Loaded for a self-test and not kept.
"""

from micropython import const

from storage import record

PASSED = const(0)
FAILED = const(1)
SKIPPED = const(2)

WIDTH = const(80)
LINES = const(24)

_DAY_S = const(86400)
_MINUTE_S = const(60)
_AGAIN_S = const(21_600)  # after a test that failed
_PATIENCE_S = const(600)  # for a link to come up and a clock to be set
_LEAST_FREE = const(8192)  # bytes of heap: what a list update with its modules needs
_LEAST_BLOCK = const(2048)  # the largest piece that anything in service asks for at once is 1,048 bytes
_MOST_EXPONENT = const(9)  # of the clock's uncertainty in seconds: 512 s
_LEAST_DAYS = const(14)  # a new one comes 60 days before the end, docs/broker.md
_WATCHDOG = const(3)  # machine.WDT_RESET on the ESP32
_RESETS = ("unknown", "power on", "hard reset", "watchdog", "deep sleep", "soft reset")
_TRUST = ("at its floor", "held", "synchronised")
_NAMES = (
    "",
    "reader",
    "antenna",
    "relay",
    "contacts",
    "flash",
    "heap",
    "clock",
    "network",
    "certificate",
    "supply",
    "keys",
    "settings",
)
_VERDICTS = ("passed", "FAILED", "skipped")


class Facts:
    """What was found; the values here are those of a door in order that nobody has set up."""

    def __init__(self):
        self.uptime_s = 0
        self.reset_cause = 1
        self.probe = None  # of drivers.mfrc522_probe, None: it raised an error or there is no chip
        self.kilobaud = 0  # of the SPI clock in use,
        self.wanted_kilobaud = 0  # and as it should be
        self.recoveries = 0  # of the reader since start
        self.gain_db = 0  # as it should be
        self.bolt = None  # whether the bolt follows the relay; None: nothing senses it
        self.cycles = 0  # of the relay since start
        self.contacts = ()  # names of those that are fitted
        self.active = ()  # names of those that are active though nobody is there: leaf is when it is closed
        self.sensor_fault = False
        self.fire = False  # the fire release is on
        self.flash = None  # of storage.survey, None: it cannot be read
        self.flash_failures = 0  # operations that either region refused, since start
        self.heap_free = 0
        self.heap_block = False  # a piece of _LEAST_BLOCK was there
        self.idf_block = 0  # largest free piece outside the heap of MicroPython
        self.trust = 0
        self.exponent = 31
        self.left_s = None  # of the newest certificate's validity; 0: none is whole, None: no TLS
        self.linked = None  # None: no upstream is set
        self.link_error = None
        self.key_copies = 0
        self.setting_copies = 0
        self.settings_damaged = 0
        self.defaults = False  # the door works with the default settings because of damage


def judge(facts):
    """Return the items in order: number, verdict, text of some 57 characters."""
    items = [
        (record.TEST_READER,) + _reader(facts),
        (record.TEST_ANTENNA,) + _antenna(facts),
        (record.TEST_RELAY,) + _relay(facts),
        (record.TEST_CONTACTS,) + _contacts(facts),
        (record.TEST_FLASH,) + _flash(facts),
        (record.TEST_HEAP,) + _heap(facts),
        (record.TEST_CLOCK,) + _clock(facts),
        (record.TEST_NETWORK,) + _network(facts),
        (record.TEST_CERTIFICATE,) + _certificate(facts),
        (record.TEST_SUPPLY,) + _supply(facts),
        (record.TEST_KEYS,) + _keys(facts),
        (record.TEST_SETTINGS,) + _settings(facts),
    ]
    return items


def _verdict(good):
    return PASSED if good else FAILED


def _reader(facts):
    if facts.probe is None or facts.probe[0] in (0x00, 0xFF):
        return FAILED, "does not answer: check its power, wiring and reset pin"
    version, _, gain_db, written = facts.probe
    if not written:
        return FAILED, "version %02X, does not keep what is written: check its wiring" % version
    if gain_db != facts.gain_db:
        return FAILED, "version %02X, gain %d dB in place of %d" % (version, gain_db, facts.gain_db)
    text = "version %02X, %d kHz, brought back %d times" % (version, facts.kilobaud, facts.recoveries)
    if facts.kilobaud < facts.wanted_kilobaud:
        return FAILED, text + ": too slow, wires?"
    return PASSED, text


def _antenna(facts):
    if facts.probe is None:
        return FAILED, "nobody can be asked"
    if facts.probe[1] != 2:
        return FAILED, "%d of 2 outputs are on" % facts.probe[1]
    return PASSED, "both outputs are on; only a card can tell of the coil"


def _relay(facts):
    if facts.bolt is None:
        return SKIPPED, "neither coil nor bolt is sensed; %d cycles since start" % facts.cycles
    return _verdict(facts.bolt), "the bolt %s; %d cycles since start" % (
        "follows" if facts.bolt else "does not follow: look at lock and wiring",
        facts.cycles,
    )


def _contacts(facts):
    if "leaf" not in facts.contacts:
        return FAILED, "no contact of the leaf is fitted"
    if facts.sensor_fault:
        return FAILED, "a wire is cut or shorted; the record of the alarm says which"
    for name in ("exit", "key", "intercom"):
        if name in facts.active:
            return FAILED, "%s is active though nobody is there: stuck?" % name
    if "tamper" in facts.active:
        return FAILED, "tamper is open: is the reader's cover shut?"
    if "fire" in facts.active and not facts.fire:
        return FAILED, "fire is active and the door has not released"
    return PASSED, "%d fitted, leaf %s" % (len(facts.contacts), "closed" if "leaf" in facts.active else "open")


def _flash(facts):
    if facts.flash is None:
        return FAILED, "cannot be read: replace the board"
    journal, cards, free, damaged = facts.flash
    text = "journal %d, cards %d + %d free sectors" % (journal, cards, free)
    if damaged or facts.flash_failures:
        return FAILED, text + "; %d damaged, %d failures" % (damaged, facts.flash_failures)
    return PASSED, text


def _heap(facts):
    good = facts.heap_free >= _LEAST_FREE and facts.heap_block
    text = "%d bytes free, outside %d in one piece" % (facts.heap_free, facts.idf_block)
    return _verdict(good), text if good else text + ": too little"


def _clock(facts):
    if facts.trust == record.FLOOR:
        if facts.uptime_s < _PATIENCE_S:
            return SKIPPED, "at its floor since the start; not set yet"
        return FAILED, "at its floor: nobody sets it, is there a link?"
    text = "%s, within %d s" % (_TRUST[facts.trust], 1 << facts.exponent)
    if facts.exponent > _MOST_EXPONENT:
        return FAILED, text + ": too long without being set"
    return PASSED, text


def _certificate(facts):
    if facts.left_s is None:
        return SKIPPED, "no TLS is set"
    if facts.left_s == 0:
        return FAILED, "none is whole: provision the door with one"
    if facts.trust == record.FLOOR:
        return SKIPPED, "there is one; the clock does not tell until when"
    days = facts.left_s // _DAY_S
    if facts.left_s < 0:
        return FAILED, "ended %d days ago: set renew_port, or provision one" % -days
    return _verdict(days >= _LEAST_DAYS), "valid for another %d days" % days


def _network(facts):
    if facts.linked is None:
        return SKIPPED, "no upstream is set"
    if facts.linked:
        return PASSED, "connected"
    text = "not connected"
    if facts.link_error is not None:
        text = "%s: %s" % (text, facts.link_error)
    return SKIPPED if facts.uptime_s < _PATIENCE_S else FAILED, text


def _supply(facts):
    cause = facts.reset_cause
    text = "started by %s" % _RESETS[cause if cause < len(_RESETS) else 0]
    if cause == _WATCHDOG and facts.uptime_s < _AGAIN_S:
        return FAILED, text + ": see what the log said before"
    return PASSED, text + "; brown-outs are not told apart here"


def _keys(facts):
    return _verdict(facts.key_copies == 2), "%d of 2 copies are whole" % facts.key_copies


def _settings(facts):
    text = "%d of 2 copies are whole" % facts.setting_copies
    if facts.defaults:
        return FAILED, text + "; the door works with the defaults"
    if facts.settings_damaged:
        return FAILED, text + ", %d damaged" % facts.settings_damaged
    return PASSED, text


def failed(items):
    """Return the detail of the record: the sum of 1 << item over those that failed."""
    return sum([1 << item for item, verdict, _ in items if verdict == FAILED])


def first(items):
    """Return the reason of the record: the first item that failed, TEST_PASSED if none did."""
    for item, verdict, _ in items:
        if verdict == FAILED:
            return item
    return record.TEST_PASSED


def report(items, title, longest_ms):
    """Yield the lines of one screen."""
    yield ("self-test of " + title)[:WIDTH]
    counts = [0, 0, 0]
    for item, verdict, text in items:
        counts[verdict] += 1
        # What comes from elsewhere, as an error's text, may hold anything.
        text = "".join([letter if " " <= letter <= "~" else "?" for letter in text])
        yield ("  %-11s %-7s %s" % (_NAMES[item], _VERDICTS[verdict], text))[:WIDTH]
    yield "  %d passed, %d failed, %d skipped; longest step %d ms" % (counts[0], counts[1], counts[2], longest_ms)


def next_s(uptime_s, now_s, trust, offset_min, hour, mask):
    """Return the uptime at which the next test is due.

    Args:
        now_s: seconds since 2020-01-01 UTC. At the floor they mean nothing, and a day is counted from now.
        offset_min: local time less UTC.
        hour: of the day, local time.
        mask: of what failed now; then it is tested again sooner.
    """
    wait_s = _DAY_S
    if trust != record.FLOOR:
        wait_s = (hour * 3600 - (now_s + offset_min * _MINUTE_S)) % _DAY_S
        if wait_s < _MINUTE_S:
            wait_s += _DAY_S
    if mask and wait_s > _AGAIN_S:
        wait_s = _AGAIN_S
    return uptime_s + wait_s
