"""The smallest upstream: stores what doors report, acknowledges it, keeps their lists, sends commands.

    upstream = Upstream("127.0.0.1", 1883, KeyFile.load(path), Store("upstream.db"))
    await upstream.start()
    upstream.change("front-gate", pack_change(PUT, pseudonym))
    command = await upstream.unlock("front-gate", operator=7, approver=8, reason=3)
    assert await command.wait(5) == DONE
    await upstream.stop()

An acknowledgement is published after the transaction that stores the events is on the disk, never before.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiomqtt

from menwei.copies import CopyCheck
from menwei.ingest import Ingest
from menwei.keyfile import KeyFile
from menwei.lists import Lists
from menwei.session import Command, NoSession, Session
from menwei.store import Event, Finding, Store
from storage.mac import derive
from sync import messages
from sync import upstream as wire

UNIX_2020 = 1577836800

_QOS = 1
_RETRY_S = 2
# How old the time in a set-time command can be when the door takes it; firmware/clock.py counts on it.
_TIME_DEADLINE_S = 3
_TIME_TRIES = 5
_TIME_AGAIN_S = 6 * 3600
_RESEND_S = 5
_DOUBT_S = 600  # the door wants a doubted time confirmed, firmware/clockrules.py
_OPERATOR_UPSTREAM = 1
_CLOCKS = ("floor", "held", "synchronised")

_log = logging.getLogger(__name__)


class Upstream:
    """One connection to one broker for all doors of a site.

    Args:
        clock: Unix time; virtual when the doors' time is virtual.
        on_event: called with each event that is new, after it was stored.
        on_apart: the same with each record of another branch of its journal.
        on_finding: called with the door's name and each finding that is new.
        copies: compares the counters of cards; without it nobody does.
        on_change: called with the door's name when its state or one of its findings has changed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        keys: KeyFile,
        store: Store,
        *,
        clock: Callable[[], Awaitable[float]] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_apart: Callable[[Event], None] | None = None,
        on_finding: Callable[[str, Finding], None] | None = None,
        copies: CopyCheck | None = None,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self.store = store
        self.sessions: dict[str, Session] = {}
        self.connected = asyncio.Event()
        self._address = (host, port)
        self._keys = keys
        self._clock = clock
        self._now = 0.0  # Unix time when the message that is being worked on was received
        self._on_event = on_event
        self._on_apart = on_apart
        self._on_finding = on_finding
        self._copies = copies
        self._on_change = on_change
        self._ingest = Ingest(store, keys)
        self._lists = Lists(store, keys, self._publish_list, self._found)
        self._lists.again = self._send_list_again
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task | None = None
        self._replayed: Command | None = None
        self._tasks: set[asyncio.Task] = set()

    # Connection

    async def start(self, timeout_s: float = 10) -> None:
        """Connect; later losses are mended in the background."""
        if self._copies:
            for door, finding in self._copies.catch_up():
                self._found(door, finding)
        self._task = asyncio.create_task(self._run())
        waiting = asyncio.create_task(self.connected.wait())
        await asyncio.wait((waiting, self._task), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await self.stop()
            raise OSError(f"no answer from the broker at {self._address[0]}:{self._address[1]} within {timeout_s} s")

    async def stop(self) -> None:
        """End the connection."""
        task, self._task = self._task, None
        while task and not task.done():
            task.cancel()  # until Python 3.12 a wait_for that just came to its end swallows it
            await asyncio.wait((task,), timeout=1)

    async def _run(self) -> None:
        host, port = self._address
        while True:
            try:
                async with aiomqtt.Client(host, port, identifier=f"menwei-{os.urandom(6).hex()}") as client:
                    self._client = client
                    self._ingest.forget_claims()
                    for leaf in ("event", "state", "cmd/result"):
                        await client.subscribe(messages.topic(self._keys.site, "+", leaf), qos=_QOS)
                    self.connected.set()
                    async for message in client.messages:
                        await self._receive(message)
            except aiomqtt.MqttError as error:
                _log.warning("broker: %s; trying again in %d s", error, _RETRY_S)
            self._client = None
            self.connected.clear()
            await asyncio.sleep(_RETRY_S)

    async def _look_at_clock(self) -> float:
        self._now = time.time() if self._clock is None else await self._clock()
        return self._now

    async def _publish(self, door: str, leaf: str, payload: bytes) -> None:
        if self._client is None:
            raise NoSession("upstream has no broker at the moment; try again when it is back")
        await self._client.publish(messages.topic(self._keys.site, door, leaf), payload, qos=_QOS)

    async def _publish_list(self, door: str, payload: bytes) -> None:
        await self._publish(door, "list", payload)

    def _key(self, door: str, purpose: bytes) -> bytes:
        return derive(self._keys.door_key(door), purpose)

    async def _receive(self, message: aiomqtt.Message) -> None:
        if not message.payload:
            return  # a retained state that somebody cleared
        door = ""
        await self._look_at_clock()
        try:
            _, door, leaf = wire.parse_topic(str(message.topic))
            if self._keys.door_key(door) is None:
                raise messages.Refused("no key for this door: add it to the key file")
            if leaf == "event":
                await self._event(door, message.payload)
            elif leaf == "state":
                await self._state(door, message.payload, message.retain)
            elif leaf == "cmd/result":
                await self._result(door, message.payload)
        except messages.Refused as error:
            self._found(door, Finding("refused message", f"{message.topic}: {error}"))
        except sqlite3.Error as error:
            # Not stored, so not acknowledged: the door keeps it and sends it again.
            self._ingest.forget_claims()
            _log.error("%s: the database failed: %s", door, error)
        except NoSession:
            pass  # the broker went away meanwhile: the door will say it all again

    def _found(self, door: str, finding: Finding) -> None:
        if self.store.add_finding(door, finding, int(self._now)):
            self._show(door, finding)

    def _show(self, door: str, finding: Finding) -> None:
        _log.warning("%s: %s: %s", door, finding.kind, finding.text)
        if self._on_finding:
            self._on_finding(door, finding)
        self._changed(door)

    def _changed(self, door: str) -> None:
        if self._on_change:
            self._on_change(door)

    # Events

    async def _event(self, door: str, payload: bytes) -> None:
        taken = self._ingest.take(door, wire.parse_batch(payload), int(self._now))
        # Stored and committed; only now may the door be told.
        if taken.ack:
            epoch, seq, chain = taken.ack
            await self._publish(door, "event/ack", wire.build_ack(self._key(door, b"event-ack"), epoch, seq, chain))
        for events, call in ((taken.rows.events, self._on_event), (taken.rows.apart, self._on_apart)):
            for event in events if call else ():
                call(event)
        for finding in taken.rows.findings:
            self._show(door, finding)
        session = self.sessions.get(door)
        if session and session.differs_at is not None:
            await self._send_list(door, session)  # these records may say why
        if self._copies:
            for event in taken.rows.events:
                for finding in self._copies.take(event):
                    self._found(door, finding)

    # State

    async def _state(self, door: str, payload: bytes, retained: bool) -> None:
        now = self._now
        state = wire.parse_state(self._key(door, b"state"), payload)
        if not state.get("online"):
            self.sessions.pop(door, None)
            self.store.set_offline(door, int(now))
            self._changed(door)
            return
        try:
            epoch, chain = bytes.fromhex(state["epoch"]), bytes.fromhex(state["chain"])
            head, gone = int(state["head"]), max(int(state["acked"]), int(state["oldest"]) - 1)
            session = self._session(door, state, now, retained)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise messages.Refused(f"the state lacks or distorts a member: {error!r}") from error
        for finding in self._ingest.judge_state(door, epoch, head, chain, gone, retained):
            self._found(door, finding)
        self.store.set_state(door, state, int(now))
        self._changed(door)
        if session.time_done and now - session.time_sent_at > _TIME_AGAIN_S:
            session.time_done, session.time_tries = False, 0
        pause_s = _DOUBT_S if session.time_doubted else _RESEND_S
        if not session.time_done and (not session.time_tries or now - session.time_sent_at > pause_s):
            await self._send_time(door, session)
        elif session.time_done or session.time_doubted:
            await self._send_list(door, session)

    def _session(self, door: str, state: dict, now: float, retained: bool) -> Session:
        # Everything is read before anything is changed.
        nonce = bytes.fromhex(state["nonce"])
        up, clock = int(state["up"]), state["clock"]
        if clock not in _CLOCKS:
            raise ValueError("clock")
        at = now
        if retained and state["clock"] == "synchronised":
            at = int(state["t"]) + UNIX_2020  # the broker kept it for a while; the door's own clock says since when
        session = self.sessions.get(door)
        known = session is not None and session.nonce == nonce
        if not known:
            session = Session(nonce, 0, 0, "", 0, b"")
        self._lists.take_state(session, state)
        if not known:
            # Numbers go on where an earlier run of this upstream left off in the same session of the door.
            session.last_number = self.store.last_command_id(door, nonce)
            self.sessions[door] = session
        session.up, session.at, session.clock = up, at, clock
        return session

    # Commands

    async def unlock(self, door: str, **people: int) -> Command:
        """Unlock a door once, in its present session, with the approver's consent; `people` as `order` takes them."""
        return await self.order(door, messages.OP_UNLOCK, **people)

    async def drop_card_key(self, door: str, kind: int, version: int, **people: int) -> Command:
        """Have a door drop a card read key that two persons agree is no longer used; `people` as `order` takes them."""
        return await self.order(door, messages.OP_DROP_CARD_KEY, kind | version << 8, **people)

    async def lower_clock(self, door: str, seconds: int | None = None, **people: int) -> Command:
        """Set a door's clock to our time, or to seconds since 2020, also back behind its floor; by two persons."""
        if seconds is None:
            seconds = int(await self._look_at_clock()) - UNIX_2020
        return await self.order(door, messages.OP_LOWER_CLOCK, seconds, _TIME_DEADLINE_S, **people)

    async def replay(self, command: Command) -> None:
        """Send the bytes of an old command again, as somebody who recorded them would."""
        session = self.sessions.get(command.door)
        if session and session.nonce != command.nonce:
            self._replayed = command
        await self._publish(command.door, "cmd", command.raw)

    async def _send_time(self, door: str, session: Session) -> None:
        if session.time_tries >= _TIME_TRIES:
            self._found(door, Finding("no time", f"the door refused its time {session.time_tries} times"))
            session.time_done, session.time_sent_at = True, self._now
            await self._send_list(door, session)  # it can judge residents without the time
            return
        session.time_tries += 1
        session.time_sent_at = self._now
        seconds = int(await self._look_at_clock()) - UNIX_2020
        order = messages.OP_SET_TIME, seconds, _TIME_DEADLINE_S
        await self.order(door, *order, operator=_OPERATOR_UPSTREAM)

    async def order(
        self,
        door: str,
        operation: int,
        argument: int = 0,
        deadline_s: int = 30,
        *,
        operator: int,
        approver: int = 0,
        reason: int = 0,
    ) -> Command:
        """Send a command of docs/protocol.md; with an approver's consent if one is named.

        Raises:
            NoSession: the door is not connected.
        """
        session = self.sessions.get(door)
        if session is None:
            raise NoSession(f"door {door} is not connected; a command cannot wait for it")
        now = await self._look_at_clock()
        # Another program may command the same door through the same database.
        number = session.last_number = max(session.last_number, self.store.last_command_id(door, session.nonce)) + 1
        deadline = session.up + int(now - session.at) + deadline_s
        body = wire.command_body(operation, reason, session.nonce, number, deadline, operator, approver, argument)
        consent = (wire.approval(self._key(door, b"approve"), body),) if approver else ()
        raw = wire.build_command(self._key(door, b"cmd"), body, *consent)
        command = session.commands[number] = Command(door, operation, session.nonce, number, raw)
        fields = {
            "nonce": session.nonce, "command_id": number, "operation": operation, "operator": operator,
            "approver": approver, "reason": reason, "deadline": deadline,
        }  # fmt: skip
        self.store.add_command(door, fields, raw, int(now))
        await self._publish(door, "cmd", raw)
        return command

    async def _result(self, door: str, payload: bytes) -> None:
        operation, result, number, nonce = wire.parse_result(self._key(door, b"result"), payload)
        self.store.set_result(door, nonce, number, result, int(self._now))
        session = self.sessions.get(door)
        command = session.commands.get(number) if session and session.nonce == nonce else None
        if command is None and self._replayed and (self._replayed.nonce, self._replayed.number) == (nonce, number):
            command = self._replayed
        if command is None:
            if not number:
                self._found(door, Finding("command", "the door got a command that it could not trust"))
            return
        command.answer(result)
        if operation == messages.OP_SET_TIME and session and session.nonce == nonce:
            if result == messages.DONE:
                session.time_done, session.clock = True, "synchronised"
                await self._send_list(door, session)
            elif result == messages.DOUBTED:
                # It asks again by its state in ten minutes. Until then it can judge residents by what it has.
                session.time_tries, session.time_doubted = 1, True
                self._found(door, Finding("clock doubted", "our time is far from the door's: confirmed in 10 minutes"))
                await self._send_list(door, session)
            elif not session.time_done:
                await self._send_time(door, session)

    # Lists

    def change(self, door: str, change: bytes) -> int:
        """Append a change (`sync.upstream.pack_change`) to a door's intended list; returns its revision."""
        made_at = int(time.time() if self._clock is None else self._now)
        revision = self.store.add_change(door, change, made_at or None)
        self._send_list_soon(door)
        return revision

    def reconcile(self, door: str) -> None:
        """Have a door's list made what is intended, page by page.

        A list that differs is reconciled by itself. This is for one that another office made, or that has later
        changes than are known here (an old database): they are lost, but no cancelled card becomes live.
        """
        self._lists.ask(door)
        self._send_list_soon(door)

    def _send_list_soon(self, door: str) -> None:
        session = self.sessions.get(door)
        if session and session.time_done:
            self._soon(self._send_list(door, session))

    def _soon(self, coroutine) -> None:
        async def guarded() -> None:
            with suppress(NoSession, aiomqtt.MqttError):
                await coroutine

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_list(self, door: str, session: Session) -> None:
        if self._lists.store is not self.store:
            self._lists.store = self.store
            self._lists.forget()
        await self._lists.send(door, session, self._now)

    async def _send_list_again(self, door: str, session: Session) -> None:
        if self.sessions.get(door) is session and self._task:
            await self._look_at_clock()
            with suppress(NoSession, aiomqtt.MqttError):
                await self._send_list(door, session)
