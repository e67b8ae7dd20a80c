"""The reader: bus traffic, time from a card to its UID, memory.

The alternative is `mfrc522` from PyPI, the driver that most others are copies of, run here against the same chip model:
REQA, anticollision and SELECT as its own read_id does them, answers ready at the first status poll; and one request
while nobody is there. It cuts a 7-byte UID after the first level, and allocates on CPython, so for these two figures
what was published for its MicroPython kind stands beside ours.
"""

import sys
import types

from boards.sim.cards import Card
from boards.sim.mfrc522_chip import Mfrc522Chip
from tests.bench.unix_port import run_all

SEED = 1
TRIALS = 1_200
CALL_US = 80

# Published for the known MicroPython driver, not measured here: chip selects, bytes, bytes of garbage a read
UID7_PUBLISHED = (144, 288)
GARBAGE_PUBLISHED = 6_600


class Wire:
    """spidev and the chip's clock in one."""

    max_speed_hz = 0

    def __init__(self):
        self.us = 0
        self.ready = False  # everything has happened before the chip is asked
        self.chip = Mfrc522Chip(self)

    def now_us(self):
        return self.us

    def open(self, _bus, _device):
        pass

    def xfer2(self, data):
        self.us += CALL_US
        if self.ready and data[0] == 0x88:  # ComIrqReg
            self.us += 3_000
        self.chip.select()
        heard = [self.chip.exchange(byte) for byte in data]
        self.chip.deselect()
        return heard


def public_driver():
    """Return chip selects and bytes of reading a 4-byte UID, chip selects of an idle look and its ms."""
    wire = Wire()
    wire.chip.reset_pin(0)
    wire.chip.reset_pin(1)
    wire.us += 10_000
    gpio = types.ModuleType("RPi.GPIO")
    gpio.getmode = lambda: None
    gpio.setmode = gpio.setup = gpio.output = lambda *_arguments: None
    gpio.OUT = 0
    package = types.ModuleType("RPi")
    package.GPIO = gpio
    spidev = types.ModuleType("spidev")
    spidev.SpiDev = lambda: wire
    mine = {"RPi": package, "RPi.GPIO": gpio, "spidev": spidev}
    before = {name: sys.modules.get(name) for name in mine}
    sys.modules.update(mine)
    try:
        from mfrc522 import MFRC522
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.update({name: module})
    reader = MFRC522()
    wire.us += 10_000
    chip = wire.chip
    selects, since = chip.cs_cycles, wire.us
    reader.MFRC522_Request(reader.PICC_REQIDL)
    idle = chip.cs_cycles - selects, (wire.us - since) / 1000
    chip.field.put(Card(b"\x9c\x59\x9b\x32"))
    wire.us += 10_000
    wire.ready = True
    selects, count = chip.cs_cycles, chip.bytes
    status, _ = reader.MFRC522_Request(reader.PICC_REQIDL)
    status_uid, uid = reader.MFRC522_Anticoll()
    reader.MFRC522_SelectTag(uid)
    if (status, status_uid, bytes(uid[:4])) != (reader.MI_OK, reader.MI_OK, b"\x9c\x59\x9b\x32"):
        raise RuntimeError(f"the public driver reads nothing: {status} {status_uid} {uid}")
    return chip.cs_cycles - selects, chip.bytes - count, *idle


def measure():
    """Return the figures."""
    bus, timed = run_all(("reader_door.py", "bus"), ("reader_door.py", "time", SEED, TRIALS))
    selects, count, idle, block_ms = public_driver()
    return {
        "reader.uid4.cs": (bus["uid4.cs"], selects),
        "reader.uid4.bytes": (bus["uid4.bytes"], count),
        "reader.uid7.cs": (bus["uid7.cs"], UID7_PUBLISHED[0]),
        "reader.uid7.bytes": (bus["uid7.bytes"], UID7_PUBLISHED[1]),
        "reader.idle.cs": (timed["idle.cs"], idle),
        "reader.idle.block_ms": (round(timed["idle.block_ms"], 3), round(block_ms, 3)),
        "reader.detect_ms.mean": (round(timed["detect_ms.mean"], 3), round(block_ms, 3)),
        "reader.detect_ms.p99": (round(timed["detect_ms.p99"], 3), round(block_ms, 3)),
        "reader.alloc_bytes": (bus["alloc_bytes"], GARBAGE_PUBLISHED),
    }
