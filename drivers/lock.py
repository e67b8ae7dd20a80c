"""The lock relay.

    from machine import Pin
    lock = Lock(Pin(25, Pin.OUT, value=0))     # value=0: low before it becomes an output
    lock.release()
    lock.secure()

De-energised is locked for both kinds of lock: a fail-safe one hangs on the NC contact, a fail-secure one on NO. So no
reset of the chip opens a door; an external pull-down holds the relay while the pin floats.
"""


class Lock:
    """One relay, `released` while it is energised."""

    def __init__(self, pin):
        self._pin = pin
        pin(0)
        self.released = False
        self.cycles = 0  # releases since start, the wear of relay and bolt

    def release(self):
        """Energise the relay: unlocked. Again while released changes nothing."""
        if not self.released:
            self.released = True
            self.cycles += 1
        self._pin(1)

    def secure(self):
        """De-energise the relay: locked."""
        self._pin(0)
        self.released = False
