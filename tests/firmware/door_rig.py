"""The door's own contacts, watch and lock under CPython, with pins of the test and a clock of the test."""

import asyncio
import time

PERIOD = 1 << 30
STEP_MS = 20


class Now:
    """Milliseconds since the rig began; the ticks wrap soon after."""

    ms = 0


def _ticks_ms():
    return (Now.ms - 5000) % PERIOD


def _ticks_diff(later, earlier):
    return (later - earlier + PERIOD // 2) % PERIOD - PERIOD // 2


# What the firmware imports from MicroPython's modules.
for _module, _name, _value in (
    (time, "ticks_ms", _ticks_ms),
    (time, "ticks_diff", _ticks_diff),
    (time, "ticks_add", lambda ticks, delta: (ticks + delta) % PERIOD),
    (asyncio, "sleep_ms", lambda ms: asyncio.sleep(ms / 1000)),
):
    if not hasattr(_module, _name):
        setattr(_module, _name, _value)

from drivers.contacts import Contact  # noqa: E402 after the names that it imports
from drivers.lock import Lock  # noqa: E402
from firmware.clock import Clock, Uptime  # noqa: E402
from firmware.door import Door  # noqa: E402
from firmware.recorder import Recorder  # noqa: E402
from firmware.watch import Watch  # noqa: E402

_AT_REST = {"leaf": 0, "bolt": 0, "tamper": 0}
_ACTIVE_AT = {"tamper": 1}


class InputPin:
    """An input; `set` moves it, with an interrupt at each edge."""

    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, level):
        self.level = level
        self.handler = None

    def __call__(self):
        return self.level

    def irq(self, handler, _trigger):
        """The driver's interrupt."""
        self.handler = handler

    def set(self, level):
        """An edge."""
        if level != self.level:
            self.level = level
            self.handler(self)


class Journal:
    """Notes what is appended."""

    def __init__(self):
        self.records = []

    def stamp(self, *_when):
        """No time here."""

    def append(self, kind, reason=0, pseudonym=None, detail=0):
        """One record."""
        self.records.append((kind, reason, detail))


class Quiet:
    """Log and player; takes everything."""

    playing = False

    def play(self, pattern):
        """A pattern begins, or silence."""
        self.playing = len(pattern) > 0

    def info(self, *_words, **_values):
        """Nobody reads it."""

    warning = error = info


class Kept(dict):
    """What outlives a power cut."""

    def get(self, name):
        """As firmware.kept."""
        return dict.get(self, name, 0)

    def set(self, name, value):
        """As firmware.kept."""
        self[name] = value
        return True


class Parts:
    """What the watch takes."""


class Rig:
    """One door with these contacts."""

    def __init__(self, names, open_s, warn_s, alarm_s, stuck_s, mute_s, kept=None, levels=()):
        self.pins = {name: InputPin(dict(levels).get(name, _AT_REST.get(name, 1))) for name in names}
        self.relay = []
        self.lock = Lock(self.relay.append)
        self.kept = Kept() if kept is None else kept
        self.journal = Journal()
        self.player = Quiet()
        parts = Parts()
        parts.uptime = Uptime()
        parts.clock = Clock(200_000_000, 50)
        parts.log = Quiet()
        parts.player = self.player
        parts.recorder = self.recorder = Recorder(self.journal, parts.clock, parts.log)
        parts.door = self.door = Door(warn_s, alarm_s, True, stuck_s)
        parts.lock = self.lock
        parts.kept = self.kept
        parts.lines = None
        parts.memory = lambda _data=b"": b""  # of the RTC
        parts.passage = type("Passage", (), {"granted": b"1234567"})
        parts.settings = {"open_s": open_s, "mute_s": mute_s, "sound_s": 3600, "closer_slow_percent": 150}
        parts.contacts = {name: Contact(pin, _ACTIVE_AT.get(name, 0)) for name, pin in self.pins.items()}
        self.watch = Watch(parts)
        self.watch.start()

    def look(self):
        """One step of the watch; return what it recorded."""
        self.watch.step(_ticks_ms())
        records, self.journal.records = self.journal.records, []
        return records
