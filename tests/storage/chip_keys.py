"""The door's secrets: each copy repairs the other, nothing shows them."""

import os
import unittest
from hashlib import sha256

from storage.keys import Keys
from storage.mac import derive

FOLDER = (os.getenv("MENWEI_TMP") or "/tmp") + "/keys"
PATH = FOLDER + "/keys"
DOOR_KEY = bytes(range(0x41, 0x61))
SECRET = "correct horse 电池"


class Nvs:
    """As much of esp32.NVS as keys need; `commits` is what outlives a power cut."""

    def __init__(self):
        self.blobs = {}
        self.kept = {}
        self.broken = False

    def get_blob(self, name, buf):
        if name not in self.blobs:
            raise OSError(-0x1102)
        value = self.blobs[name]
        if len(value) > len(buf):
            raise OSError(-0x110C)
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, name, value):
        if self.broken:
            raise OSError(-0x1105)
        self.blobs[name] = bytes(value)

    def commit(self):
        self.kept = dict(self.blobs)

    def power_cut(self):
        self.blobs = dict(self.kept)


class Base(unittest.TestCase):
    def setUp(self):
        try:
            os.mkdir(FOLDER)
        except OSError:
            pass
        for name in os.listdir(FOLDER):
            os.remove(FOLDER + "/" + name)
        self.nvs = Nvs()

    def stored(self):
        Keys(self.nvs, FOLDER).store(DOOR_KEY, SECRET)

    def start(self):
        self.nvs.power_cut()
        self.keys = Keys(self.nvs, FOLDER)
        self.keys.load()
        return self.keys

    def present(self, repaired=0):
        keys = self.start()
        self.assertFalse(keys.lost)
        self.assertEqual(keys.wifi_secret, SECRET)
        self.assertEqual(keys.purpose(b"list"), derive(DOOR_KEY, b"list"))
        self.assertEqual(keys.repaired, repaired)

    def file(self):
        with open(PATH, "rb") as file:
            return file.read()

    def write(self, data):
        with open(PATH, "wb") as file:
            file.write(data)


class Copies(Base):
    def test_stored_and_read(self):
        self.stored()
        self.present()
        blob = self.file()
        self.assertEqual(blob, self.nvs.kept["keys"])
        body = b"\1\0\0\0" + DOOR_KEY + b"\0" + SECRET.encode()
        self.assertEqual(blob, sha256(b"menwei keys 3" + body).digest()[:8] + body)

    def test_each_copy_repairs_the_other(self):
        self.stored()
        blob = self.file()
        for bad in (b"", blob[:-1], blob[:43], blob[:12], blob[:8], b"\xff" * 160, bytes(200), blob + b"x"):
            self.nvs.kept["keys"] = bad
            self.present(1)
            self.assertEqual(self.nvs.kept["keys"], blob)
            self.present()
            self.write(bad)
            self.present(1)
            self.assertEqual(self.file(), blob)
            self.present()
        self.nvs.kept = {}
        self.present(1)
        os.remove(PATH)
        self.present(1)
        self.present()

    def test_any_flipped_bit_is_repaired(self):
        self.stored()
        blob = self.file()
        for bit in range(8 * len(blob)):
            bad = bytearray(blob)
            bad[bit >> 3] ^= 1 << (bit & 7)
            if bit & 1:
                self.nvs.kept["keys"] = bytes(bad)
            else:
                self.write(bad)
            self.present(1)
            self.assertEqual(self.nvs.kept["keys"], blob)
            self.assertEqual(self.file(), blob)

    def test_a_cut_while_they_are_stored(self):
        other = bytes(32)
        self.stored()
        old = self.file()
        Keys(self.nvs, FOLDER).store(other, "")
        new = self.file()
        for length in range(len(new) + 1):
            self.write(new[:length])  # NVS is written first
            keys = self.start()
            self.assertEqual(keys.purpose(b"cmd"), derive(other, b"cmd"))
        self.nvs.kept["keys"] = old  # before NVS was written
        self.write(old)
        self.present()

    def test_the_newer_copy_wins_wherever_it_lies(self):
        """An NVS that falls back to what it held before must not bring old keys back."""
        self.stored()
        old = self.file()
        other = bytes(range(32))
        for place in ("nvs", "file"):
            Keys(self.nvs, FOLDER).store(other, "")
            new = self.file()
            if place == "nvs":
                self.nvs.kept["keys"] = old
            else:
                self.write(old)
            self.assertEqual(self.start().purpose(b"cmd"), derive(other, b"cmd"))
            self.assertEqual(self.keys.repaired, 1)
            self.assertEqual((self.nvs.kept["keys"], self.file()), (new, new))

    def test_a_copy_that_cannot_be_repaired_does_not_stop_the_door(self):
        self.stored()
        self.nvs.kept = {}
        self.nvs.broken = True
        self.present()
        self.nvs.broken = False
        self.present(1)

    def test_both_lost(self):
        self.assertTrue(self.start().lost)
        self.stored()
        blob = self.file()
        self.nvs.kept["keys"] = blob[:-1]
        self.write(blob[:-2])
        keys = self.start()
        self.assertTrue(keys.lost)
        self.assertEqual(keys.wifi_secret, "")
        self.assertEqual(self.file(), blob[:-2])  # left as they are
        with self.assertRaises(ValueError):
            keys.purpose(b"list")
        self.stored()
        self.present()

    def test_what_cannot_be_is_refused_and_changes_nothing(self):
        self.stored()
        keys = self.start()
        for key, secret in ((bytes(31), ""), (bytes(33), ""), (b"", ""), (bytes(32), "x" * 65), (bytes(32), "电" * 22)):
            with self.assertRaises(ValueError):
                keys.store(key, secret)
        self.present()
        keys.store(DOOR_KEY, "f" * 64)
        self.assertEqual(self.start().wifi_secret, "f" * 64)


