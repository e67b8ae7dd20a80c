"""Contacts: debouncing, pulses shorter than the loop, an interrupt that leaves no garbage."""

import gc
import random
from time import ticks_add, ticks_ms
from unittest import TestCase

from drivers import contacts
from drivers.contacts import Contact

LOOP_MS = 50


class Input:
    """A pin of the test: `set` moves it, with an interrupt on each edge unless interrupts are held back."""

    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, level):
        self.level = level
        self.held = False
        self.handler = None

    def __call__(self):
        return self.level

    def irq(self, handler, trigger):
        assert trigger == 3
        self.handler = handler

    def set(self, level):
        if level != self.level:
            self.level = level
            if not self.held:
                self.handler(self)


class WithContact(TestCase):
    START = 1000

    def setUp(self):
        self.now = self.START
        self.real = contacts.ticks_ms
        contacts.ticks_ms = self.ticks_ms
        self.pin = Input(1)
        self.contact = Contact(self.pin, 0)

    def tearDown(self):
        contacts.ticks_ms = self.real

    def ticks_ms(self):
        return self.now

    def wait(self, wait_ms):
        self.now = ticks_add(self.now, wait_ms)

    def poll(self):
        return self.contact.poll(self.now)


class Debounce(WithContact):
    def test_rest(self):
        for _ in range(5):
            self.assertFalse(self.poll())
            self.wait(LOOP_MS)
        self.assertFalse(self.contact.active)
        self.assertFalse(self.contact.latched())

    def test_changes_after_20_ms_without_an_edge(self):
        self.pin.set(0)
        self.wait(19)
        self.assertFalse(self.poll())
        self.assertFalse(self.contact.active)
        self.wait(1)
        self.assertTrue(self.poll())
        self.assertTrue(self.contact.active)
        self.assertFalse(self.poll())

    def test_a_bounce_begins_the_time_again(self):
        for _ in range(10):
            self.pin.set(0)
            self.wait(3)
            self.pin.set(1)
            self.wait(2)
            self.assertFalse(self.poll())
        self.pin.set(0)
        self.wait(19)
        self.assertFalse(self.poll())
        self.wait(1)
        self.assertTrue(self.poll())

    def test_an_edge_without_an_interrupt(self):
        self.pin.held = True
        self.pin.set(0)
        self.wait(LOOP_MS)
        self.assertFalse(self.poll())  # seen now, steady from here on
        self.wait(20)
        self.assertTrue(self.poll())

    def test_level_at_start(self):
        contact = Contact(Input(0), 0)
        self.assertTrue(contact.active)
        self.assertTrue(contact.latched())
        contact = Contact(Input(0), 1)
        self.assertFalse(contact.active)
        self.assertFalse(contact.latched())

    def test_after_days_of_rest(self):
        self.poll()
        for _ in range(20):  # twice round the ticks
            self.wait(2**27)
            self.assertFalse(self.poll())
        self.pin.set(0)
        self.assertFalse(self.poll())
        self.wait(20)
        self.assertTrue(self.poll())

    def test_random_bounces_give_one_change(self):
        seed = ticks_ms()
        print("seed", seed)
        random.seed(seed)
        for turn in range(100):
            wanted = turn & 1
            end = random.randrange(5, 21)
            spent = 0
            changes = 0
            while spent < end:
                step = random.randrange(1, 5)
                self.pin.set(random.randrange(2))
                self.wait(step)
                spent += step
                changes += self.poll()
            self.pin.set(wanted)
            for _ in range(10):
                self.wait(7)
                changes += self.poll()
            self.assertEqual(self.contact.active, wanted == 0)
            self.assertTrue(changes <= 1)


class WrappedDebounce(WithContact):
    START = ticks_add(0, -10)

    def test_all_of_it_across_the_wrap_of_the_ticks(self):
        for name in dir(Debounce):
            if name.startswith("test"):
                self.setUp()
                getattr(Debounce, name)(self)
                self.tearDown()


class Latch(WithContact):
    def test_a_20_ms_pulse_between_two_looks(self):
        self.poll()
        self.wait(10)
        self.pin.set(0)
        self.wait(20)
        self.pin.set(1)
        self.wait(20)
        self.poll()
        self.assertFalse(self.contact.active)
        self.assertTrue(self.contact.latched())
        self.assertFalse(self.contact.latched())

    def test_a_pulse_within_a_flash_erase(self):
        # both edges while interrupts stood still: one late call, the level is back at rest
        self.pin.held = True
        self.pin.set(0)
        self.wait(20)
        self.pin.set(1)
        self.pin.handler(self.pin)
        self.assertTrue(self.contact.latched())
        self.assertFalse(self.contact.active)

    def test_latched_without_a_poll(self):
        self.pin.set(0)
        self.pin.set(1)
        self.assertTrue(self.contact.latched())
        self.assertFalse(self.contact.latched())

    def test_once_for_a_press_that_is_held(self):
        for _ in range(3):
            self.pin.set(0)
            self.assertTrue(self.contact.latched())
            for _ in range(5):
                self.wait(LOOP_MS)
                self.poll()
                self.assertFalse(self.contact.latched())
            self.assertTrue(self.contact.active)
            self.pin.set(1)
            for _ in range(3):
                self.wait(LOOP_MS)
                self.poll()
                self.assertFalse(self.contact.latched())

    def test_once_for_a_press_that_bounces_at_both_ends(self):
        for with_poll in (False, True, False):
            count = 0
            for level in (0, 1):
                for step in range(8):
                    self.pin.set(level if step & 1 else 1 - level)
                    self.wait(3)
                    if with_poll:
                        self.poll()
                    count += self.contact.latched()
                self.wait(200)
                count += self.contact.latched()
            self.wait(200)
            self.assertEqual(count, 1)
            self.contact.latched()

    def test_two_presses(self):
        for _ in range(2):
            self.pin.set(0)
            self.wait(20)
            self.pin.set(1)
            self.wait(LOOP_MS)
            self.assertTrue(self.contact.latched())
            self.wait(LOOP_MS)
            self.assertFalse(self.contact.latched())


class Interrupt(WithContact):
    def test_leaves_no_garbage(self):
        edge = self.pin.handler
        contacts.ticks_ms = self.real
        edge(self.pin)
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(100):
            edge(self.pin)
        self.assertEqual(gc.mem_alloc() - before, 0)

    def test_the_loop_leaves_none_either(self):
        contact = self.contact
        contacts.ticks_ms = self.real
        contact.poll(5)
        contact.latched()
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(100):
            contact.poll(5)
            contact.latched()
        self.assertEqual(gc.mem_alloc() - before, 0)
