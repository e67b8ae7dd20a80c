"""Cards in files: what one has in its memory goes with it."""

import json
import os
import unittest

from boards.sim import card_files
from boards.sim.classic import Classic

# Where the runner lets us write.
NAME = os.getenv("MENWEI_TMP") + "/liu.json"
UID = b"\x04\x11\x22\x33"
DATA = bytes(range(16))


class Files(unittest.TestCase):
    def test_a_uid_is_a_card(self):
        card = card_files.load("04112233445566")
        self.assertEqual((card.kind, len(card.uid)), ("uid", 7))
        card_files.save(card, "04112233445566")
        self.assertRaises(ValueError, card_files.load, "0411")
        self.assertRaises(OSError, card_files.load, "nobody.json")

    def test_what_is_saved_is_loaded(self):
        card = Classic(UID)
        card.block(9, DATA)
        card_files.save(card, NAME)
        again = card_files.load(NAME)
        self.assertEqual((type(again), again.uid, again.block(9)), (Classic, UID, DATA))

    def test_kinds(self):
        for kept, kind in (
            ({"kind": "uid", "uid": "04112233"}, "uid"),
            ({"kind": "classic", "uid": "04112233"}, "classic"),
        ):
            with open(NAME, "w") as file:
                json.dump(kept, file)
            self.assertEqual(card_files.load(NAME).kind, kind)
        self.assertRaises(ValueError, card_files.from_dict, {"kind": "sesame", "uid": "04112233"})
        self.assertRaises(ValueError, card_files.from_dict, {"uid": "04112233"})
