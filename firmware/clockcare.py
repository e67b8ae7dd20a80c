"""Looks after the clock now and then: its alarms, a doubted time, NTP for the system clock. Loaded when it is due.

service.look_s = clockcare.look(service)        # uptime of the next look
"""

import asyncio

from micropython import const

from firmware import clockrules, systemclock
from firmware.version import BUILT_S
from storage import ondemand, record

MODULES = ("firmware.clockcare", "firmware.clockrules", "firmware.clockstart")
_SOON_S = const(600)
_LATER_S = const(3600)
# A system clock that two servers pull to and fro must come to rest.
_MOST_NTP_STEPS = const(3)


def look(service):
    """Raise and end alarms, ask upstream and NTP for what is missing; return when to look again, in uptime."""
    clock = service.clock
    recorder = service.recorder
    uptime_s = service.uptime.seconds
    kept, chip, ntp_host, lost_s = clock.care
    if chip and clock.trust == record.HELD:
        from firmware import clockstart

        problem = clockstart.compare(clock, kept, uptime_s)
        if problem:
            service.log.warning("clock", "the clock chip is not used", error=problem)
    if clockrules.lost(clock, uptime_s, lost_s):
        recorder.alarm_on(record.ALARM_CLOCK_LOST)
    else:
        recorder.alarm_off(record.ALARM_CLOCK_LOST)
    waits = clock.doubt and clock.doubt[2]
    if waits:
        recorder.changed()  # the next state makes upstream send its time again
    if clock.trust:
        return uptime_s + (_SOON_S if waits else _LATER_S)
    if ntp_host:
        asyncio.create_task(_ask(service, ntp_host))
    return uptime_s + _SOON_S


async def _ask(service, host):
    """Set the system clock, which TLS reads, by what an NTP server says; the clock of decisions stays as it is."""
    clock = service.clock
    if service.ntp_steps >= _MOST_NTP_STEPS:
        return
    from sync import ntp

    try:
        time_s = await ntp.ask(host, max(BUILT_S, clock.floor_s))
    except (OSError, ValueError) as error:
        service.log.info("ntp", "no time", error=error)
        return
    finally:
        ondemand.drop(("sync.ntp",))
    # Upstream may have been quicker. What NTP says must not be taken for authenticated after the next reset.
    if not clock.trust and clock.care[0].set("sys_set", 0):
        service.ntp_steps += 1
        systemclock.set_s(time_s)
        service.log.info("ntp", "system clock set, not the door's", time=systemclock.stamp(time_s))
