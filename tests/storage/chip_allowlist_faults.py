"""The allowlist on flash that refuses operations or forgets bits; revisions."""

import gc
import random

from cards_world import SECTOR, Case, change_of, pseudonym, values


class TestRevision(Case):
    """Revisions count up, over restarts and sectors."""

    def test_goes_up_only(self):
        cards = self.world.cards
        self.assertEqual((cards.office_epoch, cards.revision), (0, 0))
        cards.set_revision(0xFEDCBA98, 7)
        cards.set_revision(0xFEDCBA98, 7)
        self.assertRaises(ValueError, cards.set_revision, 0xFEDCBA98, 6)
        self.assertRaises(ValueError, cards.set_revision, 1, 1 << 30)
        self.assertRaises(ValueError, cards.set_revision, 1 << 32, 1)
        cards = self.world.restart()
        self.assertEqual((cards.office_epoch, cards.revision), (0xFEDCBA98, 7))
        cards.set_revision(3, 1)  # another office starts anew
        cards = self.world.restart()
        self.assertEqual((cards.office_epoch, cards.revision), (3, 1))

    def test_three_sectors_full(self):
        world = self.world
        for revision in range(1, 770):
            world.cards.set_revision(9, revision)
            if revision % 37 == 0 or revision % 254 < 2:
                world.restart()
            self.assertEqual((world.cards.office_epoch, world.cards.revision), (9, revision))
            if random.random() < 0.1:
                world.settle()
        self.assertTrue(world.chip.erases < 15)

    def test_a_flipped_bit_costs_one_revision_at_most(self):
        world = self.world
        for revision in range(1, 256):
            world.cards.set_revision(9, revision)
            if revision in (1, 5, 254, 255):
                world.snapshot()
                for _ in range(200):
                    at = random.randrange(world.size)
                    world.restore(at, 1 << random.getrandbits(3))
                    cards = world.restart()
                    allowed = ((9, revision), (9, revision - 1) if revision > 1 else (0, 0))
                    self.assertTrue((cards.office_epoch, cards.revision) in allowed)
                world.restore()
                world.restart()


class TestErrors(Case):
    """The flash refuses an operation."""

    def test_one_failing_operation_loses_nothing(self):
        world = self.world
        names = [pseudonym() for _ in range(40)]
        for name in names:
            world.both(("put", name) + values())
        world.settle()
        world.snapshot()
        kept = {p: list(card) for p, card in world.oracle.cards.items()}
        for change in [change_of(world.oracle, names) for _ in range(12)] + [("revoke", pseudonym(), 1, 2, 3, 0, 2)]:
            for at in range(1, 5):
                world.restore()
                world.oracle.cards = {p: list(card) for p, card in kept.items()}
                world.restart()
                if at % 2:
                    world.settle()
                world.chip.fail_io("program", at)
                try:
                    world.do(change)
                except OSError:
                    self.assertEqual(change[0], "use")  # everything else moves to a spare sector
                    world.do(change)
                world.oracle.apply(change)
                self.assertEqual(world.differences(), [])
                world.settle()
                self.assertEqual(world.differences(), [])
                self.assertEqual(world.cards.digest(), world.oracle.digests())
                world.restart()
                self.assertEqual(world.differences(), [])

    def test_a_worn_sector_is_left(self):
        world = self.world
        names = [pseudonym() for _ in range(30)]
        for name in names:
            world.both(("put", name) + values())
        world.settle()
        for sector in range(5):
            world.chip.bad_sector(sector)
            for _ in range(20):
                change = change_of(world.oracle, names)
                if change[0] == "use":
                    continue
                world.both(change)
                world.settle()
            self.assertEqual(world.differences(), [])
            world.restart()
            world.settle()
            self.assertEqual(world.differences(), [])
            world.chip.bad_sector(sector, False)

    def test_when_everything_refuses_the_list_is_as_it_was(self):
        world = self.world
        names = [pseudonym() for _ in range(30)]
        for name in names:
            world.both(("put", name) + values())
        world.settle()
        for sector in range(5):
            world.chip.bad_sector(sector)
        for operation in ("put", "revoke", "suspend"):
            for name in (names[3], pseudonym()):
                self.raises_errno(5, world.do, (operation, name) + values())
        self.raises_errno(5, world.do, ("forget", names[3]))
        self.raises_errno(5, world.cards.set_revision, 1, 1)
        self.assertEqual(world.differences(), [])
        world.settle()
        for sector in range(5):
            world.chip.bad_sector(sector, False)
        world.both(("put", names[3]) + values())
        world.cards.set_revision(1, 1)
        world.settle()
        self.assertEqual(world.differences(), [])
        self.assertEqual(world.cards.digest(), world.oracle.digests())

    def test_a_program_that_silently_fails_is_seen(self):
        world = self.world
        name, other = pseudonym(), pseudonym()
        world.both(("put", name) + values(0))
        world.both(("put", other) + values(0))
        flash = world.cards._flash
        program = flash.program
        flash.program = lambda address, buf: None
        self.raises_errno(5, world.do, ("put", name) + values(0))
        flash.program = program
        self.assertEqual(world.differences(), [])


class TestFlippedBits(Case):
    """Any single bit flips: the list starts, no card is granted or revived by it, one card is missing at most."""

    def test_everywhere(self):
        world = self.world
        names = [pseudonym() for _ in range(60)]
        for name in names:
            world.both(("put", name) + values())
        for name in names[:20]:
            world.both(("revoke", name) + values())
        for name in names[20:30]:
            world.both(("suspend", name) + values())
        for name in names[40:]:
            world.both(("put", name) + values())
        world.cards.set_revision(1, 5)
        world.settle()
        world.snapshot()
        repairs = missing = 0
        for number in range(900):
            gc.collect()
            if number < 5 * 32 * 2:
                at = number // 64 * SECTOR + number % 64 // 2
            else:
                at = random.randrange(world.size)
                while number & 1 and world.byte(at) == 255:
                    at = random.randrange(world.size)
            world.restore(at, 1 << random.getrandbits(3))
            world.restart()
            self.look_at(names)
            world.settle()
            missing += self.look_at(names)
            repairs += world.cards.repairs
            if number % 9 == 0:
                change = change_of(world.oracle, names)
                if change[0] != "use":
                    world.do(change)
                    self.assertTrue(world.look(change[1]) is not None or change[0] == "forget")
        self.assertTrue(repairs > 20)
        self.assertTrue(missing > 20)

    def look_at(self, names):
        world = self.world
        missing = 0
        for name in names:
            found = world.look(name)
            if found != world.oracle.look(name):
                # Unknown, or a visitor whose counter is gone.
                if found is not None:
                    self.assertEqual(found[:6], world.oracle.look(name)[:6])
                    self.assertEqual(found[6], 0)
                missing += 1
        self.assertTrue(missing <= 1, missing)
        return missing
