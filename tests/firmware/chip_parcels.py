"""What a start takes over: the installer's file, or a parcel."""

import json
import os

from parcel_world import DOOR_KEY, ROOT, Base

from storage import certificates, record
from storage.mac import derive

CARD = ["ntag424", 1, 1, "11" * 16]


class Taken(Base):
    def test_a_parcel_changes_what_it_names(self):
        self.assertEqual(self.parcel({"settings": {"open_s": 9}}), (record.PARCEL_TAKEN, 7))
        self.assertEqual(self.held(), ("10.0.0.1", 9, "first", [(3, 1, 1, b"\x11" * 16)]))
        self.assertEqual(self.kept.get("parcel"), 7)
        self.parcel({"card_keys": [["ntag424", 2, 1, "22" * 16], CARD]}, 1, 8)
        self.assertEqual(self.held()[3], [(3, 2, 1, b"\x22" * 16), (3, 1, 1, b"\x11" * 16)])
        self.assertEqual(self.keys.purpose(b"cmd"), derive(DOOR_KEY, b"cmd"))
        self.parcel({"settings": {"kinds": ["ntag424"]}}, 1, 9)
        self.assertFalse("provision.before" in os.listdir(ROOT))  # none of these can cut it off

    def test_what_cannot_be_changes_nothing(self):
        before = self.held()
        for content in (
            {"settings": {"open_s": 0}},
            {"settings": {"no_such": 1}, "wifi_secret": "other"},
            {"wifi_secret": "other", "card_keys": [["ntag424", 1, 1, "22"]]},
            {"wifi_secret": "other", "settings": {"kinds": ["desfire"]}},
            {"wifi_secret": "other", "erase": True},
            {"wifi_secret": "other", "journal_key": "00" * 16},
            {"wifi_secret": "other", "door_key": "00" * 31},
            {"wifi_secret": "other", "tls": {"ca": "00"}},
            {"wifi_secret": 3},
            {"settings": {"desk": True}},
            {"wifi_secret": "s" * 65, "settings": {"open_s": 9}},
            {
                "tls": {"ca": "00" * 3990, "certificate": "00" * 90, "key": "00", "serial": "01", "until": 9},
                "settings": {"open_s": 9},
            },
            {"tls": {"ca": "00", "certificate": "00", "key": "00", "serial": "01" * 21, "until": 9}},
            {"tls": {"ca": "00", "certificate": "00", "key": "00", "serial": "01", "until": -1}},
            {"tls": {"ca": "00", "certificate": "00", "key": "00", "serial": "01", "until": 1 << 32}},
            {"settings": None},
            [],
            "no json",
            "",
        ):
            self.assertEqual(self.parcel(content), (record.PARCEL_REFUSED, 7))
            self.assertEqual(self.held(), before)
        self.assertEqual(self.parcel({"wifi_secret": "other"}, 2), (record.PARCEL_REFUSED, 7))  # it says tls only
        self.assertEqual(self.held(), before)
        self.assertEqual(self.kept.get("parcel"), 7)

    def test_the_certificate_that_works_is_not_overwritten(self):
        tls = {"ca": "01", "certificate": "02", "key": "03", "until": 9}
        for number, words in enumerate(("7 1", "8 1 01", "9 2 01")):
            tls["serial"] = "%02x" % (number + 1)
            with open(ROOT + "/provision.parcel", "w") as file:
                file.write(words + "\n" + json.dumps({"tls": tls}))
            self.start()
        serials = [certificates.read(path)[0] for path in certificates.paths(ROOT)]
        self.assertEqual(serials, [b"\x03", b"\x01"])

    def test_an_installer_changes_a_part_or_all(self):
        self.installed({"settings": {"open_s": 8}})
        self.assertEqual(self.held()[:3], ("10.0.0.1", 8, "first"))
        self.assertRaises(ValueError, self.installed, {"settings": {"open_s": 7}, "erase": True})
        self.assertEqual(self.held()[1], 8)
        complete = {
            "door_key": "33" * 32,
            "journal_key": "44" * 16,
            "journal_epoch": "01020304",
            "settings": {"host": "10.0.0.3"},
        }
        self.installed(complete)
        self.assertEqual(self.held()[:3], ("10.0.0.3", 5, ""))
        self.assertEqual(self.keys.old, b"")

    def test_a_door_key_leaves_the_pseudonyms_of_the_one_before(self):
        new = b"\x55" * 32
        for _ in range(2):  # also when the power went in between, and it is taken again
            self.assertEqual(self.parcel({"door_key": new.hex()})[0], record.PARCEL_TAKEN)
            self.held()
            self.assertEqual(self.keys.purpose(b"cmd"), derive(new, b"cmd"))
            self.assertEqual(self.keys.old, derive(DOOR_KEY, b"pseudonym"))
        self.keys.store(None, "second", None, None)
        self.held()
        self.assertEqual((self.keys.wifi_secret, self.keys.old), ("second", derive(DOOR_KEY, b"pseudonym")))
        self.assertEqual(self.parcel({"door_key": "66" * 32})[0], record.PARCEL_REFUSED)
        self.keys.store()
        self.held()
        self.assertEqual((self.keys.old, self.keys.wifi_secret), (b"", "second"))
        self.assertEqual(self.parcel({"door_key": "66" * 32})[0], record.PARCEL_TAKEN)
