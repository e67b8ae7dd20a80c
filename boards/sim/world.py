"""The one world of the process: flash, reader, door and network around the chip, and what of them outlives its power.

    power.switch_on("flash.img", "world.json")  # reads it and wires it
    world.save("power_on")  # why the chip will start next time

Flash bits lie in the flash file. The world file is JSON: the world's clock, the mechanics, the cards in somebody's
hand, battery-backed chips (`devices`), the reader's lasting faults, and why the chip starts next. A card with a memory
lies in a file of its own (`card_files.py`).
"""

import gc
import json
import os
from binascii import hexlify

import board
import machine
import network
from micropython import const

from boards.sim import card_files, clock, i2cbus, mfrc522_faults, pins, sockets, wiring
from boards.sim.norflash import PowerCut

_CRUMB = const(512)

flash = None
door = None  # the mechanics; None when they are a process of their own
chip = None  # the reader
devices = {}  # name: battery-backed chip with state() and load(dict, elapsed_us)

path = None  # of the world file
simulator_bytes = 0  # what the models take of the heap, and what keeps the firmware from having more than a chip has
ballast = []  # what keeps it from that
_cards = []  # (card, UID in hex or file, when it goes or None, event)


def save(kind):
    """Write the world file: whole or not at all."""
    kept = {
        "unix": clock.world_unix_s(),
        "first_unix": clock.world_unix_s() - clock.now_us() // 1000000,
        "t_us": clock.now_us(),
        "kind": kind,
        "chip_offset_us": clock.chip_offset_us,
        "memory": hexlify(machine.chip["memory"]).decode(),
        "net": network.network_is_there(),
        "cards": [entry[1:3] for entry in _cards],
        "faults": mfrc522_faults.kept(chip),
        "devices": {name: device.state() for name, device in devices.items()},
        "outs": [(pin, pins.chip_drives(pin)) for pin in range(40) if pins.chip_drives(pin) is not None],
    }
    for entry in _cards:
        card_files.save(*entry[:2])
    if door:
        kept["door"] = door.state()
    with open(path + ".new", "w") as file:
        json.dump(kept, file)
    os.rename(path + ".new", path)


def ended(_code, kind):
    """The chip stopped (clock.on_end)."""
    save(kind)


def power():
    """Once a turn of the event loop: lose power again if somebody caught the power cut on its way up."""
    if flash._off:
        raise PowerCut


def reader_reset(_pin, level):
    """Follow the wire to the reader's reset."""
    chip.reset_pin(level)


def reader_power(_pin, level):
    """Follow the switch of the reader's supply."""
    chip.power(level)


def fit_rtc():
    """Solder a DS3231 in; a chip that is there stays."""
    if "ds3231" not in devices:
        from boards.sim.ds3231 import ADDRESS, Ds3231

        devices["ds3231"] = Ds3231(clock.now_us)
        i2cbus.attach(ADDRESS, devices["ds3231"])


def work_rtc(words):
    """`fit`, or a fault of the clock chip: docs/simulator.md."""
    if words[0] == "fit":
        with _Ballast():
            fit_rtc()
    elif "ds3231" not in devices:
        raise ValueError("no clock chip is fitted: rtc fit")
    else:
        devices["ds3231"].fault(" ".join(words))


def restless():
    """Whether something moves or lies in the field."""
    return bool(_cards) or not door.at_rest()


def at_rest():
    """Whether the door is closed, and nothing that the chip drives is on: nobody waits for the firmware."""
    return door.secured() and not any(door.outputs.values())


# --- what people do ---


def put_card(name, until_us=None, further=False):
    """Hold a card (a UID in hex, or a file) to the reader, until then or until it is taken away.

    Unless it is a `further` one it takes the place of all that are there.
    """
    for entry in _cards:
        if entry[1] == name:
            further = further and take_card(name)  # the same card once more: its time begins anew
            break
    if not further:
        take_card()
    if card_files.is_file(name):
        with _Ballast():
            card = card_files.load(name)
    else:
        card = card_files.load(name)
    chip.field.put(card)
    clock.stir()
    event = clock.at_us(until_us, lambda: take_card(name)) if until_us is not None else None
    _cards.append((card, name, until_us, event))


def take_card(name=None):
    """Take a card away, or all of them; tell whether it was there."""
    found = False
    for entry in list(_cards):
        if name is None or entry[1] == name:
            clock.cancel(entry[3])
            _cards.remove(entry)
            chip.field.remove(entry[0])
            card_files.save(*entry[:2])
            clock.stir()
            found = True
    return found


def card(name=None):
    """Return the card of that name in the field, or the first one."""
    for entry in _cards:
        if name is None or entry[1] == name:
            return entry[0]
    raise ValueError("there is no card" + (" " + name if name else ""))


class _Ballast:
    """Models that are loaded late take the ballast's room, not the firmware's."""

    def __enter__(self):
        gc.collect()
        self.free = gc.mem_free()
        self.used = gc.mem_alloc()
        self.at_work = bool(ballast)
        ballast.clear()
        gc.collect()

    def __exit__(self, *_error):
        global simulator_bytes
        gc.collect()
        if self.at_work:
            fill(self.free)
        simulator_bytes += gc.mem_alloc() - self.used


def fill(free):
    """Occupy the heap until only `free` bytes are left."""
    size = gc.mem_free() - free
    while size >= _CRUMB:
        try:
            ballast.append(bytearray(min(size, gc.mem_free() - free)))
        except (MemoryError, ValueError):
            size >>= 1
        size = min(size, gc.mem_free() - free)
    gc.collect()


def state():
    """What an onlooker sees: name and value after name and value, so that a nearly full heap can still tell."""
    gc.collect()
    yield "heap", gc.mem_alloc() - simulator_bytes
    yield "heap_free", gc.mem_free()
    yield "unix", clock.world_unix_s()
    yield "t_us", clock.now_us()
    yield "card", _cards[0][1] if _cards else None
    yield "cards", [entry[1] for entry in _cards]
    yield "net", int(network.network_is_there())
    yield "link", int(sockets.linked)
    yield (
        "flash",
        {
            "reads": flash.reads,
            "programs": flash.programs,
            "erases": flash.erases,
            "bytes_read": flash.bytes_read,
            "bytes_programmed": flash.bytes_programmed,
        },
    )
    for name in wiring.OUTPUTS:
        yield name, pins.level(wiring.pin_of(board, name))
    if door:
        for name, value in door.state().items():
            if name not in wiring.OUTPUTS:
                yield name, value
