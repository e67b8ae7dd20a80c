"""A random workload on a journal, power going in every flash operation of it.

    answer = run({"sectors": 5, "prelude": [...], "steps": [["append", 2, 0, 3], ["idle", 5], ["send", 1]], ...})

Steps: append (kind, reason, how many), long (how many), idle (pieces), wait (15 minutes), send (batches, acknowledged
or "late": only what came before), forge (acknowledgements that must be refused), restart.
"""

from cut_world import SECTOR, RamFlash, explore, must
from journal_world import EPOCH, KEY, Bench, FakeTime
from oracle_journal import Database, Ledger, keys_until
from storage import journal as journal_module
from storage.flash import Flash
from storage.journal import Journal
from boards.sim.norflash import Region

IDLE_MS = 900_000
CURSOR = 64  # records that a saved cursor may lag behind once the door was idle
_AHEAD = 2  # sectors kept erased
_SURE_PER_SECTOR = 42  # records that a sector holds at least: long ones, each with a key slot
_preludes = {}


class RamBench(Bench):
    """The bench of the other journal tests, its flash in RAM, its truth by number."""

    def __init__(self, image, ledger, database, now_ms, sectors):
        self.size = sectors * SECTOR
        self.nor = RamFlash(image or b"\xff" * self.size)
        self.time = journal_module.time = FakeTime()
        self.buf = bytearray(24 + 32 * 32)
        self.ledger = ledger
        self.upstream = database
        self.sure_acked = 0  # what a start must find acknowledged
        self.acked = 0  # what upstream acknowledged
        self.number = 0
        if image:
            self.time.now_ms = now_ms
            self.load(image)
        else:
            self.journal = Journal(Flash(Region(self.nor, 0, self.size)))
            self.journal.format(EPOCH, KEY)

    def load(self, image):
        self.nor.load(image)
        self.reboot()

    def record(self, kind, reason, payload=None):
        """Append one; the number makes each another."""
        self.number += 1
        number = self.number
        pseudonym = bytes((number & 255, number >> 8, 3, 4, 5, 6, 7))
        self.ledger.ask(kind, reason, pseudonym, number, payload)
        if payload is None:
            seq = self.journal.append(kind, reason, pseudonym, number)
        else:
            seq = self.journal.append_long(kind, reason, pseudonym, number, payload)
        self.ledger.returned(seq)

    def pieces(self, count):
        """Idle work, at most so many pieces; True if there was no more."""
        for _ in range(count):
            if not self.journal.idle():
                self.ledger.idle(self.journal.head)
                self.sure_acked = max(self.sure_acked, self.journal.acked - CURSOR)
                return True
        self.ledger.idle(self.journal.head)
        return False

    def sure(self):
        """Newer records than this have room in any case."""
        return max(0, self.ledger.head - (self.size // SECTOR - _AHEAD - 1) * _SURE_PER_SECTOR)

    def upload(self, batches, how):
        """Send from the cursor on; acknowledge."""
        first = self.journal.acked + 1
        late = []
        while batches and first <= self.journal.head:
            batches -= 1
            slots = self.journal.batch(self.buf, first)
            must(slots, "nothing to send from %d on, head %d", first, self.journal.head)
            seq, chain = self.upstream.take(self.buf[: 24 + 32 * slots])
            must(seq == self.journal.last_in_batch, "last_in_batch %d, not %d", self.journal.last_in_batch, seq)
            late.append((seq, chain))
            first = seq + 1
        if how == "late":
            late.reverse()  # the newest first: older ones come behind the cursor and change nothing
        elif how == "none":
            late = []
        for seq, chain in late:
            newest = seq >= self.acked
            must(self.journal.ack(EPOCH, seq, chain) == newest, "acknowledgement of %d, cursor at %d", seq, self.acked)
            self.acked = max(self.acked, seq)
            must(self.journal.acked == self.acked, "cursor at %d, not %d", self.journal.acked, self.acked)

    def forge(self):
        """Acknowledgements that are not of this journal."""
        head, acked = self.journal.head, self.journal.acked
        chain = bytes(self.journal.chain)
        for epoch, seq, value in (
            (EPOCH, head + 1, chain),
            (b"none", head, chain),
            (EPOCH, head, bytes((chain[0] ^ 1,)) + chain[1:]),
        ):
            must(not self.journal.ack(epoch, seq, value), "a forged acknowledgement was taken")
        must(self.journal.acked == acked, "the cursor moved to %d", self.journal.acked)


class Moment:
    """Where the workload was: copies of all that outlives the power outside of the flash."""

    def __init__(self, bench):
        self.ledger = bench.ledger.copy()
        self.database = bench.upstream.copy()
        self.acked = bench.acked
        self.sure_acked = bench.sure_acked
        self.now_ms = bench.time.now_ms
        self.number = bench.number

    def give(self, bench):
        """Put all of it back."""
        bench.ledger = self.ledger.copy()
        bench.upstream = self.database.copy()
        bench.acked = self.acked
        bench.sure_acked = self.sure_acked
        bench.time.now_ms = self.now_ms
        bench.number = self.number


def prelude(sectors, records, unsent, longs, busy):
    """Image and moment of a journal that was in use before."""
    key = (sectors, records, unsent, longs, busy)
    if key not in _preludes:
        if len(_preludes) > 12:
            _preludes.clear()
        bench = RamBench(None, Ledger(), Database(KEY), 0, sectors)
        for number in range(records + unsent):
            if longs and number % longs == 0:
                bench.record(11, 1, bytes(range(number & 127, (number & 127) + 24)))
            else:
                bench.record(2, number % 5)
            if number % 20 == 19 and not busy:
                if number < records:
                    bench.upload(1000, "in order")
                bench.pieces(1000)
        if not busy:
            bench.pieces(1000)
        _preludes[key] = bench.nor.image(), Moment(bench)
    return _preludes[key]


def units(steps):
    """Steps of one append, one piece of idle work, one start each."""
    for step in steps:
        if step[0] == "append":
            for _ in range(step[3]):
                yield step
        elif step[0] in ("long", "idle"):
            for _ in range(step[1]):
                yield step
        else:
            yield step


def work(bench, steps):
    """Do the steps; return the moments, one for each unit."""
    moments = []
    for step in units(steps):
        bench.nor.context = len(moments)
        moment = Moment(bench)
        moments.append(moment)
        if step[0] in ("append", "long"):
            payload = None
            if step[0] == "long":
                payload = bytes((bench.number + i) & 255 for i in range(24))
            # As the software would be asking when power goes.
            number = bench.number + 1
            moment.ledger.ask(*asked(step, number, payload))
            bench.record(*((step[1], step[2]) if payload is None else (11, 1, payload)))
        elif step[0] == "idle":
            bench.pieces(1)
        elif step[0] == "wait":
            bench.time.now_ms += IDLE_MS
        elif step[0] == "send":
            bench.upload(step[1], step[2])
        elif step[0] == "forge":
            bench.forge()
        elif step[0] == "restart":
            bench.reboot()
            started(bench)
    return moments


def asked(step, number, payload):
    kind, reason = (11, 1) if payload else step[1:3]
    return kind, reason, bytes((number & 255, number >> 8, 3, 4, 5, 6, 7)), number, payload


def started(bench):
    """What must hold as soon as the journal is mounted."""
    journal = bench.journal
    must(not journal.key_lost, "the key is lost")
    # What was given up lies behind the cursor, too.
    must(journal.acked <= max(bench.acked, bench.sure()), "cursor at %d, upstream said %d", journal.acked, bench.acked)
    must(journal.acked >= bench.sure_acked, "acknowledged up to %d only, %d was saved", journal.acked, bench.sure_acked)
    bench.ledger.restarted(journal.head)
    bench.acked = journal.acked


def drained(bench):
    """Everything is upstream and true."""
    bench.upload(10000, "in order")
    bench.ledger.check(bench.upstream, bench.sure())


def one_key(bench):
    """After a quiet while only the key in use is left."""
    bench.time.now_ms += IDLE_MS
    must(bench.pieces(1000), "idle work never ends")
    generation = bench.journal._generation
    keys = keys_until(KEY, generation)
    image = bench.nor.image()
    must(keys.pop() in image, "the key of generation %d is not there", generation)
    for old, key in enumerate(keys):
        must(key not in image, "the key of generation %d is still there at generation %d", old, generation)


def verify(bench, moment, image, thorough):
    """Start on this image and check; return the log of what recovery and the first append did, and its moments."""
    moment.give(bench)
    bench.number += 1000  # what is appended now is not what was cut short
    bench.nor.load(image)
    bench.nor.begin()
    bench.nor.context = 0
    moments = [Moment(bench)]
    bench.reboot()
    started(bench)
    bench.nor.context = 1
    moments.append(Moment(bench))
    bench.pieces(4)
    bench.nor.context = 2
    moments.append(Moment(bench))
    moments[2].ledger.ask(*asked(("append", 2, 0), bench.number + 1, None))
    bench.record(2, 0)
    log = bench.nor.log
    bench.nor.log = None
    drained(bench)
    if thorough:
        bench.record(11, 1, bytes(range(24)))
        bench.record(2, 1)
        rest(bench)
    return log, moments


def rest(bench):
    """Quiet, a restart, and all is as it should be."""
    one_key(bench)
    bench.reboot()
    started(bench)
    bench.record(2, 2)
    drained(bench)


def verify_again(bench, moment, image):
    """After a second cut."""
    moment.give(bench)
    bench.number += 1000
    bench.load(image)
    started(bench)
    drained(bench)
    bench.record(2, 3)
    rest(bench)


def run(workload, answer):
    """Run a workload, cut everywhere, check; see cuts_worker.py for the answer."""
    image, moment = prelude(workload["sectors"], *workload["prelude"])
    bench = RamBench(image, moment.ledger.copy(), moment.database.copy(), moment.now_ms, workload["sectors"])
    moment.give(bench)
    started(bench)
    image = bench.nor.image()
    bench.nor.begin()
    moments = work(bench, workload["steps"])
    log = bench.nor.log
    bench.nor.log = None
    answer["operations"] = len(log)
    drained(bench)
    bench.pieces(1000)
    drained(bench)
    if ["restart"] not in workload["steps"]:  # what was counted is in RAM
        must(not bench.ledger.untold, "%d is missing and no gap record tells", bench.ledger.untold)

    def check(context, torn, number):
        log, later = verify(bench, moments[context], torn, number % 5 == 0)
        return log, torn, lambda context, torn: verify_again(bench, later[context], torn)

    explore(image, log, workload, check, answer)
