"""Messages between a door and its upstream, the door's half: what both directions need at any time.

    epoch, sequence, chain = messages.parse_ack(derive(door_key, b"event-ack"), wire)    # raises Refused

List deltas and commands, which are rare, are parsed in sync/orders.py. The formats are in docs/protocol.md; the other
half is sync/upstream.py. Pure: no I/O, runs on MicroPython and
CPython. A parser looks at length and version first, at the MAC next, and at what the message says last.
"""

import json
from struct import unpack_from

from micropython import const

from storage.mac import Hmac, same

# Operation of a command.
OP_UNLOCK = const(1)  # argument: 0 once, else seconds for which the lock stays released
OP_SET_TIME = const(2)
OP_DROP_CARD_KEY = const(3)  # argument: kind, version << 8
OP_LOWER_CLOCK = const(4)  # argument: the time; also below the floor, hence with an approver
OP_LOCK_DOWN = const(5)  # argument: 1 begins, 0 ends it
OP_PROP = const(6)  # argument: seconds, 0 ends it; with an approver
OP_MUTE = const(7)  # argument: seconds for which the sounder is silent
OP_SELF_TEST = const(8)
OP_ASK_RESET = const(9)  # somebody is to reset the fire release at the door
OP_MAINTENANCE = const(10)  # argument: seconds, 0 ends it
OP_RESTART = const(11)  # when nobody is at the door
OP_COLLECT = const(12)  # argument: first sequence number of the records that are to be sent again
OP_APPLY = const(13)  # argument: number of the parcel; with an approver
OP_DROP_DOOR_KEY = const(14)  # the one before the present one; with an approver

# Result of a command; also the reason of a refused message.
DONE = const(0)
WRONG_MAC = const(1)
WRONG_SESSION = const(2)
REPLAYED = const(3)
TOO_LATE = const(4)
NOT_APPROVED = const(5)
UNKNOWN_OPERATION = const(6)
RETAINED = const(7)
MALFORMED = const(8)
REFUSED_BY_DOOR = const(9)
DOUBTED = const(10)  # a time that drift cannot explain: to be sent again in 10 minutes
BUSY = const(11)  # more commands than a door carries out

# Operation of a change in a list delta.
PUT = const(1)
SUSPEND = const(2)
REVOKE = const(3)
FORGET = const(4)

WILL = b'{"v":1,"online":0}'

_MAC = const(16)
_ACK = const(32)
_LIMIT = const(0x40000000)


class Refused(ValueError):
    """A message that must not be acted on; `result` is one of the numbers above."""

    result = MALFORMED


def topic(site, door, leaf):
    """Return the topic `leaf` of a door."""
    return "menwei/v1/%s/%s/%s" % (site, door, leaf)


def mac(key, data, end):
    """Return the MAC of the first `end` bytes of `data`."""
    digest = Hmac(key)
    digest.update(data[:end])
    return digest.digest()[:_MAC]


def verify(key, data, end):
    """Refuse `data` unless the MAC of `data[:end]` stands behind it; compared in constant time."""
    if not same(mac(key, data, end), data, end):
        error = Refused("the MAC is wrong")
        error.result = WRONG_MAC
        raise error


def expect(data, length, least=0):
    """Refuse `data` unless it has `length` bytes, at least `least`, and version 1."""
    if len(data) != length or length < least or data[0] != 1:
        raise Refused("wrong length or version")


def numbers(data, layout, offset):
    """Unpack numbers, each of which must stay below 2^30: a small integer on a 32-bit MicroPython."""
    values = unpack_from(layout, data, offset)
    if max(values) >= _LIMIT:
        raise Refused("a number beyond 2^30")
    return values


# event/ack


def parse_ack(key, data):
    """Return (epoch, sequence, chain) of an authentic acknowledgement."""
    expect(data, _ACK)
    verify(key, data, 16)
    return bytes(data[1:5]), numbers(data, "<I", 5)[0], bytes(data[9:16])


# state


def build_state(key, members):
    """Return `members` as JSON with its MAC behind an LF."""
    body = json.dumps(members, separators=(",", ":")).encode()
    return body + b"\n" + mac(key, body, len(body)).hex().encode()
