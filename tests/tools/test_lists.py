"""The list part of upstream against a door made of messages, over the embedded broker."""

import asyncio
import random

import pytest
from list_door import END, SECTORS, ListDoor, position
from upstream_world import DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY, SITE, World

from menwei.broker import EmbeddedBroker
from menwei.doorlist import CardSet
from storage import record
from sync.upstream import pack_change
from tests.storage.oracle_allowlist import LIVE, REVOKED, Oracle

PUT, SUSPEND, REVOKE, FORGET = 1, 2, 3, 4
WORDS = {PUT: "put", SUSPEND: "suspend", REVOKE: "revoke", FORGET: "forget"}


class ListWorld(World):
    """A door that keeps a list, and what the office intends as an oracle of its own."""

    def __init__(self, folder, port):
        super().__init__(folder, port)
        self.door = ListDoor(port, SITE, DOOR, DOOR_KEY, EPOCH, JOURNAL_KEY)
        self.intended = Oracle()

    def change(self, operation, name, *values):
        values = values or (0, 0xFFFFFF, 1, 0, 0)
        self.intended.apply((WORDS[operation], name, *values))
        return self.upstream.change(DOOR, pack_change(operation, name, *values))

    async def agreed(self):
        """Until door and office hold the same, and the office knows it."""

        def same():
            revision = self.store.revision(DOOR)
            same = self.door.oracle.digests() == self.intended.digests()
            return same and self.store.agreed_since(DOOR, revision) and not self.store.list_pass(DOOR).under_way

        await self.until(same)

    async def again(self):
        """A new connection of the door."""
        self.door.nonce = random.randbytes(16)
        self.door.number = 0
        await self.door.state()

    def findings(self):
        return [(kind, text) for _, kind, text in self.store.findings()]


@pytest.fixture
async def world(tmp_path):
    async with EmbeddedBroker() as broker:
        world = ListWorld(tmp_path, broker.port)
        await world.start()
        yield world
        await world.door.disconnect()
        await world.stop()


def name(number):
    return random.Random(number).randbytes(7)


async def settled(world, cards=70):
    for number in range(cards):
        world.change(PUT, name(number))
    world.change(REVOKE, name(3))
    await world.join()
    await world.agreed()
    assert world.findings() == []
    assert world.door.pages == 0


async def test_an_altered_list_is_found_at_the_next_state_and_made_right_page_by_page(world):
    await settled(world)
    cards = world.door.oracle.cards
    del cards[name(5)]
    cards[name(6)][2] = 77
    cards[name(1000)] = [LIVE, 0, 0xFFFFFF, 1, 0, 0, 0]
    cards[name(3)][0] = LIVE  # as if somebody had programmed the flash
    seen = []
    world.door.watch = lambda: seen.append(cards[name(3)][0])
    await world.again()
    await world.agreed()
    assert seen.index(REVOKED) == seen.count(LIVE)  # once dead it stays so
    assert world.door.pages == SECTORS
    assert [kind for kind, _ in world.findings()] == ["list"]
    assert "reconciled page by page" in world.findings()[0][1]
    assert not world.store.list_pass(DOOR).under_way
    await world.again()
    await asyncio.sleep(0.2)
    assert world.door.pages == SECTORS


async def test_a_full_reconciliation_survives_cuts_of_door_link_and_upstream(world):
    await settled(world, 200)
    del world.door.oracle.cards[name(5)]
    valid = {name(number) for number in range(10, 200)}
    missing = []
    world.door.watch = lambda: missing.extend(valid - world.door.oracle.cards.keys())
    lost = random.Random(4)
    world.door.lose = lambda kind: kind == "list" and lost.random() < 0.3
    world.door.cut = lambda: lost.random() < 0.2
    await world.again()
    for turn in range(60):
        await asyncio.sleep(0.02)
        world.now += 10
        if turn % 10 == 5:
            await world.upstream.stop()
            world.store.close()
            await world.start()
        await world.again()
    world.door.lose, world.door.cut = lambda kind: False, lambda: False
    await world.again()
    await world.agreed()
    assert not missing
    assert not [text for kind, text in world.findings() if kind == "list differs"]


async def test_a_cancellation_does_not_wait_for_the_pages_and_the_pages_go_on(world):
    await settled(world, 200)
    del world.door.oracle.cards[name(5)]
    order = []
    page = world.door._page

    async def counted(data):
        await page(data)
        order.append(world.door.under_way and world.door.under_way[1:])
        if len(order) == 3:
            world.change(REVOKE, name(20))

    world.door._page = counted
    await world.again()
    await world.agreed()
    assert world.door.oracle.cards[name(20)][0] == REVOKED
    positions = [step[1] for step in order if step]
    assert positions == sorted(positions)  # not from the beginning
    assert {step[0] for step in order if step} == {201, 202}
    assert world.door.refused == []


