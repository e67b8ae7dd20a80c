"""The MFRC522 reader chip at register level, from NXP's data sheet (rev. 3.9); a device of `boards.sim.spibus`.

    chip = Mfrc522Chip(clock)  # anything with now_us()
    spibus.attach(16, chip)
    chip.field.put(Card(b"\\x11\\x22\\x33\\x44"))

A register read shows the chip's state at that microsecond. `cs_cycles` and `bytes` count what the bus did.
`power(on)` is the supply: without it all is lost, and MISO floats high. Faults are attributes, listed in
`mfrc522_faults.py`. Not modelled: the IRQ pin, MFIN/MFOUT, ModeReg.MSBFirst, analogue test registers.
"""

import random

from micropython import const

from boards.sim.cards import crc_a
from boards.sim.mfrc522_faulty import RESET_CLOCKS_US, STUCK, Faulty
from boards.sim.mfrc522_units import NEVER

_COMMAND = const(0x01)
_COM_ENABLE = const(0x02)
_DIV_ENABLE = const(0x03)
_COM_IRQ = const(0x04)
_DIV_IRQ = const(0x05)
_ERROR = const(0x06)
_STATUS1 = const(0x07)
_STATUS2 = const(0x08)
_FIFO_DATA = const(0x09)
_FIFO_LEVEL = const(0x0A)
_WATER_LEVEL = const(0x0B)
_CONTROL = const(0x0C)
_BIT_FRAMING = const(0x0D)
_MODE = const(0x11)
_TX_CONTROL = const(0x14)
_RX_SEL = const(0x17)
_CRC_HIGH = const(0x21)
_CRC_LOW = const(0x22)
_COUNTER_HIGH = const(0x2E)
_COUNTER_LOW = const(0x2F)
_AUTO_TEST = const(0x36)
_VERSION = const(0x37)

_IDLE = const(0)
_MEM = const(1)
_RANDOM = const(2)
_CALC_CRC = const(3)
_TRANSMIT = const(4)
_NO_CHANGE = const(7)
_RECEIVE = const(8)
_TRANSCEIVE = const(12)
_AUTHENTICATE = const(14)
_SOFT_RESET = const(15)

_POWER_DOWN = const(0x10)
_CRC_IRQ = const(0x04)
_WRITE_ERROR = const(0x80)
_CRC_READY = const(0x60)  # CRCOk and CRCReady

_MODEM_IDLE = const(0)
_MODEM_WAIT_SEND = const(1)
_MODEM_WAIT_ANSWER = const(4)

# What the next byte on the bus is.
_OFF = const(0)  # hard power-down: pins are frozen (8.6.1)
_ADDRESS = const(1)
_READ = const(2)
_WRITE = const(3)

