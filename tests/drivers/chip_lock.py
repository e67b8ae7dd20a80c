"""The lock relay: levels and the count of its cycles."""

from unittest import TestCase

from drivers.lock import Lock


class Wire:
    def __init__(self, level):
        self.levels = [level]

    def __call__(self, level):
        self.levels.append(level)


class Relay(TestCase):
    def test_construction_only_ever_writes_locked(self):
        wire = Wire(0)
        lock = Lock(wire)
        self.assertEqual(set(wire.levels), {0})
        self.assertFalse(lock.released)
        self.assertEqual(lock.cycles, 0)

    def test_release_and_secure(self):
        wire = Wire(0)
        lock = Lock(wire)
        lock.release()
        self.assertEqual(wire.levels[-1], 1)
        self.assertTrue(lock.released)
        lock.secure()
        self.assertEqual(wire.levels[-1], 0)
        self.assertFalse(lock.released)

    def test_cycles_count_releases_not_calls(self):
        lock = Lock(Wire(0))
        lock.secure()
        for _ in range(3):
            lock.release()
            lock.release()
            lock.secure()
            lock.secure()
        self.assertEqual(lock.cycles, 3)

    def test_a_pin_that_fails_leaves_it_known_as_released(self):
        # if the pin cannot be written the relay may still be energised
        wire = Wire(0)
        lock = Lock(wire)
        lock.release()

        def broken(level):
            raise OSError(5)

        lock._pin = broken
        with self.assertRaises(OSError):
            lock.secure()
        self.assertTrue(lock.released)
