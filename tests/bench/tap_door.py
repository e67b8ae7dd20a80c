"""Taps at a whole door on the simulated board, in virtual time: flash operations and time from field to relay.

    micropython tap_door.py ours TAPS SEED TURN_US JUDGE_US       # the firmware, all of its tasks
    micropython tap_door.py naive TAPS SEED CARDS       # what is often seen

Each call of the SPI costs 80 µs, flash and air what their models say. Interpreter time is charged: TURN_US for each
turn of the event loop, JUDGE_US for what lies between a UID and the relay, once a tap (tests/bench/bench_tap.py tells
how they were found). The naive door looks for a card every 100 ms, has a JSON file for each card on LittleFS, and
appends a line to a file there before it switches the relay; its computing costs nothing.
Prints one JSON object in its last line.
"""

import sys

from boards.sim.start import install

install()

import asyncio
import json
import os
import random

import board
import machine
import network
from boards.sim import clock, pins, power, spibus, world

NOT_A_DOORS = ("field", "reads", "programs", "erases")  # attributes of models, though a door may have some of the same
_CALL_US = 80
_UNIX_S = 1_793_664_000
_NOW_S = 216_000_000  # of the door's clock, seconds since 2020
_USES = 10
_OPEN_S = 1
_POLL_MS = 100


class Taps:
    """Holds cards to the reader at random moments and notes what happened until the relay."""

    def __init__(self):
        self.relay_us = 0
        self.spent_us = []
        self.reads = []
        self.programs = []
        self.erases = []
        pins.on_change(board.PIN_RELAY, self.relay)

    def relay(self, _pin, level):
        """The relay: what flash did until now is what the tap took."""
        if level and not self.relay_us:
            self.relay_us = clock.now_us()
            flash = world.flash
            self.counted = flash.reads, flash.programs, flash.erases

    async def tap(self, uid):
        """One tap at a moment that no task knows; raises RuntimeError if it is not let in."""
        await asyncio.sleep_ms(random.randrange(11_000, 16_000))
        begin_us = clock.now_us() + random.randrange(200_000)
        flash = world.flash
        before = [0, 0, 0]
        self.relay_us = 0

        def put():
            before[:] = flash.reads, flash.programs, flash.erases
            world.put_card(uid)

        clock.at_us(begin_us, put)
        for _ in range(200):
            await asyncio.sleep_ms(10)
            if self.relay_us:
                break
        else:
            raise RuntimeError("the card was not let in")
        self.spent_us.append(self.relay_us - begin_us)
        for figures, now, then in zip((self.reads, self.programs, self.erases), self.counted, before):
            figures.append(now - then)
        world.take_card()
        await asyncio.sleep_ms(_OPEN_S * 1000 + 500)

    def result(self):
        """The figures."""
        spent = sorted(self.spent_us)
        return {
            "reads": max(self.reads),
            "programs": max(self.programs),
            "erases": max(self.erases),
            "reads_mean": sum(self.reads) / len(self.reads),
            "mean": sum(spent) / len(spent) / 1000,
            "p99": spent[len(spent) * 99 // 100] / 1000,
            "most": spent[-1] / 1000,
        }


def start(seed, settings):
    """Power on."""
    random.seed(seed)
    spibus.call_us = _CALL_US
    power.switch_on("flash.img", "world.json", "virtual", _UNIX_S, seed)
    pins.reset("power_on")
    network.set_network(False)
    with open("provision", "w") as file:
        json.dump(
            {
                "door_key": "11" * 32,
                "journal_key": "22" * 16,
                "journal_epoch": "01020304",
                "wifi_secret": "secret",
                "settings": settings,
            },
            file,
        )
    power.mount("provision")


def uids(count):
    """Cards with UIDs of 4 and of 7 bytes, in turn."""
    return [
        "".join("%02x" % byte for byte in [0x04] + [random.getrandbits(7) for _ in range(3 + 3 * (number & 1))])
        for number in range(count)
    ]


def charged(function, cost_us):
    """A method that takes the interpreter so long."""

    def call(*arguments):
        clock.charge_us(cost_us)
        return function(*arguments)

    return call


async def ours(taps, count, turn_us, judge_us):
    """The firmware with all of its tasks; every fourth card is a visitor's with uses."""
    from firmware import assembly

    service = assembly.build()
    service.log.write = len  # 150 lines say the same
    clock.turn_us = turn_us
    passage = service.passage
    passage.present = charged(passage.present, judge_us)
    service.clock.synchronise(_NOW_S, service.uptime.seconds)
    cards = uids(40)
    for number, uid in enumerate(cards):
        uid_bytes = bytes.fromhex(uid)
        credential = passage.credential
        credential.uid[: len(uid_bytes)] = uid_bytes
        passage.recognise(len(uid_bytes), 0)
        visitor = number % 4 == 3
        until_min = _NOW_S // 60 + 100_000
        service.allowlist.put(passage.pseudonym, 0, until_min, int(visitor), 0, _USES if visitor else 0)
    asyncio.create_task(service.run())
    await asyncio.sleep_ms(120_000)  # the list is surveyed, the first self-test over
    left = [_USES if number % 4 == 3 else count for number in range(len(cards))]
    for _ in range(count):
        number = random.randrange(len(cards))
        while not left[number]:
            number = random.randrange(len(cards))
        left[number] -= 1
        await taps.tap(cards[number])


async def naive(taps, count, files):
    """What is often seen, with our own driver of the reader: that is not what is compared."""
    from drivers.iso14443a import Iso14443a
    from drivers.mfrc522 import Mfrc522

    relay = machine.Pin(board.PIN_RELAY, machine.Pin.OUT, value=0)
    chip = Mfrc522(
        machine.SPI(board.SPI_ID, baudrate=board.SPI_BAUD),
        machine.Pin(board.PIN_READER_CS, machine.Pin.OUT, value=1),
        machine.Pin(board.PIN_READER_RST, machine.Pin.OUT, value=0),
    )
    reader = Iso14443a(chip)
    cards = uids(files)
    os.mkdir(board.ROOT + "/cards")
    for uid in cards:
        with open("%s/cards/%s.json" % (board.ROOT, uid), "w") as file:
            json.dump({"from": 0, "until": 4_000_000, "group": 0}, file)

    async def serve():
        uid = bytearray(10)
        await reader.start()
        log = open(board.ROOT + "/log.txt", "ab")
        while True:
            length = await reader.find(uid)
            if length > 0:
                name = "".join("%02x" % byte for byte in uid[:length])
                with open("%s/cards/%s.json" % (board.ROOT, name)) as file:
                    entry = json.load(file)
                if entry["until"] > 3_600_000:
                    log.write(b"12345678 2026-03-01 granted 3  \n")
                    log.flush()
                    relay(1)
                    await asyncio.sleep_ms(_OPEN_S * 1000)
                    relay(0)
            await asyncio.sleep_ms(_POLL_MS)

    asyncio.create_task(serve())
    for _ in range(count):
        await taps.tap(random.choice(cards))


what, count, seed, *numbers = sys.argv[1:]
start(int(seed), {"site": "bench", "door": "one", "open_s": _OPEN_S})
held = Taps()
main = ours if what == "ours" else naive
asyncio.run(main(held, int(count), *[int(number) for number in numbers]))
print(json.dumps(held.result()))
