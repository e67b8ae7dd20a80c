"""Keeps the doors' lists what the office intends: deltas, comparison of digests, full reconciliation page by page.

    lists = Lists(store, keys, publish, found)
    lists.take_state(session, state)             # what the door says of its list; raises ValueError, KeyError, ...
    await lists.send("front-gate", session, now)  # the next delta or page, if there is something to send

Nothing is remembered that the door does not say again in its state: upstream may stop anywhere. How far a full
reconciliation has come stands in the door's flash, and that one is under way, in the database (docs/protocol.md).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable

from menwei.doorlist import DoorList
from menwei.keyfile import KeyFile
from menwei.liststore import Pass
from menwei.session import Session, number, octets
from menwei.store import Finding, Store
from storage.mac import derive
from sync import upstream as wire

MAX_CHANGES = 32

_SLOTS = 254  # of a sector
_DIGEST = 8
_RESEND_S = 5
_TRIES = 5
_RECORDS_S = 600  # the door's records may explain a difference: they are waited for, but not for ever
_KEPT_LISTS = 8  # in memory

_log = logging.getLogger(__name__)


class Lists:
    """The list part of menwei.upstream.

    Args:
        publish: sends (door, payload) on the door's topic `list`; raises OSError when there is no broker.
        found: called with a door's name and a Finding.
    """

    def __init__(
        self,
        store: Store,
        keys: KeyFile,
        publish: Callable[[str, bytes], Awaitable[None]],
        found: Callable[[str, Finding], None],
    ) -> None:
        self.store = store
        self._keys = keys
        self._publish = publish
        self._found = found
        self._lists: dict[str, DoorList] = {}
        self.again: Callable[[str, Session], Awaitable[None]] | None = None  # called to try a step once more

    def use(self, store: Store) -> None:
        """Go on with this database; what is known of another one is forgotten."""
        if store is not self.store:
            self.store = store
            self._lists.clear()

    @staticmethod
    def take_state(session: Session, state: dict) -> None:
        """Take over what an authentic state says of the list.

        Raises:
            KeyError, TypeError, ValueError, IndexError: a member is distorted; nothing was taken over.
        """
        held = octets(state["list"][0], 4), number(state["list"][1])
        page = state.get("page")
        if page is not None:
            page = octets(page[0], 4), number(page[1]), number(page[2])
        digests = [octets(digest, _DIGEST) for digest in state.get("digests", ())]
        if len(digests) not in (0, 2):
            raise ValueError("digests")
        slots = number(state["cards"][2]) if "cards" in state else 0
        cards = tuple(number(count) for count in state["cards"][:2]) if slots else (0, 0)
        alarms = list(state.get("alarms", ()))
        journal = state["epoch"], number(state["head"])
        session.office_epoch, session.revision = held
        session.page, session.digests, session.sectors = page, digests, slots // _SLOTS
        session.held_cards, session.alarms, session.journal = cards, alarms, journal

    async def send(self, door: str, session: Session, now: float) -> None:
        """The next delta or page towards what the door should have; the one after it follows its next state."""
        mine = self.store.office_epoch(door, os.urandom(4))
        wanted = self.store.revision(door)
        state = self.store.list_pass(door)
        page = session.page if session.page and session.page[0] == mine else None
        strange = session.page is not None and page is None  # somebody else began a reconciliation there
        held = page[1] if page else session.revision
        if page is None and session.revision and session.office_epoch != mine:
            if not state.asked:
                text = "the door's list was made by another office: left alone until a reconciliation is asked for"
                self._found(door, Finding("list", text))
                return
            strange = True
        elif held > wanted:
            # This database is older than the door's list. A number must not mean two changes: it counts on from there.
            self.store.count_on(door, held)
            text = f"the door holds revision {held}, the office knows {wanted}: what is between is not known here"
            self._found(door, Finding("list", text))
            state.doubted = not state.asked
            self.store.set_pass(door, state)
            return
        elif strange:
            self._found(door, Finding("list", "a reconciliation by another office was under way: ours takes its place"))
        elif changes := self.store.changes(door, held, MAX_CHANGES):
            step = (held, changes[-1][0])
            content = mine, *step, [change for _, change in changes]
            await self._step(door, session, now, step, wire.build_delta(self._key(door), *content))
            return
        if session.sectors and (page or strange or (state.asked and not state.under_way)):
            if state.doubted and not state.asked:
                return
            await self._send_page(door, session, now, state, wanted, page[2] if page else 0)
        elif session.sectors and session.digests:
            await self._compare(door, session, now, state, wanted)

    def _key(self, door: str) -> bytes:
        return derive(self._keys.door_key(door), b"list")

    def _list(self, door: str) -> DoorList:
        found = self._lists.pop(door, None)
        if found is None:
            found = DoorList(self.store, door, self.store.known_office_epoch(door))
        self._lists[door] = found  # the last one is the freshest
        if len(self._lists) > _KEPT_LISTS:
            del self._lists[next(iter(self._lists))]
        found.update()
        return found

    async def _step(self, door: str, session: Session, now: float, step: tuple, payload: bytes) -> None:
        """Publish, unless the same is on its way; again when it was not answered, but not for ever."""
        if session.step != step:
            session.step_tries = 0
        elif now - session.step_at < _RESEND_S:
            self._try_later(door, session, step)
            return
        elif session.step_tries >= _TRIES:
            text = f"the door does not take what is sent to it of its list: {step[-2]} to {step[-1]}"
            self._found(door, Finding("list", text))
            return
        session.step, session.step_at = step, now
        session.step_tries += 1
        await self._publish(door, payload)

    def _try_later(self, door: str, session: Session, step: tuple) -> None:
        """States come when something changes at the door: nothing may, after one that came too early."""
        if session.again is None or session.again.done():

            async def again() -> None:
                await asyncio.sleep(_RESEND_S)
                if session.step == step and self.again:
                    await self.again(door, session)

            session.again = asyncio.get_running_loop().create_task(again())

    # Full reconciliation

    def ask(self, door: str) -> None:
        """The office wants the door's list reconciled, also one that another office made, or a later one of ours."""
        state = self.store.list_pass(door)
        state.asked = True
        if not state.under_way:
            state.sent_to = -1
            state.ended_at = 0
        self.store.set_pass(door, state)

    async def _send_page(self, door: str, session: Session, now: float, state: Pass, revision: int, first: int) -> None:
        last, cards = self._list(door).intended.page(first, session.sectors)
        mine = self.store.known_office_epoch(door)
        if not state.under_way or state.sent_to != last:
            state.sent_to, state.ended_at = last, 0
            self.store.set_pass(door, state)
        payload = wire.build_page(self._key(door), session.nonce, mine, revision, first, last, cards)
        await self._step(door, session, now, ("page", revision, first, last), payload)

    async def _compare(self, door: str, session: Session, now: float, state: Pass, revision: int) -> None:
        """The door holds the intended revision: is it the intended list?"""
        known = self._list(door)
        ended = state.under_way and state.sent_to == session.sectors << 16
        pairs = zip(session.digests, known.expected.sums, strict=True)
        rest = b"".join(
            (int.from_bytes(digest, "little") ^ intended).to_bytes(_DIGEST, "little") for digest, intended in pairs
        )
        if not any(rest):
            self.store.agree(door, revision, int(now))
            session.differs_at = None
            if state != Pass():
                self.store.set_pass(door, Pass())
            return
        if self._records_may_tell(door, session, now) or (state.doubted and not state.asked):
            return
        if ended:
            self.store.set_pass(door, Pass(-1, int(now), rest))
            self._found(door, Finding("list differs", self._difference(known, session, revision)))
        elif state.under_way or rest != state.rest:
            if not state.under_way:
                _log.warning("%s: its list is not the intended one at revision %d", door, revision)
                text = f"the door's list is not the intended one at revision {revision}: reconciled page by page"
                self._found(door, Finding("list", text))
            await self._send_page(door, session, now, state, revision, 0)

    def _records_may_tell(self, door: str, session: Session, now: float) -> bool:
        """Whether records of tombstones that gave way, or of cards that found no room, may be on their way."""
        epoch, head = session.journal
        stored = self.store.head(door, epoch)
        if session.differs_at is None:
            session.differs_at = now
        return (stored.seq if stored else 0) < head and now - session.differs_at < _RECORDS_S

    @staticmethod
    def _difference(known: DoorList, session: Session, revision: int) -> str:
        (live, dead), (held_live, held_dead) = known.expected.counts(), session.held_cards
        text = (
            f"still so after a full reconciliation: at revision {revision} the door holds {held_live} live and "
            f"{held_dead} cancelled cards, {live} and {dead} are intended"
        )
        left_out = known.told.left_out()
        return text + (f"; {left_out} found no room" if left_out else "")
