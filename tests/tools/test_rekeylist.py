"""What a door's list needs while its key is rotated, worked out from the list, the key file and the cards."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menwei.keyfile import KeyFile, Rotation
from menwei.rekeylist import Cover
from menwei.store import Store
from sync.messages import FORGET, PUT, REVOKE, SUSPEND
from sync.upstream import pack_change

DOOR, OLD, NEW = "gate", bytes(range(32)), bytes(range(32, 64))
UIDS = [bytes((4, 1, 2, number)) for number in range(4)]
NOW = 1_800_000_000


def name(key, uid, kind=1):
    """docs/protocol.md, by hashlib."""
    purpose = hmac.digest(key, b"menwei/v1/pseudonym", hashlib.sha256)
    return hmac.digest(purpose, bytes((kind,)) + uid, hashlib.sha256)[:7]


class World:
    def __init__(self):
        self.store = Store(":memory:")
        self.keys = KeyFile("garden")
        self.keys.add(DOOR, OLD, {})

    def change(self, *arguments, **words):
        return self.store.add_change(DOOR, pack_change(*arguments, **words))

    def promote(self):
        self.keys.set_rotation(DOOR, Rotation(None, OLD, self.store.revision(DOOR)), NEW)

    def cover(self, uids=UIDS, now=NOW):
        return Cover.of(self.store, self.keys, DOOR, [("uid", uid) for uid in uids], now)

    def bring_over(self):
        for change in self.cover().changes:
            self.store.add_change(DOOR, change)

    def admitted(self, key):
        """State of each card under one key, as a door has it: 1 live, 2 suspended, 3 revoked; written from the page."""
        held = {}
        for _, change in self.store.changes(DOOR, 0, 1 << 30):
            operation, card = change[0], change[1:8]
            if operation == FORGET:
                held.pop(card, None)
            elif operation == PUT:
                held[card] = PUT, change[8:]
            elif card in held:
                held[card] = max(held[card][0], operation), held[card][1]
            else:
                held[card] = operation, change[8:]
        return {uid: held[name(key, uid)] for uid in UIDS if name(key, uid) in held}


def test_each_state_with_its_values_under_the_new_name():
    world = World()
    world.change(PUT, name(OLD, UIDS[0]), 5, 1_000_000_00 // 10, 3)
    world.change(PUT, name(OLD, UIDS[1]), 7, 12_000_000, 2)
    world.change(SUSPEND, name(OLD, UIDS[1]))
    world.change(PUT, name(OLD, UIDS[2], 3), 0, 12_000_000, 1)  # under another kind
    world.change(REVOKE, name(OLD, UIDS[2], 3))
    world.change(PUT, name(OLD, UIDS[3]))
    world.change(FORGET, name(OLD, UIDS[3]))
    world.promote()
    assert sorted(world.cover().changes) == sorted([
        pack_change(PUT, name(NEW, UIDS[0]), 5, 10_000_000, 3),
        pack_change(SUSPEND, name(NEW, UIDS[1]), 7, 12_000_000, 2),
        pack_change(REVOKE, name(NEW, UIDS[2], 3), 0, 12_000_000, 1),
    ])  # fmt: skip
    world.bring_over()
    cover = world.cover()
    assert (cover.changes, cover.done, cover.cards, cover.blocked, len(cover.old)) == ([], 3, 3, False, 3)


def test_what_holds_up_the_end_and_what_does_not():
    world = World()
    strange, gone, past = (name(OLD, bytes((9, 9, 9, number))) for number in range(3))
    world.change(PUT, strange)
    world.change(REVOKE, gone)
    world.change(PUT, past, 0, 1)
    world.change(PUT, name(OLD, UIDS[0]), 0, 12_000_000, 0, uses=3)
    world.promote()
    world.change(PUT, name(NEW, bytes((9, 9, 9, 9))))  # new, and of no concern
    cover = world.cover()
    assert (cover.unknown, cover.lost) == ([strange.hex()], [gone.hex(), past.hex()])
    assert cover.limited == [name(OLD, UIDS[0]).hex()]
    assert cover.blocked and cover.changes == [] and len(cover.old) == 4
    world.change(REVOKE, strange)
    world.change(REVOKE, name(OLD, UIDS[0]))
    cover = world.cover()
    assert (cover.unknown, cover.limited) == ([], [])
    world.bring_over()
    assert not world.cover().blocked
    assert world.admitted(NEW)[UIDS[0]][0] == REVOKE


def test_a_visitor_whose_time_is_over_holds_nothing_up():
    world = World()
    world.change(PUT, name(OLD, UIDS[0]), 0, 1000, 0, uses=3)
    world.promote()
    assert not world.cover().blocked


def test_only_while_it_is_rotated():
    world = World()
    with pytest.raises(ValueError, match="rekey start"):
        world.cover()


MOVES = st.lists(
    st.tuples(st.sampled_from([PUT, SUSPEND, REVOKE, FORGET]), st.sampled_from(UIDS), st.integers(0, 63)), max_size=12
)


@given(MOVES, MOVES, st.lists(st.booleans(), min_size=12, max_size=12))
def test_whatever_was_done_under_either_name_counts(before, after, under_old):
    """A card is live under its new name if, and only if, it was made live last; one pass is enough."""
    world = World()
    for operation, uid, group in before:
        world.change(operation, name(OLD, uid), 0, 0xFFFFFF, group)
    world.promote()
    last = world.admitted(OLD)
    world.bring_over()
    assert world.admitted(NEW) == last
    for (operation, uid, group), old in zip(after, under_old, strict=False):
        world.change(operation, name(OLD if old else NEW, uid), 0, 0xFFFFFF, group)
        world.bring_over()
        there = world.admitted(NEW).get(uid)
        if operation == FORGET:
            assert there is None and uid not in world.admitted(OLD)
        elif operation == PUT:
            assert there == (PUT, pack_change(PUT, bytes(7), 0, 0xFFFFFF, group)[8:])
        else:
            assert there[0] >= operation
        assert world.cover().changes == []
