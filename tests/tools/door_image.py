"""Run on the unix port: the door's own code fills a flash image, and says afterwards what is in it.

micropython door_image.py FOLDER SEED CHANGES CARDS_SECTORS JOURNAL_SECTORS CUTS

Cards region first, journal behind it. Each of CUTS power cuts hits a random flash operation. One line of JSON for each
image: before every start after a cut, and at the end. `image-N.bin` is the flash as it was found, the line says what
the door makes of it.
"""

import json
import random
import sys
from binascii import hexlify

from boards.sim.norflash import NorFlash, PowerCut, Region
from cards_world import change_of, copy, pseudonym
from oracle_allowlist import Oracle
from storage import journal as journal_module
from storage import record
from storage.allowlist import Allowlist, ListFull
from storage.flash import Flash
from storage.journal import Journal

FOLDER = sys.argv[1]
SEED, CHANGES, CARDS, JOURNAL, CUTS = [int(word) for word in sys.argv[2:7]]
EPOCH, KEY = b"\x05\x06\x07\x08", bytes(range(16))
MODES = ("prefix", "random", "half", "preprogram", "none", "all")
NOW_MIN = 3_000_000
KEEP_S = 40_000
PATH = FOLDER + "/flash.bin"


class Time:
    """time, as far as the journal uses it, without waiting."""

    now_ms = 0

    @classmethod
    def ticks_ms(cls):
        return cls.now_ms & (1 << 30) - 1

    @staticmethod
    def ticks_diff(end, start):
        return ((end - start + (1 << 29)) & (1 << 30) - 1) - (1 << 29)


journal_module.time = Time
random.seed(SEED)
chip = NorFlash(PATH, (CARDS + JOURNAL) * 4096)
oracle = Oracle()
names = [pseudonym() for _ in range(40 * CARDS)]
images = revision = boots = 0


def start():
    chip.power_on()
    cards = Allowlist(Flash(Region(chip, 0, CARDS * 4096)))
    cards.mount()
    journal = Journal(Flash(Region(chip, CARDS * 4096, JOURNAL * 4096)))
    return cards, journal


def settle(cards, journal):
    while cards.idle(NOW_MIN):
        pass
    keep_from_s = 1000 + Time.now_ms // 1000 - KEEP_S
    while journal.idle(keep_from_s):
        pass


def say(cards, journal, **more):
    """What the door makes of the image that was kept."""
    global images
    settled = cards.digest()
    seen = []
    for name in names:
        if cards.find(name):
            e = cards.entry
            uses = e.uses_left if e.limited else None
            seen.append((e.state, e.valid_from, e.valid_until, e.group, e.key_version, uses))
    buf = bytearray(24 + 32 * 32)
    raws, first = [], None
    slots, seq = journal.batch(buf, 0), 0
    while slots:
        if first is None:
            first = record.get30(buf, 8)
        raws.append(hexlify(buf[24 : 24 + 32 * slots]).decode())
        seq = journal.last_in_batch
        slots = journal.batch(buf, seq + 1) if seq < journal.head else 0
    told = {
        "image": "image-%d.bin" % images,
        "digests": [hexlify(digest).decode() for digest in settled],
        "fill": cards.fill(),
        "torn": cards.torn,
        "revision": (cards.office_epoch, cards.revision),
        "reconciling": cards.reconciling,
        "cards": seen,
        "epoch": hexlify(journal.epoch).decode(),
        "first": first,
        "head": journal.head,
        "raws": "".join(raws),
    }
    told.update(more)
    images += 1
    print(json.dumps(told))


def keep():
    copy(PATH, FOLDER + "/image-%d.bin" % images)


def reconcile(cards):
    """One more page of a full list, which is what the oracle knows."""
    done = cards.reconciling[2] if cards.reconciling and cards.reconciling[:2] == (9, revision + 1) else 0
    sectors = CARDS - 4
    last = min((done >> 16) + 1 << 16, done + (1 << random.getrandbits(2) + 13))
    page = []
    for name, card in oracle.cards.items():
        place = ((name[0] << 8 | name[1]) * sectors >> 16) << 16 | name[1] << 8 | name[2]
        if done <= place < last:
            page.append((card[0], name) + tuple(card[1:6]))
    for _ in cards.reconcile(9, revision + 1, done, last, page):
        pass


def work(cards, journal):
    """One change of everything that a door does."""
    global revision
    dice = random.random()
    if dice < 0.6:
        change = change_of(oracle, names)
        try:
            getattr(cards, change[0])(*change[1:])
            oracle.apply(change)
        except (ListFull, ValueError):  # ValueError: the use that power cut short was taken
            pass
    elif dice < 0.65:
        revision += 1
        cards.set_revision(9, revision)
    elif dice < 0.7:
        reconcile(cards)
    journal.stamp(1000 + Time.now_ms // 1000, random.getrandbits(2) % 3, random.getrandbits(4))
    for _ in range(random.getrandbits(2)):
        if random.random() < 0.15:
            journal.append_long(record.COMMAND, 1, None, 7, bytes(random.getrandbits(8) for _ in range(24)))
        else:
            journal.append(random.getrandbits(3) + 1, random.getrandbits(2), names[0], random.getrandbits(20))
    if random.random() < 0.2:
        Time.now_ms += random.getrandbits(21)
    if random.random() < 0.3:
        settle(cards, journal)
    if random.random() < 0.1:
        seq = journal.acked + random.getrandbits(6)
        chain = bytearray(7)
        if seq <= journal.head and journal.chain_of(seq, chain):
            journal.ack(EPOCH, seq, chain)


cards, journal = start()
cards.format()
journal.format(EPOCH, KEY)
journal.mount()
for cut in range(CUTS + 1):
    if cut < CUTS:
        chip.fail_at(random.getrandbits(10) % (2 * CHANGES) + 1, random.choice(MODES), random.getrandbits(20))
    try:
        for _ in range(CHANGES):
            work(cards, journal)
        settle(cards, journal)
    except PowerCut:
        pass
    keep()
    cards, journal = start()
    journal.mount()
    mounted = journal.acked
    while cards.idle():
        pass
    torn = cards.torn
    cards.scrub()
    while cards.idle():
        pass
    say(cards, journal, torn=torn, boot=journal.boot, acked=mounted, torn_slots=journal.torn, repairs=cards.repairs)
