"""The signal that a card is one of the oldest rewritable kind."""

from boards.sim import clock
from boards.sim.cards import Card
from boards.sim.classic import Classic
from drivers import magic
from drivers.iso14443a import ReaderFault
from proving import Proofs

UID = b"\x9c\x59\x9b\x32"


class Magic(Proofs):
    modules = (magic,)

    def ask(self, card, held):
        self.field.put(card)
        self.bench.cards.hold = held
        self.assertTrue(self.find() > 0)
        found = self.bench.run(magic.is_magic(self.bench.cards))
        self.bench.cards.lost()
        # one presence still
        self.assertEqual(self.find(10), 0)
        self.assertEqual(self.bench.cards.present, len(card.uid))
        self.away()
        return found

    def test_who_is(self):
        for held in (False, True):
            self.assertTrue(self.ask(Classic(UID, magic="gen1a"), held))
            self.assertFalse(self.ask(Classic(UID), held))
            self.assertFalse(self.ask(Classic(UID, magic="cuid"), held))
            self.assertFalse(self.ask(Card(b"\x04\x11\x22\x33\x44\x55\x66"), held))

    def test_it_is_not_left_open(self):
        card = Classic(UID, magic="gen1a")
        self.field.put(card)
        self.find()
        self.assertTrue(self.bench.run(magic.is_magic(self.bench.cards)))
        self.assertFalse(card._open)

    def test_gone_meanwhile(self):
        for delay_us in range(0, 12_000, 1000):
            self.bench.cards.forget()
            self.field.put(Classic(UID, magic="gen1a"))
            self.assertEqual(self.find(), 4)
            clock.at_us(clock.now_us() + delay_us, self.field.remove)
            self.bench.run(magic.is_magic(self.bench.cards))
            self.bench.cards.lost()
            self.away()

    def test_a_dead_reader(self):
        self.field.put(Classic(UID))
        self.find()
        self.bench.chip.miso = 0
        with self.assertRaises(ReaderFault):
            self.bench.run(magic.is_magic(self.bench.cards))
        self.bench.chip.miso = None
