"""Settings and keys on a real LittleFS and in the simulated NVS, power going in every flash operation of a save.

    run({"store": "settings", "prelude": [3, 1], "steps": [["save", 40, 900], ["keys", 2], ["restart"]], ...}, answer)

Steps: save (a number, length of a text: what LittleFS keeps in a directory, in a block, in several), keys (which),
restart.
"""

import gc
import os

import board
import esp32
from boards.sim import world
from cut_world import SECTOR, RamFlash, explore, must
from storage.keys import Keys
from storage.mac import derive
from storage.settings import Settings

_NVS_SIZE = 2 * SECTOR
_SIZE = 12 * SECTOR
_ROOT = "/cutvfs"
_DEFAULTS = {"held_s": 30, "site": ""}
_KEYS = (bytes(range(32)), bytes(range(32, 64)), b"\xa5" * 32)
_SECRETS = ("correct horse", "battery staple", "")
_preludes = {}


def validate(values):
    if not 1 <= values["held_s"] <= 600:
        raise ValueError("held_s: 1 to 600")
    return values


class Store:
    """The file system and NVS of a door, and what lies on them."""

    def __init__(self, image):
        board.FLASH = (("nvs", 0, _NVS_SIZE), ("vfs", _NVS_SIZE, _SIZE - _NVS_SIZE))
        self.chip = None
        self.values = None  # the settings that there must be; None: none yet
        self.number = None  # which keys
        self.start(image or b"\xff" * _SIZE, image is None)

    def start(self, image, format_it=False):
        """The door starts. The chip is another object: what is left in RAM of the start before stays dead."""
        self.stop()
        self.chip = world.flash = RamFlash(image)
        region = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")[0]
        if format_it:
            os.VfsLfs2.mkfs(region)
        os.mount(os.VfsLfs2(region), _ROOT)

    def stop(self):
        """Power off."""
        if self.chip:
            self.chip.log = None
            self.chip.power_off()
            try:
                os.umount(_ROOT)
            except OSError:
                pass  # the mount had failed
            gc.collect()

    def load(self):
        """Return settings, and whether a damaged file was seen."""
        self.settings = Settings(_ROOT)
        return self.settings.load(_DEFAULTS, validate)

    def load_keys(self):
        keys = Keys(esp32.NVS("menwei"), _ROOT)
        keys.load()
        return keys

    def save(self, values):
        self.load()
        self.settings.save(values)

    def is_sound(self, values, numbers):
        """Settings are one of `values`, keys one of `numbers`, each whole; None: not there."""
        found = self.load()
        must(found in [value or _DEFAULTS for value in values], "settings %r, not one of %r", found, values)
        keys = self.load_keys()
        if keys.lost:
            must(None in numbers, "keys are lost")
            return
        right = [
            n
            for n in numbers
            if n is not None and keys.purpose(b"list") == derive(_KEYS[n], b"list") and keys.wifi_secret == _SECRETS[n]
        ]
        must(right, "other keys than %r", numbers)
        must(self.load_keys().repaired == 0, "a copy of the keys was not repaired")


class Moment:
    def __init__(self, store, step):
        self.step = step
        self.values = [store.values, values_of(step) if step[0] == "save" else store.values]
        self.numbers = [store.number, step[1] if step[0] == "keys" else store.number]


def values_of(step):
    return {"held_s": step[1], "site": "x" * step[2]}


def do(store, step):
    if step[0] == "save":
        store.save(values_of(step))
        store.values = values_of(step)
    elif step[0] == "keys":
        Keys(esp32.NVS("menwei"), _ROOT).store(_KEYS[step[1]], _SECRETS[step[1]])
        store.number = step[1]
    elif step[0] == "restart":
        store.load()
        store.load_keys()
    else:
        raise ValueError(step)


def prelude(saves, keys):
    """A door whose settings and keys were written so often; 40 fill the log of NVS."""
    if (saves, keys) not in _preludes:
        store = Store(None)
        for number in range(saves):
            do(store, ["save", 1 + number, number % 60])
        for number in range(keys):
            do(store, ["keys", number % 3])
        _preludes[saves, keys] = store.chip.image(), store.values, store.number
        store.stop()
    return _preludes[saves, keys]


def run(workload, answer):
    """Run a workload, cut everywhere, check; see cuts_worker.py for the answer."""
    image, values, number = prelude(*workload["prelude"])
    store = Store(image)
    store.values, store.number = values, number
    moments = []
    store.chip.begin()
    for step in workload["steps"]:
        store.chip.context = len(moments)
        moments.append(Moment(store, step))
        do(store, step)
    log = store.chip.log
    answer["operations"] = len(log)
    store.start(store.chip.image())
    store.is_sound([store.values], [store.number])

    def check(context, torn, _):
        moment = moments[context]
        store.start(torn)
        store.chip.begin()
        store.is_sound(moment.values, moment.numbers)
        if moment.step[0] != "restart":
            do(store, moment.step)  # the office sends it again
        log = store.chip.log
        store.start(store.chip.image())
        store.is_sound(moment.values[1:], moment.numbers[1:])
        must(not store.settings.damaged or moment.step[0] != "save", "a damaged file is left")
        return log, torn, lambda _, torn: check_again(moment, torn)

    def check_again(moment, torn):
        store.start(torn)
        store.is_sound(moment.values, moment.numbers)

    try:
        explore(image, log, workload, check, answer)
    finally:
        store.stop()


def flips(workload, answer):
    """Flip every `every`-th bit of what is written; nothing is ever taken for a setting or a key that is none.

    The answer counts what a flip cost: `file_system` (it does not mount: the door serves with what NVS holds),
    `older` (settings), `repaired` (copies of the keys).
    """
    image, _, number = prelude(*workload["prelude"])
    store = Store(image)
    # LittleFS falls back to an older directory where its newest commit is damaged: then the settings are older still.
    values = [values_of(["save", 1 + number, number % 60]) for number in range(workload["prelude"][0])] + [_DEFAULTS]
    newest = store.load()
    answer.update({"file_system": 0, "older": 0, "repaired": 0})
    bits = [8 * at + bit for at in range(len(image)) if image[at] != 255 for bit in range(8)]
    for place in range(workload["noise"] % workload["every"], len(bits), workload["every"]):
        bit = bits[place]
        damaged = bytearray(image)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        answer["bit"] = bit
        answer["points"] += 1
        try:
            store.start(damaged)
        except OSError:
            answer["file_system"] += 1
            continue
        found = store.load()
        must(found in values, "settings %r", found)
        answer["older"] += found != newest
        keys = store.load_keys()
        must(not keys.lost and keys.purpose(b"list") == derive(_KEYS[number], b"list"), "keys are lost or wrong")
        answer["repaired"] += keys.repaired
    answer.pop("bit", None)
    store.stop()
