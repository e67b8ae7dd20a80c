"""Lights and sounder: short patterns, played without blocking.

    GRANTED = bytes((20, 0b101, 80, 0b001))    # 0.2 s green and sounder, 0.8 s green
    HELD = bytes((10, 0b110, 40, 0b000, 0, 0))  # ends in a zero duration: again and again
    player = Player(green_pin, red_pin, sounder_pin)
    player.play(GRANTED)
    player.rest(HELD)                          # again and again, while nothing else plays
    player.mask = 0b011                        # the third output stays off while it rests: muted
    asyncio.create_task(player.run())          # or call tick(now_ms) from a loop

A pattern is pairs of bytes: duration in 10 ms, and the outputs that are on (bit 0 is the first pin given).
"""

from asyncio import sleep_ms
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

_SLICE_MS = const(20)  # how late run() may notice a new pattern


class Player:
    """Plays one pattern at a time on some output pins."""

    def __init__(self, *pins):
        self._pins = pins
        self.mask = 0xFF  # outputs that may be on while it rests, from the next change on
        self._pattern = self._rest = b""
        self._at = 0
        self._until = ticks_ms()
        self._show(0)

    def _show(self, outputs):
        for pin in self._pins:
            pin(outputs & 1)
            outputs >>= 1

    def play(self, pattern, now_ms=None):
        """Replace whatever is playing, at once. An empty pattern is silence."""
        if len(pattern) & 1 or pattern[:1] == b"\x00":
            raise ValueError("A pattern is pairs of duration and outputs, and begins with a duration.")
        self._pattern = pattern
        self._at = 0
        self._until = ticks_ms() if now_ms is None else now_ms
        if pattern:
            self._step()
        else:
            self._show(0)

    def rest(self, pattern, now_ms=None):
        """Play this whenever nothing else plays, again and again; an empty one is silence. Replaces the one before."""
        before = self._rest
        if pattern != before:
            self._rest = pattern
            if self._pattern == before:
                self.play(pattern, now_ms)

    @property
    def playing(self):
        """Whether a pattern is under way."""
        return len(self._pattern) > 0

    def _step(self):
        """Begin the next pair."""
        pattern = self._pattern
        if self._at < len(pattern) and not pattern[self._at]:
            self._at = 0
        if self._at >= len(pattern):
            self._pattern = pattern = self._rest
            self._at = 0
            if not pattern:
                self._show(0)
                return
        outputs = pattern[self._at + 1]
        self._show(outputs & self.mask if pattern is self._rest else outputs)
        self._until = ticks_add(self._until, pattern[self._at] * 10)
        self._at += 2

    def tick(self, now_ms):
        """Show what is due at now_ms. Gives the ms until the next change, -1 when nothing plays."""
        while self._pattern:
            wait_ms = ticks_diff(self._until, now_ms)
            if wait_ms > 0:
                return wait_ms
            if wait_ms < -1000:  # the loop slept: no hurry through what is missed
                self._until = now_ms
            self._step()
        return -1

    async def run(self):
        """For ever."""
        while True:
            wait_ms = self.tick(ticks_ms())
            await sleep_ms(wait_ms if 0 < wait_ms < _SLICE_MS else _SLICE_MS)
