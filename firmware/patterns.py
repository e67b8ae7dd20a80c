"""Lights and sounds: one table of what people at the door see and hear (docs/signals.md).

    player.play(patterns.answer(reason, soon))
    player.rest(patterns.standing(recorder.alarms, modes))

A pattern is a row of (duration in 10 ms, outputs) pairs for `drivers.signals.Player`; outputs: 1 green, 2 red,
4 sounder. Each meaning has a rhythm of its own, in sound and in light, so that it can be told without hearing, without
seeing and without telling colours apart. No light flashes more than three times in a second (WCAG 2.3.1).
"""

from micropython import const

from storage import record

# Answers to a card. One beep and a light that stays for a second or more: come in. Several beeps and blinks: no.
_GRANTED = const(b"\x0f\x05\xff\x01\x1e\x01")
_GRANTED_SOON = const(b"\x50\x05\x78\x01\x28\x00\x64\x01")  # it ends soon, or is in its days of grace
_REFUSED = const(b"\x14\x06\x14\x00\x14\x06")  # this card does not open this door
_NOT_NOW = const(b"\x3c\x06\x1e\x00\x3c\x06")  # nothing is wrong with the card, but the door is closed to it now
_AGAIN = const(b"\x14\x07\x14\x00\x14\x07\x14\x00\x14\x07\x14\x00\x14\x07")  # one card alone, and hold it still
_CANCELLED = const(b"\x14\x06\x14\x00\x14\x06\x14\x00\x50\x06")

# What stands: played again and again while no card is answered.
_HELD = const(b"\x14\x06\x50\x00")  # close the door, please
_ALARM = const(b"\x50\x06\x14\x00")
_FIRE = const(b"\x32\x05\x32\x00\x32\x05\x32\x00\x32\x05\x96\x00")  # leave: the temporal pattern of ISO 8201
_RESET_ASKED = const(b"\x14\x07\x50\x03\x64\x00")  # the fire release is to be reset at this door
_LOCKED_DOWN = const(b"\xe1\x02\x19\x00")
_FREE = const(b"\x19\x01\xe1\x00")  # the door is open to all
_FAULT = const(b"\x19\x02\x19\x00\x19\x02\xff\x00")  # tell the staff

# Reasons: not yet valid, clock unknown, outside schedule, locked down, not recorded
_CLOSED_NOW = const(b"\x02\x06\x07\x08\x0b")
# Alarms, the most urgent first: forced, held open, tamper; held open (warning), ajar; reader, keys lost, lock fault,
# sensor fault, self-test
_STANDING = const(((b"\x01\x03\x05", _ALARM), (b"\x02\x13", _HELD), (b"\x06\x0a\x10\x12\x18", _FAULT)))


def answer(reason, soon=False):
    """Return the answer to a card: reason of storage.record; `soon` for a grant with a word of warning."""
    if not reason:
        return _GRANTED_SOON if soon else _GRANTED
    if reason == record.CANCELLED:
        return _CANCELLED
    if reason in (record.SEVERAL_CARDS, record.NOT_PROVEN):
        return _AGAIN
    if reason in _CLOSED_NOW:
        return _NOT_NOW
    return _REFUSED


def standing(alarms, modes):
    """Return what stands while these alarms are on, the most urgent first; empty if nothing does.

    `modes` has the modes of storage.record that are on: FREE, LOCKED_DOWN, RESET_ASKED.
    """
    if record.ALARM_FIRE in alarms:
        return _RESET_ASKED if record.MODE_RESET_ASKED in modes else _FIRE
    for row, pattern in _STANDING:
        for alarm in row:
            if alarm in alarms:
                return pattern
    if record.MODE_LOCKED_DOWN in modes:
        return _LOCKED_DOWN
    return _FREE if record.MODE_FREE in modes else b""
