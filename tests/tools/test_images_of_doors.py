"""Both readers of flash images against what the door itself says, on images that its own code made on the unix port."""

import random
from collections import Counter

import pytest
from image_rig import CARDS, JOURNAL, KEY, make

from menwei.cardimage import LIVE, REVOKED, SUSPENDED, read_cards
from menwei.image import read_journal
from menwei.rawflash import SECTOR


@pytest.fixture(scope="module")
def seed():
    value = random.SystemRandom().randrange(1 << 30)
    print("seed", value)
    return value


@pytest.fixture(scope="module")
def images(tmp_path_factory, seed):
    """A door with a busy life and many power cuts; its last image is a door at rest."""
    return list(make(tmp_path_factory.mktemp("images"), seed, 220, 40))


def test_there_is_enough_to_read(images):
    assert len(images) == 41
    assert all(len(told["cards"]) > 50 for _, told in images[5:])
    assert any(told["torn"] or told["torn_slots"] for _, told in images)
    assert any(told["reconciling"] for _, told in images)
    assert images[-1][1]["first"] > 1  # the ring went round


def test_every_card_and_both_digests(images):
    for image, told in images:
        cards = read_cards(image, 0, CARDS * SECTOR)
        seen = [
            (card.state, card.valid_from, card.valid_until, card.group, card.key_version, card.uses_left)
            for card in cards.cards
        ]
        assert Counter(seen) == Counter(map(tuple, told["cards"])), told["image"]
        assert [cards.digest_live.hex(), cards.digest_tombstones.hex()] == told["digests"], told["image"]
        live = cards.in_state(LIVE) + cards.in_state(SUSPENDED)
        assert [live, cards.in_state(REVOKED), cards.slots] == told["fill"]
        assert [cards.office_epoch, cards.revision] == told["revision"]
        assert cards.torn == told["torn"], told["image"]
        assert cards.reconciling == (told["reconciling"] and tuple(told["reconciling"]))


def test_every_record_and_the_cursor(images):
    for image, told in images:
        journal = read_journal(image, CARDS * SECTOR, JOURNAL * SECTOR, KEY)
        assert journal.epoch.hex() == told["epoch"]
        assert b"".join(record.raw for record in journal.records).hex() == told["raws"], told["image"]
        first = journal.records[0].seq if journal.records else None
        assert (first, journal.head) == (told["first"], told["head"]), told["image"]
        assert told["boot"] == (journal.records[-1].boot if journal.records else 0) + 1
        assert journal.acked == told["acked"], told["image"]
        assert journal.checked == len(journal.records)


def test_nothing_is_wrong_after_any_power_cut(images):
    for image, told in images:
        journal = read_journal(image, CARDS * SECTOR, JOURNAL * SECTOR, KEY)
        # A wipe that power cut short may stay unfinished until its sector is erased; everything else is made good.
        assert {finding.what for finding in journal.findings if finding.wrong} <= {"key not wiped"}, told["image"]
        assert not [finding for finding in read_cards(image, 0, CARDS * SECTOR).findings if finding.wrong]
