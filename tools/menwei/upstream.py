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
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiomqtt

from menwei import doorkeys
from menwei.copies import CopyCheck
from menwei.early import Early
from menwei.epoch import UNIX_2020
from menwei.ingest import Ingest
from menwei.keyfile import KeyFile
from menwei.lists import Lists
from menwei.orders import TIME_DEADLINE_S, Orders
from menwei.session import Command, NoSession, Session, number, octets
from menwei.store import Event, Finding, Store
from storage.mac import derive
from sync import messages
from sync import upstream as wire

_QOS = 1
_RETRY_S = 2
_TIME_TRIES = 5
_TIME_AGAIN_S = 6 * 3600
TIME_LOOK_S = 60  # how often upstream looks whose time is due: a quiet door says no state for days
_RESEND_S = 5
_DOUBT_S = 600  # the door wants a doubted time confirmed, firmware/clockrules.py
_OPERATOR_UPSTREAM = 1
_PAST = 8  # sessions of a door: their states may still be on the way
_CLOCKS = ("floor", "held", "synchronised")

_log = logging.getLogger(__name__)


class Upstream(Orders):
    """One connection to one broker for all doors of a site.

    Args:
        clock: Unix time; virtual when the doors' time is virtual.
        on_event: called with each event that is new, after it was stored.
        on_apart: the same with each record of another branch of its journal.
        on_early: the same with each alarm that overtook the records before it; it comes again in its order.
        on_finding: called with the door's name and each finding that is new.
        copies: compares the counters of cards; without it nobody does.
        on_change: called with the door's name when its state or one of its findings has changed.
        tls: for a connection over TLS with upstream's certificate (menwei.tls).
        serves: send doors their time and list. Who only orders leaves it to `menwei listen`: an order more counts.
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
        on_early: Callable[[Event], None] | None = None,
        on_finding: Callable[[str, Finding], None] | None = None,
        copies: CopyCheck | None = None,
        on_change: Callable[[str], None] | None = None,
        tls: ssl.SSLContext | None = None,
        serves: bool = True,
    ) -> None:
        self.store = store
        self.sessions: dict[str, Session] = {}
        self.connected = asyncio.Event()
        self._address = (host, port)
        self._tls, self._serves = tls, serves
        self._keys = keys
        self._clock = clock
        self._now = 0.0  # Unix time when the message that is being worked on was received
        self._on_event = on_event
        self._on_apart = on_apart
        self._on_early = on_early
        self._on_finding = on_finding
        self._copies = copies
        self._on_change = on_change
        self._ingest = Ingest(store, keys)
        self._early = Early(store, keys)
        self._lists = Lists(store, keys, self._publish_list, self._found)
        self._lists.again = self._send_list_again
        self._client: aiomqtt.Client | None = None
        self._error = ""  # of the last connection
        self._task: asyncio.Task | None = None
        self._timer: asyncio.Task | None = None
        self._replayed: Command | None = None
        self._tasks: set[asyncio.Task] = set()
        self._past: dict[str, deque[bytes]] = {}

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
            why = f": {self._error}" if self._error else ""
            host, port = self._address
            raise OSError(f"no answer from the broker at {host}:{port} within {timeout_s} s{why} (docs/link.md)")
        self._timer = asyncio.create_task(self._keep_time())

    async def stop(self) -> None:
        """End the connection."""
        tasks = {task for task in (self._task, self._timer) if task}
        self._task = self._timer = None
        while tasks:
            for task in tasks:
                task.cancel()  # until Python 3.12 a wait_for that just came to its end swallows it
            _, tasks = await asyncio.wait(tasks, timeout=1)

    async def _run(self) -> None:
        host, port = self._address
        while True:
            try:
                name = f"menwei-{os.urandom(6).hex()}"
                async with aiomqtt.Client(host, port, identifier=name, tls_context=self._tls) as client:
                    self._client = client
                    self._ingest.forget_claims()
                    for leaf in ("event", "event/now", "state", "cmd/result"):
                        await client.subscribe(messages.topic(self._keys.site, "+", leaf), qos=_QOS)
                    self.connected.set()
                    async for message in client.messages:
                        await self._receive(message)
            except aiomqtt.MqttError as error:
                self._error = str(error)
                _log.warning("broker: %s; trying again in %d s", error, _RETRY_S)
            self._client = None
            self.connected.clear()
            await asyncio.sleep(_RETRY_S)

    async def _look_at_clock(self) -> float:
        self._now = time.time() if self._clock is None else await self._clock()
        return self._now

    async def publish(self, door: str, leaf: str, payload: bytes) -> None:
        """Publish a message that is complete, below a door's topic; NoSession if there is no broker."""
        if self._client is None:
            raise NoSession("upstream has no broker at the moment; try again when it is back")
        await self._client.publish(messages.topic(self._keys.site, door, leaf), payload, qos=_QOS)

    async def _publish_list(self, door: str, payload: bytes) -> None:
        await self.publish(door, "list", payload)

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
            elif leaf == "event/now":
                self._overtaking(door, message.payload)
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
        except (NoSession, aiomqtt.MqttError):
            pass  # the broker went away meanwhile: the door will say it all again
        except Exception:  # one message must not end the service of all doors; nothing of it was acknowledged
            _log.exception("%s: a message on %s could not be worked on", door, message.topic)

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
        if taken.ack and self._keys.is_sure(door):  # if not, the door sends it again
            epoch, seq, chain = taken.ack
            await self.publish(door, "event/ack", wire.build_ack(self._key(door, b"event-ack"), epoch, seq, chain))
        for events, call in ((taken.rows.events, self._on_event), (taken.rows.apart, self._on_apart)):
            for event in events if call else ():
                call(event)
        for finding in taken.rows.findings:
            self._show(door, finding)
        for finding in self._early.settle(door):
            self._found(door, finding)
        session = self.sessions.get(door)
        if session and session.differs_at is not None:
            await self._send_list(door, session)  # these records may say why
        if self._copies:
            for event in taken.rows.events:
                for finding in self._copies.take(event):
                    self._found(door, finding)

    def _overtaking(self, door: str, payload: bytes) -> None:
        event, finding = self._early.take(door, wire.parse_batch(payload), int(self._now))
        if finding:
            self._found(door, finding)
        elif event and self._on_early:
            self._on_early(event)

    # State

    async def _state(self, door: str, payload: bytes, retained: bool) -> None:
        now = self._now
        state = doorkeys.state(self._keys, door, payload)
        if not state.get("online"):
            self.sessions.pop(door, None)
            self.store.set_offline(door, int(now))
            self._changed(door)
            return
        try:
            epoch, chain = octets(state["epoch"], 4), octets(state["chain"], 7)
            head, gone = number(state["head"]), max(number(state["acked"]), number(state["oldest"]) - 1)
            session = self._session(door, state, now, retained)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise messages.Refused(f"the state lacks or distorts a member: {error!r}") from error
        if session is None:
            return  # a later one of the same door has come already
        sent_at = None if retained else session.began + session.up
        for finding in self._ingest.judge_state(door, epoch, head, chain, gone, sent_at):
            self._found(door, finding)
        self.store.set_state(door, state, int(now))
        self._changed(door)
        if not self._serves:
            return
        if session.time_done and now - session.time_sent_at > _TIME_AGAIN_S:
            session.time_done, session.time_tries = False, 0
        pause_s = _DOUBT_S if session.time_doubted else _RESEND_S
        if not session.time_done and (not session.time_tries or now - session.time_sent_at > pause_s):
            await self._send_time(door, session)
        elif session.time_done or session.time_doubted:
            await self._send_list(door, session)

    def _session(self, door: str, state: dict, now: float, retained: bool) -> Session | None:
        # Everything is read before anything is changed. None: the state was overtaken by a later one.
        nonce = octets(state["nonce"], 16)
        up, clock = number(state["up"]), state["clock"]
        if clock not in _CLOCKS:
            raise ValueError("clock")
        at = now
        if retained and state["clock"] == "synchronised":
            # The broker kept it for a while; the door's own clock says since when. It may be ahead of ours.
            at = min(now, number(state["t"]) + UNIX_2020)
        session = self.sessions.get(door)
        past = self._past.setdefault(door, deque(maxlen=_PAST))
        if nonce in past or (session and session.nonce == nonce and up < session.up):
            return None
        known = session is not None and session.nonce == nonce
        fresh = session if known else Session(nonce, 0, 0, at - up, "", 0, b"")
        self._lists.take_state(fresh, state)
        if not known:
            if session:
                past.append(session.nonce)
            session = fresh
            # Numbers go on where an earlier run of this upstream left off in the same session of the door.
            session.last_number = self.store.last_command_id(door, nonce)
            self.sessions[door] = session
        session.up, session.at, session.clock = up, at, clock
        session.began = min(session.began, at - up)
        return session

    # Commands

    async def _send_time(self, door: str, session: Session) -> None:
        if session.time_tries >= _TIME_TRIES:
            self._found(door, Finding("no time", f"the door refused its time {session.time_tries} times"))
            session.time_done, session.time_sent_at = True, self._now
            await self._send_list(door, session)  # it can judge residents without the time
            return
        session.time_tries += 1
        session.time_sent_at = self._now
        seconds = int(await self._look_at_clock()) - UNIX_2020
        order = messages.OP_SET_TIME, seconds, TIME_DEADLINE_S
        await self.order(door, *order, operator=_OPERATOR_UPSTREAM)

    async def _keep_time(self) -> None:
        """A door whose time comes from nowhere else holds it for a day; it gets ours four times as often."""
        while True:
            await asyncio.sleep(TIME_LOOK_S)
            try:
                now = await self._look_at_clock()
                for door, session in list(self.sessions.items()):
                    if self._client and session.time_tries and now - session.time_sent_at >= _TIME_AGAIN_S:
                        session.time_done, session.time_tries = False, 0
                        await self._send_time(door, session)
            except (NoSession, aiomqtt.MqttError, sqlite3.Error) as error:
                _log.warning("no time could be sent: %s; trying again in %d s", error, TIME_LOOK_S)

    async def _result(self, door: str, payload: bytes) -> None:
        operation, result, number, nonce = doorkeys.result(self._keys, door, payload)
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
        made_at = int(time.time() if self._clock is None else self._now) or None
        revision = self.store.add_change(door, change, made_at)
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
        self._lists.use(self.store)
        await self._lists.send(door, session, self._now)

    async def _send_list_again(self, door: str, session: Session) -> None:
        if self.sessions.get(door) is session and self._task:
            await self._look_at_clock()
            with suppress(NoSession, aiomqtt.MqttError):
                await self._send_list(door, session)
