"""Pages of a full reconciliation over the link, on simulated flash: in order, resumed, refused, beside deltas."""

import os
from unittest import TestCase

from boards.sim.norflash import NorFlash, PowerCut, Region
from upstream_rig import KEYS, OFFICE, Rig, run

from storage.allowlist import Allowlist
from storage.entry import LIVE, REVOKED
from storage.flash import Flash
from sync import downlink, messages, upstream

KEY = KEYS.purpose(b"list")
SECTOR = 65536
LOGICALS = 4
END = LOGICALS * SECTOR
VALUES = (10, 20, 3, 1, 0)
LIVE_, SUSPENDED_, REVOKED_ = (messages.PUT, messages.SUSPEND, messages.REVOKE)


def card(sector, number):
    """A pseudonym in a logical sector, at position sector << 16 | number."""
    return bytes((sector * 64, 0, number)) + b"card"


def copy(source, target):
    buf = bytearray(1024)
    with open(source, "rb") as old, open(target, "wb") as new:
        while old.readinto(buf):
            new.write(buf)


class Pages(TestCase):
    def setUp(self):
        path = self.path = os.getenv("MENWEI_TMP") + "/pages.img"
        try:
            os.remove(path)
        except OSError:
            pass
        self.chip = NorFlash(path, 8 * 4096)
        self.cards = Allowlist(Flash(Region(self.chip, 0, 8 * 4096)))
        self.cards.format()
        self.intended = {}

    def restart(self, rig=None):
        self.chip.power_on()
        self.cards = Allowlist(Flash(Region(self.chip, 0, 8 * 4096)))
        self.cards.mount()
        if rig:
            rig.allowlist = rig.link._allowlist = self.cards

    async def rig(self, held=()):
        """A door at revision 5 with these cards, connected."""
        for name in held:
            self.cards.put(name, *VALUES)
        self.cards.set_revision(int.from_bytes(OFFICE, "little"), 5)
        rig = Rig(allowlist=self.cards)
        await rig.connect()
        return rig

    def page(self, rig, first, last, revision=5, office=OFFICE, key=KEY, nonce=None, intended=None):
        intended = self.intended if intended is None else intended
        cards = [
            upstream.pack_change(operation, name, *VALUES)
            for name, operation in sorted(intended.items())
            if first <= (name[0] >> 6) << 16 | name[1] << 8 | name[2] < last
        ]
        return upstream.build_page(key, nonce or rig.link._nonce, office, revision, first, last, cards)

    async def give(self, rig, *words, **other):
        """A page; return what the door says then."""
        await rig.say(b"list", self.page(rig, *words, **other))
        return await rig.state()

    def delta(self, first, last, *changes, office=OFFICE):
        return upstream.build_delta(KEY, office, first, last, [upstream.pack_change(*one) for one in changes])

    def state(self, name):
        return self.cards.entry.state if self.cards.find(name) else None

    def check(self):
        held = [(name, self.state(name)) for name in self.intended]
        self.assertEqual(held, [(name, operation - 1) for name, operation in self.intended.items()])

    def test_page_by_page_the_list_becomes_the_offices(self):
        async def work():
            stranger, kept, dead = card(0, 1), card(0, 2), card(1, 7)
            rig = await self.rig((stranger, kept, dead))
            self.intended = {kept: LIVE_, card(0, 200): SUSPENDED_, dead: REVOKED_, card(3, 255): LIVE_}
            pages = [(0, 100), (100, SECTOR), (SECTOR, 2 * SECTOR), (2 * SECTOR, 3 * SECTOR), (3 * SECTOR, END)]
            for first, last in pages[:-1]:
                state = await self.give(rig, first, last)
                self.assertEqual(state["page"], [OFFICE.hex(), 5, last])
                self.assertEqual(state["list"], [OFFICE.hex(), 5])
            self.assertEqual(rig.host.changes, [])
            state = await self.give(rig, *pages[-1])
            self.assertTrue("page" not in state)
            self.assertEqual(rig.host.changes, [(5, 5)])
            self.check()
            self.assertEqual(self.state(stranger), None)
            self.assertEqual((rig.link.failed, rig.link.refused), (0, 0))
            # The last one, given again by a broker that saw no answer, is no second reconciliation.
            state = await self.give(rig, *pages[-1])
            self.assertTrue("page" not in state)
            self.assertEqual(rig.host.changes, [(5, 5)])

        run(work())

    def test_what_is_not_next_or_not_for_this_session_changes_nothing(self):
        async def work():
            kept = card(0, 2)
            rig = await self.rig((kept,))
            await self.give(rig, 0, 2)
            programs = self.chip.programs
            refused = 0
            for first, last, revision in (
                (3, 9, 5),  # not the next
                (2, 9, 6),  # of another revision, and not its first
                (0, 9, 4),  # older than the list
                (2, 2, 5),
                (2, SECTOR + 1, 5),  # in two sectors
                (3 * SECTOR, END + 1, 5),
            ):
                state = await self.give(rig, first, last, revision=revision)
                refused += 1
                self.assertEqual(state["page"], [OFFICE.hex(), 5, 2])
                self.assertEqual(rig.link.refused, refused)
            good = self.page(rig, 2, SECTOR)
            alien = {card(1, 1): LIVE_}
            for wire in (
                self.page(rig, 2, SECTOR, nonce=bytes(16)),  # recorded in another session
                self.page(rig, 2, SECTOR, key=KEYS.purpose(b"cmd")),
                good[:8] + bytes((good[8] ^ 1,)) + good[9:],
            ):
                await rig.say(b"list", wire)
            self.assertEqual((rig.link.refused, rig.link.forged), (refused + 3, 3))
            await rig.say(b"list", good, retain=1)
            await rig.say(b"list", good[:-1])
            await rig.say(b"list", good[:2])
            await rig.say(b"list", good[:2] + b"\x01" + good[3:])  # a card that is not there
            cards = [upstream.pack_change(messages.FORGET, kept)]
            nonce = rig.link._nonce
            await rig.say(b"list", upstream.build_page(KEY, nonce, OFFICE, 5, 2, SECTOR, cards))
            cards = [upstream.pack_change(LIVE_, card(0, 5))] * 33
            await rig.say(b"list", upstream.build_page(KEY, nonce, OFFICE, 5, 2, SECTOR, cards))
            self.assertEqual((rig.link.refused, rig.link.forged), (refused + 9, 3))
            self.assertTrue(await rig.nothing())
            cards = [upstream.pack_change(LIVE_, name) for name in alien]  # of another page
            await rig.say(b"list", upstream.build_page(KEY, nonce, OFFICE, 5, 2, SECTOR, cards))
            await rig.state()
            self.assertEqual(rig.link.refused, refused + 10)
            self.assertEqual(self.chip.programs, programs)
            self.assertEqual(self.state(kept), LIVE)
            # It goes on from where it stood.
            self.assertEqual((await self.give(rig, 2, SECTOR))["page"], [OFFICE.hex(), 5, SECTOR])
            self.assertEqual(self.state(kept), None)

        run(work())

    def test_a_delta_between_two_pages_is_taken_at_once_and_the_pages_go_on(self):
        async def work():
            lost, kept = card(3, 9), card(0, 1)
            rig = await self.rig((lost, kept))
            self.intended = {lost: LIVE_, kept: LIVE_}
            await self.give(rig, 0, SECTOR)
            await rig.say(b"list", self.delta(5, 6, (messages.REVOKE, lost), (messages.PUT, card(0, 3))))
            state = await rig.state()
            self.assertEqual((state["list"][1], state["page"]), (6, [OFFICE.hex(), 6, SECTOR]))
            self.assertEqual(rig.host.changes, [(5, 6)])
            self.assertEqual(self.state(lost), REVOKED)
            # A page from before, on its way meanwhile, revives nothing: the list is newer.
            state = await self.give(rig, 3 * SECTOR, END, revision=5)
            self.assertEqual(state["page"], [OFFICE.hex(), 6, SECTOR])
            self.intended = {lost: REVOKED_, kept: LIVE_, card(0, 3): LIVE_}
            for sector in range(1, 4):
                await self.give(rig, sector * SECTOR, (sector + 1) * SECTOR, revision=6)
                self.assertEqual(self.state(lost), REVOKED)
            self.assertEqual((self.cards.revision, self.cards.reconciling), (6, None))
            self.check()

        run(work())

    def test_no_delta_of_before_falls_into_a_reconciliation(self):
        """Card 7 of the office was granted and cancelled after revision 5: a page brought that, a delta lags behind."""

        async def work():
            late = card(0, 7)
            rig = await self.rig()
            self.intended = {late: REVOKED_}
            await self.give(rig, 0, SECTOR, revision=9)
            await rig.say(b"list", self.delta(5, 6, (messages.PUT, late)))
            state = await rig.state()
            self.assertEqual((state["list"][1], state["page"]), (5, [OFFICE.hex(), 9, SECTOR]))
            self.assertEqual(self.state(late), REVOKED)
            # What goes on from the pages is taken, though revision 9 is not reached yet.
            await rig.say(b"list", self.delta(9, 10, (messages.REVOKE, card(3, 3))))
            state = await rig.state()
            self.assertEqual((state["list"][1], state["page"]), (5, [OFFICE.hex(), 10, SECTOR]))
            self.assertEqual((self.state(card(3, 3)), rig.host.changes), (REVOKED, []))
            # Nor does an older page, also not a first one, take the place of what is under way.
            self.intended = {}
            state = await self.give(rig, 0, SECTOR, revision=9)
            self.assertEqual((state["page"], self.state(late)), ([OFFICE.hex(), 10, SECTOR], REVOKED))

        run(work())

    def test_half_a_first_page_is_known_after_a_power_cut(self):
        """Else a delta of before would revive what that page cancelled."""

        async def work():
            late, other = card(0, 7), card(0, 8)
            rig = await self.rig((other,))
            page = [(REVOKED, late) + VALUES, (REVOKED, other) + VALUES]
            office = int.from_bytes(OFFICE, "little")
            steps = self.cards.reconcile(office, 9, 0, SECTOR, page)
            while self.state(late) != REVOKED:
                next(steps)
            self.restart(rig)
            await downlink.change_list(rig.link, memoryview(self.delta(5, 6, (messages.PUT, late))))
            self.assertEqual(self.cards.reconciling, (office, 9, 0))
            self.assertEqual((self.state(late), self.cards.revision), (REVOKED, 5))

        run(work())

    def test_another_offices_list_comes_by_pages_only(self):
        async def work():
            mine, theirs = card(0, 1), card(2, 2)
            rig = await self.rig((mine,))
            await rig.say(b"list", self.delta(5, 6, (messages.PUT, theirs), office=b"ELSE"))
            self.assertEqual((rig.link.refused, self.state(theirs)), (1, None))
            self.intended = {theirs: LIVE_, mine: LIVE_}
            for sector in range(4):
                self.assertEqual(self.state(mine), LIVE)
                state = await self.give(rig, sector * SECTOR, (sector + 1) * SECTOR, revision=2, office=b"ELSE")
                if sector == 0:
                    # The old office has no say any more, the new one has.
                    await rig.say(b"list", self.delta(5, 6, (messages.PUT, card(1, 1))))
                    await rig.state()
                    self.assertEqual(self.state(card(1, 1)), None)
                    await rig.say(b"list", self.delta(2, 3, (messages.REVOKE, theirs), office=b"ELSE"))
                    state = await rig.state()
                    self.assertEqual(state["page"], [b"ELSE".hex(), 3, SECTOR])
                    self.assertEqual((state["list"], rig.host.changes), ([OFFICE.hex(), 5], []))
                    self.intended[theirs] = REVOKED_
                    # From here on towards revision 3.
                    for following in range(1, 4):
                        at = following * SECTOR
                        state = await self.give(rig, at, at + SECTOR, revision=3, office=b"ELSE")
                        self.assertEqual(self.state(theirs), REVOKED)
                    break
            self.assertEqual((state["list"], "page" in state), ([b"ELSE".hex(), 3], False))
            self.check()

        run(work())

    def test_what_finds_no_room_is_told_and_the_rest_is_done(self):
        async def work():
            rig = await self.rig()
            # One sector, full of cards that are dead for less than 90 days.
            for number in range(252):
                self.cards.revoke(bytes((0, 0, number)) + b"dead", 0, 0xFFFFFF, 0)
            self.intended = {card(0, number): LIVE_ for number in range(4)}
            state = await self.give(rig, 0, SECTOR)
            self.assertEqual(state["page"], [OFFICE.hex(), 5, SECTOR])
            self.assertEqual(rig.host.full, [card(0, 2), card(0, 3)])
            self.assertEqual([self.state(card(0, number)) for number in range(4)], [LIVE, LIVE, None, None])
            self.assertEqual((rig.link.failed, rig.link.refused), (2, 0))

        run(work())

    def test_power_cut_at_every_operation_of_pages_and_a_delta(self):
        """A cancelled card never lives again, a valid one is never missing, and the end is always the same."""

        async def work():
            valid, stranger, lost, new = card(1, 6), card(1, 7), card(3, 5), card(2, 8)
            rig = await self.rig((valid, stranger, lost))
            copy(self.path, self.path + ".kept")
            points = 0
            for operation in range(1, 100):
                copy(self.path + ".kept", self.path)
                self.restart(rig)
                self.chip.fail_at(operation, ("prefix", "random", "none", "all")[operation % 4], operation)
                cut = dead = False
                self.intended = {valid: LIVE_, new: LIVE_, lost: LIVE_}
                revision = 5
                sent = 0
                while True:
                    # The office, that remembers how far it sent: the rest is what the door says.
                    under_way = self.cards.reconciling
                    held = under_way[1] if under_way else self.cards.revision
                    if revision == 5 and under_way and under_way[2]:
                        revision = 6
                        self.intended[lost] = REVOKED_
                    if held < revision:
                        wire = self.delta(held, revision, (messages.REVOKE, lost))
                    elif sent == END and not under_way:
                        break
                    else:
                        first = under_way[2] if under_way else 0
                        sent = first + SECTOR
                        wire = self.page(rig, first, sent, revision=revision)
                    try:
                        await downlink.change_list(rig.link, memoryview(wire))
                    except PowerCut:
                        cut = True
                        points += 1
                        self.restart(rig)
                    self.assertEqual(self.state(valid), LIVE)
                    now_dead = self.state(lost) == REVOKED
                    self.assertTrue(now_dead or not dead)
                    dead = now_dead
                self.check()
                self.assertEqual((self.state(stranger), self.cards.revision), (None, 6))
                if not cut:
                    break
            print(points, "points")
            self.assertTrue(points > 10)

        run(work())