# Reset values (table 20 and the tables of section 9.3); what the data sheet leaves open is 0, CollReg shows no
# collision, the alert bits of Status1Reg are worked out when read. In each row 16 registers.
_RESET_VALUES = (
    b"\x00\x20\x80\x00\x14\x00\x00\x20\x00\x00\x00\x08\x10\x00\xa0\x00"
    b"\x00\x3f\x00\x00\x80\x00\x10\x84\x84\x4d\x00\x00\x62\x00\x00\xeb"
    b"\x00\xff\xff\x00\x26\x00\x48\x88\x20\x20\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x80\x00\x00\x40\x92\x00\x00\x00\x00\x00\x00\x00\x00"
)
# Bits that a write sets as they come; the others are read-only or reserved and keep their value.
_WRITABLE = (
    b"\x00\x00\xff\x94\x00\x00\x00\x00\x00\x00\x00\x3f\x00\x77\x80\x00"
    b"\x00\xab\xf8\xfc\xfb\x40\x3f\xff\xf7\xff\x00\x00\x03\x10\x00\xff"
    b"\x00\x00\x00\x00\xff\x00\x70\xff\x3f\x3f\xff\xff\xff\xff\x00\x00"
    b"\x00\x07\xff\xfe\xfe\x00\x4f\x00\xff\x3f\x3f\x00\x00\x00\x00\x00"
)
# 1: the value depends on the time, or reading does something. 2: writing does something.
_EFFECTS = (
    b"\x00\x03\x00\x00\x03\x03\x01\x01\x03\x03\x03\x02\x03\x02\x01\x00"
    b"\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)
# Result of the digital self-test of version 2.0 (16.1.1).
_SELF_TEST = (
    b"\x00\xeb\x66\xba\x57\xbf\x23\x95\xd0\xe3\x0d\x3d\x27\x89\x5c\xde"
    b"\x9d\x3b\xa7\x00\x21\x5b\x89\x82\x51\x3a\xeb\x02\x0c\xa5\x00\x49"
    b"\x7c\x84\x4d\xb3\xcc\xd2\x1b\x81\x5d\x48\x76\xd5\x71\x61\x21\xa9"
    b"\x86\x96\x83\x38\xcf\x9d\x5b\x6d\xdc\x15\xba\x3e\x7d\x95\x3b\x2f"
)
_CRC_PRESETS = (0x0000, 0x6363, 0xA671, 0xFFFF)


class Mfrc522Chip(Faulty):
    """`wake_us`: from hard or soft power-down until the oscillator is stable and 1024 clocks have passed.

    With `strict_wake` the chip takes no access before that, as the data sheet has it; without, it takes register
    writes at once, as modules in the field seem to do for drivers that do not wait.
    """

    def __init__(self, clock, version=0x92, wake_us=300, strict_wake=False):
        super().__init__(clock)
        self.wake_us = wake_us
        self.strict_wake = strict_wake
        self.cs_cycles = 0
        self.bytes = 0
        self.version = version
        self._memory = bytearray(25)
        self._crc = 0
        self._transfer = _OFF
        self._address = 0
        self._reset(clock.now_us(), 0)

    # Pins and SPI framing (8.1.2)

    def reset_pin(self, level):
        """Follow the pin NRSTPD: low is hard power-down, its rising edge a reset."""
        now_us = self.settle()
        self.rst_level = level
        awake = bool(level) and self._supplied and not self.rst_low
        if awake != self._powered:
            self._powered = awake
            if self.hang in ("soft", "hard"):
                self.hang = None
            self._reset(now_us, self.wake_us)

    def select(self):
        """Chip select goes low."""
        self.cs_cycles += 1
        disturbed = self.miso is not None or not self._supplied or self.baud_limit or (self.hang and self.mute)
        self._transfer = _ADDRESS + STUCK if disturbed else _ADDRESS
        if (not self._powered and not disturbed) or (self.strict_wake and self.settle() < self._wake_us != NEVER):
            self._transfer = _OFF

    def deselect(self):
        """Chip select goes high."""
        self._transfer = _OFF

    def exchange(self, byte_out):
        """Clock one byte in both directions."""
        self.bytes += 1
        transfer = self._transfer
        if transfer == _READ:
            # Each byte names the register whose value the next byte brings (table 6).
            address = self._address
            self._address = byte_out >> 1 & 0x3F
            if _EFFECTS[address] & 1:
                return self._read(address)
            return self.registers[address]
        if transfer == _WRITE:
            self._store(self._address, byte_out)
            return 0
        if transfer == _ADDRESS:
            self._transfer = _READ if byte_out & 0x80 else _WRITE
            self._address = byte_out >> 1 & 0x3F
        elif transfer >= STUCK:
            return self._disturbed(byte_out)
        return 0

    # Registers (9.3)

    def _read(self, address):
        now_us = self._clock.now_us()
        if now_us >= self._next_us:
            self._advance(now_us)
        if address == _FIFO_DATA:
            return self._pop()
        if address == _FIFO_LEVEL:
            return self._level
        value = self.registers[address]
        if address == _STATUS1:
            registers = self.registers
            if registers[_COM_IRQ] & registers[_COM_ENABLE] & 0x7F or registers[_DIV_IRQ] & registers[_DIV_ENABLE]:
                value |= 0x10
            if self._timer_us != NEVER:
                value |= 0x08
            water = registers[_WATER_LEVEL]
            return value | (2 if 64 - self._level <= water else 0) | (1 if self._level <= water else 0)
        if address == _STATUS2:
            modem = self._modem
            if modem == _MODEM_WAIT_ANSWER:
                # After RxWait bit clocks of 9.44 us the receiver waits for data.
                modem += (now_us - self._wait_us) * 339 >= (self.registers[_RX_SEL] & 0x3F) * 128 * 25
            return value | modem
        if address == _COUNTER_HIGH:
            return self._timer_counter(now_us) >> 8
        if address == _COUNTER_LOW:
            return self._timer_counter(now_us) & 0xFF
        return value

    def _store(self, address, value):
        # What is due happens before the write, which may change how it happens.
        now_us = self._clock.now_us()
        if now_us >= self._next_us:
            self._advance(now_us)
        if address == _FIFO_DATA:
            self._store_fifo(value, now_us)
            return
        registers = self.registers
        writable = _WRITABLE[address]
        if writable:
            registers[address] = registers[address] & ~writable | value & writable
        if self.hang:
            self._store_hung(address, value, now_us)
            return
        if not _EFFECTS[address] & 2:
            return
        if address == _COMMAND:
            self._store_command(value, now_us)
        elif address == _COM_IRQ:
            # Set1 tells whether marked bits are set or cleared.
            registers[_COM_IRQ] = (registers[_COM_IRQ] | value if value & 0x80 else registers[_COM_IRQ] & ~value) & 0x7F
        elif address == _DIV_IRQ:
            registers[_DIV_IRQ] = (registers[_DIV_IRQ] | value if value & 0x80 else registers[_DIV_IRQ] & ~value) & 0x14
        elif address == _FIFO_LEVEL:
            if value & 0x80:
                registers[_ERROR] &= 0xEF  # BufferOvfl
                self._flush()
        elif address == _WATER_LEVEL:
            self._alert()
        elif address == _BIT_FRAMING:
            if value & 0x80 and self._modem == _MODEM_WAIT_SEND:
                self._start_sending(now_us)
        elif address == _CONTROL:
            if value & 0x80 and self._timer_us != NEVER:
                self._timer_stops(now_us)
            if value & 0x40:
                self._timer_begins(now_us)
            self._plan()
        elif address == _TX_CONTROL:
            self._update_field(now_us)
        elif address == _STATUS2:
            # MFCrypto1On can only be cleared by the host.
            registers[_STATUS2] = value & 0xC0 | registers[_STATUS2] & value & 0x08

    def _store_fifo(self, value, now_us):
        command = self.registers[_COMMAND] & 0x0F
        if self.hang:
            self._push(value)
            return
        if command == _AUTHENTICATE and self._modem != _MODEM_IDLE:
            self._raise(_WRITE_ERROR)  # access is blocked
            return
        if self._modem >= _MODEM_WAIT_ANSWER:
            self._raise(_WRITE_ERROR)
        self._push(value)
        if command == _CALC_CRC:
            self._feed_crc()
        elif command == _AUTHENTICATE and self._level == 12:
            self._start_sending(now_us)

    # Commands (10.3)

    def _store_command(self, value, now_us):
        registers = self.registers
        code = value & 0x0F
        before = registers[_COMMAND]
        if code == _SOFT_RESET:
            self._reset(now_us, self.wake_us if before & _POWER_DOWN else RESET_CLOCKS_US)
            return
        registers[_COMMAND] = value & 0x30 | (before & 0x0F if code == _NO_CHANGE else code)
        if value & _POWER_DOWN:
            self._wake_us = self._timer_us = NEVER
            self._halt_modem()
        elif before & _POWER_DOWN:
            # The bit reads 1 until the chip is ready.
            registers[_COMMAND] |= _POWER_DOWN
            if self._wake_us == NEVER:
                self._wake_us = now_us + self.wake_us
                self._plan()
        self._update_field(now_us)
        if code != _NO_CHANGE:
            self._start(code, now_us)

    def _start(self, code, now_us):
        registers = self.registers
        self._halt_modem()
        if code == _IDLE:
            return
        registers[_ERROR] &= 0x40  # starting a command clears all errors but TempErr (table 33)
        if code == _TRANSCEIVE:
            self._modem = _MODEM_WAIT_SEND
        elif code == _CALC_CRC:
            if registers[_AUTO_TEST] & 0x0F == 9:
                self._self_test()
            else:
                self._crc = _CRC_PRESETS[registers[_MODE] & 3]
                self._feed_crc()
        elif code == _TRANSMIT:
            self._start_sending(now_us)
        elif code == _RECEIVE:
            self._modem = _MODEM_WAIT_ANSWER
            self._wait_us = now_us
            if self._air_us > now_us:
                self._listen()
                self._plan()
        elif code != _AUTHENTICATE:
            if code == _MEM:
                self._transfer_memory()
            elif code == _RANDOM:
                for i in range(10):
                    self._memory[i] = random.getrandbits(8)
            self._finish()  # at once; also what happens to an unknown command
        elif self._level >= 12:
            self._start_sending(now_us)

    def _start_sending(self, now_us):
        self._send(now_us if self._wake_us == NEVER else max(now_us, self._wake_us))

    def _transfer_memory(self):
        if self._level:
            for i in range(25):
                self._memory[i] = self._pop()
        else:
            for value in self._memory:
                self._push(value)

    def _feed_crc(self):
        registers = self.registers
        if self.crc_hang:
            registers[_STATUS1] &= ~_CRC_READY & 0xFF
            return
        count = self._level
        self._crc = crc = crc_a(bytes(self._pop() for _ in range(count)), count, self._crc)
        registers[_CRC_HIGH] = crc >> 8
        registers[_CRC_LOW] = crc & 0xFF
        registers[_STATUS1] |= _CRC_READY
        registers[_DIV_IRQ] |= _CRC_IRQ

    def _self_test(self):
        # Other versions have other results; a clone fails against the one that is known. The result comes from the
        # internal buffer, which the host clears first (16.1.1).
        self._flush()
        wrong = self.version ^ 0x92 ^ max(self._memory)
        for value in _SELF_TEST:
            self._push(value ^ wrong)

    def _reset(self, now_us, wake_us):
        registers = self.registers
        for i in range(64):
            registers[i] = _RESET_VALUES[i]
        registers[_VERSION] = self.version
        self._head = self._level = 0
        self._timer_us = self._wake_us = self._air_us = NEVER
        self._timer_value = 0
        if wake_us and self._powered and not self.hang:
            self._wake_us = now_us + wake_us
            registers[_COMMAND] |= _POWER_DOWN
        self._update_field(now_us)
        self._halt_modem()
