"""Contacts and buttons: debounced level, and short pulses that a slow loop would miss.

    from machine import Pin
    leaf = Contact(Pin(34, Pin.IN), active=0)
    if leaf.poll(time.ticks_ms()):
        print("closed" if leaf.active else "open")
    if button.latched(): ...                   # pressed since the last call, however briefly; once per press

The interrupt only counts and keeps the time; the loop decides.
"""

from time import ticks_diff, ticks_ms


class Contact:
    """One input, `active` after debouncing."""

    def __init__(self, pin, active, debounce_ms=20):
        """`active` is the level, 0 or 1, at which the contact is active."""
        self._pin = pin
        self._level = active
        self._debounce_ms = debounce_ms
        self._edges = 0
        self._edges_seen = 0
        self._edge_ms = ticks_ms()
        self._since = self._edge_ms
        self.active = pin() == active
        self._raw = self.active
        self._latch = self.active
        self._pressed = self.active  # from the first sign of activity until debounce_ms of rest
        pin.irq(self._edge, pin.IRQ_RISING | pin.IRQ_FALLING)

    def _edge(self, _pin):
        self._edges = self._edges + 1 & 0xFFFF
        self._edge_ms = ticks_ms()

    def _look(self, now_ms):
        edges = self._edges
        raw = self._pin() == self._level
        moved = raw
        if edges != self._edges_seen:
            # On one side of every edge the contact is active. A pulse that came and went while flash was erased leaves
            # one late call, with the level back at rest: it counts all the same.
            self._edges_seen = edges
            self._since = self._edge_ms
            moved = True
        elif raw != self._raw:  # an edge without an interrupt
            self._since = now_ms
        self._raw = raw
        if not self._pressed:
            self._pressed = moved
            self._latch = self._latch or moved
        elif not raw and ticks_diff(now_ms, self._since) >= self._debounce_ms:
            self._pressed = False

    def poll(self, now_ms):
        """Look at the contact; True when `active` has changed, which it does after debounce_ms without an edge."""
        self._look(now_ms)
        if self._raw == self.active or ticks_diff(now_ms, self._since) < self._debounce_ms:
            return False
        self.active = self._raw
        return True

    def latched(self):
        """Has the contact become active since the last call? True once for each press, though it bounces or is held."""
        self._look(ticks_ms())
        latch = self._latch
        self._latch = False
        return latch
