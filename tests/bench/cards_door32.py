# RAM of a mounted allowlist on the 32-bit MicroPython, run in phases by heap32.mjs. The flash is a file of that
# interpreter's own file system, outside the heap. The code is loaded before and counts elsewhere (boot.heap32_bytes).
import gc
import sys
from hashlib import sha256

for name in ("board", "esp32", "machine", "socket"):
    sys.modules[name] = sys  # the bundles import them, the list needs none

from storage import cardmount, cardpages, ondemand
from storage.allowlist import Allowlist
from storage.flash import Flash

memory = gc.mem_alloc
done = False
on_demand = cardmount, cardpages  # and what they load: code is no part of the figures, so it is never dropped
ondemand.drop = lambda names: None


class Partition:
    def __init__(self, path):
        self._file = open(path, "r+b")
        self._sectors = self._file.seek(0, 2) // 4096

    def readblocks(self, number, buf, offset=0):
        self._file.seek(number * 4096 + offset)
        self._file.readinto(buf)

    def writeblocks(self, number, buf, offset=0):
        new = bytearray(len(buf))
        self.readblocks(number, new, offset)
        for index in range(len(buf)):
            new[index] &= buf[index]
        self._file.seek(number * 4096 + offset)
        self._file.write(new)

    def ioctl(self, operation, argument):
        if operation == 6:
            self._file.seek(argument * 4096)
            self._file.write(b"\xff" * 4096)
            return 0
        return 4096 if operation == 5 else self._sectors


def pseudonym(number):
    return sha256(b"bench 1 card %d" % number).digest()[:7]  # changes_door.py made the image with seed 1


flash = Flash(Partition("/lib/98000.img"))
gc.collect()

# --- 0 ms: the heap before the list
base = memory()
cards = Allowlist(flash)
cards.mount()
gc.collect()

# --- 0 ms: mounted; then changes
mounted = memory() - base
for number in range(200):
    if not cards.find(pseudonym(number)):
        raise RuntimeError("card %d must be known" % number)
    cards.put(pseudonym(number), 3200000, 4200000, 1)
cards.set_revision(1, 1)
while cards._visits or cards._job:
    cards.idle(3200000)
gc.collect()

# --- 0 ms: at rest; then a survey
print("@cards", max(mounted, memory() - base))
for _ in range(8):
    cards.idle(3200000)
gc.collect()

# --- 0 ms: with a survey under way
print("@survey", memory() - base)
# --- 0 ms: the same as a dict, of a thousand cards only
before = memory()
table = {}
for number in range(1000):
    table[pseudonym(number)] = (3200000, 4000000 + number, number % 5)
gc.collect()

# --- 0 ms: what it took
print("@dict", memory() - before)
