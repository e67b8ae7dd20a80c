"""What a start reads from both stores of a 4 MB board, both full. Runs on MicroPython in a scratch folder.

    micropython mount_door.py CARDS SEED

Prints one JSON object in its last line; of three journals (nothing, half, all acknowledged) the costliest counts.
"""

import json
import sys

from boards.sim.norflash import NorFlash, Region
from changes_door import Office
from traffic_door import NAMES
from storage.allowlist import Allowlist
from storage.flash import Flash
from storage.journal import Journal

_SECTORS = 128
_SECTOR = 4096
_CHANGES = 1000
_CHAIN = bytearray(7)


class Watched(Region):
    """A region that knows the longest read."""

    longest = 0

    def readblocks(self, block, buf, off=0):
        """As the region does."""
        Watched.longest = max(Watched.longest, len(buf))
        super().readblocks(block, buf, off)


def region(name):
    """Return the block device of a new chip."""
    flash = NorFlash(name, _SECTORS * _SECTOR)
    return Watched(flash, 0, flash.size)


def settle(store):
    """Let a store do its idle work until there is none."""
    while store.idle():
        pass


def mounted(store, block_device):
    """Mount a store anew; return reads and bytes."""
    Watched.longest = 0
    block_device.flash.reset_counters()
    store.mount()
    return block_device.flash.reads, block_device.flash.bytes_read


def full_journal(block_device):
    """Fill the whole ring until records are given up; return the journal."""
    journal = Journal(Flash(block_device))
    journal.format(b"\1\2\3\4", bytes(range(16)))
    journal.stamp(1, NAMES["SYNCHRONISED"], 1)
    appended = 0
    while journal.head == appended:
        journal.append(NAMES["GRANTED"], NAMES["OK"], None, 1)
        appended += 1
        settle(journal)
    return journal


def main(count, seed):
    block_device = region("cards.img")
    cards = Allowlist(Flash(block_device))
    cards.mount()
    office = Office(cards, seed)
    if not office.load(count):
        raise RuntimeError("the list is full before it holds %d cards" % count)
    office.settle()
    for _ in range(_CHANGES):
        office.change()
    cards_cost = mounted(Allowlist(Flash(block_device)), block_device)
    longest = Watched.longest

    block_device = region("journal.img")
    journal = full_journal(block_device)
    costs = []
    for acknowledged in (0, journal.head // 2, journal.head):
        if acknowledged:
            if not journal.chain_of(acknowledged, _CHAIN) or not journal.ack(journal.epoch, acknowledged, _CHAIN):
                raise RuntimeError("an acknowledgement was refused")
            settle(journal)
        head = journal.head
        journal = Journal(Flash(block_device))
        costs.append(mounted(journal, block_device))
        longest = max(longest, Watched.longest)
        if journal.head != head or journal.acked < acknowledged - 64:
            raise RuntimeError("the journal is not what was appended")

    whole = bytearray(256)
    block_device.flash.reset_counters()
    for at in range(0, block_device.size, len(whole)):
        block_device.readblocks(at // _SECTOR, whole, at % _SECTOR)
    print(
        json.dumps(
            {
                "reads": cards_cost[0] + max(cost[0] for cost in costs),
                "bytes": cards_cost[1] + max(cost[1] for cost in costs),
                "longest": longest,
                "journal_reads": [cost[0] for cost in costs],
                "whole_reads": 2 * block_device.flash.reads,
                "whole_bytes": 2 * block_device.flash.bytes_read,
            }
        )
    )


main(*[int(word) for word in sys.argv[1:]])
