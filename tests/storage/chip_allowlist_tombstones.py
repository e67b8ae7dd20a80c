"""Which revoked cards give way, and which never do."""

from boards.sim.norflash import PowerCut
from cards_world import SEED, Case, World, pseudonym, values
from storage.entry import NO_END

QUARTER_MIN = 129600  # 90 days


class TestTombstones(Case):
    """Revoked cards give way 90 days after their own expiry, when their sector is rewritten, and only they."""

    def test_give_way(self):
        world = self.world
        now = 1000000
        old, recent, endless, expired = [], [], [], []
        for _ in range(20):
            for group, until, operation in (
                (old, now - QUARTER_MIN - 1, "revoke"),
                (recent, now - QUARTER_MIN, "revoke"),
                (endless, NO_END, "revoke"),
                (expired, 5, "put"),
            ):
                group.append(pseudonym())
                world.both((operation, group[-1], 0, until, 1, 0, 0))
        world.settle()
        self.assertEqual(world.cards.fill()[:2], (20, 60))
        busy = pseudonym()
        for valid_until in range(250):
            world.both(("put", busy, 0, valid_until, 1, 0, 0))
            world.settle()
        self.assertEqual(world.cards.dropped, 0)  # without the time nothing goes
        world.restart()
        told = []
        world.cards.giving_way = told.append
        for valid_until in range(250):
            world.both(("put", busy, 0, valid_until, 1, 0, 0))
            world.settle(now)
        self.assertEqual(world.cards.dropped, 20)
        # One sector holds the whole list here, so the first byte of a pseudonym is not known.
        self.assertEqual(sorted(told), sorted(b"\0" + name[1:] for name in old))
        for name in old:
            world.oracle.apply(("forget", name))
            self.assertFalse(world.cards.find(name))
        self.assertEqual(world.differences(), [])
        self.assertEqual(world.cards.digest(), world.oracle.digests())
        self.assertEqual(world.cards.fill()[:2], (21, 40))

    def test_told_before_it_is_gone(self):
        """Power goes at every operation of the rewrite: what is gone was told, with the sector's part of the name."""
        self.world.close()
        self.world = world = World(14)  # ten sectors of cards
        gone = pseudonym()

        def sector(name):
            return (name[0] << 8 | name[1]) * 10 >> 16

        world.both(("revoke", gone, 0, 1, 1, 0, 0))
        for name in [name for name in [pseudonym() for _ in range(300)] if sector(name) == sector(gone)]:
            world.both(("put", name) + values(0))
            world.both(("put", name) + values(0))
        for valid_until in range(140):
            world.both(("put", gone[:2] + b"other", 0, valid_until, 1, 0, 0))
        world.snapshot()
        operation = points = 0
        finished = False
        while not finished:
            operation += 1
            world.restore()
            cards = world.restart()
            told = []
            cards.giving_way = told.append
            world.chip.fail_at(operation, "random", SEED + operation)
            try:
                world.settle(1000000)
                finished = True
            except PowerCut:
                points += 1
            world.restart()
            known = world.cards.find(gone)
            self.assertTrue(known or told)
            for name in told:
                self.assertEqual(name[1:], gone[1:])
                self.assertEqual(sector(name), sector(gone))
        self.assertFalse(known)
        self.assertTrue(points > 15)
