"""What a record of kind HOUR says of its hour: sixteen numbers of 12 bits. Pure, shared by door and host.

    payload = pack(counts)              # 24 bytes, docs/closed-rate.md
    if unpack(payload)[CLOSED] > 3420: ...

The seconds of an hour add up to 3,600. Loaded by the door once an hour, and dropped again.
"""

from micropython import const

# Where the seconds stand; they add up to 3,600.
CLOSED = const(0)
UNKNOWN = const(1)
PROPPED = const(2)
AJAR = const(3)
OPEN = const(4)  # and the eight that follow: open by cause, CAUSE_NONE (forced) first
SECONDS = const(13)  # so many

OPENINGS = const(13)
CYCLES = const(14)  # of the relay
CLOSER = const(15)  # tenths of a second from release to latched, 0 while unknown
FIELDS = const(16)

HOUR_S = const(3600)
_MOST = const(4095)


def pack(counts):
    """Return the 24 bytes of a payload; what is too large for its field stands as 4,095."""
    payload = bytearray()
    for at in range(0, FIELDS, 2):
        pair = min(counts[at], _MOST) | min(counts[at + 1], _MOST) << 12
        payload += bytes((pair & 255, pair >> 8 & 255, pair >> 16))
    return bytes(payload)


def unpack(payload):
    """Return the sixteen numbers of 24 bytes; ValueError if the seconds do not add up to an hour."""
    counts = []
    for at in range(0, 24, 3):
        counts += [payload[at] | (payload[at + 1] & 15) << 8, payload[at + 1] >> 4 | payload[at + 2] << 4]
    if sum(counts[:SECONDS]) != HOUR_S:
        raise ValueError("the seconds of an hour add up to %d, not to 3600" % sum(counts[:SECONDS]))
    return counts
