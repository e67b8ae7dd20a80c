"""The one clock of the simulated board: the world's time, what happens in it when, and the chip's ticks.

    from boards.sim import clock

    clock.setup("virtual", start_unix_s=1767225600)
    clock.at_us(clock.now_us() + 5000, print, "five milliseconds later")
    clock.sleep_us(10_000)

Virtual time passes only when the chip waits (`step`, `sleep_us`) or is busy (`charge_us`); world events fire in order
at their exact moment. In real time the clock is the computer's and events fire as soon as somebody looks (`run_due`).
"""

import time as _host  # the host's own clock: imported before start.py puts another module in its place

from micropython import const

_TICKS_MASK = const(0x3FFFFFFF)  # the chip's ticks have 30 bits
_TICKS_HALF = const(0x20000000)
_BEFORE_WRAP_MS = const(60000)  # ticks start one minute before their wrap, so that every run crosses it
_BEFORE_WRAP_US = const(60000000)
_NEVER = const(1 << 60)
NEVER = _NEVER
_SOFT_DEPTH = const(8)  # MICROPY_SCHEDULER_DEPTH of the ESP32
_QUIET_US = const(10000000)  # how long nothing must have happened before tasks may be late
_AWAKE_US = const(300000)  # tasks are punctual for so long after a sleep: each of them runs, the watchdog is fed
_SLACK_US = const(100000)  # how far busy tasks may run past the limit
_LOOK_MASK = const(255)  # so many jumps between two looks at the control channel

turn_us = 100  # what one turn of the event loop costs; measured figures for an ESP32 lie between 100 and 300
host_wait = None  # fn(wait_ms), -1 for ever: serves the control channel meanwhile (polling.py)
on_limit = None  # fn(): the clock has come to its limit and everything waits (control.py)
on_end = None  # fn(code, kind): before the process ends (world.py)
before_nap = None  # fn() -> bool: nobody outside is about to send something (control.py)
on_turn = None  # fn(): once a turn of the event loop (start.py)
restless = None  # fn() -> bool: something in the world moves (world.py)
at_rest = None  # fn() -> bool: the door is closed, and nothing that the chip drives is on (world.py)


class Ended(BaseException):
    """The chip stops here: reset or loss of power; `code` is the exit code of the process."""

    def __init__(self, code, kind):
        super().__init__(kind)
        self.code = code
        self.kind = kind


class _Event:
    def __init__(self, at_us, fn, args):
        self.at_us = at_us
        self.fn = fn
        self.args = args
        self.following = None


def setup(mode, start_us=0, start_unix_s=1767225600):
    """Begin anew: no events, no watchdog, no limit."""
    global virtual, _now_us, _unix_s, _base_us, _events, _next_us, _firing, _soft, _ended, irqs_off
    global \
        watchdog_us, \
        limit_us, \
        stretch_us, \
        nap_us, \
        chip_offset_us, \
        _awake_us, \
        _watchdog_fn, \
        _pace, \
        _stirred_us, \
        _looks
    if mode not in ("virtual", "real"):
        raise ValueError("mode must be virtual or real")
    virtual = mode == "virtual"
    _now_us = start_us
    _base_us = _host.ticks_us() - start_us
    _unix_s = start_unix_s
    _events = None  # linked in order of time
    _next_us = _NEVER  # the first moment at which anything is to be done
    _firing = False
    _soft = []
    _ended = None
    irqs_off = False
    watchdog_us = _NEVER
    _watchdog_fn = None
    limit_us = None  # virtual time does not pass this moment by waiting
    stretch_us = 0
    nap_us = 0
    _awake_us = 0
    _pace = None
    _stirred_us = start_us
    _looks = 0
    set_chip_time_us(946684800 * 1000000)  # an ESP32 begins with the year 2000


# --- the world's time and its events ---


def now_us():
    """Microseconds since the world began."""
    return _now_us if virtual else _host.ticks_us() - _base_us


def world_unix_s():
    """The true time, which no clock of the door need show."""
    return _unix_s + now_us() // 1000000


