"""The plain text of a parcel that is whole, on its way to the next start."""

import os
from unittest import TestCase

import board
from cryptolib import aes

from firmware import parcels
from storage.mac import derive
from sync import messages, upstream

ROOT = (os.getenv("MENWEI_TMP") or "/tmp") + "/opened"
DOOR_KEY = bytes(range(32))


class Esp32:
    NVS = str


class Keys:
    """As much of the door's keys as is needed."""

    def __init__(self, _nvs, _directory):
        self.load = Log().info

    def purpose(self, name):
        return derive(DOOR_KEY, name)


class Log:
    def info(self, *words, **values):
        pass

    error = info


class Link:
    connected = False
    parcel = [0, 0, 0]


class Service:
    log = Log()

    def __init__(self):
        self.recorder = self.uptime = self
        self.link = Link()
        self.seconds = 0
        self.restarts = 0

    def soon(self, _service):
        self.restarts += 1


class Opened(TestCase):
    """The plain text of a parcel that is whole, on its way to the next start."""

    def setUp(self):
        board.ROOT = ROOT
        try:
            os.mkdir(ROOT)
        except OSError:
            pass
        for name in os.listdir(ROOT):
            os.remove(ROOT + "/" + name)
        parcels.Keys = Keys
        parcels.esp32 = Esp32

    def stage(self, plain, kind=1, number=7):
        if "provision.parcel" in os.listdir(ROOT):
            os.remove(ROOT + "/provision.parcel")  # the start that it waited for
        iv = bytes(range(16))
        key = derive(DOOR_KEY, b"parcel")
        file = upstream.seal_parcel(key, kind, number, iv + aes(derive(DOOR_KEY, b"secret"), 2, iv).encrypt(plain))
        with open(ROOT + "/parcel", "wb") as target:
            target.write(bytes((0, kind, 0, 0, number, 0, 0, 0, 0, 0, 0, 0)) + len(file).to_bytes(4, "little") + file)
        self.service = parcels.restart = Service()
        self.service.link.parcel = [number, len(file), 0]
        self.service.link._purpose = lambda name: derive(DOOR_KEY, name)

    def apply(self, number=7):
        return parcels.apply(self.service, number)

    def test_every_length(self):
        for length in (0, 1, 15, 16, 17, 239, 240, 241, 255, 256, 257, 600):
            plain = bytes(33 + index % 90 for index in range(length))
            count = 16 - length % 16
            self.stage(plain + bytes((count,)) * count, 1 + length % 2)
            self.assertEqual(self.apply(), messages.DONE)
            with open(ROOT + "/provision.parcel", "rb") as file:
                self.assertEqual(file.read(), b"7 %d\n" % (1 + length % 2) + plain)
            self.assertEqual(self.service.restarts, 1)

    def test_it_says_which_certificate_works(self):
        self.stage(b"0123456789abcde\x01", 2)
        self.service.link.connected = True
        self.service.link.certificate = ["0102", 9]
        self.assertEqual(self.apply(), messages.DONE)
        with open(ROOT + "/provision.parcel", "rb") as file:
            self.assertEqual(file.readline(), b"7 2 0102\n")

    def test_one_waits_for_its_start_and_is_not_written_again(self):
        self.stage(b"0123456789abcde\x01", 2)
        self.assertEqual(self.apply(), messages.DONE)
        with open(ROOT + "/provision.parcel", "wb") as file:
            file.write(b"7 2\nas it was")
        for _ in range(3):
            self.assertEqual(self.apply(), messages.BUSY)
        with open(ROOT + "/provision.parcel", "rb") as file:
            self.assertEqual(file.read(), b"7 2\nas it was")
        self.assertEqual(self.service.restarts, 1)
        self.assertFalse("provision.tmp" in os.listdir(ROOT))

    def test_what_is_not_whole_or_another_one_stays(self):
        self.stage(b"0123456789abcde\x01")
        self.assertEqual(self.apply(8), messages.REFUSED_BY_DOOR)
        with open(ROOT + "/parcel", "rb") as file:
            data = file.read()
        for bad in (data[:-1], data[:20] + b"\xff" + data[21:], data[:1] + b"\x02" + data[2:], data[:16], b""):
            with open(ROOT + "/parcel", "wb") as file:
                file.write(bad)
            self.assertEqual(self.apply(), messages.REFUSED_BY_DOOR)
        for padding in (b"\x00", b"\x11", b"\x02"):
            self.stage(b"0123456789abcde" + padding)
            self.assertEqual(self.apply(), messages.REFUSED_BY_DOOR)
        self.assertEqual(self.service.restarts, 0)
        self.assertFalse("provision.parcel" in os.listdir(ROOT))
