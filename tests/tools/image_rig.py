"""Flash images that a door's own code made, put into a whole chip, and what is done to them.

image = whole(rest(tmp_path_factory))
altered = Altered(image)
altered.put(sector, slot, bytes(32))
told = altered.inspect()
"""

import hashlib
import io
import json
import struct
import subprocess

from interpreter import MICROPYTHON, micropython_environment
from journal_writer import Writer
from rich.console import Console

from menwei.build import ROOT
from menwei.image import read_journal
from menwei.inspect_image import Options, inspect
from menwei.inspect_report import show
from menwei.rawflash import SECTOR

KEY = bytes(range(16))
CARDS, JOURNAL = 6, 8
HEAP = "heapsize=4m"  # this door also keeps the list of what it says
TIMEOUT_S = 300


def make(folder, seed, changes, cuts, cards=CARDS, journal=JOURNAL):
    """Images of one door, each with what the door says about it."""
    environment = micropython_environment()
    environment["MICROPYPATH"] += f":{ROOT / 'tests' / 'storage'}"
    words = [folder, seed, changes, cards, journal, cuts]
    done = subprocess.run(
        [MICROPYTHON, "-X", HEAP, ROOT / "tests" / "tools" / "door_image.py", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for line in done.stdout.splitlines():
        told = json.loads(line)
        yield (folder / told["image"]).read_bytes(), told


EPOCH = b"\x05\x06\x07\x08"
CARDS_AT, JOURNAL_AT = 0x10000, 0x10000 + CARDS * SECTOR
SLOT = 32
CHIP = 1 << 20
WITH_KEY = Options(start_key=lambda epoch: KEY)


def table(entries):
    """A partition table as ESP-IDF writes it."""
    data = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", 1, 0x81, offset, size, label.encode(), 0)
        for label, offset, size in entries
    )
    return (data + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(data).digest()).ljust(0xC00, b"\xff")


TABLE = table([("nvs", 0x9000, 0x6000), ("cards", CARDS_AT, CARDS * SECTOR), ("journal", JOURNAL_AT, JOURNAL * SECTOR)])


def whole(regions, partitions=TABLE):
    """The image of a whole chip around the two regions."""
    image = bytearray(b"\xff" * CHIP)
    image[0x8000 : 0x8000 + len(partitions)] = partitions
    image[CARDS_AT : CARDS_AT + len(regions)] = regions
    return bytes(image)


def rest(tmp_path_factory):
    """The flash of a door at rest, whole."""
    ((regions, _),) = make(tmp_path_factory.mktemp("door"), 20261124, 300, 0)
    return whole(regions)


def by_hand(**more):
    writer = Writer(EPOCH, KEY, **more)
    for number in range(150):
        writer.record(2, 0, b"abcdefg", number)
    return writer


def text_of(told, width=200):
    console = Console(file=io.StringIO(), width=width)
    show(told, console)
    return console.file.getvalue()


def named(told, wrong=True):
    return [(f["what"], f["sector"], f["slot"], f["first"], f["last"]) for f in told["findings"] if f["wrong"] == wrong]


class Altered:
    """An image whose slots can be moved about."""

    def __init__(self, image):
        self.data = bytearray(image)
        self.records = []  # (number, sector, slot, slots) of each record, in the order of the ring
        sectors = []
        for sector in range(JOURNAL):
            head = self.slot(sector, 0)
            if head[8:10] == b"J\1":
                sectors.append((int.from_bytes(head[14:18], "little"), sector))
        self.sectors = [sector for _, sector in sorted(sectors)]
        for sector in self.sectors:
            for slot in range(1, 128):
                raw = self.slot(sector, slot)
                if raw[0] in (0x55, 0x33):
                    number = int.from_bytes(raw[1:5], "little") & 0x3FFFFFFF
                    self.records.append((number, sector, slot, 1 + (raw[0] == 0x33)))

    def at(self, sector, slot):
        return JOURNAL_AT + sector * SECTOR + slot * SLOT

    def slot(self, sector, slot):
        at = self.at(sector, slot)
        return bytes(self.data[at : at + SLOT])

    def put(self, sector, slot, raw):
        at = self.at(sector, slot)
        self.data[at : at + len(raw)] = raw

    def single(self, behind=30):
        """A record of one slot that is followed by one of one slot and a third record, in the middle of a sector."""
        for index in range(behind, len(self.records) - 2):
            a, b, c = self.records[index : index + 3]
            if a[3] == b[3] == 1 and (a[1], a[2] + 1) == b[1:3] and (b[1], b[2] + 1) == c[1:3]:
                return a, b
        raise ValueError("no such place")

    def found(self):
        """What is found in the journal, and at which number."""
        journal = read_journal(bytes(self.data), JOURNAL_AT, JOURNAL * SECTOR, KEY)
        return [(finding.what, finding.seq) for finding in journal.findings]

    def inspect(self, options=WITH_KEY):
        told = inspect(bytes(self.data), options)
        json.dumps(told)
        return told
