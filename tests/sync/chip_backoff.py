from unittest import TestCase

from sync.network import Backoff


class Delays(TestCase):
    def test_three_quick_ones_and_then_one_in_a_minute_and_more(self):
        backoff = Backoff(4000, 60000, lambda bits: 128)
        self.assertEqual([backoff.next_ms() for _ in range(6)], [4000, 8000, 16000, 90000, 90000, 90000])
        backoff.reset()
        self.assertEqual(backoff.next_ms(), 4000)

    def test_spread(self):
        low = Backoff(4000, 60000, lambda bits: 0)
        high = Backoff(4000, 60000, lambda bits: (1 << bits) - 1)
        for mean in (4000, 8000, 16000):
            self.assertEqual(low.next_ms(), mean // 2)
            self.assertTrue(mean * 149 // 100 < high.next_ms() < mean * 3 // 2)
        for _ in range(3):
            self.assertEqual(low.next_ms(), 60000)
            self.assertTrue(119000 < high.next_ms() < 120000)

    def test_products_stay_small_integers_on_the_chip(self):
        most = (1 << 22) - 1
        self.assertTrue(most * 255 < 1 << 30)
        self.assertEqual(Backoff(most, most, lambda bits: 255).next_ms() >> 23, 0)
