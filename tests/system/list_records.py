"""Run on the unix port when a simulated door has stopped: print kind, reason and detail of each record in its image.

micropython list_records.py FLASH_IMAGE
"""

import sys

import board

from boards.sim.norflash import NorFlash, Region
from storage import record
from storage.flash import Flash
from storage.journal import Journal

for label, offset, size in board.FLASH:
    if label == "journal":
        journal = Journal(Flash(Region(NorFlash(sys.argv[1], board.FLASH_SIZE), offset, size)))
        journal.mount()
        buf = bytearray(24 + 32 * 32)
        seq = journal.oldest()
        while seq <= journal.head:
            slots = journal.batch(buf, seq)
            for slot in range(slots):
                at = 24 + 32 * slot
                if record.code(buf[at]) in (record.SINGLE, record.LONG):
                    print(buf[at + record.KIND], buf[at + record.REASON], record.get30(buf, at + record.DETAIL))
            seq = journal.last_in_batch + 1
