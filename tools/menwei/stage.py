"""Everything around one simulated door: broker, wire, upstream with its database and keys, and the door itself.

    stage = Stage(folder, seed=7, start_unix=..., broker_url=None)
    await stage.start()
    stage.put(card)
    await stage.pass_time(3600)
    await stage.stop()

All of it lives in one folder, so that a run can be kept and looked at.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from menwei.broker import EmbeddedBroker
from menwei.build import build
from menwei.control import SimError
from menwei.epoch import UNIX_2020
from menwei.flashmap import board_region
from menwei.image import Journal, read_journal
from menwei.keyfile import KeyFile
from menwei.mechanics import Mechanics
from menwei.pki import Pki
from menwei.proxy import Proxy
from menwei.scenario import Card
from menwei.simdoor import EXIT_RESET, PowerLost, SimDoor
from menwei.store import Event, Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream
from storage import record
from storage.mac import Hmac, derive
from sync import messages
from sync.upstream import pack_change

DOOR = "front-gate"
SITE = "sim"

_PSEUDONYM = 7
_FOREVER = 0xFFFFFF
# Long quiet times pass in pieces, in which sleeping tasks may wake up late, but not shortly before something is done.
_PIECE_S = 600
_STRETCH_S = 6  # below the 8 s after which the firmware takes a task for stuck
_PROMPT_AT_END_S = 15
# With naps, which end in time by themselves.
_NAP_PIECE_S = 43200
_PROMPT_AFTER_NAPS_S = 3
_QUIET_MS = 4  # of real time; before a nap the door asks besides whether all have caught up
_PROMPT_S = 2  # a time that is at most so old is good enough to set a clock by
_KEEPALIVE_S = 600
_FIRST_START_S = 8


class Stage:
    """One door and everything around it.

    Args:
        folder: where everything is kept.
        mode: "virtual" or "real".
        start_unix: the world's time when the door is first switched on; the computer's own if the time is real.
        broker_url: a broker that is there already, or None for an embedded one.
        pki: folder of menwei pki; the door gets a certificate and all is over TLS. The broker's certificate must be for
            127.0.0.1 too, where the door finds the wire's near end.
        certificate: what provision.json says of it, if the door is to have another one.
        door_port: where that broker serves doors, if that is not where it serves upstream.
        site: its name; on somebody's own broker one that nobody else has, if None.
        database: the upstream's database, in the folder if None.
        settings, card_keys: what the door is provisioned with besides.
        nap_s: how long a closed door's tasks may sleep while nothing happens (docs/simulator.md); None: 6 s, as ever.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: str = "virtual",
        start_unix: int | None = None,
        seed: int = 0,
        broker_url: str | None = None,
        pki: Path | None = None,
        certificate: dict | None = None,
        door_port: int | None = None,
        site: str | None = None,
        database: Path | None = None,
        settings: dict | None = None,
        card_keys: list | None = None,
        nap_s: float | None = None,
        mechanics: Mechanics | None = None,
        on_serial: Callable[[str], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_early: Callable[[Event], None] | None = None,
    ) -> None:
        self.folder = folder
        self.door = SimDoor(
            folder,
            mode=mode,
            start_unix=start_unix,
            seed=seed,
            quiet_ms=_QUIET_MS if nap_s else None,
            mechanics=mechanics,
            on_serial=on_serial,
        )
        self.database = database or folder / "upstream.db"
        self.key_path = folder / "keys.json"
        self.net = True
        self.broker_url = broker_url
        self._own_broker: EmbeddedBroker | None = None
        self._pki = pki
        self._certificate = certificate
        self._door_port = door_port
        self._settings = settings or {}
        self._card_keys = card_keys or []
        self._nap_s = nap_s
        self._on_event = on_event
        self._on_early = on_early
        self._random = random.Random(seed)
        # On somebody's own broker two simulations must not meet.
        self._site = site or (SITE if broker_url is None else f"{SITE}-{secrets.token_hex(4)}")
        self.store: Store | None = None
        self.upstream: Upstream | None = None
        self.proxy: Proxy | None = None
        self._door_key = b""
        self.journal_key = b""

    # Life

    async def start(self) -> None:
        """Set everything up and switch the door on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        build()
        if self.broker_url is None:
            self._own_broker = EmbeddedBroker(tls=self._pki)
            await self._own_broker.start()
            self.broker_url = self._own_broker.url
        tls = Credentials.of(None, None, None, self._pki)
        host, port, context = endpoint(self.broker_url, tls)
        self.proxy = Proxy(host, self._door_port or port)
        await self.proxy.start()
        keys = self._make_keys()
        # The simulated upstream loses no power; a database that somebody named is kept as always.
        self.store = Store(self.database, durable=self.database.parent != self.folder)
        calls = {"on_event": self._on_event, "on_early": self._on_early}
        self.upstream = Upstream(host, port, keys, self.store, clock=self.exact_now, tls=context, **calls)
        await self.upstream.start()
        await self.door.start()
        # The first start erases and formats the whole cards and journal regions in one go, 6.5 s on NOR flash.
        await self.door.run(_FIRST_START_S)

    def _make_keys(self) -> KeyFile:
        """Keys of a simulated door follow from the seed: a run can be repeated bit by bit."""
        self._door_key, self.journal_key, epoch = (self._random.randbytes(count) for count in (32, 16, 4))
        keys = KeyFile(self._site)
        keys.add(DOOR, self._door_key, {epoch: self.journal_key})
        keys.save(self.key_path)
        settings = {
            "site": self._site,
            "door": DOOR,
            "host": "127.0.0.1",
            "port": self.proxy.port,
            "wifi_ssid": "building",
        }
        certificate = {}
        if self._pki:
            settings["tls"] = True
            certificate["tls"] = self._certificate or Pki(self._pki).door(self._site, DOOR).provision()
        self.door.provision(
            {
                "door_key": self._door_key.hex(),
                "journal_key": self.journal_key.hex(),
                "journal_epoch": epoch.hex(),
                "wifi_secret": "simulated",
                "settings": {**settings, "keepalive_s": _KEEPALIVE_S, **self._settings},
                "card_keys": self._card_keys,
                **certificate,
            }
        )
        return keys

    async def stop(self) -> None:
        """Stop everything that was started; nothing that lies in the folder changes any more."""
        await self.door.stop()
        if self.upstream:
            await self.upstream.stop()
        if self.proxy:
            await self.proxy.stop()
        if self._own_broker:
            await self._own_broker.stop()
        if self.store:
            self.store.close()

    def now(self) -> float:
        """Unix time of the simulated world."""
        return float(self.door.unix) if self.door.mode == "virtual" else time.time()

    async def exact_now(self) -> float:
        """The same, asked of the door's process if time is virtual: it may be in the middle of an hour that passes."""
        if self.door.mode == "virtual" and self.door.running_s > _PROMPT_S:
            with suppress(SimError, PowerLost):
                return float((await self.door.state())["unix"])
        return self.now()

    async def pass_time(self, seconds: float, *, pace: float | None = None) -> None:
        """Let the world's time pass; long times pass quickly."""
        nap_s = self._nap_s
        prompt_s, longest_s = (_PROMPT_AFTER_NAPS_S, _NAP_PIECE_S) if nap_s else (_PROMPT_AT_END_S, _PIECE_S)
        while seconds > 0:
            piece = min(seconds, longest_s)
            stretch = None
            if seconds > prompt_s:
                stretch, piece = _STRETCH_S, min(piece, seconds - prompt_s)
            await self.door.run(piece, pace=pace, stretch=stretch, nap=nap_s if stretch else None)
            seconds -= piece

    # What people do

    async def network(self, there: bool) -> None:
        """The network is there, or away."""
        self.net = there
        if there:
            self.proxy.back()
        else:
            self.proxy.away()
        if self.door.running:
            await self.door.ask("net", int(there))

    async def power_back(self, after_s: float) -> None:
        """Switch the door on again, `after_s` after it went dark."""
        await self.door.ended()
        for line in ("", f"--- no power for {after_s:g} s ---", ""):
            self.door.say(line)
        if self.door.mode == "real":
            await asyncio.sleep(after_s)
            await self.door.start()
        else:
            await self.door.start(unix=self.door.unix + int(after_s))
        if not self.net:
            await self.door.ask("net", 0)

    async def revive(self) -> bool:
        """Start the door again if it reset itself; True if it did."""
        if self.door.exit_code != EXIT_RESET:
            return False
        await self.door.ended()
        await self.door.start()
        return True

    # What the office does

    def pseudonym(self, uid: bytes, kind: int = record.KIND_UID) -> bytes:
        """What this door calls a card of a kind."""
        mac = Hmac(derive(self._door_key, b"pseudonym"))
        mac.update(bytes((kind,)) + uid)
        return mac.digest()[:_PSEUDONYM]

    def put(self, card: Card, valid_until: datetime | None = None) -> None:
        """Make a card live, until its own end or another one."""
        self._change(messages.PUT, card, valid_until)

    def suspend(self, card: Card) -> None:
        """Suspend a card."""
        self._change(messages.SUSPEND, card)

    def cancel(self, card: Card) -> None:
        """Revoke a card: showing it raises an alert."""
        self._change(messages.REVOKE, card)

    def _change(self, operation: int, card: Card, valid_until: datetime | None = None) -> None:
        start = minutes(card.valid_from, 0)
        end = minutes(valid_until or card.valid_until, _FOREVER)
        self.upstream.change(
            DOOR, pack_change(operation, self.pseudonym(bytes.fromhex(card.uid)), start, end, card.group)
        )

    # What is there

    def journal(self) -> Journal:
        """The door's journal as it lies in its flash now."""
        offset, size = board_region("journal")
        return read_journal(self.door.flash, offset, size, self.journal_key)

    def stored(self) -> list[Event]:
        """What upstream has stored of this door, in the order of its arrival."""
        return self.store.events(DOOR)


def minutes(moment: datetime | None, default: int) -> int:
    """Minutes since 2020, the unit of validity limits."""
    return default if moment is None else (int(moment.timestamp()) - UNIX_2020) // 60
