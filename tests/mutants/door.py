"""Lines of the door's supervision that must not be otherwise; `python -m tests.mutants` tells the form."""

_STEPS = ("tests/firmware/test_door.py", "tests/firmware/test_door_orders.py")
_DAYS = ("tests/firmware/test_door_machine.py",)
_DOOR = _STEPS + _DAYS
_WATCH = ("tests/firmware/chip_watch.py",)
_LINES = ("tests/drivers/chip_supervised.py",)

MUTANTS = [
    (
        "firmware/door.py",
        "self.relay = self.releasing or self.fire or self.free or self.orders & UNLOCKED_FOR > 0",
        "self.relay = self.releasing or self.free or self.orders & UNLOCKED_FOR > 0",
        "the lock falls shut in a fire when the first release is over",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "if self.fire and not contact_active:",
        "if self.fire:",
        "the key locks the door while it burns",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "self._awaited = self.state < OPEN and self.sensed",
        "self._awaited = self.state < OPEN",
        "a door that cannot tell says that nobody passed",
        _STEPS,
    ),
    (
        "firmware/door.py",
        "if sensed and not closed and self.state < OPEN:",
        "if False:",
        "a leaf found open after a wire was mended counts as forced",
        _STEPS,
    ),
    (
        "firmware/door.py",
        "self._left_ms = _LATCH_MS",
        "self._left_ms = 0",
        "a leaf that springs back from its latch is forced",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "if self._flutters >= _FLUTTERS:",
        "if False:",
        "a leaf that rattles raises the alarm forced all day",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "if self._rest_ms >= _UNSTEADY_MS and thrown is not False:",
        "if self._rest_ms >= _UNSTEADY_MS:",
        "a leaf without a latch is called latched, again and again",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "waits = not thrown and not self.relay and (not closed or self._moved)",
        "waits = not thrown and not self.relay and not closed",
        "a leaf that is ajar is called a fault of the lock",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "lasted = past_ms + elapsed_ms >= limit_ms",
        "lasted = past_ms + elapsed_ms > limit_ms",
        "an alarm a look too late",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "if self.state != OPEN or self.fire or self.orders & MAY_STAND or not self.sensed:",
        "if self.state != OPEN or self.fire or not self.sensed:",
        "the movers are alarmed at",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "if self._order_ms[index] <= 0:",
        "if False:",
        "a prop never ends",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "if which == UNLOCKED_FOR and self._left_ms <= 0:",
        "if False:",
        "who pulls when an unlock ends has forced the door",
        _DOOR,
    ),
    (
        "firmware/door.py",
        "if which & MAY_STAND:",
        "if True:",
        "maintenance ends an alarm that is on",
        _STEPS,
    ),
    (
        "firmware/watch.py",
        'contacts["key"].latched()  # only who turns it from now on resets',
        "",
        "a key left in the switch ends the fire release when power comes back",
        _WATCH,
    ),
    (
        "firmware/watch.py",
        'self._fire = self.kept.get("fire") > 0',
        "self._fire = False",
        "a power cut locks the door after a fire",
        _WATCH,
    ),
    (
        "firmware/watch.py",
        "door.fire_alarm(fire.latched() or fire.active)",
        "door.fire_alarm(fire.active)",
        "a short fire pulse is lost",
        _DAYS + _WATCH,
    ),
    (
        "firmware/watch.py",
        "self._player.mask = _ALL if door.fire or (self._sound_ms > 0 and not silent) else _LIGHTS",
        "self._player.mask = _ALL if self._sound_ms > 0 and not silent else _LIGHTS",
        "fire can be muted",
        _WATCH,
    ),
    (
        "firmware/lines.py",
        "return self._faulty & _LEAF > 0",
        "return self._faulty > 0",
        "a cut exit wire blinds the door to its leaf",
        _WATCH,
    ),
    (
        "drivers/supervised.py",
        "active = self._at_fault if fault else band - 1 == self._level",
        "active = band <= 1 if not self._level else band >= 2",
        "a short circuit is a press",
        _LINES,
    ),
    (
        "drivers/supervised.py",
        "limit_ms = self._debounce_ms if 0 < band < 3 else _FAULT_MS",
        "limit_ms = self._debounce_ms",
        "a spark is a fault",
        _LINES,
    ),
]
