# A whole door on the 32-bit MicroPython, run in phases by heap32.mjs. First the simulated board: its models and their
# buffers are not the door's, so they are loaded before the heap is read for the first time.
import gc
import json
import os
import sys

import asyncio
import asyncio.core

import board
import esp32
import machine
import network
from boards.sim import clock, pins, world

os.mkdir("/tmp32")
clock.setup("real")
world.open_world("/tmp32/flash.img", "/tmp32/world.json", "real", 1_793_664_000)
pins.reset("power_on")
network.set_network(False)
os.mkdir(board.ROOT)  # the interpreter's own file system stands for the region vfs
with open(board.ROOT + "/provision.json", "w") as file:
    json.dump(
        {
            "door_key": "11" * 32,
            "journal_key": "22" * 16,
            "journal_epoch": "01020304",
            "wifi_secret": "secret",
            "settings": {"site": "bench", "door": "one", "host": "127.0.0.1", "wifi_ssid": "bench"},
        },
        file,
    )

memory = gc.mem_alloc
spent = 0  # bytes that the simulated board allocated; they are taken off a tap
inside = False


def count(owner, name):
    """Replace a method of the simulated board by one that adds what it allocates to `spent`."""
    method = getattr(owner, name)

    def counted(self, *arguments):
        global spent, inside
        if inside:
            return method(self, *arguments)
        inside = True
        before = memory()
        result = method(self, *arguments)
        spent += memory() - before
        inside = False
        return result

    setattr(owner, name, counted)


count(machine.SPI, "write")
count(machine.SPI, "write_readinto")
count(machine.Pin, "__call__")
count(machine.Pin, "value")
count(esp32.Partition, "readblocks")
count(esp32.Partition, "writeblocks")
# The arguments' tuple of such a method, which a function of the chip does not make: measured, and taken off per call.

# --- the heap before anything of ours
gc.collect()

# ---
base = gc.mem_alloc()

# --- the door; this first start also provisions it
import firmware.main

service = firmware.main.build()
passage = service._passage
reader = service._reader
UID = "04a1b2c3d4e5f6"


def grant():
    """Put the card on the list, as a delta from upstream would."""
    message = passage._messages[7]
    message[1:] = bytes.fromhex(UID)
    passage._hmac.update(message)
    service._allowlist.put(passage._hmac.digest()[:7], 0, 0xFFFFFF, 0)


async def tap():
    """Hold the card to the reader once; return what the door allocated from the look that found it to the relay."""
    global spent
    world.put_card(UID)
    found = 0
    while not found:
        before = memory()
        spent = 0
        found = await reader.find(passage.uid)
    reason = passage.present(found)
    allocated = memory() - before - spent
    if reason or not service._lock.released:
        raise RuntimeError("the card was not let in: %d" % reason)
    service._lock.secure()
    world.take_card()
    for _ in range(10):
        await reader.find(passage.uid)
        await asyncio.sleep_ms(10)
    return allocated


async def taps():
    """Warm up once, then measure with hashing prepared and without."""
    grant()
    await reader.start()
    passage.prepare()
    await tap()
    passage.prepare()
    while service._journal.idle():
        pass
    print("@tap", await tap())
    print("@tap_unprepared", await tap())


asyncio.create_task(taps())

# --- in service: reader polled, contacts watched, link waiting for a network
asyncio.create_task(service.run())

# ---
gc.collect()

# ---
print("@heap", gc.mem_alloc() - base)
