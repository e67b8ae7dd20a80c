"""DS3231, a clock chip with its own crystal and battery, on I2C. Data sheet: Maxim 19-5170.

    bus = machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21), freq=100000)
    ds3231.write(bus, time_s)           # seconds since 2020-01-01 UTC
    time_s = ds3231.read(bus)           # OSError: not there, stopped, or not credible

Between 0 and 40 °C it is exact to ±2 ppm, between -40 and 85 °C to ±3.5 ppm (page 1), when new; the DS3231M, which is
sold under the same name, to ±5 ppm. DRIFT_PPM covers both and their age. The temperature is not needed, and the aging
offset is left as it was set.

I2C carries no check. So the time is read twice, every digit must be one, and the day of the week, which the chip
counts apart, must fit the date.
"""

from micropython import const

DRIFT_PPM = const(10)

_ADDRESS = const(0x68)
_TIME = const(0x00)  # seconds, minutes, hours, day, date, month and century, year: BCD
_CONTROL = const(0x0E)
_STATUS = const(0x0F)
_STOPPED = const(0x80)  # OSF of the status: the oscillator has stopped since this was cleared
_CONTROL_RUN = const(0x04)  # EOSC 0: runs on the battery, too; square wave and alarms off (INTCN)
_CENTURY = const(0x80)
_EIO = const(5)
_FIRST_YEAR = const(20)
_DAY_S = const(86_400)
_LIMIT_DAYS = const(12_427)  # in the last of these 2^30 seconds are over: 2054-01-09
_WEDNESDAY = const(2)  # 2020-01-01, Monday is 0
_MONTHS = b"\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"


def _month_days(year, month):
    # In the chip's years 00 to 99 every fourth has a leap day; 2100, which has none, it cannot show.
    return _MONTHS[month - 1] + (month == 2 and year % 4 == 0)


def _number(byte, mask):
    """Two decimal digits."""
    byte &= mask
    if byte & 15 > 9 or byte > 0x99:
        raise OSError(_EIO, "ds3231: the time is no number")
    return (byte >> 4) * 10 + (byte & 15)


def decode(data):
    """Return the seconds since 2020-01-01 UTC that registers 0 to 6 say.

    Raises:
        OSError: no time, or one before 2020 or after 2054.
    """
    second = _number(data[0], 0xFF)
    minute = _number(data[1], 0xFF)
    hour = _number(data[2], 0xFF)  # never in the mode of 12 hours, which has bit 6
    day = _number(data[4], 0xFF)
    month = _number(data[5], 0x7F)
    year = _number(data[6], 0xFF)
    if not (
        second < 60
        and minute < 60
        and hour < 24
        and year >= _FIRST_YEAR
        and not data[5] & _CENTURY
        and 1 <= month <= 12
        and 1 <= day <= _month_days(year, month)
    ):
        raise OSError(_EIO, "ds3231: there is no such time")
    years = year - _FIRST_YEAR
    days = years * 365 + (years + 3) // 4 + day - 1
    for earlier in range(1, month):
        days += _month_days(year, earlier)
    if days >= _LIMIT_DAYS or data[3] != (days + _WEDNESDAY) % 7 + 1:
        raise OSError(_EIO, "ds3231: the day of the week does not fit the date")
    return days * _DAY_S + hour * 3600 + minute * 60 + second


def encode(time_s):
    """Return registers 0 to 6 for a time: seconds since 2020-01-01 UTC."""
    days, rest = divmod(time_s, _DAY_S)
    weekday = (days + _WEDNESDAY) % 7 + 1
    year = _FIRST_YEAR
    while days >= 365 + (year % 4 == 0):
        days -= 365 + (year % 4 == 0)
        year += 1
    month = 1
    while days >= _month_days(year, month):
        days -= _month_days(year, month)
        month += 1
    fields = (rest % 60, rest // 60 % 60, rest // 3600, weekday, days + 1, month, year)
    return bytes([field // 10 << 4 | field % 10 for field in fields])


def _look(bus):
    return decode(bus.readfrom_mem(_ADDRESS, _TIME, 7))


def read(bus):
    """Return the chip's time in seconds since 2020-01-01 UTC.

    Raises:
        OSError: nobody answers, the oscillator has stopped since the time was set (a spent battery), or what was read
            is no credible time.
    """
    if bus.readfrom_mem(_ADDRESS, _STATUS, 1)[0] & _STOPPED:
        raise OSError(_EIO, "ds3231: it had stopped, its battery may be spent")
    first_s = _look(bus)
    second_s = _look(bus)
    if not 0 <= second_s - first_s <= 1:
        raise OSError(_EIO, "ds3231: two readings differ")
    return second_s


def write(bus, time_s):
    """Set the chip, clear its stop flag, and look whether it took the time.

    A power cut on the way leaves a mixture; who keeps when the chip was set must not say so before this returns.

    Raises:
        OSError: nobody answers, or it did not take the time.
    """
    bus.writeto_mem(_ADDRESS, _CONTROL, bytes((_CONTROL_RUN,)))
    # Seconds first: that restarts the countdown, so that the others follow within the same second.
    bus.writeto_mem(_ADDRESS, _TIME, encode(time_s))
    status = bus.readfrom_mem(_ADDRESS, _STATUS, 1)[0]
    bus.writeto_mem(_ADDRESS, _STATUS, bytes((status & ~_STOPPED & 0xFF,)))
    if not 0 <= read(bus) - time_s <= 1:
        raise OSError(_EIO, "ds3231: it did not take the time")
