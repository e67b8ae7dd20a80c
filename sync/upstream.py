"""Messages between a door and its upstream, upstream's half: parse and verify what a door sends, build what it gets.

    wire = upstream.build_ack(derive(door_key, b"event-ack"), epoch, 4711, chain)

The counterpart of sync/messages.py, which the door loads; this module it does not. Pure: no I/O, runs on CPython and
MicroPython. Numbers of operations and results, and `Refused`, stand in sync/messages.py.
"""

import json
from struct import pack, pack_into

from micropython import const

from sync.messages import WILL, Refused, expect, mac, numbers, verify

_MAC = const(16)
_ACK = const(32)
_COMMAND_BODY = const(40)
_RESULT = const(40)
_BATCH_HEADER = const(24)
_SLOT = const(32)
_MAX_SLOTS = const(32)
_DELTA_HEADER = const(16)
_PAGE_HEADER = const(20)
_CHANGE = const(16)
_MAX_STATE = const(2048)
# A parcel: its kinds, and what fits.
PARCEL_MIXED = const(1)  # taken when two persons order it
PARCEL_TLS = const(2)  # nothing but `tls`: taken as soon as it is whole
MAX_PARCEL = const(8192)
_PARCEL_DATA = const(512)
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"
_LEAVES = ("event", "event/now", "event/ack", "state", "list", "cmd", "cmd/result", "parcel")


def parse_topic(text):
    """Return (site, door, leaf) of a topic."""
    parts = text.split("/", 4)
    if len(parts) != 5 or parts[0] != "menwei" or parts[1] != "v1" or parts[4] not in _LEAVES:
        raise Refused("the topic is none of ours")
    for name in parts[2:4]:
        if not 1 <= len(name) <= 32 or any(character not in _NAME_CHARACTERS for character in name):
            raise Refused("site and door are 1 to 32 characters of a-z 0-9 -")
    return parts[2], parts[3], parts[4]


# event


class Batch:
    """A batch of records; `slot(i)` is the i-th as it lies in flash."""

    def __init__(self, data):
        self.count = data[2]
        self.epoch = bytes(data[4:8])
        self.first, self.generation = numbers(data, "<II", 8)
        self.chain = bytes(data[16:23])
        self._data = data

    def slot(self, index):
        """Return the 32 bytes of slot `index`."""
        start = _BATCH_HEADER + _SLOT * index
        return bytes(self._data[start : start + _SLOT])


def parse_batch(data):
    """Return the Batch in `data`. Its records carry their own MACs; see storage/record.py."""
    size = len(data)
    expect(data, size, _BATCH_HEADER)
    if not 1 <= data[2] <= _MAX_SLOTS or size != _BATCH_HEADER + _SLOT * data[2] or data[1] | data[3] | data[23]:
        raise Refused("the batch's header does not fit its length")
    return Batch(data)


def build_ack(key, epoch, sequence, chain):
    """Return an acknowledgement of everything up to and including `sequence`."""
    data = bytearray(_ACK)
    data[0] = 1
    data[1:5] = epoch
    pack_into("<I", data, 5, sequence)
    data[9:16] = chain
    data[16:] = mac(key, data, 16)
    return bytes(data)


def parse_state(key, data):
    """Return the members of an authentic state; of a last will, which has no MAC, only that the door is offline."""
    if len(data) > _MAX_STATE:
        raise Refused("the state is longer than 2,048 bytes")
    data = bytes(data)
    if data == WILL:
        return {"v": 1, "online": 0}
    end = len(data) - 2 * _MAC - 1
    if end < 2 or data[end] != 10 or data[end:] != data[end:].lower():  # one message, one form
        raise Refused("the state has no MAC in lower-case hex digits")
    try:
        # fromhex also takes blanks: what it returns may be short, and `verify` refuses that.
        verify(key, data[:end] + bytes.fromhex(data[end + 1 :].decode()), end)
        members = json.loads(data[:end])
    except Refused:
        raise
    except (ValueError, RuntimeError):  # RecursionError is one: a door's own key must not bring upstream down
        raise Refused("the state is not JSON with a MAC of 32 hex digits")
    if not isinstance(members, dict) or members.get("v") != 1:
        raise Refused("the state is not an object of version 1")
    return members


