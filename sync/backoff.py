"""Jittered exponential back-off.

    backoff = Backoff(4000, 60000, random.getrandbits)
    await asyncio.sleep_ms(backoff.next_ms())
    backoff.reset()                     # after it has worked for a while

Doors of a district that get their power back together must not come back together: each delay is spread evenly
over half to one and a half times its mean, the first one, too.
"""


class Backoff:
    """Delays that double from `first_ms` to `most_ms` on average."""

    def __init__(self, first_ms, most_ms, getrandbits):
        """Take the mean of the first and of the longest delay (at most an hour), and a source of random bits."""
        self._first_ms = first_ms
        self._most_ms = most_ms
        self._getrandbits = getrandbits
        self._mean_ms = first_ms

    def reset(self):
        """Begin again with the first delay."""
        self._mean_ms = self._first_ms

    def next_ms(self):
        """Return how long to wait now."""
        mean_ms = self._mean_ms
        self._mean_ms = min(mean_ms * 2, self._most_ms)
        # 256 steps: the product stays below 2^30, the range of a small integer on the chip.
        return (mean_ms >> 1) + (mean_ms * self._getrandbits(8) >> 8)
