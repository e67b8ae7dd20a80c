"""Power comes: read or make the world, wire it to the chip's pins, mount its file system. Dropped again afterwards.

kind = power.switch_on("flash.img", "world.json")  # why the chip starts
power.mount("flash.img.provision")
"""

import gc
import json
import os
from binascii import unhexlify

import board
import esp32
import machine
import network
from micropython import const

from boards.sim import clock, mfrc522_faults, pins, sockets, spibus, wiring, world
from boards.sim.mechanics import Door
from boards.sim.mfrc522_chip import Mfrc522Chip
from boards.sim.norflash import NorFlash

_FIRST_UNIX_S = const(1767225600)
_NAMES = const(600)
_CHIP_HEAP = const(196608)  # 96 KB of a chip with 32 bits, in words of 64
_ENOENT = const(2)


def switch_on(flash_path, world_path, mode="virtual", unix_s=None, seed=0, with_door=True):
    """Read or make a world and wire it; the chip has not started yet. Return why it will."""
    world.path = world_path
    kept = _read(world_path)
    if unix_s is None:
        unix_s = kept["unix"] if kept else _FIRST_UNIX_S
    start_us = elapsed_us = 0
    if kept:
        elapsed_us = max(0, unix_s - kept["unix"]) * 1000000
        start_us = kept["t_us"] + elapsed_us
    clock.setup(mode, start_us, kept["first_unix"] if kept else unix_s)
    world.flash = NorFlash(flash_path, board.FLASH_SIZE)
    pins.external_pull(board.PIN_READER_CS, 1)
    pins.external_pull(board.PIN_READER_RST, 0)
    world.chip = Mfrc522Chip(clock)
    world.chip.bus = spibus
    spibus.attach(board.PIN_READER_CS, world.chip)
    world.chip.reset_pin(pins.level(board.PIN_READER_RST))
    pins.on_change(board.PIN_READER_RST, world.reader_reset)
    power_pin = wiring.pin_of(board, "reader_power")
    if power_pin is not None:
        pins.external_pull(power_pin, 1)
        pins.on_change(power_pin, world.reader_power)
    if with_door:
        world.door = Door(fail_safe=board.LOCK_FAIL_SAFE, seed=seed)
        wiring.wire(world.door, board, pins)
        clock.restless = world.restless
        clock.at_rest = world.at_rest
    clock.on_end = world.ended
    clock.on_turn = world.power
    sockets.linked = False
    machine.chip["kind"] = "power_on"
    if kept:
        _restore(kept, start_us, elapsed_us)
    return machine.chip["kind"]


def _read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:
        return None
    except ValueError:
        raise OSError("the world file %s is damaged: remove it to begin with a new world" % path) from None


def _restore(kept, start_us, elapsed_us):
    network.set_network(kept["net"])
    if world.door and "door" in kept:
        world.door.load(kept["door"], elapsed_us)
    if "ds3231" in kept["devices"]:
        world.fit_rtc()
    for name, device in world.devices.items():
        if name in kept["devices"]:
            device.load(kept["devices"][name], elapsed_us)
    for name, until_us in kept.get("cards", ()):
        if until_us is None or until_us > start_us:
            world.put_card(name, until_us, True)
    _restore_faults(kept)
    kind = machine.chip["kind"] = kept["kind"]
    if kind != "power_on":  # the RTC has run on
        clock.set_chip_time_us(start_us + kept["chip_offset_us"])
        machine.chip["memory"] = unhexlify(kept["memory"])
    if kind == "soft":
        for pin, level in kept["outs"]:
            pins.chip_out(pin, level)


def _restore_faults(kept):
    faults = kept.get("faults", {})
    if faults.get("hang") in ("soft", "hard", "power") and kept["kind"] == "power_on":
        del faults["hang"]
    for name, value in faults.items():
        mfrc522_faults.inject(world.chip, name, value)


def mount(provision_path):
    """Mount the file system, making it at first; put what the installer left on it."""
    region = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")[0]
    try:
        os.mount(os.VfsLfs2(region), board.ROOT)
    except OSError:
        os.VfsLfs2.mkfs(region)
        os.mount(os.VfsLfs2(region), board.ROOT)
    try:
        with open(provision_path) as source, open(board.ROOT + "/provision.json", "w") as target:
            target.write(source.read())
    except OSError as error:
        if error.errno != _ENOENT:
            raise
    else:
        os.remove(provision_path)


def leave_a_chips_heap():
    """Occupy what the process has more than a chip: the models lie in the same heap and must not count, either way."""
    # The interpreter's table of names doubles in one piece. With the models' names in it that would fall into the time
    # of the firmware and find no room; on a chip there are no such names.
    for number in range(_NAMES):
        getattr(world, "n%d" % number, None)
    gc.collect()
    try:
        room = bytearray(_CHIP_HEAP)  # in one piece, as a chip has it
    except MemoryError:
        room = None
    if room is not None:
        world.fill(0)
    del room
    gc.collect()
    world.simulator_bytes = gc.mem_alloc()
