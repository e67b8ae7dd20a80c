"""What a user would do instead of the two stores: files on LittleFS, on the same simulated flash. Runs on MicroPython.

    micropython littlefs_door.py cards CARDS SECTORS       # one JSON file per card: look up, update
    micropython littlefs_door.py card_room SECTORS         # how many such files there is room for
    micropython littlefs_door.py lines APPENDS SECTORS     # append lines of 32 bytes, flush each
    micropython littlefs_door.py line_room SECTORS         # how many lines there is room for

LittleFS programs 128 bytes at a time here. Prints one JSON object in its last line.
"""

import json
import os
import sys

from boards.sim.norflash import NorFlash, Region

_SECTOR = 4096
_UPDATES = 2000  # enough for LittleFS to compact its directories again and again
_LINE = b"12345678 2026-03-01 granted 3  \n"


def volume(sectors):
    """Mount a new LittleFS as /flash; return the chip below it."""
    flash = NorFlash("littlefs.img", sectors * _SECTOR)
    region = Region(flash, 0, flash.size)
    os.VfsLfs2.mkfs(region, progsize=128)
    os.mount(os.VfsLfs2(region, progsize=128), "/flash")
    flash.reset_counters()
    return flash


def write_card(folder, number, until):
    """Write the file of one card."""
    with open("%s/%014x.json" % (folder, number), "w") as file:
        json.dump({"from": 3200000, "until": until, "group": number % 5}, file)


def cards(count, sectors):
    """Mean flash operations of looking up and of updating one of so many cards."""
    flash = volume(sectors)
    for number in range(count):
        write_card("/flash", number, 4000000)
    flash.reset_counters()
    reads = []
    for number in range(count):
        before = flash.reads
        with open("/flash/%014x.json" % number) as file:
            json.load(file)
        reads.append(flash.reads - before)
    reads.sort()
    result = {
        "hit_reads": flash.reads / count,
        "hit_reads_p999": reads[(count * 999 + 999) // 1000 - 1],
        "hit_bytes": flash.bytes_read / count,
    }
    flash.reset_counters()
    for number in range(count, 2 * count):
        try:
            os.stat("/flash/%014x.json" % number)
            raise RuntimeError("this card must be unknown")
        except OSError:
            pass
    result["miss_reads"] = flash.reads / count
    flash.reset_counters()
    for number in range(_UPDATES):
        write_card("/flash", number * 611 % count, 4100000)
    result["update_programs"] = flash.programs / _UPDATES
    result["update_erases"] = flash.erases / _UPDATES
    return result


def card_room(sectors):
    """Files until there is no room, in several folders so that none gets long."""
    volume(sectors)
    folders = sectors // 8
    for folder in range(folders):
        os.mkdir("/flash/%d" % folder)
    number = 0
    try:
        while True:
            write_card("/flash/%d" % (number % folders), number, 4000000)
            number += 1
    except OSError:
        return {"cards": number}


def lines(count, sectors):
    """Mean flash operations of one flushed line, over the second half of so many."""
    flash = volume(sectors)
    with open("/flash/journal", "ab") as file:
        for number in range(count):
            if number == count // 2:
                flash.reset_counters()
            file.write(_LINE)
            file.flush()
    half = count - count // 2
    return {"programs": flash.programs / half, "erases": flash.erases / half, "reads": flash.reads / half}


def line_room(sectors):
    """Lines until there is no room."""
    volume(sectors)
    number = 0
    try:
        with open("/flash/journal", "ab") as file:
            while True:
                file.write(_LINE)
                number += 1
    except OSError:
        return {"lines": number}


def main(task, *numbers):
    tasks = {"cards": cards, "card_room": card_room, "lines": lines, "line_room": line_room}
    print(json.dumps(tasks[task](*[int(number) for number in numbers])))


main(*sys.argv[1:])