CARD_KEYS = [(3, 2, 1, b"newer ntag key.."), (3, 1, 1, b"older ntag key.."), (2, 1, 5, b"one classic key.")]


class CardKeys(Base):
    def test_they_are_kept_beside_the_door_key(self):
        Keys(self.nvs, FOLDER).store(DOOR_KEY, SECRET, CARD_KEYS)
        self.present()
        self.assertEqual(self.keys.card_keys, CARD_KEYS)

    def test_other_secrets_change_without_them(self):
        Keys(self.nvs, FOLDER).store(DOOR_KEY, "", CARD_KEYS)
        Keys(self.nvs, FOLDER).store(DOOR_KEY, SECRET)
        self.present()
        self.assertEqual(self.keys.card_keys, CARD_KEYS)

    def test_copies_of_older_software_are_read(self):
        body = (7).to_bytes(4, "little") + DOOR_KEY + SECRET.encode()
        blob = sha256(b"menwei keys 2" + body).digest()[:8] + body
        self.nvs.kept["keys"] = blob
        self.write(blob)
        self.present()
        self.assertEqual(self.keys.card_keys, [])
        self.keys.store(DOOR_KEY, SECRET, CARD_KEYS)
        self.present()
        self.assertEqual(self.keys.card_keys, CARD_KEYS)

    def test_the_older_version_is_dropped_and_never_the_newest(self):
        Keys(self.nvs, FOLDER).store(DOOR_KEY, SECRET, CARD_KEYS)
        keys = self.start()
        with self.assertRaises(ValueError):
            keys.drop_card_key(3, 2)
        self.assertEqual(keys.card_keys, CARD_KEYS)
        keys.drop_card_key(3, 1)
        self.present()
        self.assertEqual(self.keys.card_keys, [CARD_KEYS[0], CARD_KEYS[2]])
        for kind, version in ((3, 2), (3, 1), (2, 1), (4, 0)):
            with self.assertRaises(ValueError):
                self.keys.drop_card_key(kind, version)
        self.present()
        self.assertEqual(self.keys.card_keys, [CARD_KEYS[0], CARD_KEYS[2]])

    def test_as_many_as_fit_and_no_more(self):
        many = [(2, 0, number, bytes(16)) for number in range(8)]
        Keys(self.nvs, FOLDER).store(DOOR_KEY, "x" * 64, many)
        self.assertEqual(self.start().card_keys, many)
        self.assertEqual(self.keys.wifi_secret, "x" * 64)
        for bad in (many + many[:1], [(2, 0, 1, bytes(15))]):
            with self.assertRaises(ValueError):
                self.keys.store(DOOR_KEY, "", bad)
        self.assertEqual(self.start().card_keys, many)


class Silence(Base):
    def test_repr_shows_nothing(self):
        self.stored()
        shown = [repr(self.start()), str(self.keys), "%s" % self.keys]
        for text in shown:
            self.assertEqual(text, "Keys(present)")
        self.assertEqual(repr(Keys(self.nvs, FOLDER)), "Keys(lost)")

    def test_errors_show_nothing(self):
        for key, secret in ((DOOR_KEY[:31], SECRET), (DOOR_KEY, SECRET * 9)):
            try:
                Keys(self.nvs, FOLDER).store(key, secret)
            except ValueError as error:
                self.assertFalse("ABC" in str(error) or "horse" in str(error))
            else:
                self.assertTrue(False)
