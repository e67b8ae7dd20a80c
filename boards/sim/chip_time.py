"""The module `time` of the simulated chip: everything from one clock (clock.py).

    import time  # on the simulated board this module

Ticks have the chip's period of 2^30. The epoch of `time()` is the unix port's, 1970; it is UTC, as on the chip.
"""

import time as _host

from boards.sim import clock
from boards.sim.clock import sleep_us, ticks_add, ticks_diff, ticks_ms, ticks_us  # noqa: F401 firmware imports them here

_TICKS_MASK = 0x3FFFFFFF


def sleep(seconds):
    """Block for so many seconds."""
    sleep_us(int(seconds * 1000000))


def sleep_ms(count_ms):
    """Block for so many milliseconds."""
    sleep_us(count_ms * 1000)


def ticks_cpu():
    """Cycles of a CPU at 160 MHz, modulo 2^30."""
    return ticks_us() * 160 & _TICKS_MASK


def time_ns():
    """System time in nanoseconds."""
    clock.charge_us(1)
    return clock.chip_time_us() * 1000


def time():
    """System time in whole seconds, as on the chip."""
    return time_ns() // 1000000000


def gmtime(seconds=None):
    """Return (year, month, day, hour, minute, second, weekday, day of the year): eight members, as on the chip."""
    return _host.gmtime(time() if seconds is None else int(seconds))[:8]


localtime = gmtime


def mktime(date):
    """Seconds of a UTC date; month and day may lie outside their ranges."""
    year = date[0] + (date[1] - 3) // 12  # years begin in March: the leap day is the last one
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((date[1] - 3) % 12) + 2) // 5 + date[2] - 719469
    return ((days * 24 + date[3]) * 60 + date[4]) * 60 + date[5]
