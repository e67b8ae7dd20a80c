"""Frames from paper for what comes after SELECT: a transport that follows a script, and a loop that only counts.

A line is "what is sent > what comes back" in hex; CRC_A is checked, taken off and put on by boards.sim.cards, which has
one of its own. The answer may be "silence", "garbled", "collision", "dead", "bits a" (4 bits) or "raw …" without a CRC.
A command may begin with "raw ", too, and end in ":7" bits.
"""

import random
from binascii import hexlify, unhexlify
from time import ticks_us
from unittest import TestCase

from boards.sim.cards import crc_fits, with_crc
from drivers.iso14443a import BUSY, COLLISION, GARBLED, TIMEOUT, ReaderFault

NIBBLE = -5
OUTCOMES = {"silence": TIMEOUT, "collision": COLLISION, "garbled": GARBLED}


def hexed(data):
    return hexlify(data).decode()


class Script:
    """A transport. `answers` may be a function from a command to what comes back, in place of lines."""

    def __init__(self, *lines):
        self.frame = bytearray(65)
        self.lines = list(lines)
        self.answer = None
        self.answers = None
        self.sent = []
        self.timeouts = []
        self.busy = 0
        self.plain_calls = 0

    def follow(self, *lines):
        self.done()
        self.lines = list(lines)

    def done(self):
        if self.lines:
            raise AssertionError("not sent: " + self.lines[0])

    def next_line(self, sent):
        self.sent.append(sent)
        if self.answers:
            return self.answers(sent)
        if not self.lines:
            raise AssertionError("nothing more was expected, sent " + sent)
        expected, _, answer = self.lines.pop(0).partition(" > ")
        if sent != expected:
            raise AssertionError("sent " + sent + ", expected " + expected)
        return answer

    def send(self, length, last_bits, timeout_us):
        assert self.answer is None, "the last answer was not waited for"
        assert 0 < length <= 64
        frame = bytes(self.frame[1 : 1 + length])
        if last_bits:
            text = "raw " + hexed(frame) + ":" + str(last_bits)
        elif length > 2 and crc_fits(frame, length):
            text = hexed(frame[:-2])
        else:
            text = "raw " + hexed(frame)
        self.timeouts.append(timeout_us)
        self.answer = self.next_line(text)
        self.busy = 2

    def push(self, length):
        self.next_line("push " + hexed(self.frame[1 : 1 + length]))

    def field(self, on):
        self.next_line("on" if on else "off")

    def plain(self):
        self.plain_calls += 1

    def authenticate(self, command, block, key, uid):
        self.answer = self.next_line(" ".join(("auth", hex(command), str(block), hexed(key), hexed(uid))))
        self.busy = 2

    def poll(self):
        if self.busy:
            self.busy -= 1
            return BUSY
        answer = self.answer
        self.answer = None
        if answer == "dead":
            raise ReaderFault("dead")
        if answer == "on":
            return 0
        if answer in OUTCOMES:
            return OUTCOMES[answer]
        if answer.startswith("bits "):
            self.frame[1] = int(answer[5:], 16)
            return NIBBLE
        data = unhexlify(answer[4:]) if answer.startswith("raw ") else with_crc(unhexlify(answer))
        self.frame[1 : 1 + len(data)] = data
        return len(data)


def run(awaitable):
    """Await it without a loop."""
    try:
        while True:
            awaitable.send(None)
    except StopIteration as stop:
        return stop.value


class Quick(TestCase):
    """Sleeps take no time and are noted in `waited`; modules are those that sleep."""

    modules = ()

    def setUp(self):
        self.waited = []
        self.real = [module.sleep_ms for module in self.modules]
        for module in self.modules:
            module.sleep_ms = self.sleep_ms

    def tearDown(self):
        for module in self.modules:
            module.sleep_ms = self.real.pop(0)

    def sleep_ms(self, delay_ms):
        if len(self.waited) < 50:
            self.waited.append(delay_ms)
        return iter((None,))

    def seed(self):
        seed = ticks_us()
        print("seed", seed)
        random.seed(seed)
