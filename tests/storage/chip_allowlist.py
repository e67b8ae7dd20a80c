"""What the allowlist does, on simulated NOR flash against a plain dict."""

import gc
import random

from boards.sim.norflash import Region
from cards_world import SECTOR, Case, World, change_of, pseudonym, values
from storage.allowlist import Allowlist, ListFull
from storage.entry import LIVE, NO_END, REVOKED, SUSPENDED
from storage.flash import Flash


class TestLookup(Case):
    """What one card does."""

    def test_every_field_comes_back(self):
        cards = self.world.cards
        p = b"\x12\x34\x56\x78\x9a\xbc\xde"
        self.assertFalse(cards.find(p))
        cards.put(p, 123456, 16000000, 63, 3)
        for _ in range(2):
            self.assertTrue(cards.find(p))
            self.assertEqual(self.world.look(p), (LIVE, 123456, 16000000, 63, 3, False, 0))
            self.assertFalse(cards.find(b"\x12\x34\x56\x78\x9a\xbc\xdf"))
            cards = self.world.restart()

    def test_states_and_back(self):
        world, cards = self.world, self.world.cards
        p = pseudonym()
        cards.put(p, 1, NO_END, 7)
        cards.suspend(p, 0, 0, 0)
        self.assertEqual(world.look(p), (SUSPENDED, 1, NO_END, 7, 0, False, 0))
        cards.put(p, 1, NO_END, 7)
        self.assertEqual(world.look(p), (LIVE, 1, NO_END, 7, 0, False, 0))
        cards.revoke(p, 0, 0, 0)
        self.assertEqual(world.look(p), (REVOKED, 1, NO_END, 7, 0, False, 0))
        cards.suspend(p, 0, 0, 0)
        self.assertEqual(world.look(p)[0], REVOKED)
        cards = world.restart()
        self.assertEqual(world.look(p)[0], REVOKED)
        cards.put(p, 2, 3, 8, 1)
        self.assertEqual(world.look(p), (LIVE, 2, 3, 8, 1, False, 0))
        cards.forget(p)
        self.assertFalse(cards.find(p))
        cards.forget(p)
        self.assertFalse(world.restart().find(p))

    def test_unknown_cards_are_created_suspended_or_revoked(self):
        world, cards = self.world, self.world.cards
        for operation, status in ((cards.suspend, SUSPENDED), (cards.revoke, REVOKED)):
            p = pseudonym()
            operation(p, 5, 6, 7, 2)
            self.assertEqual(world.look(p), (status, 5, 6, 7, 2, False, 0))

    def test_uses_run_out(self):
        world, cards = self.world, self.world.cards
        p, other = pseudonym(), pseudonym()
        cards.put(p, 0, NO_END, 1, 0, 16)
        cards.put(other, 0, NO_END, 1)
        for left in range(15, -1, -1):
            self.assertEqual(cards.use(p), left)
            self.assertEqual(world.look(p), (LIVE, 0, NO_END, 1, 0, True, left))
            if left == 7:
                cards = world.restart()
        self.assertRaises(ValueError, cards.use, p)
        self.assertRaises(ValueError, cards.use, other)
        self.assertRaises(ValueError, cards.use, pseudonym())
        cards.put(p, 0, NO_END, 1, 0, 16)  # the same again gives no new use
        self.assertEqual(world.look(p)[6], 0)
        cards.put(p, 0, NO_END, 1, 0, 2)
        self.assertEqual(world.look(p)[6], 2)
        cards.put(p, 0, NO_END, 1)
        self.assertEqual(world.look(p), (LIVE, 0, NO_END, 1, 0, False, 0))

    def test_put_of_what_is_there_programs_nothing(self):
        world, cards = self.world, self.world.cards
        for uses in (0, 3):
            p = pseudonym()
            cards.put(p, 1, 2, 3, 0, uses)
            if uses:
                cards.use(p)
            programs = world.chip.programs
            cards.put(p, 1, 2, 3, 0, uses)
            self.assertEqual(world.chip.programs, programs)
            self.assertEqual(world.look(p)[6], 2 if uses else 0)

    def test_programs_of_each_change(self):
        world, cards = self.world, self.world.cards
        cards.put(pseudonym(), 1, 2, 3)
        p = pseudonym()
        for operation, arguments, programs in (
            (cards.put, (p, 1, 2, 3), 1),
            (cards.put, (p, 1, 9, 3), 2),
            (cards.suspend, (p, 1, 2, 3), 1),
            (cards.revoke, (p, 1, 2, 3), 1),
            (cards.forget, (p,), 1),
            (cards.revoke, (p, 1, 2, 3), 2),
        ):
            world.chip.reset_counters()
            operation(*arguments)
            self.assertEqual((world.chip.programs, world.chip.erases), (programs, 0))

    def test_refuses_nonsense(self):
        cards = self.world.cards
        p = pseudonym()
        for arguments in (
            (p[:6], 0, 0, 0),
            (p, -1, 0, 0),
            (p, 0, 1 << 24, 0),
            (p, 0, 0, 64),
            (p, 0, 0, 0, 4),
            (p, 0, 0, 0, 0, 17),
            (p, 0, 0, 0, 0, -1),
        ):
            self.assertRaises(ValueError, cards.put, *arguments)
        self.assertFalse(cards.find(p))
        self.assertRaises(ValueError, Allowlist, Flash(Region(self.world.chip, 0, 4 * SECTOR)))

    def test_lookup_reads_one_page_and_allocates_nothing(self):
        world, cards = self.world, self.world.cards
        p, visitor = pseudonym(), pseudonym()
        cards.put(p, 0, NO_END, 1)
        cards.put(visitor, 0, NO_END, 1, 0, 4)
        unknown = pseudonym()

        class Still:  # a block device that allocates nothing, so that what is left is ours
            def ioctl(self, op, arg):
                return SECTOR if op == 5 else 5

            def readblocks(self, block, buf, off=0):
                file.seek(block * SECTOR + off)
                file.readinto(buf)

        file = open(world.path, "rb")
        cards = Allowlist(Flash(Still()))
        cards.mount()
        find = cards.find
        for name, known in ((p, True), (visitor, True), (unknown, False)):
            find(name)
            gc.collect()
            before = gc.mem_alloc()
            found = find(name)
            after = gc.mem_alloc()
            self.assertEqual(found, known)
            self.assertTrue(after - before <= 32, after - before)  # the bound method of this call, not of find itself
            world.chip.reset_counters()
            for reads in (1, 2):  # nothing is remembered: what lies in flash decides
                self.assertEqual(world.cards.find(name), known)
                self.assertEqual((world.chip.reads, world.chip.bytes_read), (reads, 256 * reads))
        file.close()


