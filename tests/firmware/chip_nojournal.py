"""What stands for a journal that cannot be read has the whole interface, and records nothing."""

from unittest import TestCase

from firmware.nojournal import NoJournal
from storage.journal import Journal


class Interface(TestCase):
    def test_every_append_raises(self):
        journal = NoJournal(OSError(5, "flash"))
        for call in (lambda: journal.append(2), lambda: journal.append_long(11, 1, None, 3, bytes(24))):
            with self.assertRaises(OSError):
                call()

    def test_nothing_to_send_or_to_look_after(self):
        journal = NoJournal(OSError(5))
        self.assertEqual(journal.batch(bytearray(100), 1), 0)
        self.assertFalse(journal.idle() or journal.ack(bytes(4), 1, bytes(7)) or journal.fill())

    def test_it_has_what_the_link_and_the_service_use(self):
        journal = NoJournal(OSError(5))
        for name in ("stamp", "append", "append_long", "batch", "ack", "idle", "fill", "oldest"):
            self.assertTrue(hasattr(journal, name) and hasattr(Journal, name), name)
        for name in ("epoch", "chain", "head", "acked", "boot", "last_time_s", "last_in_batch", "failures"):
            self.assertTrue(hasattr(journal, name), name)
