"""Brings a parcel to a door that is connected: its pages, the order of two persons, and what became of it.

    said = await deliver(url, keys, store, "front-gate", {"settings": {…}}, operator=7, approver=8, reason=3, say=print)

It may be broken off anywhere: run again, it makes a new parcel with a higher number, which takes the old one's place.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

import aiomqtt

from menwei.keyfile import KeyFile
from menwei.names import PARCELS, RESULTS
from menwei.parcel import Parcel, next_number
from menwei.session import NoSession
from menwei.store import Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream
from storage import record
from sync import messages

_PRESENT_S = 10
_AGAIN_S = 5  # a door at which somebody is takes no page
_PATIENCE_S = 600
_ANSWER_S = 20
_RESTART_S = 180
_WORDS = {
    "taken": "taken over, all of it is in force",
    "refused": "refused by the door, nothing of it was taken; the door's serial log says why",
    "taken_back": "taken back: with it the door got no connection",
}


class _Delivery:
    """One parcel, one door."""

    def __init__(
        self, at: tuple[str, int, ssl.SSLContext | None], keys: KeyFile, store: Store, door: str,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        host, port, context = at
        self._keys, self._store, self._door, self._say = keys, store, door, say
        self._number = 0
        self.upstream = Upstream(host, port, keys, store, tls=context, serves=False)

    def _outcome(self) -> int | None:
        """The reason of the last record about this parcel, stored by us or by a `menwei listen` beside us.

        None while records are missing: one that was taken may be taken back by a record that comes later.
        """
        known = self._store.door(self._door)
        state = known[1] if known else {}
        head = self._store.head(self._door, state.get("epoch", ""))
        if head is None or head.seq < state.get("head", 0):
            return None
        mine = [
            event.reason
            for event in self._store.events(self._door)
            if event.kind == record.CHANGED and event.detail == self._number
        ]
        return mine[-1] if mine else None

    def _position(self) -> list[int]:
        """What the door's state says of parcels: number, bytes so far, number taken last."""
        known = self._store.door(self._door)
        told = known[1].get("parcel") if known else None
        # Older software says nothing of it, or two of the three numbers.
        told = [value for value in told if isinstance(value, int)] if isinstance(told, list) else []
        return [*told, 0, 0, 0][:3]

    async def present(self) -> bool:
        """Whether the door is connected; its state is kept by the broker, and comes at once if it is."""
        for _ in range(int(10 * _PRESENT_S)):
            if self._door in self.upstream.sessions:
                return True
            await asyncio.sleep(0.1)
        return False

    async def send(self, content: dict) -> bool:
        """Send all pages; again from where the door is when nothing moves. False if it does not take them."""
        number = self._number = next_number(self._position(), time.time())
        key = self._keys.door_key(self._door)
        parcel = Parcel.make(key, number, content)
        moved_at = sent_at = -1.0
        seen: list[int] = []
        loop = asyncio.get_running_loop()
        while True:
            now, position = loop.time(), self._position()
            if position != seen:
                seen, moved_at = position, now
                if position[0] == number:
                    self._say(f"parcel {number}: {position[1]:,} of {len(parcel.file):,} bytes are at the door")
            if position[:2] == [number, len(parcel.file)]:
                return True
            if position[0] > number or position[2] >= number or now - moved_at > _PATIENCE_S:
                return False
            if self._keys.door_key(self._door) != key:
                return False  # an earlier parcel gave it a new one, and under the old one all would be a forgery
            if sent_at < 0 or (now - moved_at > _AGAIN_S and now - sent_at > _AGAIN_S):
                sent_at = now
                for page in parcel.pages(*position[:2]):
                    with suppress(NoSession, aiomqtt.MqttError):  # the door or the broker is away: again later
                        await self.upstream.publish(self._door, "parcel", page)
            await asyncio.sleep(0.1)

    async def apply(self, **people: int) -> str:
        """Have it taken over, and wait for what becomes of it."""
        try:
            command = await self.upstream.order(self._door, messages.OP_APPLY, self._number, _ANSWER_S, **people)
        except NoSession as error:
            return str(error)
        result = await command.wait(_ANSWER_S)
        if result != messages.DONE:
            return "no answer, try again later" if result is None else RESULTS.get(result, str(result))
        self._say("the door takes it over with a restart, as soon as nobody is there")
        loop = asyncio.get_running_loop()
        end = loop.time() + _RESTART_S
        while loop.time() < end:
            await asyncio.sleep(0.5)
            if self._position()[2] >= self._number and (reason := self._outcome()) is not None:
                return _WORDS[PARCELS[reason]] if reason in PARCELS else str(reason)
        return "nothing heard of it yet: look for a record `changed` of this door (menwei listen)"


async def deliver(
    broker: str,
    keys: KeyFile,
    store: Store,
    door: str,
    content: dict,
    *,
    operator: int,
    approver: int,
    reason: int = 0,
    say: Callable[[str], None],
    tls: Credentials | None = None,
) -> str:
    """Bring `content` to a door; return in words what became of it, `TAKEN` if all is well.

    Raises:
        ValueError: the key file does not know the door, one person would answer twice, or a parcel may not say that.
    """
    if door not in keys.doors:
        raise ValueError(f"{door} is not in the key file: it has {', '.join(keys.doors)}")
    if not approver or operator == approver:
        raise ValueError("settings and keys are changed by two persons: name an approver who is not the operator")
    Parcel.make(bytes(32), 1, content)  # what cannot be sent is told before anything is
    delivery = _Delivery(endpoint(broker, tls), keys, store, door, say)
    await delivery.upstream.start()
    try:
        if not await delivery.present():
            return "not connected, try again later"
        if not await delivery.send(content):
            return "the door does not take it: another parcel came between, or its flash is full; try again"
        return await delivery.apply(operator=operator, approver=approver, reason=reason)
    finally:
        await delivery.upstream.stop()


TAKEN = _WORDS["taken"]
