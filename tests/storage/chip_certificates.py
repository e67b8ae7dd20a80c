import os
from unittest import TestCase

from storage import certificates

FOLDER = os.getenv("MENWEI_TMP") or "."


def folder(name):
    os.mkdir(FOLDER + "/" + name)
    return FOLDER + "/" + name


class Slots(TestCase):
    def test_the_newest_first_and_the_older_one_is_written(self):
        root = folder("slots")
        self.assertEqual(certificates.paths(root), [])
        for number in range(5):
            serial = bytes((number,)) * 20
            certificates.store(root, serial, 1000 + number, b"ca%d" % number, b"certificate" * 50, b"key" * 40)
            paths = certificates.paths(root)
            self.assertEqual(len(paths), min(number + 1, 2))
            self.assertEqual(
                certificates.read(paths[0]), (serial, 1000 + number, b"ca%d" % number, b"certificate" * 50, b"key" * 40)
            )
            if number:
                self.assertEqual(certificates.read(paths[1])[1], 999 + number)

    def test_a_slot_that_is_torn_or_altered_leaves_the_other(self):
        root = folder("torn")
        certificates.store(root, b"one", 1, b"ca", b"certificate", b"key")
        certificates.store(root, b"two", 2, b"ca", b"certificate", b"key")
        newest, other = certificates.paths(root)
        with open(newest, "rb") as file:
            whole = file.read()
        for damaged in (b"", whole[:10], whole[:-1], whole[:40] + b"x" + whole[41:], whole + b"x"):
            with open(newest, "wb") as file:
                file.write(damaged)
            self.assertEqual(certificates.paths(root), [other])
            self.assertRaises(ValueError, certificates.read, newest)
        # The next one goes where nothing is that could be used.
        certificates.store(root, b"three", 3, b"ca", b"certificate", b"key")
        self.assertEqual([certificates.read(path)[0] for path in certificates.paths(root)], [b"three", b"one"])

    def test_taken_twice_it_leaves_the_other(self):
        root = folder("twice")
        for name in (b"one", b"two", b"two"):
            certificates.store(root, name, 1, b"ca", b"certificate", b"key")
        self.assertEqual([certificates.read(path)[0] for path in certificates.paths(root)], [b"two", b"one"])

    def test_the_one_that_works_stays(self):
        root = folder("works")
        names = b"one", b"wrong", b"wrong too", b"three"
        for name, shown in zip(names, (None, b"one", b"one", b"one")):
            for _ in range(2):
                certificates.store(root, name, 1, b"ca", b"certificate", b"key", shown)
        self.assertEqual([certificates.read(path)[0] for path in certificates.paths(root)], [b"three", b"one"])
        certificates.store(root, b"four", 1, b"ca", b"certificate", b"key", b"three")
        self.assertEqual([certificates.read(path)[0] for path in certificates.paths(root)], [b"four", b"three"])

    def test_what_is_too_large_is_refused_and_nothing_is_written(self):
        root = folder("large")
        with self.assertRaises(ValueError):
            certificates.store(root, b"one", 1, b"ca", bytes(4096), b"key")
        self.assertEqual(certificates.paths(root), [])
