"""What others may know of a door, as retained MQTT messages: readable JSON, and entities for Home Assistant.

    public = Public(host, port, keys, store, home_assistant=True)
    task = asyncio.create_task(public.run())
    public.changed("front-gate")            # its state in the database is another one
    await public.stop()

Off unless somebody asks for it (`menwei listen --public`). Made by upstream of states whose MAC was right, never by a
door: no passages, no pseudonyms, and nothing that could be commanded. docs/public.md says what is published where.

Home Assistant gets a topic with a plain value for each entity, so that nobody has to trust a template.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from datetime import UTC, datetime

import aiomqtt

from menwei import names
from menwei.keyfile import KeyFile
from menwei.store import Store
from storage import record

DISCOVERY = "homeassistant"
_QOS = 1
_RETRY_S = 2
_RETAINED_S = 0.5  # for what the broker still has of us
_UNKNOWN = "None"  # what Home Assistant's parsers take for a state that is not known
_CLOSED = ("secured", "unlocked")

_log = logging.getLogger(__name__)


def base(site: str, door: str) -> str:
    """The topic of a door's JSON; what is for Home Assistant lies below."""
    return f"menwei/v1/{site}/{door}/public"


def serving_topic(site: str) -> str:
    """Where `online` stands while upstream keeps all this up to date, by its last will `offline`."""
    return base(site, "upstream") + "/serving"


def discovery_topic(site: str, door: str) -> str:
    """Where Home Assistant looks for the description of a device; its characters are a-z, A-Z, 0-9, _ and -."""
    return f"{DISCOVERY}/device/{_identity(site, door)}/config"


def _identity(site: str, door: str) -> str:
    return f"menwei_{site}_{door}"  # no _ in either, so no two doors are one


def members(online: bool, state: dict) -> dict:
    """What everybody may know of a door's last state; what it says in numbers, in words."""
    door, lock, clock = (state.get(name) for name in ("door", "lock", "clock"))
    alarms = state.get("alarms")
    alarms = [number for number in alarms if isinstance(number, int)] if isinstance(alarms, list) else []
    return {
        "v": 1,
        "door": door if door in names.DOOR_STATES else "unknown",
        "lock": lock if lock in names.LOCK_STATES else "unknown",
        "alarms": [names.ALARMS.get(number, str(number)) for number in sorted(set(alarms))],
        "locked_down": state.get("locked_down") is True or state.get("locked_down") == 1,
        "online": online,
        "clock": clock if clock in names.TRUST.values() else "unknown",
    }


def _on(condition: bool) -> str:
    return "ON" if condition else "OFF"


def values(said: dict) -> dict[str, str]:
    """The same by topics below `public`, in words that Home Assistant takes."""
    tamper = names.ALARMS[record.ALARM_TAMPER]
    return {
        "open": _UNKNOWN if said["door"] == "unknown" else _on(said["door"] not in _CLOSED),
        "lock": _UNKNOWN if said["lock"] == "unknown" else _on(said["lock"] == "unlocked"),
        "tamper": _on(tamper in said["alarms"]),
        "problem": _on(any(alarm != tamper for alarm in said["alarms"])),
        "locked_down": _on(said["locked_down"]),
        "state": said["door"] if said["door"] != "unknown" else _UNKNOWN,
        "clock": said["clock"] if said["clock"] != "unknown" else _UNKNOWN,
        "online": "online" if said["online"] else "offline",
    }


def discovery(site: str, door: str, software: str) -> dict:
    """Home Assistant's description of a door, device-based (since 2024.11). It can be looked at, not unlocked."""
    identity, topic = _identity(site, door), base(site, door)

    def entity(leaf: str, platform: str, name: str, **more: object) -> dict:
        return {
            "platform": platform,
            "name": name,
            "unique_id": f"{identity}_{leaf}",
            "state_topic": f"{topic}/{leaf}",
            **more,
        }

    def enum(options: tuple[str, ...]) -> dict:
        return {"device_class": "enum", "options": list(options)}

    lock_down = {"icon": "mdi:door-closed-lock"}
    return {
        "device": {
            "identifiers": [identity],
            "name": f"{door} ({site})",
            "manufacturer": "menwei",
            "model": "door controller",
            **({"sw_version": software} if software else {}),
        },
        "origin": {"name": "menwei"},
        "availability": [{"topic": f"{topic}/online"}, {"topic": serving_topic(site)}],
        "availability_mode": "all",
        "qos": _QOS,
        "components": {
            "open": entity("open", "binary_sensor", "Door", device_class="door"),
            "lock": entity("lock", "binary_sensor", "Lock", device_class="lock"),
            "problem": entity("problem", "binary_sensor", "Alarm", device_class="problem", json_attributes_topic=topic),
            "tamper": entity("tamper", "binary_sensor", "Tamper", device_class="tamper"),
            "locked_down": entity("locked_down", "binary_sensor", "Lock-down", **lock_down),
            "state": entity("state", "sensor", "State", **enum(names.DOOR_STATES[:-1])),
            "clock": entity(
                "clock", "sensor", "Clock", entity_category="diagnostic", **enum(tuple(names.TRUST.values()))
            ),
        },
    }


