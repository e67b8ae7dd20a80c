"""Carries out authenticated commands. Loaded when one comes and dropped afterwards: they are rare.

    result = commands.execute(service, command)     # number of docs/protocol.md

Whatever opens or changes a door has its record, with operator, approver and reason, before it is done.
"""

from firmware import systemclock
from storage import ondemand, record
from sync import messages

MODULES = ("firmware.commands",)
_COME = b"\x1e\x05\x1e\x02" * 6  # somebody is asked to come to the door: beeps, green and red in turn
_DAY_S = 86400  # no door is propped or muted for longer by one order
_CLOCK_STEP_S = 5  # smaller corrections of a synchronised clock are not worth a record


def _recorded(service, command):
    return service.recorder.note(record.COMMAND, command.operation, None, command.number, command.evidence())


def _unlock(service, command):
    if not _recorded(service, command):
        return messages.REFUSED_BY_DOOR  # no unlock by command without a durable record
    service.watch.release(record.CAUSE_REMOTE)
    service.log.info("command", "unlock", operator=command.operator)
    return messages.DONE


def _prop(service, command):
    if command.argument > _DAY_S or not _recorded(service, command):
        return messages.REFUSED_BY_DOOR
    service.watch.door.prop(command.argument)
    service.log.info("command", "prop", operator=command.operator, seconds=command.argument)
    return messages.DONE


def _mute(service, command):
    if command.argument > _DAY_S or not _recorded(service, command):
        return messages.REFUSED_BY_DOOR
    service.watch.mute(command.argument)
    return messages.DONE


def _ask_reset(service, command):
    """Only who stands at the door can tell that it may be locked again; upstream can but ask them to."""
    if not service.watch.door.fire or not _recorded(service, command):
        return messages.REFUSED_BY_DOOR
    service.recorder.note(record.MODE, record.MODE_RESET_ASKED)
    service.player.play(_COME)
    return messages.DONE


def _drop_card_key(service, command):
    from firmware import cardkeys

    service.recorder.stamp()
    try:
        result = cardkeys.drop(service.recorder.journal, service.reader, command)
    finally:
        ondemand.drop(cardkeys.MODULES)
    service.recorder.changed()  # it tells the key versions
    return result


def _set_time(service, command):
    time_s = command.argument
    clock = service.clock
    trust = clock.trust
    step_s = clock.step_to(time_s, service.uptime.seconds)
    if step_s is None:
        return messages.REFUSED_BY_DOOR
    if trust != record.SYNCHRONISED or abs(step_s) > _CLOCK_STEP_S:
        # Stamped with the old time and carrying the new one, so that earlier records can be corrected.
        if not service.recorder.note(record.CLOCK, trust, None, abs(step_s), command.evidence()):
            return messages.REFUSED_BY_DOOR
        service.log.info("clock", "set", step=step_s, trust=trust)
    clock.synchronise(time_s, service.uptime.seconds)
    systemclock.set_s(time_s)
    return messages.DONE


_OPERATIONS = {
    messages.OP_UNLOCK: _unlock,
    messages.OP_SET_TIME: _set_time,
    messages.OP_DROP_CARD_KEY: _drop_card_key,
    messages.OP_PROP: _prop,
    messages.OP_MUTE: _mute,
    messages.OP_ASK_RESET: _ask_reset,
}


def execute(service, command):
    """Return the result number of one command."""
    operation = _OPERATIONS.get(command.operation)
    return operation(service, command) if operation else messages.UNKNOWN_OPERATION
