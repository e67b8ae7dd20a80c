"""ISO/IEC 14443-4 with frames from paper: activation, chaining, retransmission, waiting time extension."""

import os
import random
from binascii import unhexlify

import vectors
from drivers import isodep
from drivers.iso14443a import ReaderFault
from drivers.isodep import IsoDep
from exchanges import Quick, Script, hexed, run

RATS = "e050 > "


class Link(Quick):
    modules = (isodep,)

    def setUp(self):
        super().setUp()
        self.paper = Script()
        self.link = IsoDep(self.paper)
        self.buf = bytearray(64)

    def activate(self, ats=vectors.ATS_DESFIRE):
        self.paper.follow(RATS + ats)
        result = run(self.link.activate())
        self.paper.done()
        return result

    def exchange(self, data, *lines):
        """The answer as hex, or the negative result."""
        self.paper.follow(*lines)
        data = unhexlify(data)
        self.buf[: len(data)] = data
        length = run(self.link.exchange(self.buf, len(data)))
        self.paper.done()
        return hexed(self.buf[:length]) if length >= 0 else length


class Activation(Link):
    def limits(self, ats):
        """(bytes in a block, frame waiting time in us, what is waited before it) after this ATS."""
        self.assertTrue(self.activate(ats))
        self.waited.clear()
        del self.paper.timeouts[:]
        self.paper.answers = lambda sent: "02" if sent[:2] == "02" else "a3" if sent[:2] == "13" else "a2"
        del self.paper.sent[:]
        run(self.link.exchange(bytearray(200), 100))
        self.paper.answers = None
        return len(self.paper.sent[0]) // 2 - 1, self.paper.timeouts[0]

    def test_ats_of_cards(self):
        self.assertEqual(self.limits(vectors.ATS_DESFIRE), (61, 77568))
        self.assertEqual(self.limits(vectors.ATS_NTAG), (61, 38784))
        # FWI 9 would be 155 ms
        self.assertEqual(self.limits(vectors.ATS_FM1208), (61, 78000))

    def test_bound_of_the_waiting_time(self):
        self.link = IsoDep(self.paper, 39)
        self.assertEqual(self.limits(vectors.ATS_DESFIRE)[1], 39000)
        self.assertEqual(self.limits(vectors.ATS_NTAG)[1], 38784)

    def test_each_part_is_optional(self):
        default = 303 << 4
        self.assertEqual(self.limits("01"), (29, default))
        self.assertEqual(self.limits("0200"), (13, default))
        self.assertEqual(self.limits("0205"), (61, default))
        self.assertEqual(self.limits("031480"), (45, default))
        self.assertEqual(self.limits("032370"), (37, 303 << 7))
        self.assertEqual(self.limits("034202"), (29, default))
        self.assertEqual(self.limits("0451ff70"), (21, default))
        self.assertEqual(self.limits("04618002"), (21, 77568))
        self.assertEqual(self.limits("020a"), (61, default))  # a larger frame than ours

    def test_rfu_values_are_the_default(self):
        self.assertEqual(self.limits("0325ff"), (61, 303 << 4))
        self.assertEqual(self.limits("0f7f80ff02" + "00" * 10)[0], 61)

    def test_guard_time(self):
        for sfgi, wait_ms in ((0, None), (1, 2), (2, 3), (5, 11), (6, 20), (14, 20), (15, None)):
            self.waited.clear()
            self.assertTrue(self.activate("03257%x" % sfgi))
            waited = self.waited[3:]
            self.assertEqual(waited, [] if wait_ms is None else [wait_ms])
            # a sleep of n ms may be n - 1; SFGT of 302 us * 2^SFGI, but for the bound
            self.assertTrue(wait_ms is None or wait_ms == 20 or (wait_ms - 1) * 1000 >= 302 << sfgi)

    def test_no_ats(self):
        for ats in ("02", "00", "0378", "0278", "0372", "0520", "03f5", "0472ff", "ff78"):
            self.assertFalse(self.activate(ats))
            self.assertTrue(self.link.broken)

    def test_damage_and_silence_are_no_verdict(self):
        for bad in ("silence", "garbled", "collision", "bits 4", "raw 0675778102800000", "raw 0675", "raw 06"):
            self.paper.follow(*[RATS + bad] * 2)
            self.assertFalse(run(self.link.activate()))
            self.assertFalse(self.link.broken)
            self.paper.follow(RATS + bad, RATS + vectors.ATS_NTAG)
            self.assertTrue(run(self.link.activate()))
            self.assertEqual(self.paper.timeouts[-1], 6000)

    def test_a_dead_reader(self):
        self.paper.follow(RATS + "dead")
        with self.assertRaises(ReaderFault):
            run(self.link.activate())


