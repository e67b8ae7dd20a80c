"""asyncio on the simulated clock: our Task and TaskQueue under the unchanged asyncio/core.py."""

from unittest import TestCase

from boards.sim.start import install

install()

import asyncio
import gc
import random
import select
import time

from boards.sim import clock, tasks


def ms(since):
    return time.ticks_diff(time.ticks_ms(), since)


class Loop(TestCase):
    def setUp(self):
        clock.setup("virtual")
        asyncio.new_event_loop()

    def test_asyncio_uses_ours(self):
        self.assertTrue(asyncio.core.Task is tasks.Task)
        self.assertTrue(asyncio.core.TaskQueue is tasks.TaskQueue)
        self.assertTrue(asyncio.core.select is select)

    def test_sleep_is_exact(self):
        async def main():
            for wait_ms in (0, 1, 7, 1000, 86400000, 1 << 28):
                began = time.ticks_ms()
                await asyncio.sleep_ms(wait_ms)
                self.assertEqual(ms(began), wait_ms)

        asyncio.run(main())

    def test_tasks_wake_across_the_wrap(self):
        woken = []

        async def sleeper(wait_ms):
            began = time.ticks_ms()
            await asyncio.sleep_ms(wait_ms)
            woken.append((wait_ms, ms(began)))

        async def main():
            waits = [59998, 59999, 60000, 60001, 60002, 120000, 10]
            await asyncio.gather(*[sleeper(wait_ms) for wait_ms in waits])
            self.assertTrue(time.ticks_ms() < 1 << 20)

        asyncio.run(main())
        self.assertEqual([wait_ms for wait_ms, _ in woken], [10, 59998, 59999, 60000, 60001, 60002, 120000])
        for wait_ms, slept_ms in woken:
            self.assertTrue(0 <= slept_ms - wait_ms <= 2)

    def test_thirty_days_lose_no_wake_up(self):
        counts = [0, 0, 0]

        async def every(index, period_ms):
            while True:
                await asyncio.sleep_ms(period_ms)
                counts[index] += 1

        async def main():
            for index, period_ms in enumerate((60000, 61000, 86400000)):
                asyncio.create_task(every(index, period_ms))
            for _ in range(30):
                await asyncio.sleep(86400)

        began_us = clock.now_us()
        asyncio.run(main())
        days_ms = (clock.now_us() - began_us) // 1000
        self.assertTrue(abs(days_ms - 30 * 86400000) < 5000)  # two wraps: the period is 12.4 days
        # Each wake-up costs turns of the loop, so a period is a little longer than its sleep.
        self.assertTrue(abs(counts[0] - 43200) <= 1)
        self.assertTrue(abs(counts[1] - 42491) <= 1)
        self.assertTrue(29 <= counts[2] <= 30)

    def test_a_busy_task_does_not_starve_the_clock(self):
        turns = 0

        async def main():
            nonlocal turns
            began = time.ticks_ms()
            while ms(began) < 100:
                turns += 1
                await asyncio.sleep_ms(0)

        asyncio.run(main())
        self.assertTrue(500 < turns <= 1000)

    def test_order_of_equal_times_is_the_order_of_pushing(self):
        order = []

        async def one(number):
            await asyncio.sleep_ms(50)
            order.append(number)

        async def main():
            await asyncio.gather(*[one(number) for number in range(20)])

        asyncio.run(main())
        self.assertEqual(order, list(range(20)))

    def test_queue_against_a_sorted_list(self):
        seed = 4711
        print("seed", seed)
        random.seed(seed)
        queue = tasks.TaskQueue()
        base = (1 << 30) - 500
        model = []
        for number in range(800):
            choice = random.randrange(5)
            if choice < 3 or not model:
                offset = random.randrange(1000)
                task = tasks.Task(None)
                queue.push(task, base + offset & 0x3FFFFFFF)
                model.append((offset, number, task))
                model.sort(key=lambda entry: entry[:2])
            elif choice == 3:
                self.assertTrue(queue.peek() is model[0][2])
                self.assertTrue(queue.pop() is model.pop(0)[2])
            else:
                queue.remove(model.pop(random.randrange(len(model)))[2])
        while model:
            self.assertTrue(queue.pop() is model.pop(0)[2])
        self.assertTrue(queue.peek() is None)
        self.assertRaises(IndexError, queue.pop)


