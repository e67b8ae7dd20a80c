"""Which revoked cards give way, and which never do."""

from cards_world import Case, pseudonym
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
        for valid_until in range(250):
            world.both(("put", busy, 0, valid_until, 1, 0, 0))
            world.settle(now)
        self.assertEqual(world.cards.dropped, 20)
        for name in old:
            world.oracle.apply(("forget", name))
            self.assertFalse(world.cards.find(name))
        self.assertEqual(world.differences(), [])
        self.assertEqual(world.cards.digest(), world.oracle.digests())
        self.assertEqual(world.cards.fill()[:2], (21, 40))