class Public:
    """Keeps what is public up to date, by a connection of its own, and takes away what is not public any more.

    Args:
        store: where the verified states are.
        enabled: publish; without it only takes away what an earlier run published.
        home_assistant: also what Home Assistant wants.
        options: further arguments of aiomqtt.Client: TLS.
        clock: Unix time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        keys: KeyFile,
        store: Store,
        *,
        enabled: bool = True,
        home_assistant: bool = False,
        options: dict | None = None,
        clock=time.time,
    ) -> None:
        self.current = asyncio.Event()  # set while all that is known is published
        self._address = (host, port)
        self._keys = keys
        self._store = store
        self._enabled = enabled
        self._home_assistant = enabled and home_assistant
        self._options = options or {}
        self._clock = clock
        self._due = set(keys.doors)
        self._wake = asyncio.Event()
        self._there: dict[str, str] = {}  # topic: what is retained there
        self._task: asyncio.Task | None = None

    def changed(self, door: str) -> None:
        """Look at a door's state again."""
        if door in self._keys.doors:
            self._due.add(door)
            self.current.clear()
            self._wake.set()

    async def run(self) -> None:
        """Publish, for ever; a lost broker is tried again."""
        host, port = self._address
        will = aiomqtt.Will(serving_topic(self._keys.site), "offline", _QOS, True) if self._home_assistant else None
        while True:
            try:
                name = f"menwei-public-{os.urandom(6).hex()}"
                async with aiomqtt.Client(host, port, identifier=name, will=will, **self._options) as client:
                    await self._serve(client)
            except aiomqtt.MqttError as error:
                _log.warning("public: %s; trying again in %d s", error, _RETRY_S)
            await asyncio.sleep(_RETRY_S)

    async def start(self) -> None:
        """Run in the background."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """End; what was published stays, and Home Assistant is told that nobody keeps it up to date."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _serve(self, client: aiomqtt.Client) -> None:
        await self._recall(client)
        self._due = set(self._keys.doors)
        wanted = {topic for door in self._keys.doors for topic in self._wanted(door)}
        if self._home_assistant:
            wanted.add(serving_topic(self._keys.site))
        for topic in [topic for topic in self._there if topic not in wanted]:
            await client.publish(topic, b"", qos=_QOS, retain=True)
            del self._there[topic]
        if self._home_assistant:
            await self._say(client, serving_topic(self._keys.site), "online")
        try:
            while True:
                self._wake.clear()
                while self._due:
                    for topic, payload in self._wanted(self._due.pop()).items():
                        await self._say(client, topic, payload)
                self.current.set()
                await self._wake.wait()
        finally:
            self.current.clear()
            if self._home_assistant:
                # A clean end keeps the broker from publishing the will.
                await client.publish(serving_topic(self._keys.site), "offline", qos=_QOS, retain=True)

    async def _recall(self, client: aiomqtt.Client) -> None:
        """Learn what the broker has of an earlier run."""
        self._there = {}
        ours = f"{DISCOVERY}/device/menwei_{self._keys.site}_"
        filters = f"menwei/v1/{self._keys.site}/+/public/#", f"{DISCOVERY}/device/+/config"
        for pattern in filters:
            await client.subscribe(pattern, qos=_QOS)
        try:
            async with asyncio.timeout(_RETAINED_S):
                async for message in client.messages:
                    topic = str(message.topic)
                    if message.retain and message.payload and (topic.startswith(("menwei/", ours))):
                        self._there[topic] = bytes(message.payload).decode(errors="replace")
        except TimeoutError:
            pass
        for pattern in filters:
            await client.unsubscribe(pattern)

    async def _say(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        if self._there.get(topic) != payload:
            await client.publish(topic, payload, qos=_QOS, retain=True)
            self._there[topic] = payload

    def _wanted(self, door: str) -> dict[str, str]:
        """Topics and payloads of a door as it is now."""
        known = self._store.door(door) if self._enabled else None
        if known is None:
            return {}
        site = self._keys.site
        said = members(*known)
        topic = base(site, door)
        result = {topic: json.dumps(said | {"since": self._since(topic, said)})}
        if self._home_assistant:
            software = known[1].get("sw")
            description = discovery(site, door, software if isinstance(software, str) else "")
            result |= {f"{topic}/{leaf}": value for leaf, value in values(said).items()}
            result[discovery_topic(site, door)] = json.dumps(description)
        return result

    def _since(self, topic: str, said: dict) -> str:
        """Since when it is so: what stands there already, if nothing else has changed."""
        try:
            before = json.loads(self._there[topic])
            since = before.pop("since")
            if before == said and isinstance(since, str):
                return since
        except (KeyError, ValueError, TypeError, AttributeError):
            pass  # nothing of ours: it begins now
        return f"{datetime.fromtimestamp(self._clock(), UTC):%Y-%m-%dT%H:%M:%SZ}"
