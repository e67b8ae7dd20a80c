"""Pages of parcels on their way into the file system: in order, resumable, and nothing forged or old among them."""

import os
from struct import pack
from unittest import TestCase

from upstream_rig import KEYS, Rig, run

from sync import messages, parcels, upstream

ROOT = (os.getenv("MENWEI_TMP") or "/tmp") + "/parcels"
KEY = KEYS.purpose(b"parcel")


def sealed(number, blocks, kind=1, key=KEY):
    body = bytes((number + index) & 255 for index in range(16 * blocks))
    return upstream.seal_parcel(key, kind, number, body)


class Parcels(TestCase):
    def setUp(self):
        try:
            os.mkdir(ROOT)
        except OSError:
            pass
        for name in os.listdir(ROOT):
            os.remove(ROOT + "/" + name)
        self.rig = Rig()
        self.link = self.rig.link
        self.link.state_changed = lambda: None
        parcels.resume(self.link, ROOT, 0)

    def take(self, page, renewing=False):
        """The result of a page, also of one that is refused."""
        try:
            return parcels.page(self.link, memoryview(page), renewing)
        except messages.Refused as error:
            return error.result

    def pages(self, number, blocks=90, kind=1, start=0, key=KEY):
        return upstream.build_parcel(key, kind, number, sealed(number, blocks, kind), start)

    def file(self):
        with open(ROOT + "/parcel", "rb") as file:
            return file.read()

    def whole(self, number, blocks=90, kind=1):
        data = sealed(number, blocks, kind)
        self.assertEqual(self.file(), pack("<BBHIII", 0, kind, 0, number, 0, len(data)) + data)
        self.assertEqual(self.link.parcel, [number, len(data), 0])

    def test_pages_are_put_together_and_each_once(self):
        pages = self.pages(7)
        self.assertEqual(len(pages), 3)
        so_far = 0
        for page in pages:
            for _ in range(3):
                self.assertEqual(self.take(page), messages.DONE)
                self.assertEqual(self.link.parcel, [7, so_far + len(page) - 32, 0])
            so_far += len(page) - 32
        self.whole(7)
        self.assertEqual(self.rig.host.whole, [])  # it waits for two persons

    def test_a_page_that_comes_too_early_is_left_out(self):
        pages = self.pages(7)
        for index, so_far in ((2, 0), (1, 0), (0, 512), (2, 512), (1, 1024), (0, 1024), (2, 1456)):
            self.assertEqual(self.take(pages[index]), messages.DONE)
            self.assertEqual(self.link.parcel[1], so_far)
        self.whole(7)

    def test_it_goes_on_after_a_restart_from_any_byte(self):
        data = sealed(7, 90)
        header = pack("<BBHIII", 0, 1, 0, 7, 0, len(data))
        for start in (0, 1, 100, 511, 512, 1000, len(data) - 1):
            with open(ROOT + "/parcel", "wb") as file:
                file.write(header + data[:start])
            parcels.resume(self.link, ROOT, 0)
            self.assertEqual(self.link.parcel, [7, start, 0])
            for page in self.pages(7, start=self.link.parcel[1]):
                self.assertEqual(self.take(page), messages.DONE)
            self.whole(7)
            parcels.resume(self.link, ROOT, 0)
            for page in self.pages(7):  # from the beginning: what overlaps is there already
                self.assertEqual(self.take(page), messages.DONE)
            self.whole(7)

    def test_a_higher_number_takes_the_place_and_a_lower_one_is_old(self):
        self.take(self.pages(7)[0])
        self.assertEqual(self.take(self.pages(8)[1]), messages.DONE)  # not its beginning: nothing is lost by it
        self.assertEqual(self.link.parcel, [7, 512, 0])
        self.assertEqual(self.take(self.pages(8, 3)[0]), messages.DONE)
        self.whole(8, 3)
        self.assertEqual(self.take(self.pages(7)[0]), messages.REPLAYED)
        self.whole(8, 3)

    def test_what_was_taken_last_does_not_come_again(self):
        for last in (7, 8):
            parcels.resume(self.link, ROOT, last)
            self.assertEqual(self.take(self.pages(7)[0]), messages.REPLAYED)
            self.assertEqual(self.link.parcel, [0, 0, last])
        for page in self.pages(9):
            self.take(page)
        parcels.resume(self.link, ROOT, 9)
        self.assertEqual(self.link.parcel, [0, 0, 9])  # its file is still there and means nothing

    def test_forged_and_malformed_pages(self):
        good = self.pages(7)[0]
        for bit in range(0, 8 * len(good), 37):
            bad = bytearray(good)
            bad[bit >> 3] ^= 1 << (bit & 7)
            self.assertTrue(self.take(bad) in (messages.WRONG_MAC, messages.MALFORMED))
        self.assertEqual(self.take(self.pages(7, key=KEYS.purpose(b"list"))[0]), messages.WRONG_MAC)
        for length in (0, 1, 16, 32, 33, len(good) - 1):
            self.assertTrue(self.take(good[:length]) in (messages.WRONG_MAC, messages.MALFORMED))
        for count, kind, number, offset, total in (
            (511, 1, 7, 0, 1456),
            (0, 1, 7, 0, 1456),
            (512, 0, 7, 0, 1456),
            (512, 3, 7, 0, 1456),
            (512, 1, 0, 0, 1456),
            (512, 1, 7, 1024, 1456),
            (512, 1, 7, 0, 1457),
            (512, 1, 7, 0, 8208),
            (512, 1, 1 << 30, 0, 1456),
            (512, 1, 7, 1 << 30, 1456),
        ):
            page = pack("<BBHIII", 1, kind, count, number, offset, total) + bytes(512)
            self.assertEqual(self.take(page + messages.mac(KEY, page, len(page))), messages.MALFORMED)
        page = pack("<BBHIII", 1, 1, 513, 7, 0, 1456) + bytes(513)
        self.assertEqual(self.take(page + messages.mac(KEY, page, len(page))), messages.MALFORMED)
        self.assertEqual(self.link.parcel, [0, 0, 0])
        self.assertEqual(os.listdir(ROOT), [])

    def test_pages_of_two_parcels_with_one_number_come_to_nothing(self):
        pages = self.pages(7)
        other = upstream.seal_parcel(KEY, 1, 7, b"\xa5" * 1440)
        for page in (pages[0], upstream.build_parcel(KEY, 1, 7, other)[1]):
            self.assertEqual(self.take(page), messages.DONE)
        self.assertEqual(self.take(pages[2]), messages.MALFORMED)
        self.assertEqual((self.link.parcel, os.listdir(ROOT)), ([0, 0, 0], []))
        self.take(pages[0])
        for kind, blocks in ((1, 91), (2, 90)):  # another length or kind shows at once
            self.assertEqual(self.take(self.pages(7, blocks, kind)[1]), messages.MALFORMED)
        for page in pages:
            self.take(page)
        self.whole(7)

    def test_a_certificate_is_taken_as_soon_as_it_is_whole_and_again_if_that_failed(self):
        pages = self.pages(7, kind=2)
        self.rig.host.answer = messages.REFUSED_BY_DOOR
        self.assertEqual([self.take(page) for page in pages], [0, 0, messages.REFUSED_BY_DOOR])
        self.rig.host.answer = messages.DONE
        self.assertEqual(self.take(pages[2]), messages.DONE)
        self.assertEqual(self.rig.host.whole, [7, 7])

    def test_at_the_renewal_listener_there_are_only_certificates(self):
        self.assertEqual(self.take(self.pages(7)[0], True), messages.MALFORMED)
        self.assertEqual(self.link.parcel, [0, 0, 0])
        for page in self.pages(7, kind=2):
            self.assertEqual(self.take(page, True), messages.DONE)
        self.assertEqual(self.rig.host.whole, [7])

    def test_nothing_is_written_while_somebody_is_at_the_door(self):
        self.rig.host.allowed = False
        self.assertEqual(self.take(self.pages(7)[0]), messages.BUSY)
        self.assertEqual(os.listdir(ROOT), [])

    def test_damage_in_flash_is_found(self):
        pages = self.pages(7)
        for page in pages[:2]:
            self.take(page)
        data = bytearray(self.file())
        data[700] ^= 4
        with open(ROOT + "/parcel", "wb") as file:
            file.write(data)
        self.assertEqual(self.take(pages[2]), messages.MALFORMED)
        self.assertEqual(self.link.parcel, [0, 0, 0])

    def test_a_file_that_is_none(self):
        for data in (b"", b"x", bytes(15), pack("<BBHIII", 0, 1, 0, 7, 0, 96) + bytes(97)):
            with open(ROOT + "/parcel", "wb") as file:
                file.write(data)
            parcels.resume(self.link, ROOT, 0)
            self.assertEqual(self.link.parcel, [0, 0, 0])
            for page in self.pages(7):
                self.take(page)
            self.whole(7)

    def test_over_the_link(self):
        async def work():
            rig = Rig()
            parcels.resume(rig.link, ROOT, 0)
            await rig.connect()
            pages = self.pages(7)
            for page, so_far in zip(pages, (512, 1024, 1456)):
                await rig.say(b"parcel", page)
                self.assertEqual((await rig.state())["parcel"], [7, so_far, 0])
            await rig.say(b"parcel", pages[0], retain=1)
            await rig.say(b"parcel", pages[0][:-1] + bytes((pages[0][-1] ^ 1,)))
            self.assertEqual((rig.link.refused, rig.link.forged), (2, 1))

        run(work())
        self.assertEqual(self.file()[16:], sealed(7, 90))
