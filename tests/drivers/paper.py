"""Frames from paper: a transport that follows a script, a clock of its own, and the frames of whole reads."""

from binascii import hexlify, unhexlify
from unittest import TestCase

from drivers import iso14443a
from drivers.iso14443a import BUSY, COLLISION, GARBLED, TIMEOUT, Iso14443a, ReaderFault, crc_a

OUTCOMES = {"silence": TIMEOUT, "collision": COLLISION, "garbled": GARBLED}


class Paper:
    """A transport that compares what is sent with a script and gives the script's answers.

    A line is "what is sent > what comes back", in hex. The first may be followed by ":7" bits, and "+3" when the answer
    begins at bit 3; the second may be the name of an outcome, "collision:12:9c5f" with 12 bits before the two differ.
    "push 5000…" is sent without an answer, "off" and "on" are the field.
    the two differ. "push 5000…" is sent without an answer, "off" and "on" are the field.
    """

    def __init__(self):
        self.frame = bytearray(65)
        self.lines = []
        self.started = 0
        self.busy = 0

    def script(self, *lines):
        if self.lines:
            raise AssertionError("not sent: " + self.lines[0])
        self.lines = list(lines)

    def next_line(self, sent):
        if not self.lines:
            raise AssertionError("nothing more was expected, sent " + sent)
        line = self.lines.pop(0)
        expected, _, answer = line.partition(" > ")
        if sent != expected:
            raise AssertionError("sent " + sent + ", expected " + line)
        return answer

    def hex(self, length):
        return hexlify(self.frame[1 : 1 + length]).decode()

    async def start(self):
        self.started += 1

    def collision(self):
        if self.answer == "collision":
            return -1
        _, bits, data = self.answer.split(":")
        data = unhexlify(data)
        self.frame[1 : 1 + len(data)] = data
        return int(bits)

    def field(self, on):
        self.next_line("on" if on else "off")

    def send(self, length, last_bits, timeout_us):
        assert timeout_us == 2500
        text = self.hex(length)
        if last_bits:
            text += ":" + str(last_bits & 7)
            if last_bits >> 4:
                text += "+" + str(last_bits >> 4)
        self.answer = self.next_line(text)
        self.busy = 2

    def push(self, length):
        self.next_line("push " + self.hex(length))

    def poll(self):
        if self.busy:
            self.busy -= 1
            return BUSY
        if self.answer == "dead":
            raise ReaderFault("dead")
        if self.answer.split(":")[0] in OUTCOMES:
            return OUTCOMES[self.answer.split(":")[0]]
        data = unhexlify(self.answer)
        self.frame[1 : 1 + len(data)] = data
        return len(data)


WAKE = "52:7 > "
OTHERS = "26:7 > "  # REQA: those that are known are in HALT
NOBODY_ELSE = OTHERS + "silence"
HALT = "push 500057cd"
# A published trace of a MIFARE Classic 1K, and one of an Ultralight whose CRC the trace leaves out
READ_4 = (WAKE + "0400", "9320 > 9c599b326c", "93709c599b326c6b30 > 08b6dd")
UID_4 = unhexlify("9c599b32")
UID_7 = unhexlify("04f252b1ec0280")


def with_crc(text):
    data = unhexlify(text)
    crc = crc_a(data, 0, len(data))
    return text + hexlify(bytes((crc & 0xFF, crc >> 8))).decode()


def level(number, data, sak):
    """Anticollision and SELECT of one cascade level: 4 data bytes as hex."""
    raw = unhexlify(data)
    data += "%02x" % (raw[0] ^ raw[1] ^ raw[2] ^ raw[3])
    code = ("93", "95", "97")[number]
    return [code + "20 > " + data, with_crc(code + "70" + data) + " > " + with_crc(sak)]


def reading(uid, sak="08"):
    """All frames that read a card of this UID (hex), without HLTA."""
    lines = [WAKE + "0400"]
    number = 0
    while len(uid) > 8:
        lines += level(number, "88" + uid[:6], "04")
        uid = uid[6:]
        number += 1
    return lines + level(number, uid, sak)


def known(uid, sak="08"):
    """The frames that find the same card again."""
    return [line for line in reading(uid, sak) if "20 > " not in line]


class Clock:
    def __init__(self):
        self.now = 0
        self.waited = []

    def ticks_ms(self):
        return self.now

    def sleep_ms(self, delay_ms):
        self.waited.append(delay_ms)
        self.now += delay_ms
        return iter((None,))


class WithPaper(TestCase):
    def setUp(self):
        self.clock = Clock()
        self.real = iso14443a.sleep_ms, iso14443a.ticks_ms
        iso14443a.sleep_ms = self.clock.sleep_ms
        iso14443a.ticks_ms = self.clock.ticks_ms
        self.paper = Paper()
        self.cards = Iso14443a(self.paper)
        self.uid = bytearray(10)

    def tearDown(self):
        iso14443a.sleep_ms, iso14443a.ticks_ms = self.real

    def find(self, *lines):
        """One find() that must exchange exactly these lines."""
        self.paper.script(*lines)
        search = self.cards.find(self.uid)
        while True:
            try:
                search.__next__()
            except StopIteration as stop:
                self.paper.script()
                self.clock.now += 20
                return stop.value

    def arrive(self, uid="9c599b32", sak="08"):
        self.assertEqual(self.find(*reading(uid, sak), HALT), len(uid) // 2)
        self.assertEqual(self.find(NOBODY_ELSE), 0)

    def stays(self, uid="9c599b32"):
        """Two looks at a card that lies there alone."""
        self.assertEqual(self.find(*known(uid), HALT), 0)
        self.assertEqual(self.find(NOBODY_ELSE), 0)

    def goes(self):
        """All cards are taken away."""
        self.assertEqual(self.find(WAKE + "silence"), 0)
        self.assertEqual(self.find(WAKE + "silence"), 0)
        self.assertEqual(self.find(WAKE + "silence", "off", "on"), 0)
