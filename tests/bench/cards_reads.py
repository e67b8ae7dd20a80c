"""Flash operations of the allowlist: lookups after a bulk load and after a year of changes, changes, start.

    MICROPYPATH=build/mpy:.frozen micropython -X heapsize=32M tests/bench/cards_reads.py [CARDS SECTORS]...

Prints one JSON object `name: figure`. Without arguments: 1,000 and 24,000 cards on a 4 MB board (128 sectors).
"""

import gc
import json
import random
import sys
from hashlib import sha256

from storage.allowlist import Allowlist

SECTOR = 4096
CHANGES_A_YEAR = 50 * 365
SAMPLE = 20000


class RamFlash:
    """storage.flash.Flash over RAM, with counters; refuses to set a bit."""

    def __init__(self, sectors):
        self.sectors = sectors
        self.image = bytearray(b"\xff" * (sectors * SECTOR))
        self.reset()

    def reset(self):
        self.reads = self.bytes_read = self.programs = self.erases = 0

    def read(self, address, buf):
        self.reads += 1
        self.bytes_read += len(buf)
        buf[:] = self.image[address : address + len(buf)]

    def program(self, address, buf):
        self.programs += 1
        for i in range(len(buf)):
            self.image[address + i] &= buf[i]

    def erase(self, sector):
        self.erases += 1
        self.image[sector * SECTOR : (sector + 1) * SECTOR] = b"\xff" * SECTOR

    def mark_clean(self, sector, count):
        self.program(sector * SECTOR, bytes((0xE5, count & 255, count >> 8 & 255, 0)))

    def clean_count(self, buf):
        return buf[1] | buf[2] << 8 if buf[0] == 0xE5 else -1


def pseudonym(number):
    """The 7 bytes of card `number`."""
    return sha256(b"bench card %d" % number).digest()[:7]


def lookups(cards, flash, numbers, known):
    """Mean, 99.9th percentile of reads, and mean bytes, over a sample of lookups."""
    counts = {}
    total = length = 0
    for number in numbers:
        flash.reset()
        if cards.find(pseudonym(number)) != known:
            raise RuntimeError(f"lookup of card {number} is wrong")
        counts[flash.reads] = counts.get(flash.reads, 0) + 1
        total += flash.reads
        length += flash.bytes_read
    many = len(numbers)
    seen = 0
    for reads in sorted(counts):
        seen += counts[reads]
        if seen >= 0.999 * many:
            break
    return total / many, reads, length / many


def figures(result, name, cards, flash, numbers, at):
    """Measure hits of `numbers` and as many misses."""
    sample = numbers if len(numbers) <= SAMPLE else [random.choice(numbers) for _ in range(SAMPLE)]
    mean, worst, length = lookups(cards, flash, sample, True)
    result[f"{name}_hit.reads.{at}"] = mean
    result[f"{name}_hit.reads_p999.{at}"] = worst
    result[f"{name}_hit.bytes.{at}"] = length
    mean, worst, length = lookups(cards, flash, [10000000 + i for i in range(SAMPLE)], False)
    result[f"{name}_miss.reads.{at}"] = mean


def settle(cards):
    while cards.idle():
        pass


def load(count, sectors):
    """A list with `count` cards, a tenth of them revoked."""
    flash = RamFlash(sectors)
    cards = Allowlist(flash)
    cards.mount()
    for number in range(count):
        change = cards.revoke if number % 10 == 9 else cards.put
        change(pseudonym(number), 1000, 4000000, number % 5)
    return flash, cards, list(range(count))


def year(cards, flash, numbers):
    """A year of changes, the number of cards staying about the same; idle after each. Means of programs and erases."""
    settle(cards)
    flash.reset()
    serial = 1000000
    for change in range(CHANGES_A_YEAR):
        dice = random.random()
        at = random.randrange(len(numbers))
        if dice < 0.25:  # somebody moves out, somebody moves in
            cards.forget(pseudonym(numbers[at]))
            numbers[at] = numbers[-1]
            numbers.pop()
        elif dice < 0.5:
            serial += 1
            cards.put(pseudonym(serial), 1000, 4000000, serial % 5)
            numbers.append(serial)
        elif dice < 0.8:
            cards.put(pseudonym(numbers[at]), 1000, 4000000 + change, 1)
        elif dice < 0.9:
            cards.suspend(pseudonym(numbers[at]), 1000, 4000000, 1)
        else:
            cards.revoke(pseudonym(numbers[at]), 1000, 4000000, 1)
        cards.set_revision(1, change + 1)
        for _ in range(40):
            if not cards.idle():
                break
    return flash.programs / CHANGES_A_YEAR, flash.erases / CHANGES_A_YEAR


def main(arguments):
    random.seed(1)
    result = {}
    sizes = [int(word) for word in arguments] or [1000, 128, 24000, 128]
    for i in range(0, len(sizes), 2):
        count, sectors = sizes[i], sizes[i + 1]
        flash, cards, numbers = load(count, sectors)
        figures(result, "cards.lookup", cards, flash, numbers, count)
        settle(cards)
        fill = cards.fill()
        if fill[0] + fill[1] != count or cards.torn or cards.repairs:
            raise RuntimeError("the list is not what was loaded")
        year(cards, flash, numbers)
        figures(result, "cards.aged", cards, flash, numbers, count)
        gc.collect()
        before = gc.mem_alloc()
        cards = Allowlist(flash)
        gc.collect()
        result[f"cards.ram_bytes_here.{sectors}"] = gc.mem_alloc() - before
        flash.reset()
        cards.mount()
        result[f"mount.reads.{count}"] = flash.reads
        result[f"mount.bytes.{count}"] = flash.bytes_read
    flash, cards, numbers = load(18000, 128)
    result["cards.update.programs"], result["cards.update.erases"] = year(cards, flash, numbers)
    print(json.dumps(result))


main(sys.argv[1:])
