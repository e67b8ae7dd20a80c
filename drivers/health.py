"""The reader's health: looked at once a second, and brought back in stages when it fails.

    health = Health(cards)                # Iso14443a, or the chip itself
    while True:
        try:
            stage = await health.check()  # between two find(), once a second
            length = await cards.find(uid)
        except ReaderFault:
            stage = await health.recover()   # raises ReaderFault when the reader stays deaf: try again later

What a card in the field notices: of a check nothing, of a recovery that the field goes off.
"""

from array import array

from micropython import const

from drivers.iso14443a import ReaderFault

# Stages, as drivers/mfrc522.py has them: soft reset, hard reset, all anew with a slow bus, power cycle
_WITHOUT_POWER = const(3)
_WITH_POWER = const(4)
_MOST = const(0xFFFF)

_DEAF = "reader deaf: no reset brings it back. Check its supply, its wiring and its antenna."


class Health:
    """Counts in `recoveries` how often each stage (1 to 4) helped; at 0, how often none did."""

    def __init__(self, cards):
        """`cards` has start(stage), and healthy() itself or in its `transport`."""
        self._cards = cards
        self._chip = getattr(cards, "transport", cards)
        self.recoveries = array("H", bytes(2 * (_WITH_POWER + 1)))
        self._sound = StopIteration(0)

    def check(self):
        """To be awaited: 0 when the reader is healthy, else what recover() gives. Healthy, it allocates nothing."""
        return self if self._chip.healthy() else self.recover()

    def __iter__(self):
        return self

    def __next__(self):
        sound = self._sound
        sound.__traceback__ = None
        raise sound

    async def recover(self):
        """Try one stage after the other, also after a ReaderFault of find(). Gives the one that helped.

        Raises ReaderFault when none does; may be called again, and begins anew.
        """
        chip = self._chip
        for stage in range(1, (_WITHOUT_POWER if chip.power is None else _WITH_POWER) + 1):
            try:
                await self._cards.start(stage)
                if chip.healthy():
                    self._count(stage)
                    return stage
            except ReaderFault:
                pass
        self._count(0)
        raise ReaderFault(_DEAF)

    def _count(self, stage):
        if self.recoveries[stage] < _MOST:
            self.recoveries[stage] += 1
