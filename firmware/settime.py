"""Carries out commands that set the time: the record first, then every clock. Loaded for it and dropped afterwards.

    result = settime.set_time(service, command)     # number of docs/protocol.md
    result = settime.lower(service, command)        # by two persons, also below the floor

What is kept (firmware/clockstart.py) never says more of a clock than is true, wherever the power is cut: a clock chip
is disowned before it is written, and before a wrong floor is lowered.
"""

from micropython import const

from firmware import clockrules, systemclock
from firmware.version import BUILT_S
from storage import ondemand, record
from sync import messages

MODULES = ("firmware.settime", "firmware.clockrules")
_CLOCK_STEP_S = const(5)  # smaller corrections of a synchronised clock are not worth a record
_AFTER_S = const(5)
# How old what is kept may become before it is written again: the error that is assumed grows by less than 1 s.
_KEPT_S = const(3600)
_CHIP_S = const(21_600)


def set_time(service, command):
    """Take authenticated time, unless it is to be refused or doubted."""
    clock = service.clock
    time_s = command.argument
    uptime_s = service.uptime.seconds
    verdict = clockrules.judge(clock, time_s, uptime_s)
    if verdict == clockrules.TAKE:
        return _take(service, command, 0)
    if verdict == clockrules.REFUSE:
        return messages.REFUSED_BY_DOOR
    service.recorder.alarm_on(record.ALARM_CLOCK_DOUBTED, abs(time_s - clock.now_s))
    _, since_s, near = clock.doubt
    if near:
        service.look_s = since_s + clockrules.CONFIRM_S + _AFTER_S  # then it asks for it
    words = "a time that agrees in 10 minutes confirms it" if near else "only two persons can set it"
    service.log.warning("clock", "doubted: " + words, step=time_s - clock.now_s)
    return messages.DOUBTED


def lower(service, command):
    """Take the time that two persons answer for. The floor falls to it; no software is older than itself."""
    clock = service.clock
    time_s = command.argument
    kept = clock.care[0]
    if time_s < BUILT_S or not (kept.set("rtc_set", 0) and kept.set("sys_set", 0)):
        return messages.REFUSED_BY_DOOR
    clock.update(service.uptime.seconds)
    mark = record.LOWERED if time_s < clock.now_s else 0
    floor_s = clock.floor_s
    clock.floor_s = min(floor_s, time_s)
    clock.doubt = clock.anchor = None
    result = _take(service, command, mark)
    if result:
        clock.floor_s = floor_s
    return result


def _take(service, command, mark):
    clock = service.clock
    trust = clock.trust
    time_s = command.argument
    uptime_s = service.uptime.seconds
    step_s = clock.step_to(time_s, uptime_s)
    if step_s is None:
        return messages.REFUSED_BY_DOOR
    if mark or trust != record.SYNCHRONISED or abs(step_s) > _CLOCK_STEP_S:
        # Stamped with the old time and carrying the new one, so that earlier records can be corrected.
        if not service.recorder.note(record.CLOCK, trust | mark, None, abs(step_s), command.evidence()):
            return messages.REFUSED_BY_DOOR
        service.log.info("clock", "set", step=step_s, trust=trust)
    clockrules.measure(clock, time_s, uptime_s)
    clock.synchronise(time_s, uptime_s)
    systemclock.set_s(time_s)
    if clock.care:
        _keep(clock, time_s, trust == record.SYNCHRONISED and abs(step_s) <= _CLOCK_STEP_S, service.log)
    service.recorder.alarm_off(record.ALARM_CLOCK_DOUBTED)
    service.recorder.alarm_off(record.ALARM_CLOCK_LOST)
    if trust != record.SYNCHRONISED:
        service.recorder.changed()  # upstream's picture of the door has the old grade
    return messages.DONE


def _keep(clock, time_s, agrees, log):
    """Put the time into the clock chip, and note which clocks are worth something.

    `agrees`: the clock was synchronised and is hardly changed, so a chip that was set by it shows this time, too.
    """
    kept, chip = clock.care[:2]
    kept.set("drift_ppm", clock.rate_ppm)
    if not 0 <= time_s - kept.get("sys_set") < _KEPT_S:
        kept.set("sys_set", time_s)
    # A clock that was not synchronised could not have its time from the chip: that needs to be set, whatever it shows.
    fresh = agrees and 0 <= time_s - kept.get("rtc_set") < _CHIP_S
    if chip and not fresh and kept.set("rtc_set", 0):
        from firmware import rtc

        try:
            rtc.write(time_s)
            kept.set("rtc_set", time_s)
        except OSError as error:
            log.error("clock", "the clock chip cannot be set", error=error)
        finally:
            ondemand.drop(rtc.MODULES)
