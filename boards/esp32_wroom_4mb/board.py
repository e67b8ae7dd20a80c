"""ESP32-WROOM-32 with 4 MB of flash and no PSRAM.

import board
relay = machine.Pin(board.PIN_RELAY, machine.Pin.OUT, value=0)
"""

BOARD = "esp32_wroom_4mb"
ROOT = ""  # the region vfs is the root

PIN_SCK = 18
PIN_MISO = 19
PIN_MOSI = 23
PIN_READER_CS = 16
PIN_READER_RST = 17
PIN_READER_POWER = None  # not fitted: a switch that takes the reader off its supply
PIN_SDA = 21
PIN_SCL = 22
PIN_RELAY = 25  # pulled down on the board; energised = unlocked
PIN_SOUNDER = 26
PIN_GREEN = 13
PIN_RED = 4
# 36 and 39 see pulses of 80 ns when the chip powers its ADC (ESP32 errata 3.11): nothing that is latched sits there.
PIN_DOOR_CONTACT = 36
PIN_EXIT = 35
PIN_FIRE = 34
PIN_TAMPER = 39
PIN_INTERCOM = 32
PIN_KEY = 33
PIN_BOLT_CONTACT = 27
PIN_HANDLE = 14  # the ROM pulses it at the start: an input only, behind 1 kohm

SPI_ID = 2
SPI_BAUD = 4000000
READER_POLL_MS = 10
LOCK_FAIL_SAFE = False

# In the order of the bits in firmware/patterns.py.
PINS_SIGNALS = (PIN_GREEN, PIN_RED, PIN_SOUNDER)

# (name, pin, active level); a contact that is closed pulls its pin down, leaf means closed and bolt thrown. Which of
# them are fitted is a setting.
CONTACTS = (
    ("leaf", PIN_DOOR_CONTACT, 0),
    ("exit", PIN_EXIT, 0),
    ("fire", PIN_FIRE, 0),
    ("key", PIN_KEY, 0),
    ("intercom", PIN_INTERCOM, 0),
    ("tamper", PIN_TAMPER, 1),
    ("bolt", PIN_BOLT_CONTACT, 0),
    ("handle", PIN_HANDLE, 0),
)
# Where a contact may have end-of-line resistors (the pin's pull-up is 2.2 kohm then): ADC2 does not work beside Wi-Fi.
PINS_ADC1 = (32, 33, 34, 35, 36, 39)

# (label, offset, size)
FLASH = [
    ("nvs", 0x9000, 0x6000),
    ("phy_init", 0xF000, 0x1000),
    ("factory", 0x10000, 0x1F0000),
    ("cards", 0x200000, 0x80000),
    ("journal", 0x280000, 0x80000),
    ("vfs", 0x300000, 0x100000),
]
FLASH_SIZE = 0x400000
