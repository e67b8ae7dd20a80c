"""The clock chip of this board, if the setting `rtc` says there is one. Loaded when it is read or set, then dropped.

time_s = rtc.read()         # OSError: no credible time
rtc.write(time_s)
"""

import board
import machine

from drivers import ds3231

MODULES = ("firmware.rtc", "drivers.ds3231")
DRIFT_PPM = ds3231.DRIFT_PPM


def _bus():
    return machine.I2C(0, scl=machine.Pin(board.PIN_SCL), sda=machine.Pin(board.PIN_SDA), freq=100_000)


def read():
    """Return its time in seconds since 2020-01-01 UTC; OSError says why there is none."""
    return ds3231.read(_bus())


def write(time_s):
    """Set it; OSError if it did not take the time."""
    ds3231.write(_bus(), time_s)
