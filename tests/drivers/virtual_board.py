"""The simulated board under the reader's drivers, in virtual time, with a loop that only runs the one task."""

from machine import SPI, Pin

from boards.sim import clock, pins, spibus
from boards.sim.mfrc522_chip import Mfrc522Chip
from drivers import iso14443a, mfrc522, mfrc522_start
from drivers.iso14443a import Iso14443a
from drivers.mfrc522 import Mfrc522

CS = 16
RST = 17
CALL_US = 80  # what one SPI call costs on the chip

# The drivers take these names from time and asyncio at import; on the simulated board they are its own.
TIMED = (iso14443a, mfrc522, mfrc522_start)
SLEEPING = (iso14443a, mfrc522_start)
for module in TIMED:
    module.ticks_ms = clock.ticks_ms
    module.ticks_add = clock.ticks_add
    module.ticks_diff = clock.ticks_diff


class Board:
    """The board's wires, chip, driver and cards; `modules` are others that sleep, `options` those of the chip model."""

    def __init__(self, modules=(), hold=False, start_us=0, **options):
        clock.setup("virtual", start_us)
        pins.forget()
        spibus.call_us = CALL_US
        self.chip = Mfrc522Chip(clock, **options)
        spibus.attach(CS, self.chip)
        pins.on_change(RST, lambda _pin, level: self.chip.reset_pin(level))
        self.spi = SPI(2, baudrate=4_000_000)
        self.reader = Mfrc522(self.spi, Pin(CS, Pin.OUT, value=1), Pin(RST, Pin.OUT, value=0))
        self.cards = Iso14443a(self.reader, hold=hold)
        for known in (SLEEPING, modules):
            for module in known:
                module.sleep_ms = self.sleep_ms

    def close(self):
        spibus.call_us = 0

    def sleep_ms(self, delay_ms):
        """As asyncio's: until the millisecond ticks have moved on by delay_ms."""
        clock.sleep_us(delay_ms * 1000 - clock.now_us() % 1000)
        return iter((None,))

    def run(self, awaitable):
        """Await it."""
        try:
            while True:
                if hasattr(awaitable, "send"):
                    awaitable.send(None)
                else:
                    awaitable.__next__()
        except StopIteration as stop:
            return stop.value

    def start(self):
        return self.run(self.cards.start())
