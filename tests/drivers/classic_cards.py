"""MIFARE Classic cards as the office personalises them, and what they hold."""

from boards.sim.classic import Classic
from boards.sim.ev2 import cmac

UID_7 = b"\x04\x11\x22\x33\x44\x55\x66"
UID_4 = b"\x9c\x59\x9b\x32"
OLD = bytes(range(16))
NEW = bytes(range(16, 32))
WRITE = bytes(range(32, 48))  # of the office
SECTOR = 5


def block(master, uid, counter, version, index, sector=SECTOR):
    """A counter block: index 0 or 1."""
    data = b"\x01" + counter.to_bytes(3, "little") + bytes((version, 0, 0, 0))
    key = cmac(master, b"\x01" + uid + bytes((sector,)) + b"menwei C")
    return data + cmac(key, bytes((4 * sector + index,)) + data)[:8]


def classic_card(master=NEW, version=7, counters=(10, 9), uid=UID_4, sector=SECTOR, **options):
    """A personalised card; a counter of None is a block of zeros."""
    card = Classic(uid, **options)
    for index, counter in enumerate(counters):
        if counter is not None:
            card.block(4 * sector + index, block(master, uid, counter, version, index, sector))
    key_a = cmac(master, b"\x01" + uid + bytes((sector,)) + b"menwei A")[:6]
    key_b = cmac(WRITE, b"\x01" + uid + bytes((sector,)) + b"menwei B")[:6]
    card.keys(sector, key_a, key_b, b"\x7f\x07\x88")
    return card


def held(card, master=NEW, version=7, sector=SECTOR):
    """The counter that a card holds now: the highest whose block is valid; -1 if there is none."""
    counter = -1
    for index in (0, 1):
        data = card.block(4 * sector + index)
        value = int.from_bytes(data[1:4], "little")
        if data == block(master, card.uid, value, version, index, sector):
            counter = max(counter, value)
    return counter
