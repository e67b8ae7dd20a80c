"""Tells of wires that are cut or shorted, where contacts have end-of-line resistors. Loaded only then.

    lines = Lines(contacts, recorder)
    if lines.look(): ...                # once a step of firmware.watch: nothing tells where the leaf is

One alarm, *sensor fault*, for each contact, with its number as detail.
"""

from micropython import const

from storage import record

_LEAF = const(2)


class Lines:
    """The supervised contacts of a door."""

    def __init__(self, contacts, recorder):
        """`contacts` is a dict of contact number (docs/door.md) to drivers.supervised.Supervised."""
        self._contacts = tuple(contacts.items())  # a step allocates nothing
        self._recorder = recorder
        self._faulty = 0  # one bit for each

    def look(self):
        """Record what has changed; tell whether the wires of the leaf are at fault."""
        recorder = self._recorder
        for number, contact in self._contacts:
            bit = 1 << number
            if (contact.fault > 0) == (self._faulty & bit > 0):
                continue
            self._faulty ^= bit
            raised = self._faulty & bit
            recorder.note(record.ALARM if raised else record.ALARM_ENDED, record.ALARM_SENSOR_FAULT, None, number)
            if self._faulty:
                recorder.alarms.add(record.ALARM_SENSOR_FAULT)
            else:
                recorder.alarms.discard(record.ALARM_SENSOR_FAULT)
            recorder.changed()
        return self._faulty & _LEAF > 0
