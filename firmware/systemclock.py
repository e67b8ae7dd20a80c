"""The chip's own clock, which TLS and log lines read, in seconds since 2020-01-01 UTC.

    systemclock.set_s(time_s)
    now_s = systemclock.now_s()

It is not the clock of decisions (firmware.clock). MicroPython counts from 2000 on the ESP32 and from 1970 on the unix
port; only this module knows.
"""

import time

import machine

_EPOCH_S = 1577836800 if time.gmtime(0)[0] == 1970 else 631152000


def now_s():
    """Read it."""
    return int(time.time()) - _EPOCH_S


def set_s(time_s):
    """Set it."""
    year, month, day, hour, minute, second, weekday = time.gmtime(time_s + _EPOCH_S)[:7]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


def stamp(time_s):
    """Return a time as ISO 8601 text."""
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % time.gmtime(time_s + _EPOCH_S)[:6]
