"""A board in desk mode on the unix port: simulated chip and cards, serial port on stdin and stdout, real time.

    micropython -X heapsize=220wK desk_world.py ntag424:04112233445566 [uid:9c599b32 ...] [leave=N] [prove=FILE]

After `end` the card is shown to a door's provers with the card_keys of FILE, written as for provision.json.

All cards of the command line lie on the reader. With `leave` the first one is taken away when the N-th frame after its
first one in a session goes out, and comes back soon after; it holds what it held.
"""

import sys

from boards.sim.start import install

install()

import asyncio
import json
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


_AWAY_MS = 400


class Hand:
    """Takes a card away in the middle of its exchanges, once."""

    def __init__(self, reader, field, card, after):
        self._field = field
        self._card = card
        self._left = after
        for name in ("send", "authenticate"):
            setattr(reader, name, self.wrapped(getattr(reader, name)))

    def wrapped(self, method):
        def call(*arguments):
            # Frames of find() and select() are short: only what carries a command counts
            if arguments[0] > 2:
                self._left -= 1
                if not self._left:
                    self._field.remove(self._card)
                    asyncio.create_task(self.back())
            return method(*arguments)

        return call

    async def back(self):
        await asyncio.sleep_ms(_AWAY_MS)
        self._field.put(self._card)


KINDS = ("uid", "classic", "ntag424", "desfire")


async def prove(reader, path):
    """What a door that holds these keys makes of the card; printed as a line."""
    from drivers.classic import Classic
    from drivers.credential import Credential
    from drivers.ev2 import Ev2

    with open(path) as file:
        entries = json.load(file)["card_keys"]
    kind = KINDS.index(entries[0][0]) + 1
    keys = [(version, number, unhexlify(key)) for _, version, number, key in entries]
    cards = Iso14443a(reader, 10, True)
    prover = Classic(cards, keys) if KINDS[kind - 1] == "classic" else Ev2(reader, keys, kind)
    credential = Credential()
    for _ in range(3):
        reader.field(False)
        await asyncio.sleep_ms(10)
        reader.field(True)
        cards = prover._cards = Iso14443a(reader, 10, True)
        uid = bytearray(10)
        length = 0
        while not length:
            length = await cards.find(uid)
        credential.uid[:10] = uid
        credential.show(kind, length)
        proof = await prover.prove(credential)
        print("door: proof %d version %d counter %d" % (proof, credential.version, credential.counter))


def main(words):
    leave = 0
    keys = None
    if words and words[-1].startswith("prove="):
        keys = words.pop()[6:]
    if words and words[-1].startswith("leave="):
        leave = int(words.pop()[6:])
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
    if leave:
        Hand(reader, chip.field, chip.field.cards[0], leave)
    print("I boot: a line of the board's log")
    asyncio.run(desk.run(reader, board.BOARD))
    if keys:
        asyncio.run(prove(reader, keys))


main(sys.argv[1:])
