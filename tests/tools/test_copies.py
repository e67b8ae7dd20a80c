"""Counters of several doors meet: a copy is named whatever came late, and nobody else is."""

import itertools
import random

import pytest

from menwei.copies import Cards, CopyCheck
from menwei.keyfile import KeyFile
from menwei.store import Event, Rows, Store
from storage import record
from storage.mac import Hmac, derive

UID = bytes.fromhex("9c599b32")
OTHER = bytes.fromhex("9c599b33")
THIRD = bytes.fromhex("01020304")
DOORS = ("front", "yard", "garage")
KEYS = {door: bytes((number,)) * 32 for number, door in enumerate(DOORS, 1)}


def pseudonym(door, uid):
    mac = Hmac(derive(KEYS[door], b"pseudonym"))
    mac.update(bytes((record.KIND_CLASSIC,)) + uid)
    return mac.digest()[:7].hex()


class World:
    """Doors with clocks that are a little wrong, cards with counters, and what each door recorded."""

    def __init__(self):
        self.now = 200_000_000
        self.seq = itertools.count(1)
        self.events = []
        self.held = {}

    def passes(self, door, card, uid=UID, counts=True, trust=record.SYNCHRONISED):
        """`card` is an object with a counter of its own: the card, or a copy of it."""
        self.now += 60
        if counts:
            self.held[card] += 1
        detail = record.evidence(0, record.KIND_CLASSIC, 1, counts, self.held[card])
        self.events.append(
            Event(door, "01020304", next(self.seq), 1, self.now, trust, 2 if trust else 31, record.GRANTED, 0,
                  pseudonym(door, uid), detail, 0, b"", b"")
        )  # fmt: skip


@pytest.fixture
def check():
    keys = KeyFile("garden")
    for door, key in KEYS.items():
        keys.add(door, key, {})
    store = Store(":memory:")
    yield CopyCheck(store, Cards(keys, [("classic", UID), ("classic", OTHER)]))
    store.close()


def findings(check, events):
    return [finding for event in events for finding in check.take(event)]


def test_a_card_at_three_doors_is_no_copy_in_any_order_of_arrival(check):
    world = World()
    world.held = {"card": 5, "neighbour": 5}
    for number in range(60):
        world.passes(DOORS[number % 3], "card", counts=number % 7 != 3)
        world.passes(DOORS[number % 2], "neighbour", OTHER)
    random.Random(4).shuffle(world.events)
    assert findings(check, world.events) == []


@pytest.mark.parametrize("late", DOORS)
def test_a_copy_is_named_when_the_door_that_was_offline_reports(check, late):
    """The card at one door, its copy at two others; the counters of one door arrive a day later."""
    world = World()
    world.held = {"card": 5}
    world.passes("front", "card")
    world.held["copy"] = world.held["card"]
    world.passes("yard", "copy")
    world.passes("front", "card")
    world.passes("garage", "copy")
    on_time = [event for event in world.events if event.door != late]
    found = findings(check, on_time) + findings(check, [event for event in world.events if event.door == late])
    assert found
    assert all(finding.kind == "copy" and "classic 9c599b32" in finding.text for finding in found)


def test_a_copy_that_never_counts_is_named_by_the_time(check):
    world = World()
    world.held = {"card": 5}
    world.passes("front", "card")
    world.held["copy"] = 5
    world.passes("yard", "copy", counts=False)
    assert "came with counter 5 after it had left with 6" in findings(check, world.events)[0].text


def test_the_time_of_a_door_without_a_clock_proves_nothing(check):
    world = World()
    world.held = {"card": 5}
    world.passes("front", "card", trust=record.FLOOR)
    world.held["copy"] = 5
    world.passes("yard", "copy", counts=False)
    assert findings(check, world.events) == []
    world.passes("yard", "copy")  # but the same value twice does
    assert "its counter reached 6 twice" in findings(check, world.events[-1:])[0].text


def test_cards_that_the_office_does_not_know_are_told_apart_by_door(check):
    unknown = bytes.fromhex("01020304")
    world = World()
    world.held = {"one": 5, "two": 5}
    world.passes("front", "one", unknown)
    world.passes("yard", "two", unknown)
    assert findings(check, world.events) == []
    world.held["copy"] = 5
    world.passes("front", "copy", unknown)
    assert len(findings(check, world.events[-1:])) == 1


def test_what_was_stored_but_not_compared_is_caught_up(check):
    world = World()
    world.held = {"card": 5, "copy": 5}
    world.passes("front", "card")
    world.passes("yard", "copy")
    assert findings(check, world.events[:1]) == []
    check._store.add_batch("yard", "01020304", Rows(events=world.events), 1)
    assert [(door, finding.kind) for door, finding in check.catch_up()] == [("yard", "copy")]
    assert list(check.catch_up()) == []


def test_an_event_that_comes_again_is_no_copy_of_itself(check):
    world = World()
    world.held = {"card": 5}
    world.passes("front", "card")
    assert findings(check, world.events + world.events) == []


def test_other_kinds_and_refusals_say_nothing(check):
    world = World()
    world.held = {"card": 5}
    world.passes("front", "card")
    one = world.events[0]
    refused = Event(**{**vars(one), "kind": record.REFUSED, "seq": 7})
    plain = Event(**{**vars(one), "detail": record.evidence(3, record.KIND_UID), "seq": 8})
    assert findings(check, [one, refused, plain, plain]) == []


def test_a_card_that_the_office_learns_of_later_gets_its_passages(check):
    world = World()
    world.held = {"card": 5, "copy": 5}
    world.passes("front", "card", THIRD)
    world.passes("yard", "copy", THIRD)
    assert findings(check, world.events[:1]) == []
    keys = check._cards._keys
    later = CopyCheck(check._store, Cards(keys, [("classic", THIRD)]))
    assert list(later.catch_up()) == []
    assert len(findings(later, world.events[1:])) == 1