class Blocks(Link):
    def setUp(self):
        super().setUp()
        self.activate()

    def test_block_numbers(self):
        for number in (0, 1, 0, 1, 0):
            self.assertEqual(self.exchange("aabb", "0%daabb > 0%dccddee" % (2 + number, 2 + number)), "ccddee")
        self.activate()
        self.assertEqual(self.exchange("aabb", "02aabb > 02"), "")

    def test_asked_again(self):
        for bad in ("silence", "garbled", "collision", "bits a", "raw 02ccddee0000", "raw 02"):
            self.activate()
            self.assertEqual(self.exchange("aa", "02aa > " + bad, "b2 > 02cc"), "cc")
            self.assertEqual(self.exchange("aa", "03aa > " + bad, "b3 > " + bad, "b3 > 03cc"), "cc")
            self.assertEqual(self.exchange("aa", "02aa > " + bad, "b2 > " + bad, "b2 > " + bad), -1)
            self.assertFalse(self.link.broken)

    def test_the_block_itself_was_lost(self):
        # rule 6: R(ACK) with the other number
        self.assertEqual(self.exchange("aa", "02aa > silence", "b2 > a3", "02aa > 02cc"), "cc")
        self.assertEqual(self.exchange("aa", "03aa > a2", "03aa > a2", "03aa > a2"), -1)
        self.assertFalse(self.link.broken)

    def test_what_no_card_sends(self):
        for bad in ("03cc", "0acc", "06cc", "a2", "b2", "b3", "c2", "e2", "cc", "f200ff", "a200", "22cc", "42cc"):
            self.activate()
            self.assertEqual(self.exchange("aa", "02aa > " + bad, "b2 > " + bad, "b2 > " + bad), -1)
            self.assertTrue(self.link.broken)
            self.activate()
            self.assertEqual(self.exchange("aa", "02aa > " + bad, "b2 > " + bad, "b2 > 02cc"), "cc")
            self.assertFalse(self.link.broken)
            self.activate()
            self.assertEqual(self.exchange("aa", "02aa > " + bad, "b2 > " + bad, "b2 > silence"), -1)
            self.assertFalse(self.link.broken)

    def test_dead(self):
        with self.assertRaises(ReaderFault):
            self.exchange("aa", "02aa > dead")

    def test_deselect(self):
        self.paper.follow("c2 > c2")
        run(self.link.deselect())
        self.paper.follow("c2 > silence", "c2 > silence")
        run(self.link.deselect())
        self.paper.done()


class Extension(Link):
    def setUp(self):
        super().setUp()
        self.activate("032560")  # 19.4 ms

    def test_two(self):
        del self.paper.timeouts[:]
        self.assertEqual(self.exchange("aa", "02aa > f203", "f203 > f2c1", "f201 > 02cc"), "cc")
        self.assertEqual(self.paper.timeouts, [303 << 6, 3 * (303 << 6), 303 << 6])
        self.assertEqual(self.exchange("aa", "03aa > f23b", "f23b > f201", "f201 > 03cc"), "cc")
        self.assertEqual(self.paper.timeouts[4], 250_000)

    def test_a_third_is_refused(self):
        self.assertEqual(self.exchange("aa", "02aa > f201", "f201 > f201", "f201 > f201"), -1)
        self.assertFalse(self.link.broken)

    def test_lost_on_the_way(self):
        # the card's S(WTX), then our answer to it
        self.assertEqual(self.exchange("aa", "02aa > garbled", "b2 > f201", "f201 > 02cc"), "cc")
        self.assertEqual(self.exchange("aa", "03aa > f201", "f201 > silence", "b3 > f201", "f201 > 03cc"), "cc")

    def test_no_multiple(self):
        for bad in ("f200", "f2c0", "f23c", "f2ff"):
            self.assertEqual(self.exchange("aa", "02aa > " + bad), -1)
            self.assertTrue(self.link.broken)


