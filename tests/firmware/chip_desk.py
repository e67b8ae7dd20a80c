"""Desk mode on the unix port: its lines, its limits, and what it refuses; the card is on paper."""

import asyncio
import random
import sys
from io import IOBase
from unittest import TestCase

from drivers.iso14443a import NIBBLE, TIMEOUT, ReaderFault, crc_a
from firmware import desk
from firmware.desk import Desk, Lines, serve

UID = b"\x9c\x59\x9b\x32"
KEY = "a0a1a2a3a4a5"
POLL = 3


def with_crc(data):
    crc = crc_a(data, 0, len(data))
    return data + bytes((crc & 0xFF, crc >> 8))


class Reader:
    """A transport with one MIFARE Classic card before it, or none; what it sent is in `sent`."""

    def __init__(self, here=True):
        self.frame = bytearray(65)
        self.here = here
        self.magic = False
        self.dead = False
        self.starts = 0
        self.crypto = self.pending = None
        self.blocks = {}
        self.state = 0  # 0 idle, 1 ready, 2 active, 3 halt
        self.sent = []
        self.result = TIMEOUT

    async def start(self):
        self.starts += 1
        if self.dead:
            raise ReaderFault("dead")

    def field(self, on):
        self.state = 0
        self.crypto = self.pending = None

    def push(self, length):
        self.state = 3

    def plain(self):
        self.crypto = None

    def collision(self):
        return -1

    def authenticate(self, command, block, key, uid):
        self.result = TIMEOUT
        if self.here and self.state == 2 and bytes(uid) == UID and key.hex() == KEY:
            self.crypto = block >> 2
            self.result = 0
        else:
            self.state = 0

    def send(self, length, last_bits, timeout_us):
        data = bytes(self.frame[1 : 1 + length])
        self.sent.append(data)
        self.result = self.reply(data) if self.here else TIMEOUT

    def put(self, data):
        self.frame[1 : 1 + len(data)] = data
        return len(data)

    def nibble(self, value):
        self.frame[1] = value
        return NIBBLE

    def reply(self, data):
        if data in (b"\x26", b"\x52"):
            if self.state == 3 and data == b"\x26":
                return TIMEOUT
            self.state = 1
            return self.put(b"\x04\x00")
        if data in (b"\x40", b"\x43"):
            return self.nibble(0x0A) if self.magic else TIMEOUT
        if self.state == 1 and data == b"\x93\x20":
            return self.put(UID + bytes((UID[0] ^ UID[1] ^ UID[2] ^ UID[3],)))
        if self.state == 1 and data[:6] == b"\x93\x70" + UID:
            self.state = 2
            return self.put(with_crc(b"\x08"))
        if self.crypto is not None:
            return self.memory(data)
        self.state = 0
        return TIMEOUT

    def memory(self, data):
        if self.pending is not None:
            self.blocks[self.pending] = data[:16]
            self.pending = None
            return self.nibble(0x0A)
        if data[1] >> 2 != self.crypto:
            return self.nibble(0x04)
        if data[0] == 0x30:
            return self.put(with_crc(self.blocks.get(data[1], bytes(16))))
        self.pending = data[1]
        return self.nibble(0x0A)

    def poll(self):
        if self.dead:
            raise ReaderFault("dead")
        return self.result


