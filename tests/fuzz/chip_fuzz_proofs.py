"""Fuzzer of the proofs: generated answers at every step of ISO 14443-4, EV2First and a MIFARE Classic passage."""

import gc
from unittest import TestCase

import classic_world
import proofs_world
from settings import COUNT, SEED
from drivers.credential import FALSE, LOST, PROVEN


class Generated(TestCase):
    def test_nobody_without_the_key(self):
        print("seed", SEED)
        counts = proofs_world.run(COUNT, SEED)
        print(counts)
        for result in (PROVEN, FALSE, LOST):
            self.assertTrue(counts[result] > COUNT // 1000)

    def test_it_can_fail(self):
        """A driver that believes the status without the cryptogram is found out."""
        real = proofs_world.Ev2._fits
        proofs_world.Ev2._fits = lambda self, key: True
        try:
            with self.assertRaises(proofs_world.Wrong):
                for seed in range(20):
                    proofs_world.run(6_000, seed)
        finally:
            proofs_world.Ev2._fits = real
        gc.collect()


class Classic(TestCase):
    def test_nobody_without_a_sealed_counter(self):
        print("seed", SEED)
        counts = classic_world.run(COUNT, SEED)
        print(counts)
        for result in (PROVEN, FALSE, LOST, "counted"):
            self.assertTrue(counts[result] > COUNT // 1000)

    def test_it_can_fail(self):
        """A driver that does not look at the seal is found out."""
        real = classic_world.Classic._seal
        classic_world.Classic._seal = lambda self, seal, first, at, put: real(self, seal, first, at, put) if put else 0
        try:
            with self.assertRaises(classic_world.Wrong):
                classic_world.run(6_000, 1)
        finally:
            classic_world.Classic._seal = real
