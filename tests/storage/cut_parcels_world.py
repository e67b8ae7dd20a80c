"""A parcel on its way into a door on a real LittleFS and in the simulated NVS, power going in every flash operation.

    run({"store": "parcels", "prelude": [2], "steps": [["parcel", 1, 900], ["back"]], ...}, answer)

Steps: parcel (which content, length of a text that makes it long), back (its settings get no connection, and are taken
back). Whatever happens, the door starts with all of the old or all of the new, and can be given the new again.
"""

import json
import os

import board
import esp32
from boards.sim import world
from cryptolib import aes
from cut_settings_world import Store as Base
from cut_world import explore, must
from firmware import config, parcels, provision
from firmware.kept import Kept
from storage import record
from storage.keys import Keys
from storage.mac import derive
from storage.settings import Settings
from sync import messages, upstream
from sync import parcels as pages

_DOOR_KEYS = [bytes((n,)) * 32 for n in range(8)]


class Host:
    @staticmethod
    def may_connect():
        return True


class Link:
    """As much of a door in service as parcels need."""

    _host = Host
    connected = False
    parcel = None

    def __init__(self, key):
        self._key = key

    def _purpose(self, name):
        return derive(self._key, name)

    def state_changed(self):
        pass


class Log:
    def error(self, *words, **values):
        raise AssertionError((words, values))

    def info(self, *words, **values):
        pass


class Service:
    log = Log()

    def __init__(self, link):
        self.recorder = self
        self.link = link

    @staticmethod
    def soon(_service):
        pass


class Store(Base):
    """A door with its file system; `now` is what it should hold: settings by name, Wi-Fi secret, number of its key."""

    def __init__(self, image):
        board.ROOT = "/cutvfs"
        super().__init__(image)
        self.number = 0  # of the parcel that was made last
        self.told = []

    def commission(self):
        config_now = config.validate({"host": "first", "open_s": 3})
        Settings(board.ROOT).save(config_now)
        Keys(esp32.NVS("menwei"), board.ROOT).store(_DOOR_KEYS[0], "first")
        self.now = ("first", 3, "first", 0)

    def boot(self):
        """What firmware/assembly.py does; return what the door holds then."""
        keys = Keys(esp32.NVS("menwei"), board.ROOT)
        store = Settings(board.ROOT)
        kept = Kept(esp32.NVS("kept"))
        if "provision.parcel" in os.listdir(board.ROOT):
            reason, number, error = provision.take_parcel(board.ROOT, keys, store)
            must(error is None, "refused: %r", error)
            self.told.append((reason, number))
            provision.finish(board.ROOT, kept, number)
        keys.load()
        settings = store.load(config.DEFAULTS, config.validate)
        must(not keys.lost, "keys are lost")
        present = [n for n, key in enumerate(_DOOR_KEYS) if keys.is_door_key(key)]
        self.link = Link(_DOOR_KEYS[present[0]])
        pages.resume(self.link, board.ROOT, kept.get("parcel"))
        return settings["host"], settings["open_s"], keys.wifi_secret, present[0]

    def deliver(self, number, kind, file):
        """Send what is missing, have it applied; nothing if it was taken already."""
        link = self.link
        if link.parcel[2] >= number:
            return
        start = link.parcel[1] if link.parcel[0] == number else 0
        key = link._purpose(b"parcel")
        for page in upstream.build_parcel(key, kind, number, file, start):
            must(pages.page(link, page) == messages.DONE, "a page was refused")
        must(parcels.apply(Service(link), number) == messages.DONE, "not applied")


parcels.restart = Service


def sealed(key, number, content):
    plain = json.dumps(content).encode()
    count = 16 - len(plain) % 16
    iv = bytes(range(16))
    cipher = aes(derive(key, b"secret"), 2, iv).encrypt(plain + bytes((count,)) * count)
    return upstream.seal_parcel(derive(key, b"parcel"), 1, number, iv + cipher)


def do(store, step, again=False):
    if step[0] == "parcel":
        if not again:
            store.number += 1
        name = "host%d" % step[1]
        after = (name, 4 + step[1], "secret%d" % step[1], step[1])
        if store.boot()[3] == step[1]:
            # The door has it; under the key that it had before nobody can send it again.
            store.now = after
            return
        content = {
            "settings": {"host": after[0], "open_s": after[1]},
            "wifi_secret": after[2],
            "door_key": _DOOR_KEYS[after[3]].hex(),
        }
        if step[2]:
            content["settings"]["policy"] = {
                "holidays": ["2026-%02d-%02d" % (1 + n // 28, 1 + n % 28) for n in range(step[2])]
            }
        key = _DOOR_KEYS[store.now[3]]
        store.deliver(store.number, 1, sealed(key, store.number, content))
        store.boot()
        # Else the next one would be refused: the old key is dropped by a command of its own.
        Keys(esp32.NVS("menwei"), board.ROOT).store()
        if not step[3]:
            _remove("/provision.before")  # it has been connected
        store.now = after
    elif step[0] == "back":
        if "provision.before" in os.listdir(board.ROOT):
            os.rename(board.ROOT + "/provision.before", board.ROOT + "/provision.parcel")
        store.now = store.boot()
    else:
        raise ValueError(step)


def _remove(name):
    try:
        os.remove(board.ROOT + name)
    except OSError:
        pass


def run(workload, answer):
    """Run a workload, cut everywhere, check; see cuts_worker.py for the answer."""
    store = Store(None)
    store.commission()
    image = store.chip.image()
    moments = []
    store.chip.begin()
    for step in workload["steps"]:
        store.chip.context = len(moments)
        before = store.now, store.number
        do(store, step)
        moments.append((step, before, (store.now, store.number)))
    log = store.chip.log
    answer["operations"] = len(log)
    store.start(store.chip.image())
    must(store.boot() == store.now, "not what it should be")
    must(all(reason != record.PARCEL_REFUSED for reason, _ in store.told), "refused: %r", store.told)

    def check(context, torn, _):
        step, before, after = moments[context]
        store.start(torn)
        store.chip.begin()
        found = store.boot()
        must(found in (before[0], after[0]), "%r: neither %r nor %r", found, before[0], after[0])
        store.now, store.number = before
        if step[0] == "parcel":
            store.number += 1
        do(store, step, True)
        log = store.chip.log
        store.start(store.chip.image())
        must(store.boot() == after[0], "%r, not %r, after it was sent again", store.boot(), after[0])
        return log, torn, lambda _, torn: check_again(before, after, torn)

    def check_again(before, after, torn):
        store.start(torn)
        found = store.boot()
        must(found in (before[0], after[0]), "%r: neither %r nor %r", found, before[0], after[0])

    try:
        explore(image, log, workload, check, answer)
    finally:
        store.stop()
        world.flash = None
