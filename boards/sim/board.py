"""The simulated board: an ESP32-WROOM with 4 MB of flash, wired like boards/esp32_wroom_4mb.

import board
relay = machine.Pin(board.PIN_RELAY, machine.Pin.OUT, value=0)
"""

from boards.esp32_wroom_4mb.board import *  # noqa: F403 the same board, but for its name and file system

BOARD = "sim"
ROOT = "/vfs"  # mount point of the region vfs; the root is the computer's