class Stream(IOBase):
    """A serial port that has these bytes, and then ends."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def ioctl(self, request, argument):
        return argument & 1 if request == POLL else 0

    def read(self, count):
        self.at += count
        return self.data[self.at - count : self.at]


class Answers(TestCase):
    def setUp(self):
        self.reader = Reader()
        self.desk = Desk(self.reader, "paper")

    def ask(self, *lines):
        answer = ""
        for line in lines:
            answer = asyncio.run(self.desk.answer(line if isinstance(line, bytes) else line.encode()))
        return answer

    def test_hello_names_protocol_board_and_version(self):
        words = self.ask("hello").split()
        self.assertEqual(words[:5], ["ok", "menwei", "desk", "1", "paper"])
        self.assertEqual(len(words), 6)

    def test_a_card_is_described(self):
        self.assertEqual(self.ask("card 100"), "ok uid=9C599B32 sak=08 atqa=0004 magic=0")
        self.reader.magic = True
        self.assertEqual(self.ask("card 100"), "ok uid=9C599B32 sak=08 atqa=0004 magic=1")

    def test_no_card(self):
        self.reader.here = False
        self.assertEqual(self.ask("card 30").split(":")[0], "error nocard")
        for line in ("apdu 00", "auth A 4 " + KEY, "read 4", "write 4 " + "00" * 16):
            self.assertEqual(self.ask(line), "error usage: ask for a card first")

    def test_a_sector_is_read_and_written(self):
        self.assertEqual(self.ask("card", "auth A 7 " + KEY), "ok")
        self.assertEqual(self.ask("write 4 " + "5a" * 16), "ok")
        self.assertEqual(self.ask("read 4"), "ok " + "5a" * 16)
        self.assertEqual(self.reader.blocks[4], b"\x5a" * 16)
        self.assertEqual(self.ask("auth B 11 " + KEY, "read 8"), "ok " + "00" * 16)
        self.assertTrue("auth must come first" in self.ask("read 4"))

    def test_a_refused_key_can_be_followed_by_the_right_one(self):
        self.assertTrue(self.ask("card", "auth A 7 ffffffffffff").startswith("error refused"))
        self.assertEqual(self.reader.crypto, None)
        self.assertEqual(self.ask("auth A 7 " + KEY), "ok")

    def test_a_card_that_left_is_gone_and_not_refused(self):
        self.ask("card", "auth A 7 " + KEY)
        self.reader.here = False
        self.assertTrue(self.ask("read 4").startswith("error gone"))
        self.assertEqual(self.reader.crypto, None)
        self.assertTrue(self.ask("auth A 7 " + KEY).startswith("error gone"))
        self.reader.here = True
        self.reader.state = 0
        self.assertEqual(self.ask("auth A 7 " + KEY), "ok")

    def test_trailers_are_written_with_safe_access_bits_only(self):
        self.ask("card", "auth A 7 " + KEY)
        rest = "69" + "b0" * 6
        for access, check in (("7f0788", "f0d6"), ("ff0780", "1d07")):
            self.assertEqual(self.ask("write 7 " + "a0" * 6 + access + rest + " " + check), "ok")
        count = len(self.reader.sent)
        for access in ("000000", "7f0789", "ff0781", "7f0f88", "7f8f80"):
            self.assertTrue(self.ask("write 7 " + "a0" * 6 + access + rest).startswith("error unsafe"))
        self.assertEqual(len(self.reader.sent), count)
        self.ask("auth A 3 " + KEY)
        self.assertTrue(self.ask("write 0 " + "00" * 16).startswith("error unsafe"))

    def test_a_trailer_that_was_damaged_on_the_line_is_not_written(self):
        self.ask("card", "auth A 7 " + KEY)
        count = len(self.reader.sent)
        whole = "write 7 " + "a0" * 6 + "7f078869" + "b0" * 6
        for line in (
            whole,
            whole + " f0d7",
            whole.replace("b0b0", "b0b1") + " f0d6",
            whole.replace("7 a", "4 a") + " f0d6",
        ):
            self.assertTrue(self.ask(line).startswith("error damaged"), line)
        self.assertTrue(self.ask(whole + " xyz").startswith("error usage"))
        self.assertEqual(len(self.reader.sent), count)

    def test_what_is_not_understood_is_answered(self):
        self.ask("card", "auth A 7 " + KEY)
        for line in (
            b"\xff\xfe\x80", b"auth", b"auth C 4 a0a1a2a3a4a5", b"auth AB 4 a0a1a2a3a4a5", b"auth A x a0a1a2a3a4a5",
            b"auth A 4 a0", b"auth A 300 a0a1a2a3a4a5", b"auth A 128 a0a1a2a3a4a5", b"read", b"write 4", b"write 4 00",
            b"read x", b"apdu", b"apdu zz", b"apdu 0", b"card x", b"\x00", b"   ", b"HELLO",
        ):  # fmt: skip
            self.assertTrue(self.ask(line).startswith("error usage"), line)
        self.assertTrue(self.ask("read -1").startswith("error usage"))

    def test_a_dead_chip_is_told_and_tried_again(self):
        self.ask("card")
        self.reader.dead = True
        self.assertTrue(self.ask("auth A 7 " + KEY).startswith("error fault"))
        starts = self.reader.starts
        self.assertTrue(self.ask("card 30").startswith("error fault"))
        self.assertEqual(self.reader.starts, starts + 1)
        self.reader.dead = False
        self.assertTrue(self.ask("card 100").startswith("ok uid="))

    def test_nothing_that_comes_in_raises_or_comes_back(self):
        random.seed(5)
        words = (
            "hello",
            "field",
            "apdu",
            "auth",
            "read",
            "write",
            "A",
            "B",
            "4",
            "7",
            "-1",
            KEY,
            "00" * 16,
            "zz",
            "\0",
        )
        self.ask("card")
        for _ in range(600):
            line = " ".join([random.choice(words) for _ in range(random.randrange(5))]).encode()
            if not random.randrange(8):
                line = bytes([random.getrandbits(8) for _ in range(random.randrange(40))])
            if line.split()[:1] == [b"card"]:
                continue
            answer = self.ask(line)
            self.assertTrue(answer.split(" ")[0] in ("ok", "error"), line)
            self.assertFalse(KEY in answer)
            self.assertFalse("\n" in answer)


class Serving(TestCase):
    def serve(self, data, reader=None):
        out = []
        asyncio.run(serve(reader or Reader(), Lines(Stream(data)).readline, out.append, "paper"))
        return "".join(out).split("\n")[:-1]

    def test_one_answer_for_each_line_until_the_end(self):
        answers = self.serve(b"hello\r\n\n\r\nread 4\rend\nhello\n")
        self.assertEqual([answer.split(" ")[0] for answer in answers], ["ok", "error", "ok"])

    def test_a_closed_port_ends_it(self):
        self.assertEqual(self.serve(b""), [])
        self.assertEqual(len(self.serve(b"hello\nhel")), 1)

    def test_long_lines_and_garbage_are_forgotten(self):
        whole = b"hello" + b" " * 295
        self.assertTrue(self.serve(whole + b"\n")[0].startswith("ok menwei"))
        self.assertEqual(self.serve(whole + b" \n"), ["error usage: the line is too long"])
        answers = self.serve(b"a" * 5000 + b"\n" + b"a" * 300 + b"\n\xff\x00\x03\nhello\n")
        self.assertEqual(answers[0], "error usage: the line is too long")
        self.assertEqual(len(answers), 4)
        self.assertTrue(answers[3].startswith("ok menwei desk"))

    def test_a_dead_chip_does_not_keep_it_from_answering(self):
        reader = Reader()
        reader.dead = True
        answers = self.serve(b"hello\ncard 10\n", reader)
        self.assertTrue(answers[0].startswith("error fault"))
        self.assertTrue(answers[1].startswith("ok menwei"))
        self.assertTrue(answers[2].startswith("error fault"))

    def test_the_lock_is_not_within_reach(self):
        for name in ("drivers.lock", "firmware.door", "firmware.passage", "storage.keys"):
            self.assertFalse(name in sys.modules)
        self.assertFalse(hasattr(desk, "machine"))
