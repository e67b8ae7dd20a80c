"""Gives a door a new key over the network, and brings its list over: `menwei rekey` (docs/door-key.md).

    work = Rekey(url, Path("keys.json"), store, "front-gate", cards, say=print, tls=None)
    done = await work.start(operator=7, approver=8)
    print("\n".join(work.status()))
    done = await work.finish(operator=7, approver=8)

Every step is written to the key file before it is taken, or can be seen from what the door says: broken off anywhere,
the same command goes on. From the moment at which the door takes the new key until it drops the old one it knows cards
under the names of both.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from menwei.deliver import TAKEN, deliver
from menwei.keyfile import KeyFile, Rotation
from menwei.names import RESULTS
from menwei.rekeylist import Cover
from menwei.session import NoSession, Session
from menwei.store import Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream
from storage import record
from sync import messages
from sync import upstream as wire

_KEY = 32
_PRESENT_S = 30  # it may be restarting
_CONFIRM_S = 120
_ANSWER_S = 20
_NAMED = 10


class Rekey:
    """The rotation of one door's key.

    Args:
        broker, tls: see menwei.tls.endpoint.
        key_path: the key file, which is written.
        cards: (kind, UID) of the cards that the office knows.
        say: is told what happens, in sentences.

    Raises:
        ValueError: the key file does not know the door, or the address is none.
    """

    def __init__(
        self,
        broker: str,
        key_path: Path,
        store: Store,
        door: str,
        cards: Iterable[tuple[str, bytes]],
        *,
        say: Callable[[str], None],
        tls: Credentials | None = None,
    ) -> None:
        self._broker, self._tls = broker, tls
        self._path, self._store, self._door, self._say = key_path, store, door, say
        self._cards = list(cards)
        self._keys = KeyFile.load(key_path)
        if door not in self._keys.doors:
            raise ValueError(f"{door} is not in the key file: it has {', '.join(self._keys.doors)}")

    # Steps

    async def start(self, *, operator: int, approver: int, reason: int = 0) -> bool:
        """Give the door a new key, and each card its new name; True if all of it is done.

        Raises:
            ValueError: one person would answer twice, or an earlier rotation is not finished.
        """
        _two(operator, approver)
        rotation = self._keys.rotation(self._door)
        if rotation.dropped:
            raise ValueError(f"{self._door} dropped its old key already: menwei rekey finish")
        if not rotation.old:
            if not rotation.next:
                self._note(Rotation(next=os.urandom(_KEY)))
                self._say("a new key is made, and stands in the key file")
            if not await self._send(operator=operator, approver=approver, reason=reason):
                return False
        async with self._connected() as upstream:
            return await self._bring_over(upstream)

    async def finish(self, *, operator: int, approver: int, reason: int = 0) -> bool:
        """Have the door drop the old key, and forget the names that it made; True if all of it is done.

        Raises:
            ValueError: one person would answer twice, or there is nothing to finish.
        """
        _two(operator, approver)
        rotation = self._keys.rotation(self._door)
        if not rotation.old:
            raise ValueError(f"{self._door} does not use a new key yet: menwei rekey start")
        if not rotation.dropped:
            async with self._connected() as upstream:
                if not await self._bring_over(upstream):
                    self._say("the old key is kept: run it again when that is done")
                    return False
                if not await self._drop(upstream, operator=operator, approver=approver, reason=reason):
                    return False
            self._note(replace(rotation, dropped=True))
        cover = self._cover()
        for name in cover.old:
            self._store.add_change(self._door, wire.pack_change(messages.FORGET, name))
        self._say(f"{len(cover.old)} old names are taken out of the list, by its next deltas")
        self._note(Rotation())
        self._say("the old key is out of the key file; write the broker's files anew (menwei broker-files)")
        return True

    def status(self) -> list[str]:
        """How it stands, in sentences; asks neither broker nor door."""
        rotation = self._keys.rotation(self._door)
        if rotation.next:
            return ["a new key is made, and it is not known that the door has it: menwei rekey start"]
        if not rotation.old:
            return ["its key is not being rotated"]
        if rotation.dropped:
            return ["the door dropped its old key, whose names are still in the list: menwei rekey finish"]
        told = ["the door uses its new key, and still knows cards under the old one"]
        told += _words(self._cover())
        known = self._store.door(self._door)
        held = known[1].get("list", (0, 0))[1] if known else 0
        wanted = self._store.revision(self._door)
        told.append(f"the door's list is at revision {held} of {wanted}")
        return told

    # Parts

    def _note(self, rotation: Rotation, door_key: bytes | None = None) -> None:
        """Into the file as it is now: another door's rotation may have been noted meanwhile."""
        keys = KeyFile.load(self._path)
        keys.set_rotation(self._door, rotation, door_key)
        keys.save(self._path)

    def _cover(self) -> Cover:
        return Cover.of(self._store, self._keys, self._door, self._cards)

    @asynccontextmanager
    async def _connected(self):
        host, port, context = endpoint(self._broker, self._tls)
        upstream = Upstream(host, port, self._keys, self._store, tls=context)
        await upstream.start()
        try:
            yield upstream
        finally:
            await upstream.stop()

    async def _session(self, upstream: Upstream, is_wanted: Callable[[Session], bool], seconds: float) -> bool:
        for _ in range(int(10 * seconds)):
            session = upstream.sessions.get(self._door)
            if session and is_wanted(session):
                return True
            await asyncio.sleep(0.1)
        return False

    async def _send(self, **people: int) -> bool:
        """The new key as a parcel, unless the door has it already; True if it uses it."""
        coming = self._keys.rotation(self._door).next
        async with self._connected() as upstream:
            if not await self._session(upstream, lambda session: True, _PRESENT_S):
                self._say(f"{self._door} is not connected: run it again when it is")
                return False
            if not self._has(coming) and not self._has_room():
                return False
        if not self._has(coming):
            content = {"door_key": coming.hex()}
            words = {"say": self._say, "tls": self._tls, **people}
            said = await deliver(self._broker, self._keys, self._store, self._door, content, **words)
            if said != TAKEN and not self._has(coming):
                self._say(f"the door did not get it: {said}")
                return False
            async with self._connected() as upstream:
                if not await self._session(upstream, lambda session: self._has(coming), _PRESENT_S):
                    self._say("the door has not shown yet that it uses it: run it again")
                    return False
        old = KeyFile.load(self._path).door_key(self._door)  # freshly read it proves nothing: the one before
        self._note(Rotation(None, old, self._store.revision(self._door), len(self._drops())), coming)
        self._say("the door uses its new key")
        return True

    def _has(self, coming: bytes) -> bool:
        return self._keys.door_key(self._door) == coming

    def _has_room(self) -> bool:
        known = self._store.door(self._door)
        live, dead, slots = known[1].get("cards", (0, 0, 0)) if known else (0, 0, 0)
        if 2 * (live + dead) <= slots:
            return True
        self._say(
            f"the door's list has {slots:,} places and holds {live + dead:,} cards: there is no room for both names of "
            "each. Take out of it who does not come any more, or give the door its new key by a visit"
        )
        return False

    async def _bring_over(self, upstream: Upstream) -> bool:
        """Each card under its new name, confirmed by the door; True if nothing is missing."""
        changes = self._cover().changes
        for change in changes:
            upstream.change(self._door, change)
        if changes:
            self._say(f"{len(changes)} cards are put under their new names")
        wanted = self._store.revision(self._door)
        if not await self._session(upstream, lambda session: session.revision >= wanted, _CONFIRM_S):
            self._say("the door has not confirmed its list yet: run it again when it is connected")
            return False
        cover = self._cover()
        for line in _words(cover):
            self._say(line)
        known = self._store.door(self._door)
        if known and record.ALARM_LIST_FULL in known[1].get("alarms", ()):
            self._say("the door's list is full, cards were left out: take out of it who does not come any more")
            return False
        return not cover.blocked

    def _drops(self) -> list[int | None]:
        """The results of all commands to drop an old key, oldest first."""
        commands = self._store.commands(self._door)
        return [result for _, operation, *_, result in commands if operation == messages.OP_DROP_DOOR_KEY]

    async def _drop(self, upstream: Upstream, **people: int) -> bool:
        # An earlier run may have been broken off behind it: then the door has no old key any more, and refuses.
        before = self._keys.rotation(self._door).drops
        tried = any(result in (None, messages.DONE) for result in self._drops()[before:])
        try:
            command = await upstream.drop_door_key(self._door, deadline_s=_ANSWER_S, **people)
        except NoSession as error:
            self._say(str(error))
            return False
        result = await command.wait(_ANSWER_S)
        if result == messages.DONE or (tried and result == messages.REFUSED_BY_DOOR):
            self._say("the door knows the old key no more")
            return True
        self._say(f"the door keeps its old key: {'no answer' if result is None else RESULTS.get(result, result)}")
        return False


def _two(operator: int, approver: int) -> None:
    if not approver or operator == approver:
        raise ValueError("a door's key is changed by two persons: name an approver who is not the operator")


def _words(cover: Cover) -> list[str]:
    told = [f"{cover.done} of {cover.cards} cards have their new names"]
    for names, text in (
        (cover.unknown, "nobody knows which cards these are; enrol them in the register, or cancel them"),
        (
            cover.limited,
            "visitors whose count of uses a new name would begin anew; wait for their end, or cancel them",
        ),
        (cover.lost, "cancelled, and not in the register: refused from then on as unknown, without an alert"),
    ):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            told.append(f"{text}: {', '.join(names[:_NAMED])}{more}")
    return told
