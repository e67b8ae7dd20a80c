# What a tap allocates on the 32-bit MicroPython, run in phases by heap32.mjs. First the simulated board: its models and
# their buffers are not the door's. The door is put together on it, and the card is held to the model of the reader.
import asyncio
import gc
import json
import os
import sys


class Sockets:
    """Stands for boards.sim.sockets: this interpreter has no network, and the door stays offline."""

    linked = False


sys.modules["boards.sim.sockets"] = sys.modules["socket"] = sys.modules["tls"] = Sockets

import board
import esp32
import machine
import network
from boards.sim import pins, power, world

os.mkdir("/tmp32")
with open("/tmp32/flash.img", "wb") as file:  # made here: this system's number for a missing file is another one
    for _ in range(board.FLASH_SIZE // 4096):
        file.write(b"\xff" * 4096)
power.switch_on("/tmp32/flash.img", "/tmp32/world.json", "real", 1_793_664_000)
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
done = False
spent = 0  # bytes that the simulated board allocated; they are taken off a tap
inside = False


def count(owner, name):
    """Replace a method of the simulated board by one that adds what it allocates to `spent`.

    The arguments are counted out, because a wrapper of any arguments would allocate a tuple for them.
    """
    method = getattr(owner, name)

    def counted(self, one=None, two=None, three=None):
        global spent, inside
        if inside:
            if three is not None:
                return method(self, one, two, three)
            return method(self, one) if two is None else method(self, one, two)
        inside = True
        before = memory()
        if three is not None:
            result = method(self, one, two, three)
        else:
            result = method(self, one) if two is None else method(self, one, two)
        spent += memory() - before
        inside = False
        return result

    setattr(owner, name, counted)


class Watchdog:
    """Nobody serves this door, so nobody would feed a real one."""

    def __init__(self, timeout=0):
        pass


machine.WDT = Watchdog
count(machine.SPI, "write")
count(machine.SPI, "write_readinto")
count(machine.Pin, "__call__")
count(machine.Pin, "value")
count(esp32.Partition, "readblocks")
count(esp32.Partition, "writeblocks")
gc.collect()

# --- 0 ms: the heap before anything of ours
base = gc.mem_alloc()

# --- 0 ms: the door; this first start also provisions it
from firmware import assembly

service = assembly.build()
passage = service.passage
reader = service.reader._cards
UID = "04a1b2c3d4e5f6"


def grant():
    """Put the card on the list, as a delta from upstream would."""
    credential = passage.credential
    credential.uid[:7] = bytes.fromhex(UID)
    credential.show(1, 7)
    passage._hmac.update(credential.input())
    service.allowlist.put(passage._hmac.digest()[:7], 0, 0xFFFFFF, 0)


async def tap():
    """Hold the card to the reader once; return what the door allocated from the look that found it to the relay."""
    global spent
    world.put_card(UID)
    found = 0
    while not found:
        before = memory()
        spent = 0
        found = await reader.find(passage.credential.uid)
    passage.recognise(found, reader.sak)
    reason = passage.present()
    allocated = memory() - before - spent
    if reason or not service.watch.lock.released:
        raise RuntimeError("the card was not let in: %d" % reason)
    service.watch.lock.secure()
    world.take_card()
    for _ in range(10):
        await reader.find(passage.credential.uid)
        await asyncio.sleep_ms(10)
    return allocated


async def prepared_tap():
    """The same with hashing done ahead, as the door does when it is idle."""
    passage.prepare()
    while service.recorder.journal.idle():
        pass
    return await tap()


async def most(measure):
    """The largest of five: garbage may be collected while the tap waits for the card, which makes one look small."""
    largest = 0
    for _ in range(5):
        largest = max(largest, await measure())
    return largest


async def taps():
    """Warm up once, then measure with hashing prepared and without."""
    global done
    grant()
    await reader.start()
    await tap()
    print("@tap", await most(prepared_tap))
    print("@tap_unprepared", await most(tap))
    done = True


asyncio.create_task(taps())


# --- 120000 ms: time for the taps