async def test_what_differs_still_is_a_finding_and_no_endless_loop(world):
    await settled(world)
    # The door knows as cancelled what the office never heard of: a page does not change that.
    world.door.oracle.cards[name(500)] = [REVOKED, 0, 0xFFFFFF, 1, 0, 0, 0]
    world.door.oracle.cards[name(7)][0] = REVOKED
    await world.again()
    await world.found("list differs")
    pages = world.door.pages
    assert pages == SECTORS
    text = next(text for kind, text in world.findings() if kind == "list differs")
    assert "holds 68 live and 3 cancelled cards, 69 and 1 are intended" in text
    for _ in range(3):
        await world.again()
    # Changes that both take do not make it another difference.
    world.change(PUT, name(300))
    world.change(REVOKE, name(301))
    await world.until(lambda: world.door.list[1] == world.store.revision(DOOR))
    await world.again()
    await asyncio.sleep(0.3)
    assert world.door.pages == pages
    # Another one is another matter.
    del world.door.oracle.cards[name(8)]
    await world.again()
    await world.until(lambda: name(8) in world.door.oracle.cards)
    await world.until(lambda: not world.store.list_pass(DOOR).under_way)
    assert world.door.pages == 2 * pages


async def test_tombstones_that_gave_way_are_no_difference_once_their_records_are_here(world):
    for number in range(5):
        world.change(REVOKE, name(number), 0, 5000, 1, 0, 0)
    await world.join()
    await world.agreed()
    for number in range(2):
        gone = name(number)
        del world.door.oracle.cards[gone]
        world.door.record(record.DROPPED, pseudonym=b"\0" + gone[1:])
    del world.intended.cards[name(0)], world.intended.cards[name(1)]
    world.change(PUT, name(9))
    await world.agreed()
    # A card that comes back as a tombstone is expected again.
    world.change(SUSPEND, name(0), 1, 2, 3, 0, 0)
    await world.agreed()
    await world.again()
    await asyncio.sleep(0.2)
    assert (world.door.pages, world.findings()) == (0, [])


async def test_cards_that_found_no_room_are_known_and_tried_again_when_asked(world):
    world.door.room = 6
    for number in range(8):
        world.change(PUT, name(number))
    await world.join()
    await world.until(lambda: world.store.agreed_since(DOOR, 8))
    assert len(world.door.oracle.cards) == 6
    assert world.findings() == []
    world.door.room = 100
    for number in range(2):
        world.change(FORGET, name(number))
    await world.until(lambda: world.store.agreed_since(DOOR, 10))
    assert world.door.pages == 0
    world.upstream.reconcile(DOOR)
    await world.agreed()
    assert (world.door.pages, world.findings()) == (SECTORS, [])


async def test_another_offices_list_is_reconciled_when_the_office_says_so(world):
    world.change(PUT, name(1))
    world.change(REVOKE, name(2))
    world.door.oracle.apply(("put", name(1), 0, 9, 1, 0, 0))
    world.door.oracle.apply(("put", name(8), 0, 9, 1, 0, 0))
    world.door.oracle.apply(("put", name(2), 0, 9, 1, 0, 0))
    world.door.list = [b"else", 40]
    await world.join()
    await world.found("list")
    await asyncio.sleep(0.2)
    assert (world.door.pages, world.door.refused) == (0, [])
    world.upstream.reconcile(DOOR)
    await world.agreed()
    assert world.door.list[1] == 2
    assert world.door.pages == SECTORS
    assert not world.store.list_pass(DOOR).asked


async def test_an_old_database_leaves_the_doors_list_alone_until_it_is_told_otherwise(world):
    await settled(world, 20)
    world.store._db.execute("DELETE FROM changes WHERE revision > 10")
    world.upstream._lists._lists.clear()
    await world.again()
    await world.found("list")
    await world.again()
    await asyncio.sleep(0.2)
    assert world.door.pages == 0
    world.upstream.reconcile(DOOR)
    await world.found("list differs")  # the office no longer knows that this card was cancelled, and does not revive it
    assert len(world.door.oracle.cards) == 10
    assert world.door.oracle.cards[name(3)][0] == REVOKED


async def test_a_door_that_does_not_take_it_is_told_and_not_asked_for_ever(world):
    await settled(world, 5)
    world.door.lose = lambda kind: kind == "list"
    world.change(PUT, name(50))
    for _ in range(12):
        world.now += 6
        await world.door.state()
        await asyncio.sleep(0.01)
    await world.found("list")
    received = world.door.received
    assert "does not take" in world.findings()[-1][1]
    world.now += 6
    await world.door.state()
    await asyncio.sleep(0.1)
    assert world.door.received == received
    world.door.lose = lambda kind: False
    await world.again()
    await world.agreed()


