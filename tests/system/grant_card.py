"""Run on the unix port before a simulated door starts: put cards on the list in its flash image.

micropython grant_card.py FLASH_IMAGE PSEUDONYM_HEX...
"""

import sys
from binascii import unhexlify

import board
from boards.sim.norflash import NorFlash, Region
from storage.allowlist import Allowlist
from storage.flash import Flash

for label, offset, size in board.FLASH:
    if label == "cards":
        cards = Allowlist(Flash(Region(NorFlash(sys.argv[1], board.FLASH_SIZE), offset, size)))
        cards.format()
        for pseudonym in sys.argv[2:]:
            cards.put(unhexlify(pseudonym), 0, 0xFFFFFF, 0)
        print("granted")
