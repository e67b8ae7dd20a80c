"""Renews the certificates of doors: in time over the parcel topic, or at the renewal listener when it is too late.

    renewals = Renewals(Pki(Path("pki")), keys, say=print)
    await serve(renewals, host, port, context, stop)        # beside menwei listen, with a connection of its own

A door gets a new certificate when its own ends within 60 days, at most one in ten minutes, and never if the one that it
holds was revoked: a stolen door's key must not be the way to a new certificate.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiomqtt

from menwei import doorkeys
from menwei.keyfile import KeyFile
from menwei.parcel import Parcel
from menwei.pki import RENEW_DAYS, START, Pki
from storage.mac import derive
from sync import messages

STATE, ASK = "state", "renew/ask"
_ANSWER = {STATE: "parcel", ASK: "renew"}
_AGAIN_S = 20  # for pages that are on their way
_EVERY = timedelta(minutes=10)
_RETRY_S = 2
_QOS = 1

_log = logging.getLogger(__name__)


@dataclass
class _Pending:
    """A certificate that was made for a door and has not arrived there. Its key is nowhere else."""

    serial: str
    parcel: Parcel
    sent_at: float = float("-inf")
    position: int = -1


class Renewals:
    """Decides which door gets which pages; `say` is told what people should know, with the door's name."""

    def __init__(self, pki: Pki, keys: KeyFile, say: Callable[[str, str], None] | None = None) -> None:
        self._pki = pki
        self._keys = keys
        self._say = say or (lambda door, text: _log.warning("%s: %s", door, text))
        self._pending: dict[str, _Pending] = {}
        self._said: dict[str, str] = {}

    def take(self, door: str, leaf: str, payload: bytes, now: float) -> list[bytes]:
        """Pages to publish on the answering topic for a `state` or a `renew/ask`.

        Args:
            now: Unix time.

        Raises:
            Refused: the message is not authentic or lacks what it needs.
        """
        state = doorkeys.state(self._keys, door, payload)
        key = self._keys.door_key(door)
        if leaf == STATE and not (state.get("online") and state.get("cert") and "parcel" in state):
            return []  # away, without TLS, or of a version that takes no parcels
        try:
            serial, until = state["cert"] if leaf == STATE else (state["serial"], state["until"])
            number, position, last = (int(value) for value in state["parcel"])
            ends = START + timedelta(seconds=int(until))
            serial = str(serial)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise messages.Refused(f"certificate or parcel are not told as they should be: {error!r}") from error
        pending = self._pending.get(door)
        if pending and pending.serial == serial:
            del self._pending[door]
            self._tell(door, f"holds its new certificate {serial}")
            return []
        if pending and pending.parcel.key != derive(key, b"parcel"):
            pending = None  # sealed for the door key before
        if ends - datetime.fromtimestamp(now, UTC) > timedelta(days=RENEW_DAYS) and leaf == STATE:
            return []
        if pending is None or pending.parcel.number <= last or pending.parcel.number < number:
            pending = self._make(door, key, serial, max(number, last) + 1, now)
            if pending is None:
                return []
        there = position if number == pending.parcel.number else 0
        if there == pending.position and now - pending.sent_at < _AGAIN_S:
            return []
        pending.position, pending.sent_at = there, now
        return pending.parcel.pages(number, position)

    def _make(self, door: str, key: bytes, serial: str, number: int, now: float) -> _Pending | None:
        name = f"{self._keys.site}/{door}"
        known = [entry for entry in self._pki.entries() if entry.name == name]
        held = next((entry for entry in known if entry.serial == serial), None)
        if held is None:
            self._tell(door, f"asks for a certificate, but holds {serial}, which was not made for it here")
            return None
        if held.revoked:
            self._tell(door, f"asks for a certificate, but its own ({serial}) is revoked: it gets none")
            return None
        if known[-1].issued and datetime.fromtimestamp(now, UTC) - known[-1].issued < _EVERY and known[-1] != held:
            return None
        made = self._pki.door(self._keys.site, door)
        pending = self._pending[door] = _Pending(made.serial, Parcel.make(key, number, {"tls": made.provision()}))
        self._tell(door, f"is sent the new certificate {made.serial} as parcel {number}")
        return pending

    def _tell(self, door: str, text: str) -> None:
        if self._said.get(door) != text:
            self._said[door] = text
            self._say(door, text)


async def serve(
    renewals: Renewals,
    site: str,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    now: Callable[[], float] = time.time,
) -> None:
    """Serve a site until cancelled; a lost connection is mended."""
    while True:
        try:
            name = f"menwei-renewal-{os.urandom(6).hex()}"
            async with aiomqtt.Client(host, port, identifier=name, tls_context=tls) as client:
                for leaf in _ANSWER:
                    await client.subscribe(messages.topic(site, "+", leaf), qos=_QOS)
                async for message in client.messages:
                    await _answer(renewals, site, client, message, now())
        except aiomqtt.MqttError as error:
            _log.warning("renewal: broker: %s; trying again in %d s", error, _RETRY_S)
        await asyncio.sleep(_RETRY_S)


async def _answer(renewals: Renewals, site: str, client: aiomqtt.Client, message: aiomqtt.Message, now: float) -> None:
    door, _, leaf = str(message.topic).removeprefix(messages.topic(site, "", "")[:-1]).partition("/")
    if leaf not in _ANSWER or not message.payload or (leaf == ASK and message.retain):
        return
    try:
        pages = renewals.take(door, leaf, message.payload, now)
    except messages.Refused as error:
        _log.warning("%s: %s refused: %s", door, leaf, error)
        return
    except (OSError, ValueError) as error:
        _log.error("%s: no certificate could be made: %s", door, error)
        return
    for page in pages:
        with suppress(aiomqtt.MqttCodeError):
            await client.publish(messages.topic(site, door, _ANSWER[leaf]), page, qos=_QOS)
