"""Run on the unix port while a simulated door is off: change cards in its flash image behind the office's back.

micropython alter_list.py FLASH_IMAGE (forget|put)=PSEUDONYM_HEX...
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
        cards.mount()
        for word in sys.argv[2:]:
            what, name = word.split("=")
            if what == "forget":
                cards.forget(unhexlify(name))
            else:
                cards.put(unhexlify(name), 0, 0xFFFFFF, 0)
        print("altered")
