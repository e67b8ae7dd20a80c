"""Flash operations and capacity of the journal on simulated NOR flash. Runs on MicroPython in a scratch folder.

    micropython journal_door.py online DAYS EVENTS_A_DAY SEED    # every visit is acknowledged at once
    micropython journal_door.py offline EVENTS_A_DAY SEED        # nothing is acknowledged
    micropython journal_door.py capacity

The ring is that of a 4 MB board. Prints one JSON object in its last line.
"""

import json
import sys

from boards.sim.norflash import NorFlash, Region
from traffic_door import NAMES, Traffic
from storage import record
from storage.flash import Flash
from storage.journal import Journal

_SECTORS = 128
_SECTOR = 4096
_BATCH = bytearray(24 + 64)


def new_journal():
    """Return the chip and a journal on it that was just formatted."""
    flash = NorFlash("journal.img", _SECTORS * _SECTOR)
    journal = Journal(Flash(Region(flash, 0, flash.size)))
    journal.format(b"\1\2\3\4", bytes(range(16)))
    flash.reset_counters()
    return flash, journal


def settle(journal):
    """Let the journal do its idle work until there is none."""
    while journal.idle():
        pass


def first_left(journal):
    """Return the number of the first record that still lies in flash."""
    return record.get30(_BATCH, 8) if journal.batch(_BATCH, 1) else 1


class Counted:
    """Appends, and what the flash did inside them."""

    def __init__(self, flash, journal):
        self.programs = self.erases = 0
        self._flash = flash
        self._journal = journal

    def append(self, kind, reason, pseudonym, detail):
        """Append one record; OSError is not expected here."""
        flash = self._flash
        programs = flash.programs
        erases = flash.erases
        self._journal.append(kind, reason, pseudonym, detail)
        self.programs += flash.programs - programs
        self.erases += flash.erases - erases


def online(days, events_a_day, seed):
    """So many days with an office that acknowledges every visit."""
    flash, journal = new_journal()
    traffic = Traffic(journal, events_a_day, seed)

    def visits(until_days, append):
        while traffic.days < until_days:
            traffic.visit(append, lambda: settle(journal))
            if not journal.ack(journal.epoch, journal.head, journal.chain):
                raise RuntimeError("an acknowledgement was refused")

    # A formatted ring is erased already: once round before anything is counted.
    while min(flash.erase_counts) < 2:
        visits(traffic.days + 1, journal.append)
    flash.reset_counters()
    before = list(flash.erase_counts)
    uncounted = traffic.events
    counted = Counted(flash, journal)
    visits(traffic.days + days, counted.append)
    if journal.head != traffic.events or journal.failures:
        raise RuntimeError("the journal is not what was appended")
    erases = [now - then for now, then in zip(flash.erase_counts, before)]
    return {
        "events": traffic.events - uncounted,
        "append_programs": counted.programs,
        "append_erases": counted.erases,
        "programs": flash.programs,
        "erases": flash.erases,
        "most_erases": max(erases),
        "least_erases": min(erases),
    }


class Watched:
    """Appends, and whether a record was left out whose class is not the lowest."""

    def __init__(self, journal):
        self.left_out = False
        self._journal = journal

    def append(self, kind, reason, pseudonym, detail):
        """Append one record."""
        before = self._journal.head
        seq = self._journal.append(kind, reason, pseudonym, detail)
        if seq == before and record.class_of(kind, reason):
            self.left_out = True


def offline(events_a_day, seed):
    """Days without an acknowledgement until a record is lost that is not of the lowest class.

    The first sector that is given up holds records of every class.
    """
    _, journal = new_journal()
    traffic = Traffic(journal, events_a_day, seed)
    watched = Watched(journal)
    while not watched.left_out and first_left(journal) == 1:
        traffic.visit(watched.append, lambda: settle(journal))
    return {"days": traffic.days}


def capacity():
    """Records of the highest class, one after the other with idle work between, until the first is given up."""
    _, journal = new_journal()
    journal.stamp(1, NAMES["SYNCHRONISED"], 1)
    settle(journal)
    appended = 0
    while True:
        journal.append(NAMES["GRANTED"], NAMES["OK"], None, 1)
        appended += 1
        while journal.idle():
            # What is given up is reported before it is erased.
            if journal.head > appended:
                if first_left(journal) != 1:
                    raise RuntimeError("records went before the journal said so")
                return {"records": appended}


def main(task, *numbers):
    tasks = {"online": online, "offline": offline, "capacity": capacity}
    print(json.dumps(tasks[task](*[int(number) for number in numbers])))


main(*sys.argv[1:])
