from unittest import TestCase

from sync.network import Backoff


class Delays(TestCase):
    def test_mean_doubles_up_to_the_most(self):
        backoff = Backoff(4000, 60000, lambda bits: 128)
        self.assertEqual([backoff.next_ms() for _ in range(6)], [4000, 8000, 16000, 32000, 60000, 60000])
        backoff.reset()
        self.assertEqual(backoff.next_ms(), 4000)

    def test_spread_is_half_to_one_and_a_half(self):
        low = Backoff(4000, 60000, lambda bits: 0)
        high = Backoff(4000, 60000, lambda bits: (1 << bits) - 1)
        for mean in (4000, 8000, 16000, 32000, 60000, 60000):
            self.assertEqual(low.next_ms(), mean // 2)
            self.assertTrue(mean * 149 // 100 < high.next_ms() < mean * 3 // 2)

    def test_doors_do_not_come_back_together(self):
        import random

        random.seed(7)
        delays = [Backoff(4000, 60000, random.getrandbits).next_ms() for _ in range(1000)]
        # Were they together, one tenth of the window would hold more than a third of them.
        for start in range(2000, 6000, 400):
            self.assertTrue(50 < sum(start <= delay < start + 400 for delay in delays) < 200)

    def test_products_stay_small_integers_on_the_chip(self):
        most = (1 << 22) - 1
        self.assertTrue(most * 255 < 1 << 30)
        self.assertEqual(Backoff(most, most, lambda bits: 255).next_ms() >> 23, 0)
