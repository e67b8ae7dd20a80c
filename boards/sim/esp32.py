"""The `esp32` module of the simulated chip: partitions and NVS on the flash file, and what the IDF's heaps have left.

    cards = Partition.find(Partition.TYPE_DATA, label="cards")[0]
    keys = NVS("menwei")
    keys.set_blob("door", key)
    keys.commit()

As on the chip `Partition.find` looks for applications unless it is told otherwise. What was set but not committed is
seen through this NVS object only and is lost with the power: the IDF promises no more.

The first two sectors of the partition `nvs` hold a log of commits, so a killed process keeps what it committed. A
sector is a header (generation, check) and batches (length, check, items); the valid sector of the highest generation
counts, in it all batches up to the first that is not valid. A full log is written anew into the other sector, header
last.
"""

from hashlib import sha256
from struct import pack, unpack

import board
from micropython import const

from boards.sim import world
from boards.sim.norflash import Region

HEAP_EXEC = const(1)  # MALLOC_CAP_EXEC
HEAP_DATA = const(4)  # MALLOC_CAP_8BIT

_ENOENT = const(2)
_ANY = const(0xFF)
_SUBTYPES = {"nvs": 2, "phy_init": 1, "vfs": 0x81, "otadata": 0}
_UNDEFINED = const(6)

# Error numbers of nvs.h; the ESP32 port raises them negated.
_NOT_FOUND = const(0x1102)
_NOT_ENOUGH_SPACE = const(0x1105)
_INVALID_NAME = const(0x1106)
_KEY_TOO_LONG = const(0x1109)
_INVALID_LENGTH = const(0x110C)
_VALUE_TOO_LONG = const(0x110E)

_SECTOR = const(4096)
_NAME_MAX = const(15)
_BLOB_MAX = const(1984)

# (total, free, largest free block, least free so far) of each heap: the example in MicroPython's documentation of a
# plain ESP32 after boot. The world may change it to starve a door.
heaps = [
    (240, 0, 0, 0),
    (7288, 0, 0, 0),
    (16648, 4, 4, 4),
    (79912, 35712, 35512, 35108),
    (15072, 15036, 15036, 15036),
    (113840, 0, 0, 0),
]


def idf_heap_info(capabilities):
    """Return a list of (total, free, largest free block, least free so far)."""
    return list(heaps)


class Partition(Region):
    """One entry of the board's FLASH list as a block device."""

    BOOT = const(0)
    RUNNING = const(1)
    TYPE_APP = const(0)
    TYPE_DATA = const(1)

    def __init__(self, which):
        for entry in board.FLASH:
            if entry[0] == which or (which in (0, 1) and not _kind(entry[0])[0]):
                break
        else:
            raise OSError(_ENOENT)
        super().__init__(world.flash, entry[1], entry[2])
        self._label = entry[0]

    @staticmethod
    def find(type=0, subtype=_ANY, label=None):
        """Return all partitions that fit."""
        return [
            Partition(entry[0])
            for entry in board.FLASH
            if _kind(entry[0])[0] == type and subtype in (_ANY, _kind(entry[0])[1]) and label in (None, entry[0])
        ]

    def info(self):
        """Return type, subtype, address, size, label, encrypted."""
        return _kind(self._label) + (self.offset, self.size, self._label, False)


def _kind(label):
    """Return type and subtype of a partition by its label."""
    if label == "factory":
        return 0, 0
    if label.startswith("ota_"):
        return 0, 0x10 + int(label[4:])
    return 1, _SUBTYPES.get(label, _UNDEFINED)


