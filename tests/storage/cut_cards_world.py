"""A random workload on an allowlist, power going in every flash operation of it.

    answer = run({"sectors": 5, "prelude": [...], "steps": [["put", 0, 1, 2, 3, 0, 0], ["idle", 3, None]], ...})

Steps: put, suspend, revoke (name, values), forget, use (name), revision (how far on; or another office), idle (pieces,
now_min), restart. A name is a number; the first eight have one home page, so that pages overflow.
"""

from hashlib import sha256

from cards_world import World
from cut_world import SECTOR, RamFlash, explore, must
from oracle_allowlist import LIVE, REVOKED, Oracle

_preludes = {}


class RamWorld(World):
    """The world of the other allowlist tests, its flash in RAM."""

    def __init__(self, image, oracle):
        self.chip = RamFlash(image)
        self.size = len(image)
        self.oracle = oracle
        self.restart()

    def load(self, image):
        self.chip.load(image)
        self.restart()


def name_of(number):
    """A pseudonym; of each 20 the first eight meet in one page and go on in the same order."""
    name = bytearray(sha256(b"name %d" % number).digest()[:7])
    if number % 20 < 8:
        name[2:5] = b"\x00\x39\x05"
    return bytes(name)


def values_of(seed, number):
    """Values of a card of the prelude."""
    noise = sha256(b"values %d %d" % (seed, number)).digest()
    return (noise[0], 3000 + (noise[1] << 12), noise[2] & 63, noise[3] & 3, (0, 0, 0, 2, 16)[noise[4] % 5])


def prelude(sectors, seed, cards, aged, revision, settled):
    """Image and oracle of a list that was in use before; some are revoked, some suspended."""
    key = (sectors, seed, cards, aged, revision, settled)
    if key not in _preludes:
        if len(_preludes) > 12:
            _preludes.clear()
        world = RamWorld(b"\xff" * (sectors * SECTOR), Oracle())
        for number in range(cards):
            world.both(("put", name_of(number)) + values_of(seed, number))
        for number in range(aged):
            world.both(("put", name_of(number * 7 % cards)) + values_of(seed + 1 + number, number))
        for number in range(0, cards, 5):
            world.both((("revoke", "suspend")[number % 10 == 5], name_of(number)) + values_of(seed, number))
        for number in range(1, revision + 1):
            world.cards.set_revision(7, number)
            world.oracle.revision = (7, number)
        if settled:
            world.settle()
        _preludes[key] = world.chip.image(), world.oracle
    image, oracle = _preludes[key]
    return image, oracle.copy()


class Moment:
    """Where the workload was: what it was doing, and the list before and after."""

    def __init__(self, step, before, after, gone=()):
        self.step = step
        self.before = before
        self.after = after
        self.gone = gone  # tombstones that may give way at this step


def change_of(step, oracle):
    """The change of a step in the words of list and oracle; None if it makes no sense now."""
    operation = step[0]
    if operation == "revision":
        epoch, revision = oracle.revision
        return ("set_revision",) + ((epoch, revision + step[1]) if step[1] else (epoch + 1, 3))
    change = (operation, name_of(step[1])) + tuple(step[2:])
    if operation == "use":
        card = oracle.cards.get(change[1])
        if not card or not card[6] or card[0] != LIVE:
            return None
    return change


def work(world, steps):
    """Do the steps; return the moments."""
    moments = []
    for step in steps:
        world.chip.context = len(moments)
        before = world.oracle.copy()
        moment = Moment(step, before, world.oracle)
        moments.append(moment)
        if step[0] == "idle":
            if step[2] is not None:
                moment.gone = before.may_go(step[2])
            for _ in range(step[1]):
                if not world.cards.idle(step[2]):
                    break
            give_way(world, moment.gone, world.oracle)
        elif step[0] == "restart":
            world.restart()
        else:
            change = change_of(step, before)
            if change is None:
                continue
            left = do(world, change)
            applied(world.oracle, change)
            must(left is None or left == world.oracle.cards[change[1]][6], "%r uses are left, it says", left)
        moment.after = world.oracle.copy()
    return moments


def do(world, change):
    """Apply a change to the list; return what it says."""
    if change[0] == "set_revision":
        return world.cards.set_revision(*change[1:])
    return world.do(change)


def applied(oracle, change):
    if change[0] == "set_revision":
        oracle.revision = change[1:]
    else:
        oracle.apply(change)


def give_way(world, gone, oracle):
    """Tombstones that may give way and did."""
    for name in gone:
        if name in oracle.cards and world.look(name) is None:
            oracle.apply(("forget", name))


def stands(world, moment, name, before, after):
    """The list after a cut says what it said before or what it says after, and of other cards nothing else."""
    for p in after.cards:
        if p != name:
            found = world.look(p)
            if p in moment.gone and found is None:
                continue
            must(found == after.look(p), "another card changed: %r is %r, not %r", p, found, after.look(p))
    if name:
        found, was, is_now = world.look(name), before.look(name), after.look(name)
        if was and was[0] == REVOKED and moment.step[0] not in ("put", "forget"):
            must(found and found[0] == REVOKED, "revoked card %r is %r", name, found)
        must(found in (was, is_now), "%r is %r, was %r, should be %r", name, found, was, is_now)
    revision = world.cards.office_epoch, world.cards.revision
    must(
        revision in (before.revision, after.revision),
        "revision %r, not %r or %r",
        revision,
        before.revision,
        after.revision,
    )


def verify(world, moment, image, again):
    """Start on this image, check, do what was cut short again, check; return the log of that."""
    before, after = moment.before, moment.after
    change = None
    if moment.step[0] not in ("idle", "restart"):
        change = change_of(moment.step, before)
    name = change[1] if change and change[0] != "set_revision" else None
    world.load(image)
    stands(world, moment, name, before, after)
    world.chip.begin()
    if change and not (change[0] == "use" and world.look(name) == after.look(name)):
        do(world, change)
    if name:
        must(world.look(name) == after.look(name), "%r is %r, should be %r", name, world.look(name), after.look(name))
    world.settle(moment.step[2] if moment.step[0] == "idle" else None)
    log = world.chip.log
    world.chip.log = None
    final = after.copy()
    give_way(world, moment.gone, final)
    counted(world, final)
    if again:
        same(world, final)
        world.restart()
        same(world, final)
    return log


def same(world, oracle):
    """Lookups and revision are the oracle's."""
    wrong = world.differences(oracle)
    must(not wrong, "differs: %r", wrong[:3])
    must((world.cards.office_epoch, world.cards.revision) == oracle.revision, "revision differs")


def counted(world, oracle):
    """Digests and counts are the oracle's: nothing is missing, and nothing is there besides."""
    must(world.cards.digest() == oracle.digests(), "digests differ")
    must(world.cards.fill()[:2] == oracle.counts(), "counts %r, not %r", world.cards.fill(), oracle.counts())


def run(workload, answer):
    """Run a workload, cut everywhere, check; see cuts_worker.py for the answer."""
    image, oracle = prelude(workload["sectors"], *workload["prelude"])
    world = RamWorld(image, oracle)
    world.chip.begin()
    moments = work(world, workload["steps"])
    log = world.chip.log
    world.chip.log = None
    answer["operations"] = len(log)
    world.settle()
    counted(world, world.oracle)
    same(world, world.oracle)

    def check(context, torn, number):
        log = verify(world, moments[context], torn, number % 3 == 0)
        return log, torn, lambda _, torn: verify(world, moments[context], torn, True)

    explore(image, log, workload, check, answer)
