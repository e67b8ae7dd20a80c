"""A cards region on a simulated flash chip with an oracle beside it; shared by the chip_allowlist tests."""

import gc
import os
import random
import unittest

from boards.sim.norflash import NorFlash, Region
from oracle_allowlist import LIVE, Oracle
from storage.allowlist import Allowlist
from storage.flash import Flash

SECTOR = 4096
SEED = int(os.getenv("MENWEI_SEED") or 20200101)

gc.threshold(8192)  # the oracle's many small objects would else leave no room for its growing dict
_buffer = bytearray(512)  # a chip's heap does not hold an image


def copy(source, target):
    """Copy a file whose length is a multiple of 512."""
    with open(source, "rb") as old, open(target, "wb") as new:
        while old.readinto(_buffer):
            new.write(_buffer)


class World:
    """A flash chip with nothing but a cards region, and the list on it."""

    def __init__(self, sectors=5):
        self.path = os.getenv("MENWEI_TMP") + "/cards.bin"
        self.size = sectors * SECTOR
        self.oracle = Oracle()
        try:
            os.remove(self.path)
        except OSError:
            pass
        self.chip = None
        self.restart()

    def restart(self):
        """Power comes back."""
        if self.chip is None:
            self.chip = NorFlash(self.path, self.size)
        self.chip.power_on()
        self.flash = Flash(Region(self.chip, 0, self.size))
        self.cards = Allowlist(self.flash)
        self.cards.mount()
        return self.cards

    def settle(self, now_min=None):
        """Let the door be idle until there is nothing to do."""
        steps = 0
        while self.cards.idle(now_min):
            steps += 1
            if steps > 20000:
                raise RuntimeError("idle work never ends")
        return steps

    def snapshot(self):
        """Keep what is in flash for `restore`."""
        copy(self.path, self.path + ".kept")

    def restore(self, at=0, flip=0):
        """Put the kept image back, one byte of it altered; `restart` brings the power."""
        copy(self.path + ".kept", self.path)
        if flip:
            self.write(at, bytes((self.byte(at) ^ flip,)))

    def byte(self, at):
        """One byte of the image."""
        with open(self.path, "rb") as file:
            file.seek(at)
            return file.read(1)[0]

    def write(self, at, data):
        """Write to the image past all rules."""
        with open(self.path, "r+b") as file:
            file.seek(at)
            file.write(data)

    def look(self, pseudonym):
        """What a lookup says, in the oracle's words."""
        if not self.cards.find(pseudonym):
            return None
        e = self.cards.entry
        return (e.state, e.valid_from, e.valid_until, e.group, e.key_version, e.limited, e.uses_left)

    def do(self, change):
        """Apply a change to the list."""
        return getattr(self.cards, change[0])(*change[1:])

    def both(self, change):
        """Apply a change to list and oracle."""
        self.do(change)
        self.oracle.apply(change)

    def differences(self, oracle=None):
        """Pseudonyms about which list and oracle disagree."""
        oracle = oracle or self.oracle
        return [p for p in oracle.cards if self.look(p) != oracle.look(p)]

    def close(self):
        self.chip.close()


def pseudonym():
    return bytes(random.getrandbits(8) for _ in range(7))


def values(uses=None):
    if uses is None:
        uses = random.choice((0, 0, 0, 0, 1, 2, 3, 16))
    return (random.getrandbits(20), random.getrandbits(24), random.getrandbits(6), random.getrandbits(2), uses)


def change_of(oracle, names):
    """A random change that makes sense, for a card of `names`."""
    name = random.choice(names)
    card = oracle.cards.get(name)
    dice = random.random()
    if card and card[0] == LIVE and card[6] and dice < 0.5:
        return ("use", name)
    if dice < 0.65:
        return ("put", name) + values()
    if dice < 0.75:
        return ("suspend", name) + values()
    if dice < 0.87:
        return ("revoke", name) + values()
    return ("forget", name)


class Case(unittest.TestCase):
    sectors = 5

    def setUp(self):
        random.seed(SEED)
        print("seed", SEED)
        self.world = World(self.sectors)

    def tearDown(self):
        self.world.close()
        gc.collect()

    def raises_errno(self, errno, function, *arguments):
        try:
            function(*arguments)
        except OSError as error:
            self.assertEqual(error.errno, errno)
            return error
        self.fail("no OSError")
