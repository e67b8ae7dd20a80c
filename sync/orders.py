"""What upstream orders, as messages: list deltas and commands, and the answer to a command.

    delta = orders.parse_delta(derive(door_key, b"list"), wire)     # raises messages.Refused

Rare, so a door loads it when an order comes and drops it afterwards (sync/link.py). Pure: no I/O, runs on MicroPython
and CPython. A parser looks at length and version first, at the MAC next, and at what the message says last.
"""

from struct import pack, unpack_from

from micropython import const

from storage.mac import same
from sync.messages import FORGET, PUT, Refused, expect, mac, numbers, verify

_MAC = const(16)
_COMMAND_BODY = const(40)
_COMMAND = const(72)
_DELTA_HEADER = const(16)
_CHANGE = const(16)
_MAX_CHANGES = const(32)
_MAX_GROUP = const(63)
_MAX_USES = const(16)

# list


class Delta:
    """Changes of the list: `count`, office `epoch`, `from_revision`, `to_revision`."""

    def change(self, index):
        """Return a change as (operation, pseudonym, from, until, group, key version, uses), while the data stands."""
        # Validity has three bytes: two and one.
        operation, pseudonym, start, start_high, end, end_high, group, flags = unpack_from(
            "<B7sHBHBBB", self._data, _DELTA_HEADER + _CHANGE * index
        )
        return operation, pseudonym, start | start_high << 16, end | end_high << 16, group, flags & 3, flags >> 2

    def fate(self, index):
        """Return the operation that change `index` comes to with those behind it; 0 if one of them makes it pointless.

        A delta may be applied again: what it revokes must not become live by what stands before that.
        """
        data = self._data
        at = _DELTA_HEADER + _CHANGE * index
        fate = data[at]
        for later in range(at + _CHANGE, _DELTA_HEADER + _CHANGE * self.count, _CHANGE):
            if data[later + 1 : later + 8] == data[at + 1 : at + 8]:
                if data[later] == PUT or data[later] == FORGET:
                    return 0
                if fate < data[later] and fate != FORGET:
                    fate = data[later]
        return fate


def parse_delta(key, data):
    """Return the authentic Delta in `data`, every change of it checked."""
    end = len(data) - _MAC
    expect(data, end + _MAC, _DELTA_HEADER + _MAC)
    delta = Delta()
    delta._data = data
    count = delta.count = data[2] | data[3] << 8
    bad = data[1] != 1 or count > _MAX_CHANGES or end != _DELTA_HEADER + _CHANGE * count
    if not bad:
        verify(key, data, end)
        (delta.epoch,) = unpack_from("<I", data, 4)
        delta.from_revision, delta.to_revision = numbers(data, "<II", 8)
        bad = delta.to_revision <= delta.from_revision
        for at in range(_DELTA_HEADER, end, _CHANGE):
            bad |= not PUT <= data[at] <= FORGET or data[at + 14] > _MAX_GROUP or data[at + 15] >> 2 > _MAX_USES
    if bad:
        raise Refused("bad list delta")
    return delta


# cmd


class Command:
    """An authentic command, as the door's firmware gets it."""

    def evidence(self):
        """Return the payload of the command's record, 24 bytes; docs/protocol.md, "cmd"."""
        data = self._data
        return data[28:40] + data[2:14]


def parse_command(key, approve_key, data):
    """Return the authentic Command in `data`; `approved` tells whether a named approver's MAC is right.

    Session, order, deadline and approval are for the caller to judge: only the door knows its session.
    """
    expect(data, _COMMAND)
    verify(key, data, 56)
    command = Command()
    data = command._data = bytes(data)
    command.nonce = data[4:20]
    (
        command.operation,
        command.reason,
        command.number,
        command.deadline_s,
        command.operator,
        command.approver,
        command.argument,
    ) = numbers(data, "<BH16xIIIII", 1)
    command.approved = command.approver > 0 and same(mac(approve_key, data, _COMMAND_BODY), data, _COMMAND_BODY)
    return command


# cmd/result


def build_result(key, operation, result, number, nonce):
    """Return the answer to the command `number` of the session `nonce`."""
    data = pack("<BBHI16s", 1, operation, result, number, nonce)
    return data + mac(key, data, 24)
