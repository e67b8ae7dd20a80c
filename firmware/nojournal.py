"""Stands for a journal whose flash cannot be read: nothing can be recorded, which every append says.

    journal = NoJournal(error)
    journal.append(record.GRANTED)      # raises the error

Residents still pass, counted apart, under the alarm *records could not be written*; visitors and commands are refused.
"""


class NoJournal:
    """The interface of storage.journal.Journal with nothing behind it."""

    def __init__(self, error):
        """Take the OSError that each append raises."""
        self._error = error
        self.epoch = bytes(4)
        self.chain = bytes(7)
        self.head = self.acked = self.boot = self.last_time_s = self.last_in_batch = 0
        self.failures = 1

    def stamp(self, time_s, grade, uncertainty):
        """Nothing to stamp."""

    def append(self, kind, reason=0, pseudonym=None, detail=0):
        """Raise the error."""
        raise self._error

    def append_long(self, kind, reason, pseudonym, detail, payload):
        """Raise the error."""
        raise self._error

    def oldest(self):
        """None is left."""
        return 1

    def batch(self, buf, first_seq):
        """No record."""
        return 0

    def ack(self, epoch, sequence, chain):
        """Nothing was sent that could be acknowledged."""
        return False

    def idle(self, keep_from_s=0):
        """Nothing to look after."""
        return False

    def fill(self):
        """Empty."""
        return 0
