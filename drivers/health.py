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

_STAGES = const(4)  # as drivers/mfrc522.py has them: soft reset, hard reset, all anew with a slow bus, power cycle


class Health:
    """Counts in `recoveries` how often each stage (1 to 4) helped; at 0, how often none did."""

    def __init__(self, cards):
        """`cards` has start(stage), and healthy() itself or in its `transport`."""
        self.cards = cards
        self.chip = getattr(cards, "transport", cards)
        self.recoveries = array("H", bytes(2 * (_STAGES + 1)))
        self._sound = StopIteration(0)

    def check(self):
        """To be awaited: 0 when the reader is healthy, else what recover() gives. Healthy, it allocates nothing."""
        return self if self.chip.healthy() else self.recover()

    def __iter__(self):
        return self

    def __next__(self):
        sound = self._sound
        sound.__traceback__ = None
        raise sound

    def recover(self):
        """To be awaited, also after a ReaderFault of find(): one stage after the other. Gives the one that helped.

        Raises ReaderFault when none does; may be called again, and begins anew. Its code is loaded when it is needed.
        """
        from drivers import recovery

        return recovery.recover(self)
