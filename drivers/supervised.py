"""A contact with two end-of-line resistors on an ADC pin: besides open and closed it tells a cut and a shorted wire.

    from machine import ADC, Pin
    leaf = Supervised(ADC(Pin(36), atten=ADC.ATTN_11DB), active=0)
    leaf.poll(time.ticks_ms())              # every 20 ms
    print("no idea" if leaf.fault else "closed" if leaf.active else "open")

At the contact, as close as can be: 1 kohm in series with it and 1 kohm across it, 1 %, the standard circuit of
Mercury's controllers (LP1501 installation manual, "Input circuit wiring"). Closed makes 1 kohm, open 2 kohm. On the
board the pin is pulled up to 3.3 V by 2.2 kohm in place of its usual resistor, so that all bands that must be told
apart lie within 150 to 2450 mV, where the ESP32's ADC is accurate at 11 dB (MicroPython, "Quick reference for the
ESP32", ADC).

There is no interrupt: what comes and goes between two looks is not seen.
"""

from time import ticks_diff

from micropython import const

SHORT = const(1)
CUT = const(2)

_HYSTERESIS_MV = const(40)
_FAULT_MS = const(400)  # a moving contact passes through no fault, so there is time to be sure
# Limits at 0.5, 1.4 and 5 kohm, in mV: 3300 * R / (R + 2.2k). Closed is 1031 mV, open 1571 mV; the ADC itself may be
# wrong by 60 mV at 11 dB (ESP32 data sheet, ADC characteristics), 60 m of telephone wire add 20 mV.
_LIMITS_MV = (611, 1283, 2292)


class Supervised:
    """One input, `active` after debouncing; `fault` is 0, SHORT or CUT."""

    def __init__(self, adc, active, at_fault=False, debounce_ms=20):
        """Take the first look.

        Args:
            adc: object with read_uv(), microvolts.
            active: 0 if the contact is active when it is closed, 1 when it is open.
            at_fault: what it counts as while its wires are at fault.
        """
        self._adc = adc
        self._level = active
        self._at_fault = at_fault
        self._debounce_ms = debounce_ms
        self._band = self._look(0)
        self._since = 0
        self._settled = True
        self.fault = 0
        self.active = False
        self._latch = False
        self._settle()

    def _look(self, band):
        """Return the band that the voltage lies in: 0 short, 1 closed, 2 open, 3 cut; at its edges the last one."""
        millivolts = self._adc.read_uv() // 1000
        found = 0
        for limit in _LIMITS_MV:
            found += millivolts > limit + (_HYSTERESIS_MV if found >= band else -_HYSTERESIS_MV)
        return found

    def poll(self, now_ms):
        """Look at the contact; True when `active` or `fault` has changed."""
        band = self._look(self._band)
        if band != self._band:
            self._band = band
            self._since = now_ms
            self._settled = False
        elif not self._settled:
            limit_ms = self._debounce_ms if 0 < band < 3 else _FAULT_MS
            if ticks_diff(now_ms, self._since) >= limit_ms:
                self._settled = True
                return self._settle()
        return False

    def _settle(self):
        band = self._band
        fault = SHORT if band == 0 else CUT if band == 3 else 0
        active = self._at_fault if fault else band - 1 == self._level
        changed = active != self.active or fault != self.fault
        # What is active when the wires are in order again was not pressed then: no key in a burning cable resets fire.
        if active and not self.active and not self.fault:
            self._latch = True
        self.active = active
        self.fault = fault
        return changed

    def latched(self):
        """Has the contact become active since the last call? True once for each press."""
        latch = self._latch
        self._latch = False
        return latch
