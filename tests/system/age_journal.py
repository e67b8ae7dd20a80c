"""Run on the unix port while a simulated door has no power: what it would have written in months without a link.

micropython age_journal.py FLASH_IMAGE FROM UNTIL COUNT KIND,REASON,SHARE...     # times in seconds since 2020

Records are appended as a door does, at even distances, each kind by its share; upkeep is done between them. Each kind
is of a class of its own. Prints how many of each there were, stored or told as lost, one number a line, and what
percentage of the ring is not acknowledged.
"""

import sys

import board

from boards.sim.norflash import NorFlash, Region
from storage.flash import Flash
from storage.journal import Journal
from storage.record import class_of, get30

_SYNCHRONISED = 2

image = sys.argv[1]
start_s, until_s, count = (int(word) for word in sys.argv[2:5])
kinds = [tuple(int(part) for part in word.split(",")) for word in sys.argv[5:]]
regions = {label: (offset, size) for label, offset, size in board.FLASH}
journal = Journal(Flash(Region(NorFlash(image, board.FLASH_SIZE), *regions["journal"])))
journal.mount()
made = [0] * len(kinds)
whole = sum(share for _, _, share in kinds)
for number in range(count):
    # The kind that is furthest behind its share.
    index = max(range(len(kinds)), key=lambda index: kinds[index][2] * (number + 1) - made[index] * whole)
    kind, reason, _ = kinds[index]
    journal.stamp(start_s + (until_s - start_s) * number // count, _SYNCHRONISED, 3)
    journal.append(kind, reason, b"aged" + number.to_bytes(3, "little"), number & 0xFFFF)
    made[index] += 1
    while journal.idle():
        pass
# What is counted and not recorded yet is lost with the power: so it was not made.
for index, (kind, reason, _) in enumerate(kinds):
    print(made[index] - sum(get30(lost, 8 + 4 * class_of(kind, reason)) for lost in journal._lost))
print(journal.fill())