class Tasks(TestCase):
    def setUp(self):
        clock.setup("virtual")
        asyncio.new_event_loop()

    def test_results_and_errors_come_back(self):
        async def good():
            await asyncio.sleep_ms(5)
            return 17

        async def bad():
            await asyncio.sleep_ms(5)
            raise ValueError("bad")

        async def main():
            self.assertEqual(await asyncio.create_task(good()), 17)
            task = asyncio.create_task(good())
            await asyncio.sleep_ms(50)
            self.assertTrue(task.done())
            self.assertEqual(await task, 17)  # ended before somebody waited
            try:
                await asyncio.create_task(bad())
                self.fail("must raise")
            except ValueError:
                pass
            both = await asyncio.gather(good(), bad(), return_exceptions=True)
            self.assertEqual(both[0], 17)
            self.assertTrue(isinstance(both[1], ValueError))

        asyncio.run(main())

    def test_wait_for(self):
        async def forever():
            while True:
                await asyncio.sleep(1)

        async def soon():
            await asyncio.sleep_ms(20)
            return "soon"

        async def main():
            began = time.ticks_ms()
            try:
                await asyncio.wait_for_ms(forever(), 2500)
                self.fail("must time out")
            except asyncio.TimeoutError:
                self.assertTrue(2500 <= ms(began) <= 2503)
            self.assertEqual(await asyncio.wait_for(soon(), 1), "soon")

        asyncio.run(main())

    def test_cancel(self):
        log = []

        async def sleeper(name):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                log.append(name)
                raise

        async def waits_for(task):
            await task

        async def main():
            direct = asyncio.create_task(sleeper("direct"))
            inner = asyncio.create_task(sleeper("inner"))
            outer = asyncio.create_task(waits_for(inner))
            event = asyncio.Event()
            on_event = asyncio.create_task(event.wait())
            await asyncio.sleep_ms(10)
            began = time.ticks_ms()
            for task in (direct, outer, on_event):
                self.assertTrue(task.cancel())
                try:
                    await task
                    self.fail("must be cancelled")
                except asyncio.CancelledError:
                    pass
                self.assertFalse(task.cancel())
            self.assertTrue(inner.done())
            self.assertTrue(ms(began) < 10)
            self.assertRaises(RuntimeError, asyncio.current_task().cancel)
            event.set()  # nobody waits any more

        asyncio.run(main())
        self.assertEqual(log, ["direct", "inner"])

    def test_lock_and_event(self):
        order = []

        async def worker(name, lock, event):
            await event.wait()
            async with lock:
                order.append(name)
                await asyncio.sleep_ms(10)
                order.append(name)

        async def main():
            lock, event = asyncio.Lock(), asyncio.Event()
            workers = [asyncio.create_task(worker(name, lock, event)) for name in "ab"]
            await asyncio.sleep_ms(5)
            event.set()
            await asyncio.gather(*workers)

        asyncio.run(main())
        self.assertEqual(order, ["a", "a", "b", "b"])

    def test_an_error_nobody_waits_for_reaches_the_handler(self):
        seen = []

        async def bad():
            raise ValueError("lonely")

        async def main():
            asyncio.create_task(bad())
            await asyncio.sleep_ms(10)

        loop = asyncio.get_event_loop()
        loop.set_exception_handler(lambda _loop, context: seen.append(context["exception"]))
        try:
            asyncio.run(main())
        finally:
            loop.set_exception_handler(None)
        self.assertTrue(isinstance(seen[0], ValueError))