class TestWorkload(Case):
    """Random changes, idle work and restarts against the oracle."""

    def workload(self, sectors, population, changes, restarts):
        world = self.world
        if sectors != self.sectors:
            world.close()
            world = self.world = World(sectors)
        names = [pseudonym() for _ in range(population)]
        refused = 0
        for number in range(changes):
            change = change_of(world.oracle, names)
            try:
                world.both(change)
            except ListFull:
                refused += 1
            gc.collect()
            while random.random() < 0.8 and world.cards.idle():
                pass
            if number % 50 == 49:
                self.assertEqual(world.differences(), [])
                if random.random() < restarts:
                    world.restart()
                    self.assertEqual(world.differences(), [])
        world.settle()
        self.assertEqual(world.differences(), [])
        for name in names:
            if name not in world.oracle.cards:
                self.assertFalse(world.cards.find(name))
        self.assertEqual(world.cards.digest(), world.oracle.digests())
        self.assertEqual(world.cards.fill()[:2], world.oracle.counts())
        self.assertEqual((world.cards.torn, world.cards.repairs, world.cards.errors), (0, 0, 0))
        return refused

    def test_one_sector(self):
        self.assertEqual(self.workload(5, 150, 1500, 0.3), 0)

    def test_three_sectors(self):
        self.assertEqual(self.workload(7, 200, 1500, 0.1), 0)

    def test_at_the_limit(self):
        self.assertTrue(self.workload(5, 290, 1500, 0.3) > 0)

    def test_digest_is_kept_without_reading_again(self):
        world = self.world
        names = [pseudonym() for _ in range(60)]
        for name in names:
            world.both(("put", name) + values())
        self.assertEqual(world.cards.digest(), None)
        world.settle()
        for _ in range(300):
            world.both(change_of(world.oracle, names))
            self.assertEqual(world.cards.digest(), world.oracle.digests())
            self.assertEqual(world.cards.fill()[:2], world.oracle.counts())
        world.cards.scrub()
        self.assertEqual(world.cards.digest(), None)
        world.settle()
        self.assertEqual(world.cards.digest(), world.oracle.digests())

    def test_change_in_the_middle_of_a_rewrite(self):
        world = self.world
        names = [pseudonym() for _ in range(40)]
        for name in names:
            world.both(("put", name) + values())
        visitor = names[0]
        world.both(("put", visitor, 1, NO_END, 1, 0, 16))
        world.settle()
        erases = world.chip.erases
        for _ in range(600):
            world.both(("put", random.choice(names[1:]), 0, random.getrandbits(24), 1, 0, 0))
            for _ in range(random.getrandbits(6)):
                world.cards.idle()
            if world.look(visitor)[6]:
                world.both(("use", visitor))
            else:
                world.both(("put", visitor, random.getrandbits(20), NO_END, 1, 0, 16))
            for _ in range(random.getrandbits(6)):
                world.cards.idle()
            self.assertEqual(world.look(visitor), world.oracle.look(visitor))
        world.settle()
        self.assertEqual(world.differences(), [])
        self.assertEqual(world.cards.digest(), world.oracle.digests())
        self.assertTrue(world.chip.erases > erases + 5)

    def test_a_door_that_is_idle_now_and_then_never_rewrites_inside_an_update(self):
        world = self.world
        names = [pseudonym() for _ in range(180)]
        for name in names:
            world.both(("put", name) + values(0))
        most = 0
        for _ in range(400):
            world.chip.reset_counters()
            world.do(("put", random.choice(names)) + values(0))
            most = max(most, world.chip.programs)
            self.assertEqual(world.chip.erases, 0)
            world.settle()
        self.assertTrue(most <= 3, most)

    def test_full_list_refuses_and_stays(self):
        world = self.world
        refused = None
        while refused is None:
            change = ("put", pseudonym()) + values(0)
            try:
                world.both(change)
            except ListFull as error:
                refused = change
                self.assertEqual(error.errno, 28)
        self.assertEqual(len(world.oracle.cards), 254)
        world.settle()
        erases = world.chip.erases
        self.raises_errno(28, world.do, ("put", pseudonym()) + values(3))
        self.raises_errno(28, world.do, ("revoke", refused[1]) + values(0))
        self.assertEqual(world.chip.erases, erases)
        self.assertEqual(world.differences(), [])
        world.restart()
        self.assertEqual(world.differences(), [])
        self.assertFalse(world.cards.find(refused[1]))
        # What is known can be changed nevertheless, and what goes makes room.
        names = list(world.oracle.cards)
        for name in names[:10]:
            world.both(("put", name) + values(0))
            world.both(("suspend", name) + values(0))
        world.both(("forget", names[0]))
        world.both(refused)
        self.assertEqual(world.differences(), [])
        world.settle()
        self.assertEqual(world.cards.digest(), world.oracle.digests())

    def test_mount_programs_nothing_and_idle_comes_to_rest(self):
        world = self.world
        for _ in range(30):
            world.both(("put", pseudonym()) + values())
        world.settle()
        world.chip.reset_counters()
        world.restart()
        self.assertEqual((world.chip.programs, world.chip.erases), (0, 0))
        self.assertTrue(world.chip.reads <= 5)
        world.settle()
        self.assertEqual((world.chip.programs, world.chip.erases), (0, 0))

    def test_format(self):
        world = self.world
        p = pseudonym()
        world.cards.put(p, 0, 1, 2)
        world.cards.set_revision(1, 1)
        world.cards.format()
        self.assertFalse(world.cards.find(p))
        self.assertEqual(world.cards.revision, 0)
        world.cards.put(p, 0, 1, 2)
        world.restart()
        self.assertTrue(world.cards.find(p))
        self.assertEqual(world.cards.revision, 0)

    def test_any_garbage_mounts_as_a_list_that_works(self):
        world = self.world
        for _ in range(5):
            for at in range(0, world.size, 256):
                world.write(at, bytes(random.getrandbits(8) for _ in range(256)))
            cards = world.restart()
            p = pseudonym()
            self.assertFalse(cards.find(p))
            cards.put(p, 0, 1, 2)
            world.settle()
            self.assertTrue(world.restart().find(p))
