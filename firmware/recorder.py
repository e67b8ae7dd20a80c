"""What happens at the door, into the journal; and which alarms are on.

    recorder = Recorder(journal, clock, log)
    recorder.note(record.RELEASED, record.CAUSE_EXIT)
    if recorder.alarm_on(record.ALARM_TAMPER): ...      # raised once, until alarm_off

Every record is stamped with the clock of decisions and how far that is trusted. `link`, if there is one, learns that
there is something to send.
"""

from storage import record


class Recorder:
    """The journal of one door, and the sets of `alarms` and `modes` that are on."""

    def __init__(self, journal, clock, log):
        self.journal = journal
        self.alarms = set()
        self.modes = set()  # of record.MODE_…: those that are on, for lights and sounds
        self.link = None
        self._clock = clock
        self._log = log
        self._owed = False  # the alarm of an unwritable journal has no record itself

    def stamp(self):
        """Give the next record the present time."""
        clock = self._clock
        self.journal.stamp(clock.now_s, clock.trust, clock.uncertainty)

    def note(self, kind, reason=0, pseudonym=None, detail=0, payload=None):
        """Append a record, a long one if there is a payload of 24 bytes; False if the journal could not take it."""
        self.stamp()
        journal = self.journal
        try:
            if payload:
                journal.append_long(kind, reason, pseudonym, detail, payload)
            else:
                journal.append(kind, reason, pseudonym, detail)
        except OSError as error:
            if record.ALARM_UNRECORDED not in self.alarms:
                self.alarms.add(record.ALARM_UNRECORDED)
                self._owed = True
                self._log.error("journal", "record lost", kind=kind, error=error)
            return False
        if self._owed:
            self._owed = False
            self._owed = not self.note(record.ALARM, record.ALARM_UNRECORDED)
        if kind == record.ALARM and self.link:
            self.link.alarm()
        self.notify()
        return True

    def notify(self):
        """There is something to send."""
        if self.link:
            self.link.notify()

    def changed(self):
        """The door's state is another one."""
        if self.link:
            self.link.state_changed()

    def alarm_on(self, alarm, detail=0):
        """Raise an alarm; False if it is on already."""
        if alarm in self.alarms:
            return False
        self.alarms.add(alarm)
        self.note(record.ALARM, alarm, None, detail)
        self.changed()
        return True

    def alarm_off(self, alarm, detail=0):
        """End an alarm, if it is on."""
        if alarm in self.alarms:
            self.alarms.discard(alarm)
            self.note(record.ALARM_ENDED, alarm, None, detail)
            self.changed()
