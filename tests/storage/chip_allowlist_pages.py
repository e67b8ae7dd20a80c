"""Full reconciliation: page by page, resumable, in place."""

import gc
import random

from boards.sim.norflash import PowerCut
from cards_world import SEED, Case, pseudonym, values
from oracle_allowlist import LIVE, REVOKED, SUSPENDED, Oracle

STATES = (LIVE, LIVE, LIVE, SUSPENDED, REVOKED)


def sector_of(name, sectors):
    return (name[0] << 8 | name[1]) * sectors >> 16


class Pages(Case):
    """What the door holds becomes what the office says."""

    sectors = 6  # two of them hold cards

    def position(self, name):
        return sector_of(name, self.sectors - 4) << 16 | name[1] << 8 | name[2]

    def pages(self, office, size=16384):
        """All pages of an office's list: (first, last, cards)."""
        result = []
        for first in range(0, (self.sectors - 4) << 16, size):
            page = []
            for name, card in office.cards.items():
                if first <= self.position(name) < first + size:
                    page.append((card[0], name) + tuple(card[1:6]))
            result.append((first, first + size, page))
        return result

    def office(self, names, count=30):
        """An office that shares some cards with the door, in another state or with other values."""
        office = Oracle()
        for name in random.sample(names, 2 * len(names) // 3) if hasattr(random, "sample") else names[::2]:
            card = list(self.world.oracle.cards.get(name) or (LIVE,) + values() + (0,))
            if random.random() < 0.5:
                card[0] = random.choice(STATES)
            if random.random() < 0.3:
                card[1:6] = values()
            card[6] = card[5]
            office.cards[name] = card
        for _ in range(count):
            given = values()
            office.cards[pseudonym()] = [random.choice(STATES)] + list(given) + [given[4]]
        return office

    def door(self, count=40):
        names = [pseudonym() for _ in range(count)]
        for name in names:
            self.world.both(("put", name) + values())
        for name in names[:8]:
            self.world.both((random.choice(("suspend", "revoke")), name) + values())
        self.world.cards.set_revision(7, 50)
        return names

    def give(self, epoch, revision, first, last, page):
        for _ in self.world.cards.reconcile(epoch, revision, first, last, page):
            pass

    def in_page(self, first, last):
        return lambda name: first <= self.position(name) < last

    def check(self, office):
        world = self.world
        self.assertEqual(world.differences(), [])
        for name in office.cards:
            self.assertEqual(world.look(name), world.oracle.look(name))
        world.settle()
        self.assertEqual(world.cards.digest(), world.oracle.digests())

    def test_the_list_becomes_the_offices(self):
        world = self.world
        names = self.door()
        for round_number in range(8):
            office = self.office(names)
            beaten = world.cards.conflicts
            for first, last, page in self.pages(office, (16384, 65536, 8192)[round_number % 3]):
                self.give(7, 60 + round_number, first, last, page)
                beaten += world.oracle.reconcile(page, self.in_page(first, last))
                self.assertEqual(world.cards.conflicts, beaten)
                if random.random() < 0.3:
                    beaten = 0
                    world.restart()
                if random.random() < 0.5:
                    world.settle()
            self.assertEqual((world.cards.office_epoch, world.cards.revision), (7, 60 + round_number))
            self.assertEqual(world.cards.reconciling, None)
            self.check(office)
            names = list(world.oracle.cards)
        self.assertTrue(any(card[0] == REVOKED for card in world.oracle.cards.values()))

    def test_no_page_revives_a_revoked_card_but_a_put_does(self):
        world = self.world
        name = pseudonym()
        world.both(("revoke", name) + values(0))
        for state in (LIVE, SUSPENDED):
            for first, last, page in self.pages(Oracle()):
                if self.in_page(first, last)(name):
                    page.append((state, name, 1, 2, 3, 0, 0))
                self.give(1, 2, first, last, page)
                world.oracle.reconcile(page, self.in_page(first, last))
            world.cards.set_revision(2 + state, 1)
            self.assertEqual(world.look(name)[0], REVOKED)
        self.assertEqual(world.cards.conflicts, 2)
        self.check(Oracle())
        world.both(("put", name, 1, 2, 3, 0, 0))
        self.assertEqual(world.look(name)[0], LIVE)

    def test_pages_come_in_order_and_survive_a_restart(self):
        world = self.world
        names = self.door()
        office = self.office(names)
        pages = self.pages(office)
        reads = world.chip.programs
        self.assertRaises(ValueError, self.give, 7, 60, *pages[1])  # not the first
        self.assertRaises(ValueError, self.give, 7, 49, *pages[0])  # older than the list
        self.assertRaises(ValueError, self.give, 7, 60, 0, 65537, [])  # more than a sector
        self.assertRaises(ValueError, self.give, 7, 60, 5, 5, [])
        self.assertRaises(ValueError, self.give, 7, 60, -1, 5, [])
        self.assertRaises(ValueError, self.give, 7, 60, 1 << 17, (1 << 17) + 1, [])
        self.assertRaises(ValueError, self.give, 7, 60, 0, 16384, pages[1][2])  # a card of another page
        self.assertEqual(world.chip.programs, reads)
        self.assertEqual(world.differences(), [])
        for first, last, page in pages[:3]:
            self.give(7, 60, first, last, page)
            world.oracle.reconcile(page, self.in_page(first, last))
            world.restart()
            self.assertEqual(world.cards.reconciling, (7, 60, last))
        self.assertEqual((world.cards.office_epoch, world.cards.revision), (7, 50))
        self.assertRaises(ValueError, self.give, 7, 60, *pages[4])
        self.assertRaises(ValueError, self.give, 7, 61, *pages[3])  # another revision begins at the beginning
        self.give(7, 60, *pages[1])  # again
        self.assertEqual(world.cards.reconciling, (7, 60, pages[2][1]))
        for first, last, page in pages[3:]:
            self.give(7, 60, first, last, page)
            world.oracle.reconcile(page, self.in_page(first, last))
        world.restart()
        self.assertEqual((world.cards.revision, world.cards.reconciling), (60, None))
        self.check(office)

    def test_a_newer_delta_ends_it(self):
        world = self.world
        self.door(5)
        self.give(7, 60, 0, 16384, self.pages(Oracle())[0][2])
        world.cards.set_revision(7, 51)
        self.assertEqual(world.restart().reconciling, None)

    def test_a_list_of_the_same_revision_comes_to_an_end(self):
        world = self.world
        self.door(10)
        for first, last, page in self.pages(Oracle()):
            self.give(7, 50, first, last, page)
            world.oracle.reconcile(page, self.in_page(first, last))
        self.assertEqual(world.cards.reconciling, None)
        cards = world.restart()
        self.assertEqual((cards.office_epoch, cards.revision, cards.reconciling), (7, 50, None))
        self.check(Oracle())

    def test_flash_that_refuses_while_cards_are_forgotten(self):
        """Their sector moves then: all of them go nevertheless, whatever slots they have there."""
        world = self.world
        for at in range(1, 30, 3):
            names = [pseudonym() for _ in range(60)]
            for name in names + names:
                world.both(("put", name) + values(0))
            world.chip.fail_io("program", at)
            for first, last, page in self.pages(Oracle(), 65536):
                self.give(7, 60 + at, first, last, page)
                world.oracle.reconcile(page, self.in_page(first, last))
            self.assertTrue(world.cards.errors)
            self.assertFalse(any(world.cards.find(name) for name in names))
            self.check(Oracle())
            world.restart()

    def test_revision_outlives_any_number_of_progress_slots(self):
        world = self.world
        self.door(5)
        world.cards.set_revision(7, 51)
        for position in range(1, 900):
            self.give(8, 3, position - 1, position, [])
            if position % 97 == 0 or position % 254 < 3:
                cards = world.restart()
                self.assertEqual((cards.office_epoch, cards.revision), (7, 51))
                self.assertEqual(cards.reconciling, (8, 3, position))
            if position % 50 == 0:
                world.settle()

    def test_room_is_made_before_it_is_needed(self):
        """A sector full of cards that the office no longer has."""
        world = self.world
        mine = []
        while len(mine) < 317:
            name = pseudonym()
            if sector_of(name, 2) == 0:
                mine.append(name)
        for name in mine[:254]:
            world.both(("put", name) + values(0))
        page = [(LIVE, name) + values(0) for name in mine[254:317]]
        page = [card for card in page if self.position(card[1]) < 65536]
        self.give(1, 1, 0, 65536, page)
        world.oracle.reconcile(page, self.in_page(0, 65536))
        self.check(Oracle())
        self.assertEqual(world.cards.fill()[:2], (len(page), 0))

    def test_power_goes_at_every_operation(self):
        world = self.world
        names = self.door(24)
        office = self.office(names, 12)
        pages = self.pages(office, 65536)
        world.settle()
        world.snapshot()
        before = world.oracle
        after = Oracle()
        after.cards = {name: list(card) for name, card in before.cards.items()}
        for first, last, page in pages:
            after.reconcile(page, self.in_page(first, last))
        points = 0
        for how in ("prefix", "random", "none", "all"):
            operation = 1
            finished = False
            while not finished:
                gc.collect()
                world.restore()
                world.restart()
                world.chip.fail_at(operation, how, SEED + operation)
                try:
                    for page in pages:
                        self.give(9, 60, *page)
                    world.settle()
                    finished = True
                    world.chip.power_on()
                except PowerCut:
                    points += 1
                    world.restart()
                    for name in list(before.cards) + list(office.cards):
                        found = world.look(name)
                        if found != before.look(name) and found != after.look(name):
                            self.fail("%r: %r" % (name, found))
                    if operation % 3 == 0:
                        world.settle()
                    done = world.cards.reconciling[2] if world.cards.reconciling else 0
                    if world.cards.office_epoch != 9:
                        for page in pages:
                            if page[1] > done:
                                self.give(9, 60, *page)
                    world.settle()
                world.oracle = after
                self.check(office)
                self.assertEqual((world.cards.office_epoch, world.cards.revision), (9, 60))
                operation += 1
        print(points, "points")
        self.assertTrue(points > 100)
