"""A board in desk mode on the unix port: simulated chip and cards, serial port on stdin and stdout, real time.

    micropython -X heapsize=160wK desk_world.py ntag424:04112233445566 [uid:9c599b32 ...]

All cards of the command line lie on the reader. SIGINT is not needed: the end of stdin ends it.
"""

import sys

from boards.sim.start import install

install()

import asyncio
from binascii import unhexlify

import board
import machine

from boards.sim import clock, pins, spibus
from boards.sim.cards import Card
from boards.sim.mfrc522_chip import Mfrc522Chip
from drivers.iso14443a import Iso14443a
from drivers.mfrc522 import Mfrc522
from firmware import desk


def card(text):
    kind, _, uid = text.partition(":")
    uid = unhexlify(uid)
    if kind == "ntag424":
        from boards.sim.ntag424 import Ntag424

        return Ntag424(uid)
    if kind == "desfire":
        from boards.sim.desfire import Desfire

        return Desfire(uid)
    if kind in ("classic", "magic"):
        from boards.sim.classic import Classic

        return Classic(uid, magic="gen1a" if kind == "magic" else None)
    return Card(uid)


def main(words):
    clock.setup("real")
    chip = Mfrc522Chip(clock)
    pins.external_pull(board.PIN_READER_CS, 1)
    pins.external_pull(board.PIN_READER_RST, 0)
    spibus.attach(board.PIN_READER_CS, chip)
    chip.reset_pin(pins.level(board.PIN_READER_RST))
    pins.on_change(board.PIN_READER_RST, lambda _pin, level: chip.reset_pin(level))
    for word in words:
        chip.field.put(card(word))
    spi = machine.SPI(
        board.SPI_ID,
        baudrate=board.SPI_BAUD,
        sck=machine.Pin(board.PIN_SCK),
        mosi=machine.Pin(board.PIN_MOSI),
        miso=machine.Pin(board.PIN_MISO),
    )
    reader = Mfrc522(
        spi,
        machine.Pin(board.PIN_READER_CS, machine.Pin.OUT, value=1),
        machine.Pin(board.PIN_READER_RST, machine.Pin.OUT, value=0),
    )
    print("I boot: a line of the board's log")
    asyncio.run(desk.run(Iso14443a(reader, 10), reader, board.BOARD))


main(sys.argv[1:])