def at_us(time_us, fn, *args):
    """Have fn(*args) called at that moment; return a handle for `cancel`."""
    global _events
    event = _Event(time_us, fn, args)
    if _events is None or time_us < _events.at_us:
        event.following = _events
        _events = event
        _look_ahead()
    else:
        before = _events
        while before.following is not None and before.following.at_us <= time_us:
            before = before.following
        event.following = before.following
        before.following = event
    return event


def cancel(event):
    """Forget an event; one that has fired already is nothing to forget."""
    global _events
    if event is _events:
        _events = event.following if event is not None else None
        _look_ahead()
        return
    before = _events
    while before is not None:
        if before.following is event:
            before.following = event.following if event is not None else None
            return
        before = before.following


def _look_ahead():
    global _next_us
    _next_us = _NEVER if _events is None else _events.at_us
    if watchdog_us < _next_us:
        _next_us = watchdog_us
    if _ended is not None or (_soft and not irqs_off):
        _next_us = 0


def _fire(until_us):
    """Let everything happen that is due by then; in virtual time the clock goes along."""
    global _now_us, _events, _firing
    if _ended is not None:
        raise _ended
    if _firing:  # an interrupt handler takes time: the world waits for its end
        if virtual and until_us > _now_us:
            _now_us = until_us
        return
    _firing = True
    try:
        while _next_us <= until_us:
            event = _events
            if event is not None and event.at_us <= until_us and event.at_us <= watchdog_us:
                _events = event.following
                _look_ahead()
                if virtual and event.at_us > _now_us:
                    _now_us = event.at_us
                event.fn(*event.args)
            elif watchdog_us <= until_us:
                if virtual and watchdog_us > _now_us:
                    _now_us = watchdog_us
                _watchdog_fn()
            while _soft and not irqs_off:
                fn, argument = _soft.pop(0)
                fn(argument)
            _look_ahead()
        if virtual and until_us > _now_us:
            _now_us = until_us
    finally:
        _firing = False


def run_due():
    """Let everything happen that is due."""
    now = now_us()
    if _next_us <= now:
        _fire(now)


def charge_us(count_us):
    """The chip was busy for so long."""
    global _now_us
    if virtual:
        until_us = _now_us + count_us
        if until_us < _next_us:
            _now_us = until_us
        else:
            _fire(until_us)
    elif _next_us <= now_us():
        _fire(now_us())


def stir():
    """Something in the world changed: tasks are punctual for a while."""
    global _stirred_us
    _stirred_us = now_us()


# --- waiting ---


def _is_quiet():
    return _now_us - _stirred_us >= _QUIET_US and (restless is None or not restless())


def set_run(seconds, pace=None, stretch_s=0, nap_s=0):
    """Move the limit on: let so much virtual time pass, at most `pace` times as fast as real time."""
    global limit_us, stretch_us, nap_us, _pace
    # A busy turn may have run past the old limit: a run that ends before that is over at once.
    limit_us = max((now_us() if limit_us is None else limit_us) + int(seconds * 1000000), now_us())
    stretch_us = int(stretch_s * 1000000)
    nap_us = int(nap_s * 1000000)
    _pace = (_now_us, _host.ticks_us(), pace) if pace else None


