"""Lights and sounder: what is on when."""

import asyncio
import gc
from time import ticks_add
from unittest import TestCase

from drivers.signals import Player


class Wire:
    def __init__(self):
        self.level = None

    def __call__(self, level):
        self.level = level


class WithPlayer(TestCase):
    START = 100

    def setUp(self):
        self.pins = [Wire(), Wire(), Wire()]
        self.player = Player(*self.pins)
        self.now = self.START

    def shown(self):
        return "".join(str(pin.level) for pin in self.pins)

    def play(self, *pattern):
        self.player.play(bytes(pattern), self.now)

    def tick(self, after_ms=0):
        self.now = ticks_add(self.now, after_ms)
        return self.player.tick(self.now)


class Patterns(WithPlayer):
    def test_quiet_at_first(self):
        self.assertEqual(self.shown(), "000")
        self.assertEqual(self.tick(), -1)
        self.assertFalse(self.player.playing)

    def test_granted(self):
        self.play(20, 0b101, 80, 0b001)
        self.assertEqual(self.shown(), "101")  # at once
        self.assertEqual(self.tick(), 200)
        self.assertEqual(self.tick(150), 50)
        self.assertEqual(self.shown(), "101")
        self.assertEqual(self.tick(50), 800)
        self.assertEqual(self.shown(), "100")
        self.assertEqual(self.tick(800), -1)
        self.assertEqual(self.shown(), "000")
        self.assertFalse(self.player.playing)

    def test_late_ticks_do_not_lengthen_a_pattern(self):
        self.play(10, 1, 10, 2, 10, 4)
        self.assertEqual(self.tick(130), 70)
        self.assertEqual(self.shown(), "010")
        self.assertEqual(self.tick(100), 70)
        self.assertEqual(self.shown(), "001")

    def test_a_new_pattern_replaces_the_old_one(self):
        self.play(200, 0b010)
        self.tick(100)
        self.play(10, 0b001)
        self.assertEqual(self.shown(), "100")
        self.assertEqual(self.tick(100), -1)
        self.assertEqual(self.shown(), "000")

    def test_again_and_again_until_replaced(self):
        self.play(10, 0b110, 40, 0b000, 0, 0)
        for _ in range(5):
            self.assertEqual(self.shown(), "011")
            self.tick(100)
            self.assertEqual(self.shown(), "000")
            self.assertTrue(self.player.playing)
            self.tick(400)
        self.play()
        self.assertEqual(self.shown(), "000")
        self.assertEqual(self.tick(), -1)

    def test_a_loop_that_slept_does_not_hurry_through(self):
        self.play(10, 0b110, 40, 0b000, 0, 0)
        self.assertTrue(self.tick(60_000) > 0)

    def test_what_rests_is_played_while_nothing_else_is(self):
        self.player.rest(bytes((10, 0b110, 40, 0)), self.now)
        self.assertEqual(self.shown(), "011")
        self.tick(100)
        self.assertEqual(self.shown(), "000")
        self.tick(400)
        self.assertEqual(self.shown(), "011")
        self.play(30, 0b001)
        self.assertEqual(self.shown(), "100")
        self.tick(299)
        self.assertEqual(self.shown(), "100")
        self.tick(1)
        self.assertEqual(self.shown(), "011")
        self.assertTrue(self.player.playing)

    def test_another_one_that_rests_takes_its_place_at_once(self):
        self.player.rest(bytes((100, 0b010)), self.now)
        self.player.rest(bytes((100, 0b010)), self.now)
        self.tick(500)
        self.player.rest(bytes((50, 0b001)), self.now)
        self.assertEqual(self.shown(), "100")
        self.assertEqual(self.tick(), 500)
        self.player.rest(b"", self.now)
        self.assertEqual(self.shown(), "000")
        self.assertEqual(self.tick(), -1)

    def test_what_rests_waits_for_the_end_of_what_is_played(self):
        self.play(30, 0b001)
        self.player.rest(bytes((50, 0b010)), self.now)
        self.assertEqual(self.shown(), "100")
        self.player.rest(b"", self.now)
        self.assertEqual(self.tick(300), -1)
        self.assertEqual(self.shown(), "000")

    def test_a_masked_output_stays_off_while_it_rests(self):
        self.player.mask = 0b011
        self.player.rest(bytes((20, 0b111, 20, 0b100, 20, 0b111)), self.now)
        self.assertEqual(self.shown(), "110")
        self.tick(200)
        self.assertEqual(self.shown(), "000")
        self.player.mask = 0b111
        self.tick(200)
        self.assertEqual(self.shown(), "111")

    def test_an_answer_is_heard_though_what_rests_is_muted(self):
        self.player.mask = 0b011
        self.player.rest(bytes((20, 0b111)), self.now)
        self.play(20, 0b111)
        self.assertEqual(self.shown(), "111")

    def test_silence(self):
        self.play(200, 0b111)
        self.play()
        self.assertEqual(self.shown(), "000")

    def test_refuses_what_is_no_pattern(self):
        for wrong in (b"\x01", b"\x01\x02\x03", b"\x00\x00", b"\x00\x01\x05\x05"):
            with self.assertRaises(ValueError):
                self.player.play(wrong)

    def test_leaves_no_garbage(self):
        pattern = bytes((10, 0b110, 40, 0b000, 0, 0))
        self.player.play(pattern, self.now)
        self.tick(10)
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(100):
            self.tick(70)
        self.assertEqual(gc.mem_alloc() - before, 0)


class WrappedPatterns(WithPlayer):
    START = ticks_add(0, -120)

    def test_all_of_it_across_the_wrap_of_the_ticks(self):
        for name in dir(Patterns):
            if name.startswith("test"):
                self.setUp()
                getattr(Patterns, name)(self)


class Run(WithPlayer):
    def test_plays_by_itself(self):
        async def main():
            task = asyncio.create_task(self.player.run())
            await asyncio.sleep_ms(1)
            self.player.play(bytes((3, 1, 3, 2)))
            seen = [self.shown()]
            for _ in range(60):
                await asyncio.sleep_ms(5)
                if self.shown() != seen[-1]:
                    seen.append(self.shown())
            task.cancel()
            return seen

        self.assertEqual(asyncio.run(main()), ["100", "010", "000"])
