"""The simulated board with cards that prove themselves: reader chip, driver, provers, in virtual time."""

import gc
from unittest import TestCase

from virtual_board import Board

from boards.sim import clock
from drivers.credential import Credential

gc.threshold(8192)  # the models leave less room than a door has


class Bench(Board):
    """A card that is found is held; `modules` are the provers' that sleep."""

    def __init__(self, *modules):
        super().__init__(modules, hold=True)
        self.credential = Credential()


class Proofs(TestCase):
    modules = ()

    def setUp(self):
        self.bench = Bench(*self.modules)
        self.bench.start()
        self.field = self.bench.chip.field

    def tearDown(self):
        self.bench.close()

    def find(self, times=8):
        """Look until a card is reported; its length or 0."""
        bench = self.bench
        for _ in range(times):
            found = bench.run(bench.cards.find(bench.credential.uid))
            if found > 0:
                bench.credential.show(0, found)
                return found
            clock.sleep_us(10_000)
        return 0

    def prove(self, prover):
        try:
            return self.bench.run(prover.prove(self.bench.credential))
        finally:
            self.bench.cards.lost()

    def tap(self, prover, card):
        """A card comes, proves itself and goes."""
        self.bench.cards.forget()
        self.field.put(card)
        found = self.find()
        self.assertEqual(found, len(card.uid))
        self.assertEqual(bytes(self.bench.credential.uid[:found]), card.uid)
        result = self.prove(prover)
        self.away()
        return result

    def away(self):
        self.field.remove()
        for _ in range(6):
            self.bench.run(self.bench.cards.find(self.bench.credential.uid))
            clock.sleep_us(10_000)
        self.assertEqual(self.bench.cards.present, 0)