@pytest.mark.parametrize(
    "change",
    [{"page": 5}, {"page": ["zz", 1, 2]}, {"digests": ["00"]}, {"digests": 7}, {"cards": [1]}, {"cards": "abc"}],
)
async def test_a_distorted_member_is_a_finding(world, change):
    await world.door.connect()
    await world.door.state(**change)
    await world.found("refused message")


@pytest.mark.parametrize("seed", range(6))
async def test_any_two_lists_end_equal_but_for_what_stays_cancelled(world, seed):
    """Whatever the door holds, whatever is lost on the way: the end is the office's list and the door's tombstones."""
    chance = random.Random(seed)
    names = [chance.randbytes(7) for _ in range(60)]

    def values():
        return chance.randrange(100), chance.randrange(100, 1000), chance.randrange(64), chance.randrange(4), (
            chance.choice((0, 0, 5))
        )  # fmt: skip

    for _ in range(150):
        world.change(chance.choice((PUT, PUT, SUSPEND, REVOKE, FORGET)), chance.choice(names), *values())
    world.door.list = [b"else", chance.randrange(1, 400)]
    for one in names[20:] + [chance.randbytes(7) for _ in range(20)]:
        world.door.oracle.cards[one] = [chance.randrange(3), *values(), 0]
    dead = {one for one, card in world.door.oracle.cards.items() if card[0] == REVOKED}
    valid = {
        one
        for one, card in world.intended.cards.items()
        if card[0] == LIVE and world.door.oracle.cards.get(one, [REVOKED])[0] == LIVE
    }
    cancelled = set()

    def watch():
        cards = world.door.oracle.cards
        assert valid <= {one for one, card in cards.items() if card[0] == LIVE}
        assert all(cards[one][0] == REVOKED for one in dead)
        cancelled.update(one for one, card in cards.items() if card[0] == REVOKED)
        assert all(cards[one][0] == REVOKED for one in cancelled)

    world.door.watch = watch
    world.door.lose = lambda kind: chance.random() < 0.2
    world.door.cut = lambda: chance.random() < 0.2
    world.upstream.reconcile(DOOR)
    await world.door.connect()
    for _ in range(40):
        await world.again()
        world.now += 6
        await asyncio.sleep(0.02)
    world.door.lose, world.door.cut = lambda kind: False, lambda: False
    await world.again()
    await world.until(lambda: world.door.list[1] == 150 and not world.door.under_way)
    expected = {one: card[:6] for one, card in world.intended.cards.items()}
    for one in dead:
        if one not in expected or expected[one][0] != REVOKED:
            expected[one] = world.door.oracle.cards[one][:6]
            assert expected[one][0] == REVOKED
    assert {one: card[:6] for one, card in world.door.oracle.cards.items()} == expected


# The host's arithmetic


@pytest.mark.parametrize("seed", range(20))
def test_digests_are_those_of_a_door(seed):
    chance = random.Random(seed)
    names = [chance.randbytes(7) for _ in range(12)]
    cards, oracle = CardSet(), Oracle()
    for revision in range(1, 80):
        operation = chance.choice((PUT, PUT, SUSPEND, REVOKE, FORGET))
        values = chance.randrange(1 << 24), chance.randrange(1 << 24), chance.randrange(64), chance.randrange(4)
        values = *values, chance.randrange(17)
        one = chance.choice(names)
        cards.apply(revision, pack_change(operation, one, *values))
        oracle.apply((WORDS[operation], one, *values))
        assert tuple(part.to_bytes(8, "little") for part in cards.sums) == oracle.digests()
        assert cards.counts() == oracle.counts()


def test_pages_cover_all_and_fit():
    cards = CardSet()
    for number in range(600):
        cards.apply(number + 1, pack_change(PUT, name(number)))
    first, seen = 0, []
    while first < END:
        last, page = cards.page(first, SECTORS)
        assert first < last
        assert len(page) <= 32
        assert first >> 16 == (last - 1) >> 16
        assert all(first <= position(card[1:8]) < last for card in page)
        seen += [card[1:8] for card in page]
        first = last
    assert sorted(seen) == sorted(map(name, range(600)))
    alike = CardSet()
    for number in range(33):
        alike.apply(number + 1, pack_change(PUT, bytes((0, 0, 0, number, 0, 0, 0))))
    with pytest.raises(ValueError, match="33 cards"):
        alike.page(0, SECTORS)
