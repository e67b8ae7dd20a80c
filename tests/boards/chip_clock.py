"""The simulated clock: events in order and on time, the ring of ticks, limits, pace, lateness, the watchdog."""

import time as host
from unittest import TestCase

from boards.sim import chip_time, clock

MASK = 0x3FFFFFFF


class Events(TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.seen = []

    def note(self, what):
        self.seen.append((what, clock.now_us()))

    def test_fire_in_order_at_their_moment(self):
        clock.at_us(300, self.note, "c")
        clock.at_us(100, self.note, "a")
        clock.at_us(200, self.note, "b1")
        clock.at_us(200, self.note, "b2")
        clock.sleep_us(1000)
        self.assertEqual(self.seen, [("a", 100), ("b1", 200), ("b2", 200), ("c", 300)])
        self.assertEqual(clock.now_us(), 1000)

    def test_fire_while_the_chip_is_busy(self):
        clock.at_us(50, self.note, "in")
        clock.charge_us(49)
        self.assertEqual(self.seen, [])
        clock.charge_us(10)
        self.assertEqual(self.seen, [("in", 50)])
        self.assertEqual(clock.now_us(), 59)

    def test_cancelled_ones_do_not_fire(self):
        first = clock.at_us(10, self.note, "first")
        second = clock.at_us(20, self.note, "second")
        third = clock.at_us(30, self.note, "third")
        clock.cancel(second)
        clock.cancel(first)
        clock.sleep_us(100)
        self.assertEqual(self.seen, [("third", 30)])
        clock.cancel(third)  # fired already
        clock.cancel(None)

    def test_an_event_may_make_events(self):
        clock.at_us(10, lambda: clock.at_us(20, self.note, "next"))
        clock.sleep_us(100)
        self.assertEqual(self.seen, [("next", 20)])

    def test_event_in_the_past_fires_at_once(self):
        clock.sleep_us(100)
        clock.at_us(40, self.note, "late")
        clock.run_due()
        self.assertEqual(self.seen, [("late", 100)])

    def test_soft_handlers_run_after_the_event_and_before_the_program(self):
        def event():
            clock.soft(self.note, "soft")
            self.note("event")

        clock.at_us(10, event)
        clock.at_us(11, self.note, "next")
        clock.charge_us(20)
        self.assertEqual([what for what, _ in self.seen], ["event", "soft", "next"])

    def test_soft_handlers_wait_for_interrupts_to_be_on(self):
        clock.set_irqs_off(True)
        clock.soft(self.note, "soft")
        clock.charge_us(5)
        self.assertEqual(self.seen, [])
        clock.set_irqs_off(False)
        self.assertEqual(self.seen, [("soft", 5)])

    def test_more_soft_handlers_than_the_chip_can_queue_are_lost(self):
        clock.set_irqs_off(True)
        self.assertEqual([clock.soft(self.note, number) for number in range(9)], [True] * 8 + [False])

    def test_a_handler_takes_time_and_the_world_waits(self):
        clock.at_us(10, clock.charge_us, 100)
        clock.at_us(50, self.note, "after")
        clock.charge_us(20)
        self.assertEqual(clock.now_us(), 110)
        clock.charge_us(1)
        self.assertEqual(self.seen, [("after", 110)])

    def test_mode_is_checked(self):
        self.assertRaises(ValueError, clock.setup, "imaginary")


class Ticks(TestCase):
    def setUp(self):
        clock.setup("virtual")

    def test_start_one_minute_before_the_wrap(self):
        before = clock.ticks_ms()
        self.assertEqual(before, (1 << 30) - 60000)
        clock.sleep_us(59999000)
        self.assertEqual(clock.ticks_ms(), MASK)
        clock.sleep_us(1000)
        self.assertEqual(clock.ticks_ms(), 0)
        self.assertEqual(clock.ticks_diff(clock.ticks_ms(), before), 60000)

    def test_microseconds_wrap_too(self):
        before = clock.ticks_us()
        self.assertTrue(before > MASK - 60000000)
        clock.sleep_us(60000010)
        self.assertEqual(clock.ticks_diff(clock.ticks_us(), before), 60000011)
        self.assertTrue(clock.ticks_us() < 1000)

    def test_diff_and_add_on_the_ring(self):
        self.assertEqual(clock.ticks_diff(5, MASK), 6)
        self.assertEqual(clock.ticks_diff(MASK, 5), -6)
        self.assertEqual(clock.ticks_diff(0, 1 << 29), -(1 << 29))
        self.assertEqual(clock.ticks_add(MASK, 1), 0)
        self.assertEqual(clock.ticks_add(0, -1), MASK)
        self.assertEqual(clock.ticks_add(1, 1 << 29), 1 + (1 << 29))

    def test_intervals_that_ticks_cannot_hold_are_refused(self):
        self.assertRaises(OverflowError, clock.ticks_add, 0, (1 << 29) + 1)
        self.assertRaises(OverflowError, clock.ticks_add, 0, -(1 << 29))

    def test_a_busy_loop_comes_to_its_deadline(self):
        deadline = clock.ticks_add(clock.ticks_ms(), 5)
        turns = 0
        while clock.ticks_diff(deadline, clock.ticks_ms()) > 0:
            turns += 1
        self.assertTrue(4000 < turns <= 5000)

    def test_all_clocks_go_together(self):
        ms, us, seconds = clock.ticks_ms(), clock.ticks_us(), chip_time.time()
        chip_time.sleep(2.5)
        chip_time.sleep_ms(500)
        self.assertEqual(clock.ticks_diff(clock.ticks_ms(), ms), 3000)
        self.assertTrue(0 <= clock.ticks_diff(clock.ticks_us(), us) - 3000000 < 10)
        self.assertEqual(chip_time.time() - seconds, 3)
        self.assertEqual(clock.world_unix_s(), 1767225603)


class Calendar(TestCase):
    def test_power_on_is_the_year_2000(self):
        clock.setup("virtual")
        self.assertEqual(chip_time.gmtime()[:6], (2000, 1, 1, 0, 0, 0))
        self.assertEqual(len(chip_time.localtime()), 8)

    def test_mktime_is_the_inverse_of_gmtime(self):
        for seconds in range(0, 1 << 32, 12345678):
            self.assertEqual(chip_time.mktime(chip_time.gmtime(seconds)), seconds)
            self.assertEqual(chip_time.gmtime(seconds), tuple(host.gmtime(seconds)[:8]))

    def test_mktime_takes_a_month_13(self):
        self.assertEqual(chip_time.mktime((2025, 13, 1, 0, 0, 0)), 1767225600)
        self.assertEqual(chip_time.mktime((2026, 1, 32, 0, 0, 0)), chip_time.mktime((2026, 2, 1, 0, 0, 0)))


class Limits(TestCase):
    def setUp(self):
        clock.setup("virtual")
        self.limits = 0
        clock.on_limit = self.reached

    def tearDown(self):
        clock.on_limit = clock.host_wait = clock.restless = None
        clock.setup("virtual")

    def reached(self):
        self.limits += 1

    def test_waiting_does_not_pass_the_limit(self):
        clock.set_run(1)
        self.assertEqual(clock.step(5000000), 0)
        self.assertEqual(clock.now_us(), 1000000)
        self.assertEqual(clock.step(5000000), -1)
        self.assertEqual((clock.now_us(), self.limits), (1000000, 1))
        clock.set_run(4)
        self.assertEqual(clock.step(5000000), 0)
        self.assertEqual(clock.now_us(), 5000000)

    def test_sleep_waits_for_the_limit_to_move(self):
        asked = []

        def host_wait(wait_ms):
            asked.append(wait_ms)
            clock.set_run(1)

        clock.set_run(1)
        clock.host_wait = host_wait
        clock.sleep_us(2500000)
        self.assertEqual(asked, [-1, -1])

    def test_sleep_without_anybody_to_move_the_limit_says_so(self):
        clock.set_run(1)
        self.assertRaises(RuntimeError, clock.sleep_us, 2000000)

    def test_runs_do_not_add_up_what_busy_tasks_overran(self):
        clock.set_run(1)
        clock.step(None)
        clock.charge_us(70)
        clock.set_run(1)
        clock.step(None)
        self.assertEqual(clock.now_us(), 2000000)

    def test_a_loop_that_is_never_idle_ends_its_run(self):
        clock.set_run(1)
        clock.host_wait = lambda _ms: clock.set_run(10)
        while not self.limits:
            clock.turn()
        self.assertTrue(1000000 < clock.now_us() < 1200000)

    def test_pace_holds_virtual_time_back(self):
        clock.set_run(100, 10)
        began_ms = host.ticks_ms()
        clock.sleep_us(1000000)
        self.assertTrue(80 <= host.ticks_diff(host.ticks_ms(), began_ms) < 1000)
        self.assertEqual(clock.now_us(), 1000000)

    def test_control_is_looked_at_now_and_then(self):
        looks = []
        clock.host_wait = looks.append
        for _ in range(1024):
            clock.step(clock.now_us() + 1000)
        self.assertEqual(looks, [0] * 4)


class Lateness(TestCase):
    def setUp(self):
        clock.setup("virtual")
        clock.set_run(1000, None, 30)
        clock.step(20000000)  # 20 s without an event

    def tearDown(self):
        clock.restless = None
        clock.setup("virtual")

    def test_idle_tasks_may_be_late(self):
        clock.step(clock.now_us() + 1000000, True)
        self.assertEqual(clock.now_us(), 51000000)

    def test_sleeping_without_the_loop_is_exact(self):
        clock.sleep_us(1000000)
        self.assertEqual(clock.now_us(), 21000000)

    def test_never_past_an_event_of_the_world(self):
        seen = []
        clock.at_us(25000000, lambda: seen.append(clock.now_us()))
        clock.step(clock.now_us() + 1000000, True)
        self.assertEqual((clock.now_us(), seen), (25000000, [25000000]))

    def test_never_past_the_limit(self):
        clock.set_run(-975)
        clock.step(clock.now_us() + 1000000, True)
        self.assertEqual(clock.now_us(), 21000000)

    def test_not_while_something_moves(self):
        clock.restless = lambda: True
        clock.step(clock.now_us() + 1000000, True)
        self.assertEqual(clock.now_us(), 21000000)

    def test_not_soon_after_a_change(self):
        clock.stir()
        clock.step(clock.now_us() + 9999999, True)
        self.assertEqual(clock.now_us(), 29999999)
        clock.step(clock.now_us() + 1, True)
        self.assertEqual(clock.now_us(), 30000000)
        clock.step(clock.now_us() + 1, True)
        self.assertEqual(clock.now_us(), 60000001)

    def test_the_watchdog_does_not_count_it(self):
        bites = []
        clock.set_watchdog(8000000, lambda: bites.append(clock.now_us()) or clock.set_watchdog(1 << 40, None))
        clock.step(clock.now_us() + 1000000, True)
        self.assertEqual((clock.now_us(), bites), (51000000, []))
        clock.charge_us(6999999)
        self.assertEqual(bites, [])
        clock.charge_us(1)
        self.assertEqual(bites, [58000000])

    def test_the_watchdog_bites_before_a_task_that_comes_too_late_anyway(self):
        bites = []
        clock.set_watchdog(8000000, lambda: bites.append(clock.now_us()) or clock.set_watchdog(1 << 40, None))
        clock.step(clock.now_us() + 9000000, True)
        self.assertEqual(bites, [28000000])


class Ending(TestCase):
    def setUp(self):
        clock.setup("virtual")

    def tearDown(self):
        clock.on_end = None
        clock.setup("virtual")

    def test_after_the_end_nothing_goes_on(self):
        saved = []
        clock.on_end = lambda code, kind: saved.append((code, kind, clock.now_us()))
        try:
            clock.end(87, "watchdog")
            self.fail("must raise")
        except clock.Ended as end:
            self.assertEqual((end.code, end.kind), (87, "watchdog"))
        for again in (clock.turn, clock.ticks_ms, lambda: clock.sleep_us(5), lambda: clock.end(86, "power_on")):
            try:
                again()
                self.fail("must raise")
            except clock.Ended as end:
                self.assertEqual(end.code, 87)
        self.assertEqual(saved, [(87, "watchdog", 0)])


class RealTime(TestCase):
    def setUp(self):
        clock.setup("real", 5000000)

    def tearDown(self):
        clock.setup("virtual")

    def test_the_clock_is_the_computers(self):
        began_us = clock.now_us()
        self.assertTrue(5000000 <= began_us < 6000000)
        seen = []
        clock.at_us(began_us + 20000, lambda: seen.append(clock.now_us()))
        host.sleep_ms(5)
        clock.charge_us(10000000)  # work takes the time that it takes
        self.assertEqual(seen, [])
        clock.sleep_us(40000)
        self.assertTrue(40000 <= clock.now_us() - began_us < 500000)
        self.assertTrue(20000 <= seen[0] - began_us < 400000)
