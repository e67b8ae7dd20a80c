"""Home Assistant as far as its documentation tells: what it takes of discovery, and what its entities then show.

Written from https://www.home-assistant.io/integrations/mqtt/ (device discovery, availability), binary_sensor.mqtt,
sensor.mqtt and the lists of device classes; imports nothing of the code under test.

home = Home()
home.receive(topic, payload)           # as from the broker, retained or not
home.entities["menwei_garden_gate_open"].state     # "on", "off", "unknown", "unavailable", or a sensor's text
"""

import json
import re

_TOPIC = re.compile(r"homeassistant/device/([a-zA-Z0-9_-]+)/config")
_TEXT, _MAP, _LIST = str, dict, list
_SHARED = {  # of a device's message
    "device": (_MAP, True), "origin": (_MAP, True), "components": (_MAP, True), "availability": (_LIST, False),
    "availability_mode": (_TEXT, False), "state_topic": (_TEXT, False), "command_topic": (_TEXT, False),
    "qos": (int, False), "encoding": (_TEXT, False),
}  # fmt: skip
_DEVICE = {
    "identifiers": (_LIST, False), "connections": (_LIST, False), "name": (_TEXT, False), "model": (_TEXT, False),
    "manufacturer": (_TEXT, False), "sw_version": (_TEXT, False), "hw_version": (_TEXT, False),
    "serial_number": (_TEXT, False), "configuration_url": (_TEXT, False), "suggested_area": (_TEXT, False),
    "via_device": (_TEXT, False),
}  # fmt: skip
_ENTITY = {
    "platform": (_TEXT, True), "unique_id": (_TEXT, True), "state_topic": (_TEXT, True), "name": (_TEXT, False),
    "device_class": (_TEXT, False), "entity_category": (_TEXT, False), "icon": (_TEXT, False),
    "json_attributes_topic": (_TEXT, False), "enabled_by_default": (bool, False), "expire_after": (int, False),
    "qos": (int, False),
}  # fmt: skip
_PLATFORMS = {
    "binary_sensor": {"payload_on": (_TEXT, False), "payload_off": (_TEXT, False), "off_delay": (int, False)},
    "sensor": {"options": (_LIST, False), "unit_of_measurement": (_TEXT, False), "state_class": (_TEXT, False)},
}
_CLASSES = {
    "binary_sensor": {"door", "lock", "opening", "problem", "safety", "tamper", "connectivity", "power", "smoke"},
    "sensor": {"enum", "timestamp", "duration"},
}
_UNKNOWN = "None"


class Rejected(Exception):
    """Home Assistant would log this and show nothing."""


def _check(what, given, allowed):
    for name, (kind, needed) in allowed.items():
        if needed and name not in given:
            raise Rejected(f"{what}: {name} is missing")
        if name in given and not isinstance(given[name], kind):
            raise Rejected(f"{what}: {name} is {given[name]!r}")
    # Unknown members are ignored there; here they are a mistake.
    if set(given) - set(allowed):
        raise Rejected(f"{what}: {set(given) - set(allowed)} is nothing that Home Assistant knows")


class Entity:
    """One entity with what its topics have said."""

    def __init__(self, platform, config, home):
        self.platform, self.config, self._home = platform, config, home
        if config.get("device_class") not in {None, *_CLASSES[platform]}:
            raise Rejected(f"{config['device_class']!r} is no device class of {platform}")
        if config.get("entity_category") not in (None, "diagnostic", "config"):
            raise Rejected("entity_category")
        if ("options" in config) != (config.get("device_class") == "enum"):
            raise Rejected("options belong to the device class enum")
        if "options" in config and ("state_class" in config or "unit_of_measurement" in config):
            raise Rejected("an enum has neither unit nor state class")

    @property
    def available(self):
        topics = self.config.get("availability", [])
        said = [self._home.said.get(one["topic"]) == one.get("payload_available", "online") for one in topics]
        return all(said) if self.config.get("availability_mode") == "all" else any(said) or not said

    @property
    def state(self):
        if not self.available:
            return "unavailable"
        payload = self._home.said.get(self.config["state_topic"])
        if payload in (None, "", _UNKNOWN):
            return "unknown"
        if self.platform == "binary_sensor":
            known = {self.config.get("payload_on", "ON"): "on", self.config.get("payload_off", "OFF"): "off"}
            if payload not in known:
                raise Rejected(f"no binary sensor takes {payload!r}")
            return known[payload]
        if "options" in self.config and payload not in self.config["options"]:
            raise Rejected(f"{payload!r} is not among {self.config['options']}")
        return payload

    @property
    def attributes(self):
        topic = self.config.get("json_attributes_topic")
        attributes = json.loads(self._home.said[topic]) if topic else {}
        if not isinstance(attributes, dict):
            raise Rejected("attributes are an object")
        return attributes


class Home:
    """All that Home Assistant made of what came."""

    def __init__(self):
        self.said = {}
        self._devices = {}

    def receive(self, topic, payload):
        payload = payload.decode()
        if topic.startswith("homeassistant/"):
            found = _TOPIC.fullmatch(topic)
            if not found:
                raise Rejected(f"{topic} is no discovery topic")
            if payload:
                self._devices[topic] = self._take(json.loads(payload))
            else:
                self._devices.pop(topic, None)
        else:
            self.said[topic] = payload

    def _take(self, message):
        _check("the message", message, _SHARED)
        _check("device", message["device"], _DEVICE)
        if not (message["device"].get("identifiers") or message["device"].get("connections")):
            raise Rejected("a device has identifiers or connections")
        if "name" not in message["origin"]:
            raise Rejected("origin: name is missing")
        if message.get("availability_mode", "latest") not in ("all", "any", "latest"):
            raise Rejected("availability_mode")
        for one in message.get("availability", []):
            _check("availability", one, {"topic": (_TEXT, True), "payload_available": (_TEXT, False)})
        entities = {}
        shared = {name: message[name] for name in ("availability", "availability_mode", "qos") if name in message}
        for component in message["components"].values():
            platform = component.get("platform")
            if platform not in _PLATFORMS:
                raise Rejected(f"{platform!r}")
            _check(platform, component, _ENTITY | _PLATFORMS[platform])
            if component["unique_id"] in entities or component["unique_id"] in self.entities:
                raise Rejected(f"{component['unique_id']} is there twice")
            entities[component["unique_id"]] = Entity(platform, shared | component, self)
        return entities

    @property
    def entities(self):
        return {name: entity for entities in self._devices.values() for name, entity in entities.items()}
