"""While a door key is rotated the list knows cards by the old pseudonym or by the new one."""

import gc

import chip_passage
from chip_passage import DEFAULTS, KEY, UID, Passage, pseudonym_of

from drivers.credential import NTAG424, UID as UID_KIND
from storage import record
from storage.mac import Hmac

OLD = b"\x77" * 32


def old_pseudonym_of(uid, kind=UID_KIND):
    mac = Hmac(OLD)
    mac.update(bytes((kind,)) + uid)
    return mac.digest()[:7]


class Rotation(chip_passage.CardPath):
    """The tests of the base class run in its own file."""

    def setUp(self):
        super().setUp()
        settings = dict(DEFAULTS)
        settings["kinds"] = ["uid", "ntag424"]
        parts = (KEY, self.list, self.recorder, self.clock, self.uptime, self.door, self.lock, settings)
        self.passage = Passage(*parts, OLD)

    def test_a_card_is_let_in_and_recorded_by_the_name_that_the_list_knows(self):
        for kind, sak in ((UID_KIND, 0x08), (NTAG424, 0x20)):
            for name in (pseudonym_of(UID, kind), old_pseudonym_of(UID, kind)):
                self.list.known = name
                self.trace.clear()
                self.assertEqual(self.prove(UID, sak=sak), (kind, record.OK))
                self.assertEqual(bytes(self.passage.pseudonym), name)

    def test_a_stranger_is_recorded_by_the_new_name(self):
        self.list.known = b""
        self.assertEqual(self.show(), record.UNKNOWN)
        self.assertEqual(bytes(self.passage.pseudonym), pseudonym_of(UID))

    def test_when_the_old_key_is_dropped_its_names_mean_nothing(self):
        self.list.known = old_pseudonym_of(UID)
        self.passage.old = None
        self.assertEqual(self.show(), record.UNKNOWN)

    def test_a_prepared_tap_allocates_little_under_the_old_name_too(self):
        self.passage.credential.uid[: len(UID)] = UID
        self.list.known = old_pseudonym_of(UID)
        self.journal.append = lambda kind, reason, pseudonym, detail: None
        self.lock.release = lambda: None
        self.passage.recognise(7, 0x00)
        self.passage.prepare()
        gc.collect()
        before = gc.mem_alloc()
        self.passage.recognise(7, 0x00)
        self.passage.present()
        # Twice what a door with one key takes.
        self.assertTrue(gc.mem_alloc() - before <= 640, gc.mem_alloc() - before)