class WorldWakesTheLoop(TestCase):
    def setUp(self):
        clock.setup("virtual")
        asyncio.new_event_loop()

    def waits(self, wait, when_us, fire):
        woken = []

        async def waiter():
            await wait()
            woken.append(clock.now_us())

        async def main():
            asyncio.create_task(waiter())
            clock.at_us(when_us, fire)
            await asyncio.sleep(10)

        asyncio.run(main())
        self.assertEqual(len(woken), 1)
        self.assertTrue(0 <= woken[0] - when_us <= 1000)

    def test_event_set_by_the_world(self):
        event = asyncio.Event()
        self.waits(event.wait, 2345678, event.set)

    def test_flag_set_by_the_world(self):
        flag = asyncio.ThreadSafeFlag()
        self.waits(flag.wait, 2345678, flag.set)

    def test_flag_set_by_a_soft_handler(self):
        flag = asyncio.ThreadSafeFlag()
        self.waits(flag.wait, 2345678, lambda: clock.soft(lambda _: flag.set(), None))

    def test_a_flag_alone_keeps_the_loop_alive_until_the_world_sets_it(self):
        flag = asyncio.ThreadSafeFlag()
        clock.at_us(7000000, flag.set)
        asyncio.run(flag.wait())
        self.assertTrue(7000000 <= clock.now_us() < 7001000)

    def test_a_loop_that_nothing_can_wake_says_so(self):
        self.assertRaises(RuntimeError, asyncio.run, asyncio.ThreadSafeFlag().wait())

    def test_a_power_cut_passes_through_asyncio(self):
        class PowerCut(BaseException):
            pass

        def cut():
            raise PowerCut

        async def sleeps():
            await asyncio.sleep(10)

        async def main():
            clock.at_us(5000, cut)
            await asyncio.wait_for(sleeps(), 20)

        try:
            asyncio.run(main())
            self.fail("must be cut")
        except PowerCut:
            self.assertEqual(clock.now_us(), 5000)

    def test_an_end_caught_by_wait_for_comes_again(self):
        async def ends():
            clock.end(87, "hard")

        async def main():
            try:
                await asyncio.wait_for(ends(), 5)
            except BaseException:
                pass
            await asyncio.sleep(1)

        try:
            asyncio.run(main())
            self.fail("must end")
        except clock.Ended as end:
            self.assertEqual(end.code, 87)
        finally:
            clock.setup("virtual")

    def test_poll_waits_its_whole_time(self):
        poller = select.poll()
        flag = asyncio.ThreadSafeFlag()
        poller.register(flag, select.POLLIN)
        clock.at_us(100000, int)
        began_us = clock.now_us()
        self.assertEqual(poller.poll(500), [])
        self.assertTrue(500000 <= clock.now_us() - began_us < 502000)
        flag.set()
        self.assertEqual(poller.poll(500), [(flag, select.POLLIN)])
        poller.unregister(flag)
        self.assertEqual(poller.poll(0), [])


class Cost(TestCase):
    def test_idle_time_leaves_nothing_on_the_heap(self):
        clock.setup("virtual")
        asyncio.new_event_loop()
        used = []

        async def main():
            for _ in range(4):
                for _ in range(500):
                    await asyncio.sleep(1)
                gc.collect()
                used.append(gc.mem_alloc())

        asyncio.run(main())
        self.assertEqual(used[1], used[3])

    def test_a_day_with_a_task_a_second_is_quick(self):
        import utime  # the host's clock

        clock.setup("virtual")
        asyncio.new_event_loop()

        async def main():
            for _ in range(86400):
                await asyncio.sleep(1)

        began_ms = utime.ticks_ms()
        asyncio.run(main())
        took_ms = utime.ticks_diff(utime.ticks_ms(), began_ms)
        print("a day took", took_ms, "ms")
        self.assertTrue(took_ms < 10000)  # 0.5 s on a quiet machine