def step(until_us, may_stretch=False):
    """The chip waits until then (None: for ever): let time pass, but not beyond the next event.

    Returns 0: time has passed, look again; n: wait n ms of real time first; -1: only control or a socket can help.
    """
    global _now_us, watchdog_us, _looks, _awake_us
    if _ended is not None:
        raise _ended
    if not virtual:
        now = now_us()
        if _next_us <= now:
            _fire(now)
            return 0
        first_us = _next_us if until_us is None or _next_us < until_us else until_us
        return -1 if first_us == _NEVER else max(0, (first_us - now + 999) // 1000)
    _looks += 1
    if host_wait is not None and not _looks & _LOOK_MASK:
        host_wait(0)
    first_us = _NEVER if until_us is None else until_us
    late_us = 0
    if _next_us < first_us:
        first_us = _next_us
    if stretch_us and _pace is None and may_stretch and first_us == until_us and _now_us >= _awake_us and _is_quiet():
        if nap_us and (at_rest is None or at_rest()):
            if before_nap is not None and not before_nap():
                return 0
            first_us += nap_us
        else:
            first_us += stretch_us
        if _events is not None and _events.at_us < first_us:
            first_us = _events.at_us
    if limit_us is not None and first_us > limit_us:
        if _now_us >= limit_us:
            if on_limit is not None:
                on_limit()
            return -1
        first_us = limit_us
    if first_us == _NEVER:
        return -1
    if _pace is not None:
        allowed_us = _pace[0] + int((_host.ticks_us() - _pace[1]) * _pace[2])
        if first_us > allowed_us:
            if allowed_us > _now_us:
                _now_us = allowed_us
            return int((first_us - allowed_us) / _pace[2]) // 1000 + 1
    if until_us is not None and first_us > until_us:
        late_us = first_us - until_us
        if late_us > stretch_us:
            _awake_us = first_us + _AWAKE_US
        if watchdog_us != _NEVER:  # the chip has not hung, it was let sleep
            watchdog_us += late_us
            _look_ahead()
    _fire(first_us)
    return 0


def sleep_us(count_us):
    """Wait without the event loop, as `time.sleep_us` does."""
    until_us = now_us() + max(1, count_us)
    while now_us() < until_us:
        wait_ms = step(until_us)
        if wait_ms:
            if host_wait is None:
                if wait_ms < 0:
                    raise RuntimeError("the clock has a limit and nobody can move it")
                _host.sleep_us(min(wait_ms * 1000, until_us - now_us()))
            else:
                host_wait(wait_ms)


def turn():
    """One turn of the event loop: it costs time, and a loop that is never idle still ends a run."""
    if on_turn is not None:
        on_turn()
    charge_us(turn_us)
    if limit_us is not None and _now_us >= limit_us + _SLACK_US:
        if on_limit is not None:
            on_limit()
        while _now_us >= limit_us + _SLACK_US:
            host_wait(-1)


# --- the chip's side ---


def soft(fn, argument):
    """Schedule an interrupt handler that may allocate; False if the chip's queue is full and it is lost."""
    if len(_soft) >= _SOFT_DEPTH:
        return False
    _soft.append((fn, argument))
    _look_ahead()
    return True


def set_irqs_off(off):
    """Hold interrupts back, or let them through."""
    global irqs_off
    irqs_off = off
    _look_ahead()
    run_due()


def set_watchdog(timeout_us, fn):
    """fn() unless called again in time; world time that idle tasks were let sleep longer does not count."""
    global watchdog_us, _watchdog_fn
    watchdog_us = now_us() + timeout_us
    _watchdog_fn = fn
    _look_ahead()


def end(code, kind):
    """The chip stops: nothing that it does from now on has an effect."""
    global _ended
    if _ended is None:
        if on_end is not None:
            on_end(code, kind)
        _ended = Ended(code, kind)
        _look_ahead()
    raise _ended


def chip_time_us():
    """The chip's system time, Unix microseconds."""
    return now_us() + chip_offset_us


def set_chip_time_us(unix_us):
    """Set the chip's system time."""
    global chip_offset_us
    chip_offset_us = unix_us - now_us()


def ticks_ms():
    """Milliseconds, modulo 2^30."""
    charge_us(1)  # so that a loop which polls until a deadline comes to its end
    return ((_now_us if virtual else now_us()) // 1000 - _BEFORE_WRAP_MS) & _TICKS_MASK


def ticks_us():
    """Microseconds, modulo 2^30."""
    charge_us(1)
    return (now_us() - _BEFORE_WRAP_US) & _TICKS_MASK


def ticks_diff(later, earlier):
    """later - earlier on the ring of ticks, from -2^29 to 2^29-1."""
    return ((later - earlier + _TICKS_HALF) & _TICKS_MASK) - _TICKS_HALF


def ticks_add(ticks, delta):
    """Ticks + delta on the ring; refuses what `ticks_diff` could not tell, as the chip does."""
    if not -_TICKS_HALF < delta <= _TICKS_HALF:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) & _TICKS_MASK


setup("virtual")
