"""Time from the look that sees an NTAG 424 DNA to its proof, on the simulated board in virtual time.

    micropython ntag424_door.py RUNS SEED SLEEP_MS HELD BUSY_US

Each call of the SPI costs 80 µs, each turn of the loop 100 µs, air and frames what the standard says; computing costs
nothing. With SLEEP_MS 0 the driver waits as it does, else so long whenever it waits for an answer; without HELD the
card is sent to HALT by find() and selected again. BUSY_US is what the card takes for a command, which its maker does
not publish.
Prints one JSON object: mean and 99th percentile in ms, of runs in which the card arrives at a random moment.
"""

import json
import random
import sys

from boards.sim import clock, pins, spibus
from boards.sim.ev2 import cmac
from boards.sim.mfrc522_chip import Mfrc522Chip
from boards.sim.ntag424 import Ntag424
from drivers import iso14443a, isodep, mfrc522, mfrc522_start
from drivers.credential import Credential
from drivers.ev2 import Ev2
from machine import SPI, Pin

# A door carries the numbers of drivers/credential.py, not their names
_NTAG424 = 3
_PROVEN = 1

NOT_A_DOORS = ("field",)  # an attribute of a model, though the driver has one of the same name
_CS = 16
_RST = 17
_POLL_MS = 10
_UID = b"\x04\x11\x22\x33\x44\x55\x66"
_MASTER = bytes(range(16))


class Door:
    def __init__(self, sleep_ms, held):
        clock.setup("virtual")
        spibus.call_us = 80
        self.chip = Mfrc522Chip(clock)
        spibus.attach(_CS, self.chip)
        pins.on_change(_RST, lambda _pin, level: self.chip.reset_pin(level))
        reader = mfrc522.Mfrc522(SPI(2, baudrate=4_000_000), Pin(_CS, Pin.OUT, value=1), Pin(_RST, Pin.OUT, value=0))
        self.cards = iso14443a.Iso14443a(reader, _POLL_MS, held)
        self.held = held
        self.credential = Credential()
        self.prover = Ev2(reader, [(1, 3, _MASTER)], _NTAG424)
        self.longer_ms = sleep_ms
        for module in (iso14443a, mfrc522, mfrc522_start):
            module.ticks_ms = clock.ticks_ms
            module.ticks_add = clock.ticks_add
            module.ticks_diff = clock.ticks_diff
            module.sleep_ms = self.sleep_ms
        isodep.sleep_ms = self.sleep_longer_ms if sleep_ms else self.sleep_ms

    def sleep_ms(self, delay_ms):
        """As asyncio's: until the millisecond ticks have moved on by delay_ms."""
        clock.sleep_us(delay_ms * 1000 - clock.now_us() % 1000)
        clock.turn()
        return iter((None,))

    def sleep_longer_ms(self, delay_ms):
        return self.sleep_ms(max(delay_ms, self.longer_ms))

    def run(self, awaitable):
        try:
            while True:
                if hasattr(awaitable, "send"):
                    awaitable.send(None)
                else:
                    awaitable.__next__()
        except StopIteration as stop:
            return stop.value

    def look(self):
        """One find(); the moment at which it began and what it gave."""
        begin_us = clock.now_us()
        return begin_us, self.run(self.cards.find(self.credential.uid))

    def tap(self, card):
        """Microseconds from the look that sees the card to its proof."""
        clock.at_us(clock.now_us() + random.randrange((_POLL_MS + 5) * 1000), self.chip.field.put, card)
        clock.sleep_us(random.randrange(1000))  # or all looks would begin at the same moment of a tick
        length = 0
        while not length:
            begin_us, length = self.look()
            if not length:
                clock.sleep_us(_POLL_MS * 1000)
        self.credential.show(_NTAG424, length)
        if not self.held and not self.run(self.cards.select(self.credential.uid, length)):
            raise RuntimeError("the card was not selected again")
        if self.run(self.prover.prove(self.credential)) != _PROVEN:
            raise RuntimeError("the card was not proven")
        spent_us = clock.now_us() - begin_us
        self.cards.lost()
        self.chip.field.remove()
        while self.cards.present:
            self.look()
            clock.sleep_us(_POLL_MS * 1000)
        return spent_us


def main(runs, seed, sleep_ms, held, busy_us):
    random.seed(seed)
    door = Door(sleep_ms, bool(held))
    door.run(door.cards.start())
    card = Ntag424(_UID, busy_us=busy_us)
    card.set_key(3, cmac(_MASTER, b"\x01" + _UID + b"\x01\x00\x00menwei\x03"))
    spent = sorted([door.tap(card) for _ in range(runs)])
    print(json.dumps({"mean": sum(spent) / runs / 1000, "p99": spent[runs * 99 // 100] / 1000}))


main(*[int(argument) for argument in sys.argv[1:]])
