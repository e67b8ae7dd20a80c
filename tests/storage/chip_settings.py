"""Settings in two files: power cuts at every byte, flipped bits, both bad."""

import os
import unittest
from binascii import hexlify
from hashlib import sha256

from storage.settings import Settings

FOLDER = (os.getenv("MENWEI_TMP") or "/tmp") + "/settings"
DEFAULTS = {"held_s": 30, "site": ""}
OLD = {"held_s": 40, "site": "north"}
NEW = {"held_s": 55, "site": "south"}


def validate(values):
    for name in values:
        if name not in DEFAULTS:
            raise ValueError("unknown: " + name)
    if not 1 <= values["held_s"] <= 600:
        raise ValueError("held_s: 1 to 600")
    return values


def path(name):
    return FOLDER + "/settings." + name


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


def write(name, data):
    with open(path(name), "wb") as file:
        file.write(data)


def whole(generation, text):
    rest = b"%d\n%s" % (generation, text)
    return hexlify(sha256(rest).digest()) + b"\n" + rest


class Base(unittest.TestCase):
    def setUp(self):
        try:
            os.mkdir(FOLDER)
        except OSError:
            pass
        for name in os.listdir(FOLDER):
            os.remove(FOLDER + "/" + name)

    def load(self):
        self.store = Settings(FOLDER)
        return self.store.load(DEFAULTS, validate)


class Files(Base):
    def test_nothing_there(self):
        values = self.load()
        self.assertEqual(values, DEFAULTS)
        self.assertFalse(values is DEFAULTS)
        self.assertEqual((self.store.source, self.store.damaged), ("defaults", 0))

    def test_they_are_kept_in_turn(self):
        for number in range(1, 25):
            self.load()
            self.store.save({"held_s": number, "site": "x"})
            saved = self.store.source
            self.assertEqual(saved, "ba"[number & 1])
            self.assertEqual(self.load(), {"held_s": number, "site": "x"})
            self.assertEqual((self.store.source, self.store.damaged), (saved, 0))

    def test_twice_without_loading(self):
        self.load()
        self.store.save(OLD)
        self.store.save(NEW)
        self.assertEqual(self.load(), NEW)

    def test_a_save_that_fails_leaves_the_old_ones(self):
        self.load()
        self.store.save(OLD)
        os.mkdir(path("b"))
        with self.assertRaises(OSError):
            self.store.save(NEW)
        self.assertEqual(self.store.source, "a")
        self.assertEqual(self.load(), OLD)
        os.rmdir(path("b"))
        self.store.save(NEW)
        self.assertEqual(self.load(), NEW)


class Cuts(Base):
    def test_at_every_byte_written(self):
        self.load()
        self.store.save(OLD)
        self.store.save(NEW)
        new = read("b")
        for length in range(len(new) + 1):
            write("b", new[:length])
            self.assertEqual(self.load(), NEW if length == len(new) else OLD)
            self.assertEqual(self.store.damaged, length < len(new))
            # The next save goes over what is cut short, and a cut there hurts nobody either.
            self.store.save(DEFAULTS)
            self.assertEqual(self.load(), DEFAULTS)
            write("a", whole(1, b'{"held_s": 40, "site": "north"}'))

    def test_at_every_byte_with_the_old_length(self):
        # Another way in which a file system may tear a file: the rest still holds what was there before.
        self.load()
        self.store.save(OLD)
        self.store.save(OLD)
        old = read("b")
        self.store.save(OLD)
        self.store.save(NEW)
        new = read("b")
        for length in range(1, min(len(new), len(old))):
            write("b", new[:length] + old[length:])
            values = self.load()
            self.assertTrue(values in (OLD, NEW))
            self.assertEqual(values == NEW, read("b") == new)

    def test_any_flipped_bit(self):
        self.load()
        self.store.save(OLD)
        self.store.save(NEW)
        for name, left in (("b", OLD), ("a", NEW)):
            good = read(name)
            for bit in range(8 * len(good)):
                bad = bytearray(good)
                bad[bit >> 3] ^= 1 << (bit & 7)
                write(name, bad)
                self.assertEqual(self.load(), left)
                self.assertEqual((self.store.damaged, self.store.torn), (1, 1))
            write(name, good)

    def test_both_bad(self):
        self.load()
        self.store.save(OLD)
        self.store.save(NEW)
        for bad in (b"", b"\n", b"\n\n", bytes(100), whole(3, b"")[:-1], b"\xff" * 4000):
            write("a", bad)
            write("b", bad + b"x")
            self.assertEqual(self.load(), DEFAULTS)
            self.assertEqual((self.store.source, self.store.damaged), ("defaults", 2))
        self.store.save(NEW)
        self.assertEqual(self.load(), NEW)
        self.assertEqual(self.store.damaged, 1)

    def test_too_large_for_the_heap(self):
        """A door that reset for want of memory would do so for ever."""

        def short_of_memory(values):
            if values["site"] == "south":
                raise MemoryError
            return validate(values)

        store = Settings(FOLDER)
        store.save(NEW)
        self.assertEqual(Settings(FOLDER).load(DEFAULTS, short_of_memory), DEFAULTS)
        store.save(OLD)
        store = Settings(FOLDER)
        self.assertEqual(store.load(DEFAULTS, short_of_memory), OLD)
        self.assertEqual((store.whole, store.damaged, store.torn), (1, 1, 0))

    def test_whole_but_not_valid(self):
        for text in (b'{"held_s": 0, "site": ""}', b'{"color": 3}', b"{}", b"[]", b"7", b"null", b"{", b"\xff"):
            write("b", whole(9, text))
            write("a", whole(8, b'{"held_s": 40, "site": "north"}'))
            self.assertEqual(self.load(), OLD)
            self.assertEqual((self.store.source, self.store.damaged, self.store.torn), ("a", 1, 0))
        write("b", whole(9, b"{}").replace(b"9", b"x"))
        self.assertEqual(self.load(), OLD)
