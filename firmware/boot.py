"""Runs first on the chip: put the outputs at their safe level before anything else is loaded.

Relay de-energised is locked for both kinds of lock; the external pull has held it there until now.
"""

import board
import machine

machine.Pin(board.PIN_RELAY, machine.Pin.OUT, value=0)
for _number in board.PINS_SIGNALS:
    machine.Pin(_number, machine.Pin.OUT, value=0)
