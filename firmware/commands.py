"""Carries out authenticated commands. Loaded when one comes and dropped afterwards: they are rare.

    result = commands.execute(service, command)     # number of docs/protocol.md

Whatever opens or changes a door has its record, with operator, approver and reason, before it is done.
"""

from storage import ondemand, record
from sync import messages

MODULES = ("firmware.commands",)


def _recorded(service, command):
    return service.recorder.note(record.COMMAND, command.operation, None, command.number, command.evidence())


def _unlock(service, command):
    if not _recorded(service, command):
        return messages.REFUSED_BY_DOOR  # no unlock by command without a durable record
    service.watch.release(record.CAUSE_REMOTE)
    service.log.info("command", "unlock", operator=command.operator)
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


_OPERATIONS = {
    messages.OP_UNLOCK: _unlock,
    messages.OP_SET_TIME: _set_time,
    messages.OP_LOWER_CLOCK: _set_time,
    messages.OP_DROP_CARD_KEY: _drop_card_key,
}


def execute(service, command):
    """Return the result number of one command."""
    operation = _OPERATIONS.get(command.operation)
    return operation(service, command) if operation else messages.UNKNOWN_OPERATION
