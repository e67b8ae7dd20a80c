"""Ten years of a door's flash. Runs on MicroPython in a scratch folder.

    micropython wear_door.py cards SECTORS CHANGES_A_DAY FILL_PERCENT SEED
    micropython wear_door.py files SEED

Prints one JSON object in its last line.
"""

import json
import os
import random
import sys

import board
import esp32
from boards.sim import world
from boards.sim.norflash import NorFlash, Region
from changes_door import Office
from storage.allowlist import Allowlist
from storage.flash import Flash
from storage.keys import Keys
from storage.settings import Settings

_SECTOR = 4096
_YEARS = 10
_UPDATE_FILES = 40
_UPDATE_BYTES = 1500


def cards(sectors, changes_a_day, fill_percent, seed):
    """A list that stays so full, counted in all its slots; the year that cost most, and the sector that was."""
    flash = NorFlash("cards.img", sectors * _SECTOR)
    allowlist = Allowlist(Flash(Region(flash, 0, flash.size)))
    allowlist.mount()
    office = Office(allowlist, seed, changes_a_day)
    slots = allowlist.fill()[2]
    if not office.load(slots * fill_percent // 100):
        raise RuntimeError("the list is full before the ten years begin")
    office.settle()
    changes = 365 * changes_a_day
    programs = []
    erases = []
    for _ in range(_YEARS):
        flash.reset_counters()
        for _ in range(changes):
            office.change()
        programs.append(flash.programs / changes)
        erases.append(flash.erases / changes)
    live, dead, _ = allowlist.fill()
    return {
        "programs": programs,
        "erases": erases,
        "most_erases": max(flash.erase_counts),
        "refused": office.refused,
        "percent_at_end": 100 * (live + dead) / slots,
    }


def files(seed):
    """File system and NVS: settings every week, a software update every three months, new keys every year."""
    random.seed(seed)
    print("seed", seed)
    world.flash = NorFlash("flash.img", board.FLASH_SIZE)
    regions = {label: esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)[0] for label in ("vfs", "nvs")}
    os.VfsLfs2.mkfs(regions["vfs"])
    os.mount(os.VfsLfs2(regions["vfs"]), "/vfs")
    for slot in "ab":
        os.mkdir("/vfs/" + slot)
    store = Settings("/vfs")
    keys = Keys(esp32.NVS("menwei"), "/vfs")
    values = {"site": "bench", "door": "one", "host": "127.0.0.1", "wifi_ssid": "bench", "residents": [0, 1, 2]}
    for week in range(52 * _YEARS):
        values["open_s"] = random.randrange(30)
        store.save(values)
        if week % 52 == 0:
            keys.store(bytes([random.randrange(256) for _ in range(32)]), "secret")
        if week % 13 == 0:
            slot = "ab"[week // 13 & 1]
            for number in range(_UPDATE_FILES):
                with open("/vfs/%s/%d.mpy" % (slot, number), "wb") as file:
                    file.write(bytes([random.randrange(256) for _ in range(_UPDATE_BYTES)]))
    counts = world.flash.erase_counts
    result = {}
    for label, region in regions.items():
        first = region.offset // _SECTOR
        result[label] = max(counts[first : first + region.size // _SECTOR])
    return result


def main(task, *numbers):
    print(json.dumps({"cards": cards, "files": files}[task](*[int(number) for number in numbers])))


main(*sys.argv[1:])
