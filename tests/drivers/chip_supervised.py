"""Contacts with end-of-line resistors: bands, hysteresis, debouncing, faults."""

import gc
from time import ticks_add
from unittest import TestCase

from drivers.supervised import CUT, SHORT, Supervised

# Millivolts of a pin pulled up to 3.3 V by 2.2 kohm; the ESP32's ADC reads nothing below 142 mV at 11 dB.
CLOSED_MV, OPEN_MV, SHORT_MV, CUT_MV = 1031, 1571, 142, 3100
LOOP_MS = 20
BEFORE_THE_WRAP = ticks_add(0, -300)


class Adc:
    def __init__(self, millivolts):
        self.millivolts = millivolts

    def read_uv(self):
        return self.millivolts * 1000 + 999


class WithLine(TestCase):
    def setUp(self):
        self.now = BEFORE_THE_WRAP
        self.line(CLOSED_MV)

    def line(self, millivolts, active=0, at_fault=False):
        self.adc = Adc(millivolts)
        self.contact = Supervised(self.adc, active, at_fault)

    def wait(self, wait_ms):
        changes = 0
        for _ in range(wait_ms // LOOP_MS):
            self.now = ticks_add(self.now, LOOP_MS)
            changes += self.contact.poll(self.now)
        return changes

    def becomes(self, millivolts, wait_ms=40):
        self.adc.millivolts = millivolts
        return self.wait(wait_ms)


class Bands(WithLine):
    def test_first_look(self):
        for millivolts, fault, closed in ((142, SHORT, False), (1031, 0, True), (1571, 0, False), (3100, CUT, False)):
            self.line(millivolts)
            self.assertEqual((self.contact.fault, self.contact.active), (fault, closed))
            self.line(millivolts, active=1)
            self.assertEqual(self.contact.active, millivolts == 1571)

    def test_the_ohms_of_the_page(self):
        """docs/door.md: limits at 0.5, 1.4 and 5 kohm; 10 % beside them everything is told apart."""
        for ohms, band in ((450, 0), (560, 1), (1260, 1), (1560, 2), (4500, 2), (5600, 3)):
            self.line(3300 * ohms // (ohms + 2200))
            self.assertEqual(self.contact._band, band, ohms)

    def test_resistors_and_cables_at_their_worst(self):
        """Resistors of 1 %, 150 ohm of cable, the ADC wrong by 60 mV, and the pull-up of 1 %."""
        for ohms, closed in ((990, True), (1160, True), (1980, False), (2170, False)):
            for pull in (2178, 2222):
                for error in (-60, 60):
                    self.becomes(3300 * ohms // (ohms + pull) + error, 500)
                    self.assertEqual((self.contact.fault, self.contact.active), (0, closed))

    def test_a_voltage_at_the_limit_does_not_flicker(self):
        self.becomes(1283 + 41)
        self.assertFalse(self.contact.active)
        for millivolts in (1283, 1283 + 39, 1283 - 39) * 3:
            self.assertEqual(self.becomes(millivolts), 0)
        self.becomes(1283 - 41)
        self.assertTrue(self.contact.active)
        for millivolts in (1283, 1283 + 39, 1283 - 39) * 3:
            self.assertEqual(self.becomes(millivolts), 0)


class Debounce(WithLine):
    def test_after_20_ms_at_rest(self):
        self.assertEqual(self.becomes(OPEN_MV, 20), 0)
        self.assertTrue(self.contact.active)
        self.assertEqual(self.wait(20), 1)
        self.assertFalse(self.contact.active)
        self.assertEqual(self.wait(1000), 0)

    def test_bounces(self):
        for _ in range(5):
            self.assertEqual(self.becomes(OPEN_MV, 20) + self.becomes(CLOSED_MV, 20), 0)
        self.assertTrue(self.contact.active)

    def test_one_press(self):
        self.line(OPEN_MV)
        self.assertFalse(self.contact.latched())
        self.becomes(CLOSED_MV, 200)
        self.assertTrue(self.contact.latched())
        self.assertFalse(self.contact.latched())
        self.becomes(OPEN_MV, 200)
        self.assertFalse(self.contact.latched())

    def test_across_days_of_rest(self):
        self.now = ticks_add(self.now, 2**29 - 1)
        self.assertEqual(self.wait(100), 0)
        self.now = ticks_add(self.now, 2**29 - 1)
        self.becomes(OPEN_MV)
        self.assertFalse(self.contact.active)


class Faults(WithLine):
    def test_a_fault_lasts_400_ms_before_it_is_one(self):
        for millivolts, fault in ((CUT_MV, CUT), (SHORT_MV, SHORT)):
            self.assertEqual(self.becomes(millivolts, 400), 0)
            self.assertEqual((self.contact.fault, self.contact.active), (0, True))
            self.assertEqual(self.wait(40), 1)
            self.assertEqual((self.contact.fault, self.contact.active), (fault, False))
            self.becomes(CLOSED_MV)
            self.assertEqual((self.contact.fault, self.contact.active), (0, True))

    def test_a_short_is_no_press(self):
        self.line(OPEN_MV)
        self.becomes(SHORT_MV, 1000)
        self.assertFalse(self.contact.active)
        self.assertFalse(self.contact.latched())

    def test_a_key_found_turned_after_a_fault_was_not_turned_then(self):
        """Its cable burns, and the fire contact is restored: nobody has reset the release."""
        self.line(OPEN_MV)
        self.becomes(CUT_MV, 500)
        self.becomes(CLOSED_MV)
        self.assertTrue(self.contact.active)
        self.assertFalse(self.contact.latched())
        self.becomes(OPEN_MV)
        self.becomes(CLOSED_MV)
        self.assertTrue(self.contact.latched())

    def test_a_fire_line_at_fault_is_fire(self):
        for millivolts in (SHORT_MV, CUT_MV):
            self.line(OPEN_MV, at_fault=True)
            self.becomes(millivolts, 500)
            self.assertTrue(self.contact.active)
            self.assertTrue(self.contact.latched())
            self.becomes(OPEN_MV)
            self.assertFalse(self.contact.active)

    def test_a_line_that_is_torn_for_a_moment(self):
        self.becomes(CUT_MV, 200)
        self.assertEqual(self.becomes(CLOSED_MV, 500), 0)
        self.assertEqual(self.contact.fault, 0)


class Garbage(WithLine):
    def test_a_look_leaves_none(self):
        contact = self.contact
        contact.poll(5)
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(100):
            contact.poll(5)
            contact.latched()
        self.assertEqual(gc.mem_alloc() - before, 0)
