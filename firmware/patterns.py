"""Lights and sounds: one table of what a resident sees and hears.

A pattern is a row of (duration in 10 ms, outputs) pairs for `drivers.signals.Player`; outputs: 1 green, 2 red,
4 sounder.
"""

GRANTED = b"\x0f\x05\xc8\x01"  # one beep, green for 2 s
REFUSED = b"\x0a\x06\x0a\x02\x0a\x06\x64\x02"  # two short beeps, red for 1 s
CANCELLED = b"\x1e\x06\x0a\x02\x1e\x06\x0a\x02\x1e\x06\x64\x02"  # three long beeps, red
HELD = b"\x14\x06\x50\x02" * 4  # a beep a second, red
ALARM = b"\x32\x06\x19\x02" * 8
