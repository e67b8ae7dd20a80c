"""The clock as a start finds it. Needed once, and dropped afterwards by firmware.main.

    clock, problem = clockstart.start(journal, settings, uptime, kept, reset_cause)

What is kept beside the journal (firmware/kept.py): `rtc_set` and `sys_set`, when authenticated time was put into the
clock chip and into the system clock, 0 if what stands there is worth nothing; `drift_ppm`, what was measured.
"""

import machine
from micropython import const

from firmware import systemclock
from firmware.clock import Clock
from firmware.version import BUILT_S
from storage import ondemand

_DAY_S = const(86_400)
# Nobody is dark for longer (firmware/clockrules.py): a clock that says so would end the cards of residents.
_OFF_S = const(31_622_400)
# Whole seconds, and what a message is late that a clock is set by.
_SET_ERROR_S = const(5)


def _resume(clock, now_s, set_s, uptime_s, drift_ppm, fresh_s):
    """Go on from a clock that was set by authenticated time at `set_s`; False if it cannot be right."""
    age_s = now_s - set_s
    error_s = _SET_ERROR_S + age_s // 1000 * drift_ppm // 1000
    if not set_s or age_s < 0 or now_s + error_s < clock.floor_s:
        return False
    if now_s - max(set_s, clock.floor_s) > _OFF_S:
        return False
    clock.resume(max(now_s, clock.floor_s), uptime_s, error_s, fresh_s - age_s)
    return True


def _from_chip(clock, kept, uptime_s):
    """Take the clock chip's time; return what is wrong with it, or None."""
    from firmware import rtc

    try:
        drift_ppm = rtc.DRIFT_PPM
        now_s = rtc.read()
    except OSError as error:
        return error
    finally:
        ondemand.drop(rtc.MODULES)
    if not _resume(clock, now_s, kept.get("rtc_set"), uptime_s, drift_ppm, _DAY_S):
        return "not set by authenticated time, or gone wrong"
    return None


def compare(clock, kept, uptime_s):
    """Take the chip's time in a door that runs without upstream, if the clock's own bounds allow it."""
    clock.update(uptime_s)
    aside = Clock(clock.floor_s, clock.drift_ppm)
    problem = _from_chip(aside, kept, uptime_s)
    if problem:
        return problem
    error_s = 1 << clock.uncertainty
    if abs(aside.now_s - clock.now_s) > error_s:
        return "it is off by %d s" % (aside.now_s - clock.now_s)
    if aside.uncertainty < clock.uncertainty:
        clock.resume(aside.now_s, uptime_s, 1 << aside.uncertainty)
    return None


def start(journal, settings, uptime, kept, reset_cause):
    """Return the clock, and what is wrong with the clock chip or None.

    At best as the clock chip says, else as the system clock does if only a reset lies behind it, else at the floor.
    """
    uptime_s = uptime.seconds
    drift_ppm = settings["drift_ppm"]
    clock = Clock(max(BUILT_S, journal.last_time_s), drift_ppm)
    chip = settings["rtc"] != "none"
    clock.care = kept, chip, settings["ntp_host"], settings["clock_lost_s"]
    clock.rate_ppm = max(-drift_ppm, min(drift_ppm, kept.get("drift_ppm")))
    clock.update(uptime_s)
    problem = _from_chip(clock, kept, uptime_s) if chip else None
    if clock.trust:
        systemclock.set_s(clock.now_s)
    if not clock.trust and reset_cause != machine.PWRON_RESET:
        _resume(clock, systemclock.now_s(), kept.get("sys_set"), uptime_s, drift_ppm, -1)
    # TLS wants a date; this one must not be taken for authenticated after the next reset.
    if not clock.trust and systemclock.now_s() < clock.floor_s and kept.set("sys_set", 0):
        systemclock.set_s(clock.floor_s)
    return clock, problem
