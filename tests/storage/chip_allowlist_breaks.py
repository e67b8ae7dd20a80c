"""Ways in which a list was once broken: power cuts between two programs, refused programs, idle work in between."""

import gc

from boards.sim.norflash import PowerCut
from cards_world import Case
from oracle_allowlist import LIVE, REVOKED, SUSPENDED
from storage.allowlist import ListFull

END = 1 << 16  # of the only sector


def name(number, home=0):
    """A pseudonym of the only sector whose search begins at `home`, a slot number less two."""
    return bytes((1, 0, home, number, 0, 0, number))


class Breaks(Case):
    def cut(self, operation, change):
        """Power goes before this operation of a change."""
        world = self.world
        world.chip.fail_at(operation, "none", 1)
        try:
            world.do(change)
            self.fail("no cut")
        except PowerCut:
            world.restart()

    def take(self, *page, first=0, last=END, epoch=7, revision=1):
        self.take_page(list(page), first, last, epoch, revision)

    def take_page(self, page, first=0, last=END, epoch=7, revision=1):
        gc.collect()  # the code for it is loaded now
        for _ in self.world.cards.reconcile(epoch, revision, first, last, page):
            pass

    def visitor(self, number):
        # Slot 59 lies in page 3, which holds 16: one is left when a counter and its card go on to the next page.
        return bytes((1, 0x77, 0, 57, 0, 0, number))

    def test_a_renewed_visitor_never_gets_the_old_counter(self):
        world = self.world
        for number in range(15):
            world.both(("put", self.visitor(number), 0, 5000, 1, 0, 0))
        world.both(("put", self.visitor(100), 0, 5000, 2, 0, 16))
        for until in range(6000, 6170):
            world.both(("put", name(200, 128), 0, until, 1, 0, 0))
        world.settle()
        for _ in range(16):
            world.both(("use", self.visitor(100)))
        world.snapshot()
        before = world.oracle.look(self.visitor(100))
        for uses in (1, 16):
            change = ("put", self.visitor(100), 0, 7000, 2, 0, uses)
            after = (LIVE, 0, 7000, 2, 0, True, uses)
            for operation in range(1, 5):
                world.restore()
                world.restart()
                self.cut(operation, change)
                self.assertTrue(world.look(self.visitor(100)) in (before, after))
                world.settle()
                world.do(change)
                self.assertEqual(world.look(self.visitor(100)), after)

    def test_a_forgotten_visitor_who_comes_again_gets_the_uses_that_were_granted(self):
        world = self.world
        for granted in (3, 16, 1, 0, 5):
            world.both(("put", name(1), 0, 5000 + granted, 2, 0, granted))
            if granted:
                world.both(("use", name(1)))
            world.both(("forget", name(1)))
            self.assertEqual(world.look(name(1)), None)
        world.both(("put", name(1), 0, 5000, 2, 0, 2))
        self.assertEqual(world.differences(), [])
        world.settle()
        self.assertEqual(world.cards.digest(), world.oracle.digests())

    def fill(self):
        for number in range(254):
            self.world.both(("put", name(number), 0, 5000, 1, 0, 0))

    def test_a_full_sector_keeps_no_page_from_revoking(self):
        self.fill()
        page = [(LIVE, name(number), 0, 5000, 1, 0, 0) for number in range(254)]
        page.insert(0, (LIVE, name(0, 9), 0, 5000, 1, 0, 0))  # no room for this one
        page[8] = (REVOKED, name(7), 0, 5000, 1, 0, 3)  # nor for this one's counter
        page[9] = (SUSPENDED, name(8), 0, 5000, 1, 0, 3)
        page[10] = (REVOKED,) + page[10][1:]
        with self.assertRaises(ListFull):
            self.take_page(page)
        states = [self.world.look(name(number))[0] for number in (7, 8, 9, 10)]
        self.assertEqual(states, [REVOKED, SUSPENDED, REVOKED, LIVE])
        self.assertEqual((self.world.cards.revision, self.world.cards.reconciling), (1, None))

    def test_a_tombstone_with_a_live_copy_behind_it_is_not_forgotten(self):
        world = self.world
        world.do(("revoke", name(1), 0, 5000, 1))
        self.cut(2, ("put", name(1), 0, 6000, 1))
        world.do(("put", name(2), 0, 5000, 1))
        self.cut(2, ("put", name(2), 0, 6000, 1))
        self.cut(2, ("revoke", name(2), 0, 6000, 1))
        self.take()
        self.assertEqual((world.look(name(1))[0], world.look(name(2))[0]), (REVOKED, REVOKED))

    def test_a_page_that_is_refused_changes_nothing(self):
        world = self.world
        world.both(("put", name(1), 0, 5000, 1, 0, 0))
        programs = world.chip.programs
        for card, revision in (
            ((LIVE, name(2), 0, 5000, 64, 0, 0), 1),
            ((LIVE, name(2), 0, 5000, 1, 0, 17), 1),
            ((3, name(2), 0, 5000, 1, 0, 0), 1),
            ((-1, name(2), 0, 5000, 1, 0, 0), 1),
            ((LIVE, name(2), 0, 5000, 1, 0, 0), 1 << 30),
        ):
            with self.assertRaises(ValueError):
                self.take(card, revision=revision)
        self.assertEqual(world.chip.programs, programs)
        self.assertEqual(world.differences(), [])

    def test_the_last_page_may_come_twice(self):
        self.take(last=100)
        self.take(first=100)
        self.take(first=100)
        self.assertEqual((self.world.cards.revision, self.world.cards.reconciling), (1, None))

    def test_a_change_of_its_own_begins_the_reconciliation_anew(self):
        world = self.world
        self.take((LIVE, name(1), 0, 5000, 1, 0, 0), last=30000, revision=5)
        world.cards.forget(name(1))
        world.restart()
        self.assertEqual(world.cards.reconciling, (7, 5, 0))
        with self.assertRaises(ValueError):
            self.take(first=30000, revision=5)
        # Between two steps of a page, too.
        steps = world.cards.reconcile(7, 5, 0, END, [(LIVE, name(number), 0, 5000, 1, 0, 0) for number in range(9)])
        next(steps)
        world.cards.put(name(100), 0, 5000, 1)
        world.cards.set_revision(7, 6)
        for _ in steps:
            pass
        self.assertEqual((world.cards.revision, world.cards.reconciling), (6, None))

    def test_idle_work_between_two_steps_lets_nobody_slip_through(self):
        world = self.world
        for page in range(15):
            for until in range(10):
                world.do(("put", name(16 * page), 0, 100 + until, 1))
            for number in (1, 2, 3):
                world.do(("put", name(16 * page + number), 0, 5000, 1))
        world.snapshot()
        for stop in range(0, 24, 2):
            world.restore()
            world.restart()
            steps = world.cards.reconcile(7, 3, 0, END, [])
            for _ in range(stop):
                next(steps)
            world.settle()
            for _ in steps:
                pass
            self.assertEqual([number for number in range(240) if world.look(name(number))], [])

    def test_a_tombstone_that_cannot_be_told_stays(self):
        world = self.world
        for number in range(200):
            world.both(("revoke", name(number), 0, 1, 1, 0, 0))
        for until in range(50):
            world.both(("put", name(250), 0, until + 2, 1, 0, 0))
        told = []

        def tell(pseudonym):
            told.append(pseudonym)
            return len(told) % 2 == 0

        world.cards.giving_way = tell
        for _ in range(17 + 100):
            world.cards.idle(1_000_000)
            if len(told) == 1:
                break
        self.assertEqual(len(told), 1)  # one piece of idle work tells one
        world.settle(1_000_000)
        self.assertEqual((len(told), world.cards.dropped), (200, 100))
        self.assertEqual(world.cards.fill()[1], 100)
        for index, pseudonym in enumerate(told):
            self.assertEqual(world.cards.find(b"\1" + pseudonym[1:]), index % 2 == 0)

    def refuse(self, times, at=None, stuck=False):
        """The next programs (at this place in a sector) are refused, or leave one bit up."""
        program = self.world.flash.program
        left = [times]

        def refused(address, buf):
            if left[0] and at in (None, address & 4095):
                left[0] -= 1
                if not stuck:
                    raise OSError(5)
                buf = bytearray(buf)
                buf[6] |= ~buf[6] & 255 & -(~buf[6] & 255)
            program(address, buf)

        self.world.flash.program = refused
        return left

    def test_a_refused_revision_leaves_no_hole(self):
        world = self.world
        for where in range(1, 40, 3):
            world.chip.close()
            self.setUp()
            world = self.world
            for revision in range(1, 61):
                left = self.refuse(2 if revision == where + 1 else 0)
                try:
                    world.cards.set_revision(7, revision)
                except OSError:
                    pass
                left[0] = 0
            self.assertEqual(world.restart().revision, 60)

    def test_a_header_that_did_not_take_revives_nobody(self):
        world = self.world
        for number in range(20):
            world.do(("put", name(number), 0, 5000, 1))
        for until in range(6000, 6170):
            world.do(("put", name(30, 128), 0, until, 1))
        left = self.refuse(1, at=8, stuck=True)
        while left[0] and world.cards.idle():
            pass
        self.assertEqual((left[0], world.cards.errors), (0, 1))
        world.do(("revoke", name(3), 0, 5000, 1))
        world.restart()
        self.assertEqual(world.look(name(3))[0], REVOKED)
        world.settle()
        world.restart()
        self.assertEqual(world.look(name(3))[0], REVOKED)
        self.assertEqual(world.look(name(4))[0], LIVE)
