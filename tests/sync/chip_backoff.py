import gc
import random
from array import array
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


class District(TestCase):
    """Doors that get their power back in the same moment, before one broker, in steps of 0.1 s."""

    DOORS = 2500
    BACKLOG = 100  # what mosquitto's listen() lets wait; who comes beyond gets no answer
    TIMEOUT = 200

    def come_back(self, per_s, seed):
        """Return (most attempts in a second, s until all are connected, attempts in each minute)."""
        gc.collect()
        random.seed(seed)
        backoff = Backoff(getrandbits=random.getrandbits)
        counts = bytearray(self.DOORS)
        due = array("H", [0] * self.DOORS)  # the step of the next attempt

        def wait(door, now):
            backoff._count = counts[door]
            counts[door] += 1
            due[door] = now + 1 + backoff.next_ms() // 100

        for door in range(self.DOORS):
            wait(door, 0)
        now = connected = waiting = credit = 0
        attempts = []  # in each second
        while connected < self.DOORS and now < 36000:
            if now % 10 == 0:
                attempts.append(0)
            for door, step in enumerate(due):
                if step != now or counts[door] == 255:
                    continue
                attempts[-1] += 1
                if waiting < self.BACKLOG:
                    waiting += 1
                    counts[door] = 255
                    connected += 1  # served before it gives up: 100 take 5 s at most here
                else:
                    wait(door, now + self.TIMEOUT)
            credit += per_s
            done = min(credit // 10, waiting)
            waiting -= done
            credit = credit - 10 * done if waiting else credit % 10
            now += 1
        return max(attempts), now // 10, [sum(attempts[at : at + 60]) for at in range(0, len(attempts), 60)]

    def test_2500_doors_do_not_stampede(self):
        for seed in (1, 2, 3):
            peak, all_s, minutes = self.come_back(100, seed)
            self.assertTrue(peak <= 750, peak)  # without the spread 2,500
            self.assertTrue(all_s <= 180, all_s)
            self.assertTrue(sum(minutes) <= 3 * self.DOORS, minutes)

    def test_a_slow_broker_gets_them_too(self):
        _, all_s, minutes = self.come_back(20, 1)
        self.assertTrue(all_s <= 600, all_s)
        # Behind the quick attempts at most one of a door in a minute.
        self.assertTrue(max(minutes[2:]) <= self.DOORS, minutes)
