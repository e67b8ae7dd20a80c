"""Bring an MFRC522 up: reset by stages, proof that it can be written and read, settings. Used by drivers/mfrc522.py.

    await start(chip, 3)

Needed at start and after a fault only; who minds memory drops the module afterwards.
"""

from asyncio import sleep_ms
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from drivers.iso14443a import ReaderFault

_COMMAND = const(0x01 << 1)
_RF_CFG = const(0x26 << 1)
_VERSION = const(0x37 << 1)
_POWER_DOWN = const(0x10)  # in CommandReg, while the oscillator starts, 8.6.2

_RESET_MS = const(3)
_OFF_MS = const(100)  # without supply: what the board's capacitors hold must be gone
_SUPPLY_MS = const(10)
_WAKE_MS = const(60)  # oscillator start-up; ready boards take 1 to 10 ms, slow crystals up to 50
_FIELD_ON_MS = const(7)
_SLOW = const(1_000_000)  # SPI clock that any wiring carries
_TRIALS = const(8)  # of a faster one

_SOFT_RESET = const(b"\x02\x0f")
_FLUSH = const(b"\x14\x80")  # FIFOLevelReg: FlushBuffer
_PATTERN = const(b"\x12\x5a\x00\xff\xa5\x3c")  # to the FIFO: no bus that is stuck can send it back

# Register and value, what differs from the reset values
_SETTINGS = const(
    b"\x02\x00"  # CommandReg: the receiver is not switched off
    b"\x24\x00"  # TxModeReg, RxModeReg: 106 kbit/s, CRC by software
    b"\x26\x00"
    b"\x2a\x40"  # TxASKReg: Force100ASK
    b"\x22\x3d"  # ModeReg: CRC preset 6363h
    b"\x54\x80"  # TModeReg: TAuto, the timer runs from the end of sending to the fifth bit received
    b"\x56\xa9"  # TPrescalerReg 169: 25 us
)

_DEAD = "Reader does not answer: check its power, wiring and reset pin, then start it again."


async def start(chip, stage):
    """See Mfrc522.start."""
    cs = chip._cs
    rst = chip._rst
    cs(1)
    if stage > 3 and chip.power is not None:
        if rst is not None:
            rst(0)
        cs(0)  # a high line would feed the chip
        chip.power(0)
        await sleep_ms(_OFF_MS)
        chip.power(1)
        cs(1)
        await sleep_ms(_SUPPLY_MS)
    if stage > 2:
        _speed(chip, min(chip._wanted, _SLOW))
    if stage > 1 and rst is not None:
        rst(0)  # explicitly: a floating pin is power-down
        await sleep_ms(_RESET_MS)
        rst(1)
        await _awake(chip)
    chip._put(_SOFT_RESET)
    await _awake(chip)
    chip._begin[1] = 0
    chip._timeout_us = 0
    chip.version = chip._read(_VERSION)
    if chip.version == 0x00 or chip.version == 0xFF or not _proven(chip):
        raise ReaderFault(_DEAD)
    for index in range(0, len(_SETTINGS), 2):
        chip._register(_SETTINGS[index], _SETTINGS[index + 1])
    chip._register(_RF_CFG, chip._gain)
    chip.field(True)
    await sleep_ms(_FIELD_ON_MS)
    if chip.baudrate < chip._wanted:
        _speed(chip, chip._wanted)
        for _ in range(_TRIALS):
            if not _proven(chip):
                _speed(chip, _SLOW)
                break


def _speed(chip, baudrate):
    chip.baudrate = baudrate
    chip._clock(baudrate=baudrate)


async def _awake(chip):
    deadline = ticks_add(ticks_ms(), _WAKE_MS)
    while True:
        await sleep_ms(2)
        if not chip._read(_COMMAND) & _POWER_DOWN:
            return
        if ticks_diff(ticks_ms(), deadline) > 0:
            raise ReaderFault(_DEAD)


def _proven(chip):
    """Write the FIFO and read it back. A version number alone proves nothing, and clones have many."""
    frame = chip.frame
    chip._put(_FLUSH)
    chip._put(_PATTERN)
    count = len(_PATTERN) - 1
    chip._take(count)
    while count and frame[count] == _PATTERN[count]:
        count -= 1
    return not count
