"""What the reader costs: bus, loop, time and memory. Runs on MicroPython in a scratch folder.

    micropython reader_door.py bus          # chip selects and bytes with the answer ready at the first status poll
    micropython reader_door.py time SEED TRIALS      # on the simulated board, virtual clock, 80 us a call of SPI

Prints one JSON object in its last line.
"""

import asyncio
import gc
import json
import random
import sys

from drivers import iso14443a, mfrc522, mfrc522_start
from drivers.iso14443a import Iso14443a
from drivers.mfrc522 import Mfrc522

NOT_A_DOORS = ("field", "uid")  # attributes of models, though modules of a door have some of the same name
_CALL_US = 80
_CARDS = {
    4: (b"\x04\x00", b"\x9c\x59\x9b\x32\x6c", b"\x08\xb6\xdd"),
    7: (b"\x44\x00", b"\x88\x04\xf2\x52\x2c", b"\x04\xda\x17", b"\xb1\xec\x02\x80\xdf", b"\x00\xfe\x51"),
}


class Bus:
    """SPI, pins and a chip whose answers are ready at once. Counts, and leaves no garbage."""

    def __init__(self):
        self.selects = self.bytes = 0
        self.answers = ()
        self.at = 0
        self.pattern = b""

    def init(self, baudrate):
        pass

    def cs(self, level):
        if not level:
            self.selects += 1

    def rst(self, level):
        pass

    def write(self, data):
        self.bytes += len(data)
        if data[0] == 0x12:
            self.pattern = data

    def write_readinto(self, data, into):
        self.bytes += len(data)
        there = self.at < len(self.answers)
        if data[0] == 0x88:
            into[1] = 0x64 if there else 0x45
            into[2] = 0
            into[3] = len(self.answers[self.at]) if there else 0
            into[4] = 0x10
        elif data[0] == 0x92:
            answer = self.pattern
            start = 0
            if there:
                answer = self.answers[self.at]
                start = 1
                self.at += 1
            index = 1
            while index < len(into):
                into[index] = answer[index - start]
                index += 1
        else:
            into[1] = 0x92 if data[0] == 0xEE else 0


def counted(length):
    """Chip selects, bytes and allocated bytes of one look, after others before it; length 0: nobody is there."""
    bus = Bus()
    cards = Iso14443a(Mfrc522(bus, bus.cs, bus.rst))
    uid = bytearray(10)
    figures = [0, 0, 0]

    async def main():
        await cards.start()
        for _ in range(3 if length else 1):
            if length:
                # read once, gone again
                bus.at = 0
                bus.answers = _CARDS[length]
                if await cards.find(uid) != length:
                    raise RuntimeError("the card is not read")
                bus.answers = ()
            while cards.present:
                await cards.find(uid)
        await cards.find(uid)
        bus.at = 0
        if length:
            bus.answers = _CARDS[length]
        gc.collect()
        selects, count, allocated = bus.selects, bus.bytes, gc.mem_alloc()
        found = await cards.find(uid)
        figures[2] = gc.mem_alloc() - allocated
        figures[0] = bus.selects - selects
        figures[1] = bus.bytes - count
        if found != length:
            raise RuntimeError("%d instead of %d" % (found, length))

    asyncio.run(main())
    return figures


def bus():
    """Figures of the bus."""
    four, seven, idle = counted(4), counted(7), counted(0)
    return {
        "uid4.cs": four[0],
        "uid4.bytes": four[1],
        "uid7.cs": seven[0],
        "uid7.bytes": seven[1],
        "alloc_bytes": max(four[2], seven[2], idle[2]),
    }


def timed(seed, trials):
    """On the simulated board: what an idle look costs and blocks, and the time from a card to its UID."""
    from boards.sim import clock, pins, spibus
    from boards.sim.cards import Card
    from boards.sim.mfrc522_chip import Mfrc522Chip
    from machine import SPI, Pin

    random.seed(seed)
    clock.setup("virtual", seed % 1000)
    spibus.call_us = _CALL_US
    chip = Mfrc522Chip(clock)
    spibus.attach(16, chip)
    pins.on_change(17, lambda _pin, level: chip.reset_pin(level))
    blocked = [0, clock.now_us()]

    def sleep_ms(delay_ms):
        blocked[0] = max(blocked[0], clock.now_us() - blocked[1])
        clock.sleep_us(delay_ms * 1000 - clock.now_us() % 1000)
        blocked[1] = clock.now_us()
        return iter((None,))

    for module in (iso14443a, mfrc522, mfrc522_start):
        module.ticks_ms = clock.ticks_ms
        module.ticks_add = clock.ticks_add
        module.ticks_diff = clock.ticks_diff
        module.sleep_ms = sleep_ms
    reader = Mfrc522(SPI(2, baudrate=4_000_000), Pin(16, Pin.OUT, value=1), Pin(17, Pin.OUT, value=0))
    cards = Iso14443a(reader)
    uid = bytearray(10)

    coroutine = cards.start()
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass

    def look():
        blocked[1] = clock.now_us()
        search = cards.find(uid)
        while True:
            try:
                search.__next__()
            except StopIteration as stop:
                blocked[0] = max(blocked[0], clock.now_us() - blocked[1])
                return stop.value

    def pause():
        clock.sleep_us(cards.poll_ms * 1000 - clock.now_us() % 1000)

    look()
    pause()
    blocked[0] = worst = 0
    for _ in range(50):
        before = chip.cs_cycles
        look()
        worst = max(worst, chip.cs_cycles - before)
        pause()
    result = {"idle.cs": worst, "idle.block_ms": blocked[0] / 1000}
    spent = []
    for trial in range(trials):
        length = 7 if trial & 1 else 4
        card = Card(bytes([0x04] + [random.getrandbits(7) for _ in range(length - 1)]))
        begin_us = clock.now_us() + 1 + random.randrange(40_000)
        clock.at_us(begin_us, chip.field.put, card)
        while not look():
            pause()
        spent.append(clock.now_us() - begin_us)
        if bytes(uid[:length]) != card.uid:
            raise RuntimeError("a wrong UID")
        chip.field.remove()
        while cards.present:
            pause()
            look()
        pause()
    spent.sort()
    result["detect_ms.mean"] = sum(spent) / len(spent) / 1000
    result["detect_ms.p99"] = spent[len(spent) * 99 // 100] / 1000
    return result


if sys.argv[1] == "bus":
    print(json.dumps(bus()))
else:
    print(json.dumps(timed(int(sys.argv[2]), int(sys.argv[3]))))