class NVS:
    """One namespace of the key-value store."""

    def __init__(self, namespace):
        if not 0 < len(namespace) <= _NAME_MAX:
            raise OSError(-_INVALID_NAME, "ESP_ERR_NVS_INVALID_NAME")
        self._namespace = namespace
        self._changes = {}
        _store()  # a damaged partition shows here, not later

    def set_i32(self, key, value):
        """Set a signed number of 32 bits."""
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("value does not fit into 32 bits")
        self._changes[self._name(key)] = b"\x01" + pack("<i", value)

    def get_i32(self, key):
        """Return a number."""
        return unpack("<i", self._get(key, 1)[1:])[0]

    def set_blob(self, key, value):
        """Set bytes."""
        if len(value) > _BLOB_MAX:
            raise OSError(-_VALUE_TOO_LONG, "ESP_ERR_NVS_VALUE_TOO_LONG")
        self._changes[self._name(key)] = b"\x02" + bytes(value)

    def get_blob(self, key, buf):
        """Put bytes into `buf`, return how many."""
        value = self._get(key, 2)
        length = len(value) - 1
        if length > len(buf):
            raise OSError(-_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        memoryview(buf)[:length] = memoryview(value)[1:]
        return length

    def erase_key(self, key):
        """Remove a key."""
        self._get(key, 0)
        self._changes[self._name(key)] = b""

    def commit(self):
        """Make what was set through this object durable."""
        if self._changes:
            _store().append(self._changes)
            self._changes = {}

    def _name(self, key):
        if not key:
            raise OSError(-_INVALID_NAME, "ESP_ERR_NVS_INVALID_NAME")
        if len(key) > _NAME_MAX:
            raise OSError(-_KEY_TOO_LONG, "ESP_ERR_NVS_KEY_TOO_LONG")
        return (self._namespace + "\0" + key).encode()

    def _get(self, key, kind):
        name = self._name(key)
        value = self._changes.get(name)
        if value is None:
            value = _store().items.get(name)
        if not value or (kind and value[0] != kind):
            raise OSError(-_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return value


_open_store = None


def _store():
    """Return the log of this flash, read when it is first asked for."""
    global _open_store
    if _open_store is None or _open_store.opened != (world.flash, world.flash.starts):
        _open_store = _Log(Partition.find(Partition.TYPE_DATA, 2)[0])
    return _open_store


def _check(generation, data):
    return sha256(b"nvs" + pack("<I", generation) + data).digest()[:6]


class _Log:
    def __init__(self, region):
        self._region = region
        self.opened = (region.flash, region.flash.starts)
        self.items = {}
        self._generation = 0
        self._sector = 1  # nothing valid yet: the first commit opens sector 0
        self._end = _SECTOR
        head = bytearray(10)
        for sector in (0, 1):
            region.readblocks(sector, head, 0)
            generation = unpack("<I", head)[0]
            if head[4:10] == _check(generation, b"") and generation > self._generation:
                self._generation = generation
                self._sector = sector
        if self._generation:
            self._replay()

    def _replay(self):
        head = bytearray(8)
        at = 10
        while at + 8 < _SECTOR:
            self._region.readblocks(self._sector, head, at)
            length = head[0] | head[1] << 8
            if length == 0xFFFF and head == b"\xff" * 8:
                break  # blank; what a torn program may have left behind is looked for before the next one
            if at + 8 + length > _SECTOR:
                return
            data = bytearray(length)
            self._region.readblocks(self._sector, data, at + 8)
            if head[2:] != _check(self._generation, data):
                return  # torn: the next commit goes to the other sector
            at += 8 + length
            self._take(data)
        self._end = at

    def _take(self, data):
        at = 0
        while at < len(data):
            value_at = at + 3 + data[at]
            value_end = value_at + (data[at + 1] | data[at + 2] << 8)
            name = bytes(data[at + 3 : value_at])
            if value_end > value_at:
                self.items[name] = bytes(data[value_at:value_end])
            else:
                self.items.pop(name, None)
            at = value_end

    def append(self, changes):
        """One batch: all of it counts after a power cut, or nothing."""
        data = _packed(changes)
        if self._end + 8 + len(data) <= _SECTOR and self._blank(len(data) + 8):
            self._program(self._sector, self._end, self._generation, data)
            self._end += 8 + len(data)
        else:
            merged = {name: value for name, value in self.items.items() if name not in changes}
            merged.update({name: value for name, value in changes.items() if value})
            everything = _packed(merged)
            if 18 + len(everything) > _SECTOR:
                raise OSError(-_NOT_ENOUGH_SPACE, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
            sector = 1 - self._sector
            generation = self._generation + 1
            self._region.ioctl(6, sector)
            self._program(sector, 10, generation, everything)
            self._region.writeblocks(sector, pack("<I", generation) + _check(generation, b""), 0)
            self._sector = sector
            self._generation = generation
            self._end = 18 + len(everything)
        self._take(data)

    def _blank(self, length):
        rest = bytearray(length)
        self._region.readblocks(self._sector, rest, self._end)
        return rest == b"\xff" * length

    def _program(self, sector, at, generation, data):
        self._region.writeblocks(sector, pack("<H", len(data)) + _check(generation, data) + data, at)


def _packed(changes):
    data = bytearray()
    for name, value in changes.items():
        data += bytes((len(name), len(value) & 255, len(value) >> 8)) + name + value
    return bytes(data)
