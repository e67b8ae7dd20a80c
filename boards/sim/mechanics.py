"""The door's mechanics: lock circuit, bolt, leaf, closer and contacts, as events on the world's clock.

    door = Door(fail_safe=False)
    door.connect(io)  # io.set("door_contact", 0) …: what the contacts do to the chip's inputs
    door.relay(1)  # what the chip does; 30 ms later the bolt is withdrawn
    door.pull()  # True: the leaf opens, passes a person and closes by itself

Nothing here knows the firmware. The exit button, the fire contact and the key switch lie in the lock circuit itself:
they feed the coil of a fail-secure lock (powered = released) and break that of a fail-safe one (powered = locked,
through the relay's NC contact), whatever the chip does. The relay, energised, releases both.

A contact pulls its input to 0 when closed. Closed are: door contact on a closed leaf, bolt contact on a thrown bolt,
tamper loop in order, exit, fire, intercom, key and handle while active. The latch is a spring: a leaf closes against a
thrown bolt. The handle on the inside draws latch and bolt back by itself. A wire that is cut or shorted hides a contact
from the chip, not from the lock circuit, which has poles and wires of its own.
"""

from micropython import const

from boards.sim import clock

_SWITCHES = ("hold", "exit", "fire", "intercom", "key", "handle", "tamper", "ajar", "stuck")
VERBS = ("pull", "push", "force", "closer", "wire", "eol") + _SWITCHES
_WIRES = {"ok": None, "cut": "cut", "short": "short"}
_WAYS = ("exit", "fire", "key", "intercom")
_LOCK = ("bolt", "jammed", "coil", "coil_switches", "bolt_moves")
_KEPT = ("leaf", "held", "weak_latch", "openings", "closer_ms", "passage_ms", "wires", "resistors") + _LOCK
_EOL_OHMS = const(1000)  # in series with a contact, and once more across it

_NEEDS = {"closer": "milliseconds", "wire": "a contact and ok, cut or short", "eol": "a contact and 0 or 1"}
_BOLT_US = const(30000)
_BOUNCE_MIN_US = const(5000)  # a reed beside a moving magnet settles within 5 to 20 ms
_BOUNCE_MAX_US = const(20000)


class _Nothing:
    def set(self, name, level):
        """No chip is connected."""

    load = set


