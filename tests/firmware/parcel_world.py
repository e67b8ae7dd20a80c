"""A door's file system and NVS, with what firmware/provision.py finds there at a start."""

import json
import os
from unittest import TestCase

import board

from firmware import config, provision
from firmware.kept import Kept
from storage import record
from storage.keys import Keys
from storage.settings import Settings

ROOT = (os.getenv("MENWEI_TMP") or "/tmp") + "/taken"
DOOR_KEY = bytes(range(32))


class Nvs:
    def __init__(self):
        self.values = {}

    def get_blob(self, name, buf):
        value = self.get_i32(name)
        buf[: len(value)] = value
        return len(value)

    def get_i32(self, name):
        if name not in self.values:
            raise OSError(-0x1102)
        return self.values[name]

    def set_i32(self, name, value):
        self.values[name] = value

    set_blob = set_i32

    def commit(self):
        pass


class Region:
    """A journal or a list that is there."""

    def mount(self):
        pass


class Base(TestCase):
    def setUp(self):
        board.ROOT = ROOT
        try:
            os.mkdir(ROOT)
        except OSError:
            pass
        for name in os.listdir(ROOT):
            os.remove(ROOT + "/" + name)
        self.nvs = Nvs()
        self.kept = Kept(Nvs())
        Keys(self.nvs, ROOT).store(DOOR_KEY, "first", [(3, 1, 1, b"\x11" * 16)])
        Settings(ROOT).save(config.validate({"host": "10.0.0.1", "open_s": 3, "wifi_ssid": "hall"}))

    def held(self):
        """Settings, Wi-Fi secret, card keys."""
        self.keys = Keys(self.nvs, ROOT)
        self.keys.load()
        settings = Settings(ROOT).load(config.DEFAULTS, config.validate)
        return settings["host"], settings["open_s"], self.keys.wifi_secret, self.keys.card_keys

    def parcel(self, content, kind=1, number=7):
        """A start with a parcel; what becomes of it."""
        with open(ROOT + "/provision.parcel", "w") as file:
            file.write("%d %d\n%s" % (number, kind, content if isinstance(content, str) else json.dumps(content)))
        return self.start()

    def start(self):
        reason, number, error = provision.take_parcel(ROOT, Keys(self.nvs, ROOT), Settings(ROOT))
        provision.finish(ROOT, self.kept, number)
        self.assertEqual((error is None), reason != record.PARCEL_REFUSED)
        self.assertFalse("provision.parcel" in os.listdir(ROOT))
        return reason, number

    def installed(self, content):
        with open(ROOT + "/provision.json", "w") as file:
            json.dump(content, file)
        provision.apply(ROOT, Keys(self.nvs, ROOT), Settings(ROOT), Region(), Region())
