"""Every single bit that allowlist and journal have written flips, one after the other, and a sample of erased ones.

Of a journal's records every third bit is enough: header and key slots stand for others, records for themselves.

    flip_cards({"noise": 1, "erased": 400}, answer)

The answer says how many bits were tried (`points`) and what came of them; see the two functions.
"""

import random

from cut_cards_world import RamWorld, name_of
from cut_journal_world import RamBench
from cut_world import SECTOR, must
from journal_world import KEY
from oracle_allowlist import Oracle
from oracle_journal import Database, Ledger
from storage import record

_CHECKED = 119  # bits of an entry that its checks cover; the others are state triples
_FIRST_SECTOR = 5  # records in the first of the two sectors of the journal
_LAST = 14


def bits_of(image, slot, workload, answer, sampled=lambda at: False):
    """Yield each bit of the slots that are not erased, then some of the erased ones; `answer` follows.

    `sampled` tells whether every third bit of the slot at an address is enough.
    """
    random.seed(workload["noise"])
    only_headers = workload.get("headers")
    places = [
        at
        for at in range(0, len(image), slot)
        if min(image[at : at + slot]) != 255 and not (only_headers and at % SECTOR)
    ]
    answer["slots"] = len(places)
    for at in places:
        thin = sampled(at)
        answer["sampled"] = answer.get("sampled", 0) + thin
        for bit in range(8 * at + (workload["noise"] % 3 if thin else 0), 8 * (at + slot), 3 if thin else 1):
            answer["bit"] = bit
            yield bit
            answer["points"] += 1
    for _ in range(workload["erased"]):
        answer["bit"] = bit = random.getrandbits(30) % (8 * len(image))
        yield bit
        answer["points"] += 1
    answer.pop("bit")


def flipped(image, bit):
    """The image with one bit the other way round."""
    data = bytearray(image)
    data[bit >> 3] ^= 1 << (bit & 7)
    return data


def cards_list():
    """A list with cards of all sorts, superseded ones, and a sector that was rewritten."""
    world = RamWorld(b"\xff" * (5 * SECTOR), Oracle())
    names = [name_of(number) for number in (0, 1, 9, 10, 11, 12, 13, 14, 15)]
    for turn in range(2):
        for number, name in enumerate(names):
            world.both(("put", name, turn, 0xFFFFFF, number, 1, (0, 0, 3)[number % 3]))
    world.both(("use", names[2]))
    for number in (0, 5):
        world.both(("revoke", names[number], 0, 0, 0, 0, 0))
    world.both(("suspend", names[1], 0, 0, 0, 0, 0))
    world.settle()
    erases = world.chip.erases
    for turn in range(2, 300):
        if world.chip.erases != erases:
            break  # the sector was rewritten, and the one before erased
        world.both(("put", names[3], turn, 0xFFFFFF, 3, 1, 0))
        world.settle()
    world.both(("revoke", names[4], 0, 0, 0, 0, 0))
    for revision in (1, 2):
        world.cards.set_revision(9, revision)
    world.oracle.revision = (9, 2)
    world.restart()
    return world, names


def flip_cards(workload, answer):
    """No card is granted and none revived; one at most is missing or lost its uses, and only by a bit of its own entry.

    answer["missing"]: cards missed; ["healed"]: lists that were read through and were the oracle's again; ["repaired"]:
    triples and headers that were put right.
    """
    world, names = cards_list()
    image = world.chip.image()
    right = [world.look(name) for name in names]
    answer.update({"missing": 0, "healed": 0, "repaired": 0})
    for bit in bits_of(image, 16, workload, answer):
        world.chip.load(flipped(image, bit))
        world.restart()
        less = []
        for number, name in enumerate(names):
            now, was = world.look(name), right[number]
            if now != was:
                less.append(number)
                # What is left of it is less than it was: unknown, or the same with fewer uses.
                must(now is None or (was[5] and now[:6] == was[:6] and now[6] < was[6]), "%r is %r", was, now)
        must(len(less) <= 1, "cards %r are not as they were", less)
        must((world.cards.office_epoch, world.cards.revision) in ((9, 2), (9, 1)), "revision %d", world.cards.revision)
        if less:
            slot = image[bit >> 7 << 4 : (bit >> 7 << 4) + 16]
            must(slot[:6] == names[less[0]][1:], "a bit of another entry costs card %d", less[0])
            must(bit & 127 < _CHECKED, "a bit of its state costs card %d", less[0])
            answer["missing"] += 1
        elif bit % 5 == 0:
            world.settle()
            must(world.cards.digest() == world.oracle.digests(), "digests differ")
            must([world.look(name) for name in names] == right, "cards differ after idle work")
            answer["healed"] += 1
            answer["repaired"] += world.cards.repairs
            if world.cards.repairs:
                world.restart()
                world.settle()
                must(world.cards.repairs == 0, "something is left that a second flip could tip over")


def seen(bench):
    """What upstream accepts of all that is left, by number; how many batches it refused."""
    rows = {}
    broken = 0
    first = 1
    while first <= bench.journal.head:
        slots = bench.journal.batch(bench.buf, first)
        if not slots:
            break
        database = Database(KEY)
        try:
            database.take(bench.buf[: 24 + 32 * slots])
        except ValueError:
            broken += 1
        rows.update(database.rows)
        first = bench.journal.last_in_batch + 1
    return rows, broken


def flip_journal(workload, answer):
    """The door starts with its key and cursor and appends; a damaged header costs nothing, a damaged record itself.

    Upstream names that record, or it was the newest and is taken back.

    answer["back"]: records taken back; ["named"]: batches that upstream refuses; ["headers"]: bits of headers.
    """
    bench = RamBench(None, Ledger(), Database(KEY), 0, 6)
    for number in range(1, _LAST + 1):
        if number == _FIRST_SECTOR + 1:
            bench.nor.fail_io("program")  # the journal goes on in another sector
        if number in (3, 12):
            bench.record(record.COMMAND, 1, bytes(range(24)))
        else:
            bench.record(record.GRANTED, 0)
        if number == 9:
            bench.time.now_ms += 900_000
            bench.pieces(100)
        if number == 10 and workload["sent"]:
            bench.upload(1, "in order")
    bench.pieces(100)
    image = bench.nor.image()
    bench.load(image)
    acked = bench.journal.acked
    right, broken = seen(bench)
    must(len(right) == _LAST and not broken, "upstream accepts %d of %d", len(right), _LAST)
    answer.update({"back": 0, "named": 0, "headers": 0})
    records = (record.SINGLE, record.LONG, record.SECOND)
    for bit in bits_of(image, 32, workload, answer, lambda at: at % SECTOR > 0 and record.code(image[at]) in records):
        bench.load(flipped(image, bit))
        journal = bench.journal
        head = journal.head
        must(_LAST - 1 <= head <= _LAST, "the newest number is %d", head)
        must(journal.acked == acked, "acknowledged up to %d", journal.acked)
        must(not journal.key_lost, "the key is lost")
        journal.append(record.BOOT, 7)
        bench.pieces(4)
        must(journal.head == head + 1, "%d after %d", journal.head, head)
        rows, broken = seen(bench)
        for seq, row in rows.items():
            must(row == right[seq] if seq <= head else row[:2] == (record.BOOT, 7), "%d is %r", seq, row)
        must(broken <= 1, "%d batches are refused", broken)
        must(broken or len(rows) == head + 1, "%d records came, nothing was refused", len(rows))
        if bit >> 8 & 127 == 0:
            must(head == _LAST and not broken, "a bit of a header costs a record")
            answer["headers"] += 1
        answer["back"] += _LAST - head
        answer["named"] += broken
