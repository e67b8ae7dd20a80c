"""Flash operations of the allowlist on simulated NOR flash. Runs on MicroPython in a scratch folder.

    micropython cards_door.py size CARDS SECTORS SEED        # lookups, capacity, lookups after a year of changes
    micropython cards_door.py capacity SECTORS SEED

Prints one JSON object in its last line. `size` leaves the image after the bulk load as `CARDS.img`.
"""

import json
import random
import sys

from boards.sim.norflash import NorFlash, Region
from changes_door import CHANGES_A_YEAR, Office
from storage.allowlist import Allowlist
from storage.flash import Flash

_SECTOR = 4096
_SAMPLE = 20_000
_UNKNOWN = 100_000_000  # numbers from here on are never given


def open_list(name, sectors):
    """Return the chip in a file and the list on it."""
    flash = NorFlash(name, sectors * _SECTOR)
    cards = Allowlist(Flash(Region(flash, 0, flash.size)))
    cards.mount()
    return flash, cards


def lookups(office, flash, numbers, known):
    """Return mean reads, their 99.9th percentile, and mean bytes."""
    counts = {}
    total_bytes = 0
    for number in numbers:
        pseudonym = office.pseudonym(number)
        flash.reset_counters()
        if office.cards.find(pseudonym) != known:
            raise RuntimeError("card %d must be %s" % (number, "known" if known else "unknown"))
        counts[flash.reads] = counts.get(flash.reads, 0) + 1
        total_bytes += flash.bytes_read
    seen = 0
    for worst in sorted(counts):
        seen += counts[worst]
        if 1000 * seen >= 999 * len(numbers):
            break
    return sum(reads * count for reads, count in counts.items()) / len(numbers), worst, total_bytes / len(numbers)


def figures(name, office, flash):
    """Look up all known cards, or a sample of them, and as many unknown ones as a sample has."""
    known = office.known()
    if len(known) > _SAMPLE:
        known = [random.choice(known) for _ in range(_SAMPLE)]
    mean, worst, length = lookups(office, flash, known, True)
    unknown, _, _ = lookups(office, flash, range(_UNKNOWN, _UNKNOWN + _SAMPLE), False)
    return {
        name + "_hit.reads": mean,
        name + "_hit.reads_p999": worst,
        name + "_hit.bytes": length,
        name + "_miss.reads": unknown,
    }


def fill_up(office):
    """Load cards until the first is refused; return how many there are then."""
    while office.load(1):
        pass
    office.settle()
    live, dead, _ = office.cards.fill()
    return live + dead


def size(count, sectors, seed):
    """All figures of one size."""
    image = "%d.img" % count
    flash, cards = open_list(image, sectors)
    office = Office(cards, seed)
    if not office.load(count):
        raise RuntimeError("the list is full before it holds %d cards" % count)
    result = figures("lookup", office, flash)
    with open(image, "rb") as source, open("more.%d" % count, "wb") as target:
        for _ in range(sectors):
            target.write(source.read(_SECTOR))
    flash, cards = open_list("more.%d" % count, sectors)
    office.cards = cards
    office.settle()
    live, dead, _ = cards.fill()
    if live + dead != count or cards.torn or cards.repairs:
        raise RuntimeError("the list is not what was loaded")
    for _ in range(CHANGES_A_YEAR):
        office.change()
    result.update(figures("aged", office, flash))
    result["refused"] = office.refused
    return result


def capacity(sectors, seed):
    """How many cards an empty list takes."""
    _, cards = open_list("capacity.%d.%d" % (sectors, seed), sectors)
    return {"cards": fill_up(Office(cards, seed))}


def main(task, *numbers):
    print(json.dumps({"size": size, "capacity": capacity}[task](*[int(number) for number in numbers])))


main(*sys.argv[1:])