def pack_change(operation, pseudonym, valid_from=0, valid_until=0xFFFFFF, group=0, key_version=0, uses=0):
    """Return the 16 bytes of one change; validity in minutes since 2020, until is exclusive."""
    data = bytearray(_CHANGE)
    data[0] = operation
    data[1:8] = pseudonym
    pack_into("<HBHB", data, 8, valid_from & 0xFFFF, valid_from >> 16, valid_until & 0xFFFF, valid_until >> 16)
    data[14] = group
    data[15] = key_version | uses << 2
    return bytes(data)


def build_delta(key, epoch, from_revision, to_revision, changes):
    """Return a delta of `changes`, each made by `pack_change`."""
    data = bytearray(_DELTA_HEADER)
    pack_into("<BBH", data, 0, 1, 1, len(changes))
    data[4:8] = epoch
    pack_into("<II", data, 8, from_revision, to_revision)
    data = bytes(data) + b"".join(changes)
    return data + mac(key, data, len(data))


def build_page(key, nonce, epoch, revision, first, last, cards):
    """Return a page of a full list for the session `nonce`: all cards, each made by `pack_change`, in [first, last).

    Operations of cards are states here: 1 live, 2 suspended, 3 revoked. `first` and `last` are positions
    (docs/flash-formats.md, "Reconciliation"), in one sector.
    """
    data = bytearray(_PAGE_HEADER)
    pack_into("<BBH", data, 0, 1, 2, len(cards))
    data[4:8] = epoch
    pack_into("<III", data, 8, revision, first, last)
    data = bytes(data) + b"".join(cards)
    return data + mac(key, data + nonce, len(data) + len(nonce))


def command_body(operation, reason, nonce, number, deadline_s, operator, approver=0, argument=0):
    """Return bytes 0 to 39 of a command, which the approver's MAC covers."""
    data = bytearray(_COMMAND_BODY)
    pack_into("<BBH", data, 0, 1, operation, reason)
    data[4:20] = nonce
    pack_into("<IIIII", data, 20, number, deadline_s, operator, approver, argument)
    return bytes(data)


def approval(approve_key, body):
    """Return the approver's MAC over a command body."""
    return mac(approve_key, body, _COMMAND_BODY)


def build_command(key, body, approver_mac=bytes(_MAC)):
    """Return a complete command."""
    data = body + approver_mac
    return data + mac(key, data, len(data))


def parse_result(key, data):
    """Return (operation, result, command id, nonce) of an authentic result."""
    expect(data, _RESULT)
    verify(key, data, 24)
    return data[1], data[2] | data[3] << 8, numbers(data, "<I", 4)[0], bytes(data[8:24])


# parcel


def seal_parcel(key, kind, number, sealed):
    """Return the file that a parcel's pages carry: `sealed` (IV and ciphertext) and its MAC with `key`, K(`parcel`).

    Raises:
        ValueError: it is longer than a door takes.
    """
    total = len(sealed) + _MAC
    if total > MAX_PARCEL:
        raise ValueError("the parcel has %d bytes, a door takes %d: send it in two" % (total, MAX_PARCEL))
    header = pack("<BBHIII", 0, kind, 0, number, 0, total)
    return sealed + mac(key, header + sealed, len(header) + len(sealed))


def build_parcel(key, kind, number, file, start=0):
    """Return the pages of a parcel from the byte `start` on, which the door's `state` tells; each is one message.

    Args:
        key: K(`parcel`) of the door.
        file: what seal_parcel returned.
    """
    pages = []
    for offset in range(start, len(file), _PARCEL_DATA):
        data = file[offset : offset + _PARCEL_DATA]
        data = pack("<BBHIII", 1, kind, len(data), number, offset, len(file)) + data
        pages.append(data + mac(key, data, len(data)))
    return pages
