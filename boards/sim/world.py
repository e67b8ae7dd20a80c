"""The one world of the process: flash, reader, door and network around the chip, and what of them outlives its power.

    world.open_world("flash.img", "world.json", mode="virtual")
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

from boards.sim import clock, pins, sockets, spibus, wiring
from boards.sim.cards import Card
from boards.sim.mechanics import Door
from boards.sim.mfrc522_chip import Mfrc522Chip
from boards.sim.norflash import NorFlash

flash = None
door = None  # the mechanics; None when they are a process of their own
chip = None  # the reader
devices = {}  # name: battery-backed chip with state() and load(dict, elapsed_us)

_path = None
_card = None  # (card, UID in hex, when it goes or None, event)


def open_world(flash_path, world_path, mode="virtual", unix_s=None, seed=0, with_door=True):
    """Read or make a world and wire it; the chip has not started yet. Return why it will."""
    global flash, door, chip, _path, _card
    _path = world_path
    kept = _read(world_path)
    if unix_s is None:
        unix_s = kept["unix"] if kept else 1767225600
    start_us = elapsed_us = 0
    if kept:
        elapsed_us = max(0, unix_s - kept["unix"]) * 1000000
        start_us = kept["t_us"] + elapsed_us
    first_unix_s = kept["first_unix"] if kept else unix_s
    clock.setup(mode, start_us, first_unix_s)
    flash = NorFlash(flash_path, board.FLASH_SIZE)
    pins.external_pull(board.PIN_READER_CS, 1)
    pins.external_pull(board.PIN_READER_RST, 0)
    chip = Mfrc522Chip(clock)
    spibus.attach(board.PIN_READER_CS, chip)
    chip.reset_pin(pins.level(board.PIN_READER_RST))
    pins.on_change(board.PIN_READER_RST, _reader_reset)
    if with_door:
        door = Door(fail_safe=board.LOCK_FAIL_SAFE, seed=seed)
        wiring.wire(door, board, pins)
        clock.restless = _restless
    clock.on_end = _on_end
    kind = "power_on"
    sockets.linked = False
    if kept:
        kind = kept["kind"]
        network.set_network(kept["net"])
        if door and "door" in kept:
            door.load(kept["door"], elapsed_us)
        for name, device in devices.items():
            if name in kept["devices"]:
                device.load(kept["devices"][name], elapsed_us)
        if kept["card"]:
            uid, until_us = kept["card"]
            if until_us is None or until_us > start_us:
                put_card(uid, until_us)
    if kind != "power_on":  # the RTC has run on
        clock.set_chip_time_us(start_us + kept["chip_offset_us"])
        machine.chip["memory"] = unhexlify(kept["memory"])
    if kind == "soft":
        for pin, level in kept["outs"]:
            pins.chip_out(pin, level)
    machine.chip["kind"] = kind
    return kind


def _read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:
        return None
    except ValueError:
        raise OSError("the world file %s is damaged: remove it to begin with a new world" % path) from None


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
    with open(_path + ".new", "w") as file:
        json.dump(kept, file)
    os.rename(_path + ".new", _path)


def _on_end(code, kind):
    save(kind)


def _reader_reset(_pin, level):
    chip.reset_pin(level)


def _restless():
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
    """What an onlooker sees, for JSON."""
    shown = {
        "unix": clock.world_unix_s(),
        "t_us": clock.now_us(),
        "card": _card and _card[1],
        "net": int(network.network_is_there()),
        "link": int(sockets.linked),
        "flash": {
            "reads": flash.reads,
            "programs": flash.programs,
            "erases": flash.erases,
            "bytes_read": flash.bytes_read,
            "bytes_programmed": flash.bytes_programmed,
        },
        "heap": gc.mem_alloc(),
        "heap_free": gc.mem_free(),
    }
    if door:
        shown.update(door.state())
    for name in wiring.OUTPUTS:
        shown[name] = pins.level(wiring.pin_of(board, name))
    return shown
