"""Power goes in every flash operation of the allowlist."""

import gc
import random

from boards.sim.norflash import PowerCut
from cards_world import SEED, Case, change_of, pseudonym, values
from oracle_allowlist import Oracle

HOWS = ("none", "prefix", "random", "half", "preprogram", "all")


class TestPowerCuts(Case):
    """Power goes in every flash operation of a change; each card is as before or as after, and again makes it so."""

    def cut_everywhere(self, change, now_min=None, hows=HOWS, seeds=2, others=None):
        """Cut `change` (or idle work if None) at each operation; return how many cut points were tried."""
        world = self.world
        world.snapshot()
        before = world.oracle
        after = Oracle()
        after.cards = {p: list(card) for p, card in before.cards.items()}
        after.revision = before.revision
        name = None
        if change and change[0] == "set_revision":
            after.revision = change[1:]
        elif change:
            after.apply(change)
            name = change[1]
        others = others or [p for p in before.cards if p != name]
        points = 0
        operation = 1
        finished = False
        while not finished:
            for how in hows:
                for seed in range(seeds if how in ("random", "half", "preprogram", "prefix") else 1):
                    gc.collect()
                    world.restore()
                    world.restart()
                    world.chip.fail_at(operation, how, SEED + seed + 31 * operation)
                    try:
                        self.act(change, now_min)
                        finished = True
                        break
                    except PowerCut:
                        points += 1
                    world.restart()
                    self.after_cut(before, after, name, others)
                    # Again, after the scrub has run or before.
                    if seed:
                        world.settle()
                        self.after_cut(before, after, name, others)
                        self.assertTrue(world.cards.digest() in (before.digests(), after.digests()))
                    used_up = change and change[0] == "use" and world.look(name) == after.look(name)
                    if not used_up:
                        self.act(change, now_min)
                    self.after_cut(after, after, name, others)
                    world.settle()
                    self.after_cut(after, after, name, others)
                    self.assertEqual(world.cards.digest(), after.digests())
                    world.restart()
                    self.after_cut(after, after, name, others)
                if finished:
                    break
            operation += 1
        self.assertTrue(points or change == "nothing")
        world.restore()
        world.restart()
        return points

    def act(self, change, now_min):
        if change is None:
            self.world.settle(now_min)
        else:
            self.world.do(change)

    def after_cut(self, before, after, name, others):
        world = self.world
        for p in others:
            if world.look(p) != after.look(p):
                self.fail("another card changed: %r %r %r" % (p, world.look(p), after.look(p)))
        if name:
            found = world.look(name)
            if found != before.look(name) and found != after.look(name):
                self.fail("%r: %r, was %r, should be %r" % (name, found, before.look(name), after.look(name)))
        self.assertTrue((world.cards.office_epoch, world.cards.revision) in (before.revision, after.revision))

    def fill(self, count, dead=0):
        world = self.world
        names = [pseudonym() for _ in range(count)]
        for name in names:
            world.both(("put", name) + values())
        for _ in range(dead):
            world.both(("put", random.choice(names)) + values(0))
        for name in names[:5]:
            world.both(("revoke", name) + values())
        for name in names[5:8]:
            world.both(("suspend", name) + values())
        world.cards.set_revision(4, 100)
        world.oracle.revision = (4, 100)
        return names

    def test_first_card_of_all(self):
        print(self.cut_everywhere(("put", pseudonym()) + values(2)), "points")

    def test_grant(self):
        self.fill(20)
        for uses in (0, 1, 16):
            self.cut_everywhere(("put", pseudonym()) + values(uses), seeds=6)

    def test_renew(self):
        names = self.fill(30)
        # A revoked, a suspended and live ones; with and without uses before and after.
        for name in (names[0], names[6]) + tuple(names[8:20]):
            for uses in (0, 3):
                self.cut_everywhere(("put", name) + values(uses), seeds=3)

    def test_suspend_revoke_forget(self):
        names = self.fill(30)
        for operation in ("suspend", "revoke", "forget"):
            for name in (names[0], names[6], names[9], names[10], names[11], pseudonym()):
                change = (operation, name) + (() if operation == "forget" else values(2))
                if self.changes(change):
                    self.cut_everywhere(change, seeds=8)

    def test_revoke_an_unknown_card(self):
        """A program that ends just before the state would leave it live, if the state were not there first."""
        self.world.both(("put", pseudonym()) + values(0))
        self.cut_everywhere(("revoke", pseudonym()) + values(0), hows=("prefix",), seeds=150)

    def changes(self, change):
        programs = self.world.chip.programs
        self.world.snapshot()
        self.world.do(change)
        self.world.restore()
        self.world.restart()
        return self.world.chip.programs != programs

    def test_use(self):
        self.fill(20)
        name = pseudonym()
        self.world.both(("put", name) + values(16))
        for _ in range(16):
            self.cut_everywhere(("use", name), seeds=4, others=[p for p in self.world.oracle.cards if p != name][:5])
            self.world.both(("use", name))

    def test_overflowing_page(self):
        # 80 cards with the same home page and sector: they fill several pages.
        world = self.world
        names = []
        while len(names) < 80:
            name = pseudonym()
            if (2 + (name[2] << 8 | name[3]) % 254) >> 4 == 9:
                names.append(name)
                world.both(("put", name) + values(0))
                if len(names) % 7 == 0 or len(names) in (16, 17, 32, 33, 34):
                    self.cut_everywhere(("put", self.beside(9)) + values(len(names) % 3), hows=("random", "all"))
        self.cut_everywhere(("revoke", names[79]) + values())
        self.cut_everywhere(("put", names[40]) + values(5))

    def beside(self, page):
        while True:
            name = pseudonym()
            if (2 + (name[2] << 8 | name[3]) % 254) >> 4 == page:
                return name

    def test_rewrite_inside_an_update(self):
        world = self.world
        names = self.fill(145)
        while True:  # fill all slots with superseded entries, never idle
            name = random.choice(names)
            change = ("put", name) + values(0)
            world.snapshot()
            programs = world.chip.programs
            world.do(change)
            if world.chip.programs - programs > 10:
                break
            world.oracle.apply(change)
        world.restore()
        world.restart()
        for each in (change, ("put", pseudonym()) + values(2), ("revoke", pseudonym()) + values(0)):
            self.cut_everywhere(each, hows=("random", "all"), seeds=1)

    def test_rewrite_while_idle(self):
        names = self.fill(60, 0)
        world = self.world
        world.settle()
        erases = world.chip.erases
        while True:
            change = ("put", random.choice(names)) + values(0)
            world.both(change)
            world.snapshot()
            world.settle()
            if world.chip.erases != erases:
                break
        world.restore()
        world.restart()
        self.cut_everywhere(None, hows=("random", "half", "preprogram", "all"), seeds=1)

    def test_a_spare_in_which_a_rewrite_was_begun(self):
        """What stands there is older than what the next rewrite puts there."""
        world = self.world
        names = self.fill(60)
        world.settle()
        erases = world.chip.erases
        while world.chip.erases == erases:
            world.both(("put", random.choice(names)) + values(0))
            world.snapshot()
            world.settle()
        for operation in range(2, 12):
            world.restore()
            world.restart()
            world.chip.fail_at(operation, "all", SEED)
            with self.assertRaises(PowerCut):
                world.settle()
            world.restart()
            for name in names:
                world.both(("put", name) + values(0))
            world.settle()
            self.assertEqual(world.differences(), [])
            self.assertEqual(world.cards.digest(), world.oracle.digests())
            self.assertEqual(world.cards.torn, 0)

    def test_revision(self):
        world = self.world
        self.fill(5)
        self.cut_everywhere(("set_revision", 4, 101), seeds=10)
        for revision in range(101, 354):
            world.cards.set_revision(4, revision)
            world.oracle.revision = (4, revision)
            if revision > 351:
                self.cut_everywhere(("set_revision", 4, revision + 1), seeds=3)
        self.cut_everywhere(("set_revision", 77, 5), seeds=3)

    def test_storm(self):
        """Changes and idle work, power going at random, now and then twice in a row."""
        world = self.world
        names = [pseudonym() for _ in range(70)]
        cuts = 0
        for _ in range(900):
            gc.collect()
            change = change_of(world.oracle, names)
            before = world.look(change[1])
            world.oracle.apply(change)
            while True:
                if random.random() < 0.6:
                    world.chip.fail_at(1 + random.getrandbits(4) % 7, random.choice(HOWS), random.getrandbits(20))
                try:
                    world.do(change)
                    while random.random() < 0.9 and world.cards.idle():
                        pass
                    break
                except PowerCut:
                    cuts += 1
                    world.restart()
                    found = world.look(change[1])
                    self.assertTrue(found == before or found == world.oracle.look(change[1]))
                    if change[0] == "use" and found == world.oracle.look(change[1]):
                        break
            world.chip.power_on()
            self.assertEqual(world.look(change[1]), world.oracle.look(change[1]))
            if random.random() < 0.05:
                self.assertEqual(world.differences(), [])
        print(cuts, "cuts")
        world.restart()
        world.settle()
        self.assertEqual(world.differences(), [])
        self.assertEqual(world.cards.digest(), world.oracle.digests())
        self.assertTrue(cuts > 200)
