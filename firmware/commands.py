"""Carries out authenticated commands. Loaded when one comes and dropped afterwards: they are rare.

    result = commands.execute(service, command)     # number of docs/protocol.md

Whatever opens or changes a door has its record, with operator, approver and reason, before it is done.
"""

from storage import ondemand, record
from sync import messages

MODULES = ("firmware.commands",)
_DAY_S = 86400  # no door is propped or muted for longer by one order


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
    service.recorder.modes.add(record.MODE_RESET_ASKED)  # seen and heard at the door
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
    from firmware import settime

    try:
        return (settime.set_time if command.operation == messages.OP_SET_TIME else settime.lower)(service, command)
    finally:
        ondemand.drop(settime.MODULES)


def _lock_down(service, command):
    begins = command.argument
    if begins > 1 or not _recorded(service, command) or not service.kept.set("lockdown", begins):
        return messages.REFUSED_BY_DOOR  # one that the next power cut ends would be none
    service.passage.locked_down = bool(begins)
    modes = service.recorder.modes
    (modes.add if begins else modes.discard)(record.MODE_LOCKED_DOWN)
    service.recorder.note(record.MODE, record.MODE_LOCKED_DOWN if begins else record.MODE_LOCK_DOWN_ENDED)
    service.follow_hours()
    service.log.info("command", "lock-down", on=begins, operator=command.operator)
    service.recorder.changed()
    return messages.DONE


def _self_test(service, command):
    if not _recorded(service, command):
        return messages.REFUSED_BY_DOOR
    service.test_s = 0  # as soon as nobody is at the door; its record tells the result
    return messages.DONE


def _apply(service, command):
    return service.parcel_whole(command.argument) if _recorded(service, command) else messages.REFUSED_BY_DOOR


def _drop_door_key(service, command):
    from firmware import cardkeys

    try:
        return cardkeys.drop_old_door_key(service) if _recorded(service, command) else messages.REFUSED_BY_DOOR
    finally:
        ondemand.drop(cardkeys.MODULES)


_OPERATIONS = {
    messages.OP_UNLOCK: _unlock,
    messages.OP_SET_TIME: _set_time,
    messages.OP_LOWER_CLOCK: _set_time,
    messages.OP_DROP_CARD_KEY: _drop_card_key,
    messages.OP_PROP: _prop,
    messages.OP_MUTE: _mute,
    messages.OP_ASK_RESET: _ask_reset,
    messages.OP_LOCK_DOWN: _lock_down,
    messages.OP_SELF_TEST: _self_test,
    messages.OP_APPLY: _apply,
    messages.OP_DROP_DOOR_KEY: _drop_door_key,
}


def execute(service, command):
    """Return the result number of one command."""
    operation = _OPERATIONS.get(command.operation)
    return operation(service, command) if operation else messages.UNKNOWN_OPERATION