class Chaining(Link):
    def test_to_the_card(self):
        for code, size in (("0", 16), ("2", 32), ("5", 64), ("8", 64)):
            piece = size - 3
            for length in (piece - 1, piece, piece + 1, 2 * piece, 3 * piece + 2):
                self.activate("020" + code)
                data = os.urandom(length)
                lines = []
                number = 0
                for begin in range(0, length, piece):
                    last = begin + piece >= length
                    block = "%02x" % (2 + number + 16 * (not last)) + hexed(data[begin : begin + piece])
                    lines.append(block + " > " + ("0%dcc" % (2 + number) if last else "a%d" % (2 + number)))
                    self.assertTrue(len(block) // 2 + 2 <= size)
                    number ^= 1
                self.buf = bytearray(256)
                self.assertEqual(self.exchange(hexed(data), *lines), "cc")

    def test_to_the_card_with_losses(self):
        self.activate("0200")
        data = hexed(os.urandom(30))
        first, second, third = "12" + data[:26], "13" + data[26:52], "02" + data[52:]
        self.assertEqual(
            self.exchange(
                data,
                first + " > silence",  # the piece was lost
                "b2 > a3",
                first + " > a2",
                second + " > garbled",  # the acknowledgement was lost
                "b3 > f201",
                "f201 > a3",
                third + " > silence",
                "b2 > garbled",
                "b2 > 0201",
            ),
            "01",
        )

    def test_an_answer_before_the_end(self):
        self.activate("0200")
        data = hexed(bytes(14))
        first = "12" + data[:26]
        self.assertEqual(self.exchange(data, first + " > 02cc", "b2 > 02cc", "b2 > 02cc"), -1)
        self.assertTrue(self.link.broken)

    def test_from_the_card(self):
        self.activate()
        self.assertEqual(self.exchange("aa", "02aa > 120102", "a3 > 1303", "a2 > 02040506"), "010203040506")
        self.assertEqual(self.exchange("aa", "03aa > 1307", "a2 > 0208"), "0708")

    def test_from_the_card_with_losses(self):
        self.activate()
        self.assertEqual(
            self.exchange(
                "aa", "02aa > garbled", "b2 > 1201", "a3 > silence", "a3 > garbled", "a3 > 1302", "a2 > 0203"
            ),
            "010203",
        )
        self.assertEqual(self.exchange("aa", "03aa > 1301", "a2 > silence", "a2 > silence", "a2 > silence"), -1)
        self.assertFalse(self.link.broken)

    def test_no_more_than_there_is_room_for(self):
        self.activate()
        self.buf = bytearray(5)
        self.assertEqual(self.exchange("aa", "02aa > 12010203", "a3 > 030405"), "0102030405")
        self.assertEqual(self.exchange("aa", "02aa > 12010203", "a3 > 03040506"), -1)
        self.assertTrue(self.link.broken)
        self.assertEqual(self.buf[0], 1)

    def test_without_end(self):
        self.activate()
        self.assertEqual(self.exchange("aa", "02aa > 12"), -1)
        self.assertTrue(self.link.broken)
        self.activate()
        numbers = [0]

        def answers(sent):
            numbers[0] ^= 1
            return "1%d00" % (3 - numbers[0])

        self.paper.answers = answers
        self.assertEqual(run(self.link.exchange(self.buf, 1)), -1)
        self.assertTrue(self.link.broken)
        self.assertTrue(len(self.paper.sent) < 70)

    def test_an_acknowledgement_in_the_middle_of_an_answer(self):
        self.activate()
        self.assertEqual(self.exchange("aa", "02aa > 1201", "a3 > a3", "a3 > a2", "a3 > a3"), -1)
        self.assertTrue(self.link.broken)


class Anything(Link):
    def test_any_answers_end(self):
        self.seed()
        choices = (
            "silence",
            "garbled",
            "f201",
            "f2ff",
            "a2",
            "a3",
            "1200",
            "1300",
            "02",
            "03",
            "c2",
            "bits 4",
            "raw 00",
        )
        self.paper.answers = lambda sent: random.choice(choices)
        for _ in range(3000):
            del self.paper.sent[:], self.paper.timeouts[:]
            run(self.link.activate())
            self.link._piece = random.choice((13, 29, 61))
            run(self.link.exchange(self.buf, random.randrange(1, 65)))
            run(self.link.deselect())
            self.waited.clear()
            self.assertTrue(len(self.paper.sent) < 400)
