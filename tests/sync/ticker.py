"""Measures for how long a loop does not get round, on the unix port.

What the process spends waiting for a processor that another one has, as Linux counts it, is taken off: the door's code
is not to blame for it, and a chip has its processor to itself.
"""

import asyncio
import time


def _waited_us():
    """How long this process has waited for a processor so far; 0 where the system does not tell."""
    try:
        with open("/proc/self/schedstat") as file:
            return int(file.read().split()[1]) // 1000
    except (OSError, IndexError, ValueError):
        return 0


class Ticker:
    """`longest_ms`: the longest stall since the start."""

    def __init__(self):
        self.longest_ms = 0

    async def run(self):
        last_us = time.ticks_us()
        waited_us = _waited_us()
        while True:
            await asyncio.sleep_ms(5)
            now_us = time.ticks_us()
            before_us, waited_us = waited_us, _waited_us()
            stall_us = time.ticks_diff(now_us, last_us) - 5000 - (waited_us - before_us)
            self.longest_ms = max(self.longest_ms, stall_us // 1000)
            last_us = now_us