class Door:
    """One leaf with its lock."""

    def __init__(self, fail_safe=False, closer_ms=4000, passage_ms=2000, seed=1, io=None):
        self.fail_safe = fail_safe
        self.closer_ms = closer_ms  # from letting go to closed; a worn closer is a larger number
        self.passage_ms = passage_ms  # a person holds the leaf that long before the closer has it
        self.leaf = "closed"  # closed, open, ajar
        self.held = False
        self.weak_latch = False  # the leaf comes to rest ajar
        self.bolt = "thrown"  # thrown, withdrawn
        self.jammed = False
        self.coil = fail_safe
        self.coil_switches = self.bolt_moves = self.openings = 0
        self.release_us = None  # from the last press of exit, fire, key or intercom to the bolt withdrawn
        self._asked_us = None
        self._moves_us = 0
        self.outputs = {"relay": 0, "green": 0, "red": 0, "sounder": 0}
        self.contacts = {
            "door_contact": 0,
            "bolt_contact": 0,
            "exit": 1,
            "fire": 1,
            "tamper": 0,
            "intercom": 1,
            "key": 1,
            "handle": 1,
        }
        self.wires = {}  # contact: "cut" or "short"
        self.resistors = []  # contacts with resistors at the end of their line
        self._random = 1 + seed % 65536
        self._timers = {}  # what: (time, handle of the clock)
        self._reed_target = self._flips = self._flip_us = 0
        self._io = io or _Nothing()

    def connect(self, io):
        """Put the chip's inputs on these contacts."""
        self._io = io
        for name in self.contacts:
            self._sense(name)

    # --- the chip ---

    def relay(self, level):
        """The relay coil is driven (1) or not."""
        self.out("relay", level)

    def out(self, name, level):
        """What arrives at the relay (coil driver), the green and red light and the sounder."""
        if name not in self.outputs:
            raise ValueError("no such output: " + name)
        self.outputs[name] = 1 if level else 0
        self._lock_circuit()

    # --- the world ---

    def exit(self, pressed):
        """The exit button: in the lock circuit, and sensed."""
        self._contact("exit", not pressed)

    def fire(self, active):
        """The contact of the fire alarm system: in the lock circuit, and sensed."""
        self._contact("fire", not active)

    def key(self, turned):
        """The key switch: in the lock circuit, and sensed."""
        self._contact("key", not turned)

    def handle(self, pressed):
        """The handle on the inside: it opens without the lock circuit, and is sensed."""
        self._contact("handle", not pressed)

    def wire(self, name, fault):
        """The wire between a contact and the chip is "cut", "short" or, with None, in order."""
        self._known(name)
        self.wires.pop(name, None)
        if fault:
            self.wires[name] = fault
        self._sense(name)

    def eol(self, name, fitted):
        """A contact has resistors at the end of its line, or not."""
        self._known(name)
        if name in self.resistors:
            self.resistors.remove(name)
        if fitted:
            self.resistors.append(name)
        self._sense(name)

    def intercom(self, pressed):
        """The release button of the intercom: sensed only, the chip releases."""
        self._contact("intercom", not pressed)

    def tamper(self, opened):
        """The tamper loop of the reader."""
        self._contact("tamper", opened)

    def pull(self):
        """A person tries to open; True if the leaf is open now."""
        if self.leaf == "closed" and self.bolt == "thrown" and self.contacts["handle"]:
            return False
        self._open()
        return True

    def force(self):
        """Open in spite of the lock; the latch survives it."""
        self._open()
        return True

    def push(self):
        """Press the leaf shut by hand, also when it rests ajar."""
        if self.leaf != "closed":
            self.held = False
            self._shut("closed")

    def hold(self, on):
        """Hold the leaf open from now, or from the next opening on; let go of it."""
        self.held = on
        if self.leaf == "open":
            if on:
                self._stop("leaf")
            else:
                self._after("leaf", self.closer_ms * 1000)

    def ajar(self, on):
        """From now on the closer does not press the leaf into its latch; off: it does again."""
        self.weak_latch = on
        if not on and self.leaf == "ajar":
            self._shut("closed")

    def stuck(self, on):
        """The bolt stays where it is; off: it follows the coil again."""
        self.jammed = on
        self._lock_circuit()

    def closer(self, closer_ms):
        """Make the closer slower or faster, from the next closing on."""
        if closer_ms < 0:
            raise ValueError("closer needs milliseconds, 0 or more")
        self.closer_ms = closer_ms

    def contact(self):
        """The reed contact now: 0 closed, bounce included."""
        return self.contacts["door_contact"]

    def secured(self):
        """Closed, and the bolt is where it holds."""
        return self.leaf == "closed" and self.bolt == "thrown"

    def at_rest(self):
        """Nothing moves and no contact bounces or flutters."""
        return not self._timers

    def command(self, verb, args):
        """One line of docs/simulator.md: returns what to answer; ValueError if it makes no sense."""
        if verb == "state":
            return self.state()
        if verb in ("pull", "force"):
            return {"opened": getattr(self, verb)()}
        if verb == "push":
            self.push()
        elif verb == "closer" and args:
            self.closer(int(args[0]))
        elif verb == "wire" and len(args) == 2 and args[1] in _WIRES:
            self.wire(args[0], _WIRES[args[1]])
        elif verb == "eol" and len(args) == 2 and args[1] in ("0", "1"):
            self.eol(args[0], args[1] == "1")
        elif verb in _SWITCHES and args and args[0] in ("0", "1"):
            getattr(self, verb)(args[0] == "1")
        elif verb in VERBS:
            raise ValueError(verb + " needs " + _NEEDS.get(verb, "0 or 1"))
        else:
            raise ValueError("unknown verb: " + verb)
        return {}

    # --- what survives the process ---

    def state(self):
        """A dict for JSON; `load` takes it back."""
        state = {name: getattr(self, name) for name in _KEPT}
        state.update(self.outputs)
        state["contacts"] = dict(self.contacts)
        state["secured"] = self.secured()
        state["random"] = self._random
        state["release_us"] = self.release_us
        timer = self._timers.get("leaf")
        state["leaf_in_us"] = max(0, timer[0] - clock.now_us()) if timer else None
        return state

    def load(self, state, elapsed_us=0):
        """Go on from `state`, the chip having been without power for `elapsed_us` since: its pins floated."""
        for what in tuple(self._timers):
            self._stop(what)
        for name in _KEPT:
            setattr(self, name, state.get(name, getattr(self, name)))
        self._random = state["random"]
        for name in self.outputs:
            self.outputs[name] = 0
        self.contacts.update(state["contacts"])
        self._reed_target = self.contacts["door_contact"] = 1 if self.leaf == "open" else 0  # no longer bouncing
        self.connect(self._io)
        if self.leaf == "ajar":
            self._after("flutter", 1000000)
        self._lock_circuit()
        if elapsed_us >= _BOLT_US and "bolt" in self._timers:
            self._stop("bolt")
            self._on_bolt()
        if state["leaf_in_us"] is not None:
            self._after("leaf", max(0, state["leaf_in_us"] - elapsed_us))

    # --- inside ---

    def _lock_circuit(self):
        contacts = self.contacts
        released = bool(self.outputs["relay"]) or not (contacts["exit"] and contacts["fire"] and contacts["key"])
        coil = released != self.fail_safe
        if coil != self.coil:
            self.coil = coil
            self.coil_switches += 1
        if self.jammed or self.bolt == ("withdrawn" if released else "thrown"):
            self._stop("bolt")
        elif "bolt" not in self._timers:
            self._after("bolt", _BOLT_US)

    def _on_bolt(self):
        self.bolt = "thrown" if self.coil == self.fail_safe else "withdrawn"
        self.bolt_moves += 1
        if self.bolt != "thrown" and self._asked_us is not None:
            self.release_us = self._moves_us - self._asked_us
            self._asked_us = None
        self._contact("bolt_contact", self.bolt != "thrown")

    def _open(self):
        if self.leaf != "open":
            self.openings += 1
            self.leaf = "open"
            self._stop("flutter")
            self._reed(1)
        if not self.held:
            self._after("leaf", (self.passage_ms + self.closer_ms) * 1000)

    def _on_leaf(self):
        self._shut("ajar" if self.weak_latch else "closed")

    def _shut(self, leaf):
        self._stop("leaf")
        self._stop("flutter")
        self.leaf = leaf
        self._reed(0)
        if leaf == "ajar":
            self._after("flutter", self._between(500000, 4000000))

    def _on_flutter(self):
        """The draught moves a leaf that no latch holds, at the edge of the reed's reach."""
        away = not self._reed_target
        self._reed(1 if away else 0)
        self._after("flutter", self._between(30000, 300000) if away else self._between(500000, 4000000))

    def _reed(self, level):
        if self._reed_target == level and self.contacts["door_contact"] == level and "reed" not in self._timers:
            return
        self._reed_target = level
        self._flips = 2 * self._between(1, 3)  # an even number: it ends where it belongs
        self._flip_us = self._between(_BOUNCE_MIN_US, _BOUNCE_MAX_US) // self._flips
        self._after("reed", self._flip_us)
        self._contact("door_contact", level)

    def _on_reed(self):
        self._flips -= 1
        if self._flips:
            self._after("reed", self._flip_us)
        self._contact("door_contact", self._reed_target ^ (self._flips & 1))

    def _contact(self, name, level):
        level = 1 if level else 0
        if self.contacts[name] != level:
            self.contacts[name] = level
            if not level and name in _WAYS:
                self._asked_us = clock.now_us()
                self.release_us = None
            self._lock_circuit()
            self._sense(name)

    def _known(self, name):
        if name not in self.contacts:
            raise ValueError("no such contact: " + name)

    def _sense(self, name):
        """What the chip sees of a contact, through its wire."""
        fault = self.wires.get(name)
        level = self.contacts[name]
        if name in self.resistors:
            ohms = _EOL_OHMS << level
            self._io.load(name, None if fault == "cut" else 0 if fault == "short" else ohms)
        else:
            self._io.set(name, 1 if fault == "cut" else 0 if fault == "short" else level)

    def _after(self, what, delay_us):
        self._stop(what)
        at = clock.now_us() + delay_us
        self._timers[what] = (at, clock.at_us(at, self._due, what))

    def _stop(self, what):
        timer = self._timers.pop(what, None)
        if timer:
            clock.cancel(timer[1])

    def _due(self, what):
        self._moves_us = self._timers.pop(what)[0]  # when it moves, however late somebody looks
        getattr(self, "_on_" + what)()

    def _between(self, low, high):
        self._random = self._random * 75 % 65537  # Lehmer's generator: small integers only, same on every machine
        return low + self._random * (high - low + 1) // 65537
