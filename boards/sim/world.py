"""The one world of the process: flash, reader, door and network around the chip, and what of them outlives its power.

    power.switch_on("flash.img", "world.json")  # reads it and wires it
    world.save("power_on")  # why the chip will start next time

Flash bits lie in the flash file. The world file is JSON: the world's clock, the mechanics, the card in somebody's hand,
battery-backed chips (`devices`), and why the chip starts next.
"""

import gc
import json
import os
from binascii import hexlify, unhexlify

import board
import machine
import network

from boards.sim import clock, pins, sockets, wiring
from boards.sim.cards import Card
from boards.sim.norflash import PowerCut

flash = None
door = None  # the mechanics; None when they are a process of their own
chip = None  # the reader
devices = {}  # name: battery-backed chip with state() and load(dict, elapsed_us)

path = None  # of the world file
simulator_bytes = 0  # what the models take of the heap, and what keeps the firmware from having more than a chip has
_card = None  # (card, UID in hex, when it goes or None, event)


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
        "card": _card and _card[1:3],
        "devices": {name: device.state() for name, device in devices.items()},
        "outs": [(pin, pins.chip_drives(pin)) for pin in range(40) if pins.chip_drives(pin) is not None],
    }
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


def restless():
    """Whether something moves or lies in the field."""
    return _card is not None or not door.at_rest()


# --- what people do ---


def put_card(uid_hex, until_us=None):
    """Hold a card to the reader, until then or until it is taken away."""
    global _card
    card = Card(unhexlify(uid_hex))
    take_card()
    chip.field.put(card)
    clock.stir()
    _card = (card, uid_hex, until_us, clock.at_us(until_us, take_card) if until_us is not None else None)


def take_card():
    """Take the card away."""
    global _card
    if _card is not None:
        clock.cancel(_card[3])
        _card = None
        chip.field.remove()
        clock.stir()


def state():
    """What an onlooker sees: name and value after name and value, so that a nearly full heap can still tell."""
    gc.collect()
    yield "heap", gc.mem_alloc() - simulator_bytes
    yield "heap_free", gc.mem_free()
    yield "unix", clock.world_unix_s()
    yield "t_us", clock.now_us()
    yield "card", _card and _card[1]
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
