"""A recorded bus: SPI, pins and registers of a chip that does just what one driver asks of it."""

import asyncio
from time import ticks_ms
from unittest import TestCase

from drivers.mfrc522 import Mfrc522


class Chip:
    """Registers enough for this driver, a FIFO, and answers from a list; also the SPI and the pins that lead to it."""

    def __init__(self):
        self.registers = bytearray(64)
        self.fifo = bytearray()
        self.frames = []
        self.answers = []
        self.sent = []
        self.reset_pulses = []
        self.baudrates = []
        self.selected = False
        self.miso = None  # a level byte that the line is stuck at, or "mosi" for a short between the two
        self.in_reset = False
        self.starts = True
        self.irq = None
        self.error = 0
        self.last_bits = 0
        self.level = None
        self.power_up()

    def power_up(self):
        self.registers = bytearray(64)
        self.registers[0x01] = 0x20
        self.registers[0x37] = 0x92
        self.fifo = bytearray()

    def init(self, baudrate):
        self.baudrates.append(baudrate)

    def cs(self, level):
        if self.selected and level and self.frame:
            self.frames.append(bytes(self.frame))
            if len(self.frames) > 100:
                self.frames.pop(0)
        self.selected = not level
        self.frame = bytearray()

    def rst(self, level):
        self.reset_pulses.append((level, ticks_ms()))
        self.in_reset = not level
        if level:
            self.power_up()

    def write(self, data):
        assert self.selected
        self.frame.extend(data)
        if self.in_reset or not self.starts:
            return
        address = data[0] >> 1
        assert not data[0] & 0x81
        for value in data[1:]:
            self.store(address, value)

    def store(self, address, value):
        if address == 0x09:
            self.fifo.append(value)
        elif address == 0x0A:
            if value & 0x80:
                self.fifo = bytearray()
        elif address == 0x04:
            assert value == 0x7F
            self.registers[4] = 0
        else:
            self.registers[address] = value
            if address == 0x01 and value == 0x0F:
                self.power_up()
            elif address == 0x01 and value == 0x04:
                self.sent.append(bytes(self.fifo))
                self.fifo = bytearray()
            elif address == 0x0D and value & 0x80:
                assert self.registers[0x01] == 0x0C
                self.sent.append(bytes(self.fifo))
                self.fifo = bytearray()
                answer = self.answers.pop(0) if self.answers else None
                if answer is None:
                    self.registers[4] = 0x45  # TxIRq, LoAlertIRq, TimerIRq
                else:
                    self.fifo = bytearray(answer)
                    self.registers[4] = 0x64  # TxIRq, RxIRq, LoAlertIRq

    def load(self, address):
        if address == 0x09:
            if not self.fifo:
                return 0
            value = self.fifo[0]
            self.fifo = self.fifo[1:]
            return value
        if address == 0x0A:
            return len(self.fifo) if self.level is None else self.level
        if address == 0x04 and self.irq is not None:
            return self.irq
        if address == 0x06:
            return self.error
        if address == 0x0C:
            return 0x10 | self.last_bits
        return self.registers[address]

    def write_readinto(self, data, into):
        assert self.selected and len(data) == len(into)
        self.frame.extend(data)
        values = [0]
        for address in bytes(data)[:-1]:
            assert address & 0x81 == 0x80
            values.append(self.load(address >> 1 & 0x3F))
        assert data[len(data) - 1] == 0  # ends a read, table 6
        for index in range(len(into)):
            if self.miso == "mosi":
                into[index] = data[index]
            elif self.miso is not None or self.in_reset or not self.starts:
                into[index] = self.miso or 0
            else:
                into[index] = values[index]

    def counted(self):
        frames = self.frames
        self.frames = []
        return len(frames), sum([len(frame) for frame in frames])


class WithChip(TestCase):
    def setUp(self):
        self.chip = Chip()
        self.reader = Mfrc522(self.chip, self.chip.cs, self.chip.rst)

    def start(self):
        asyncio.run(self.reader.start())
        self.chip.frames = []

    def send(self, data, last_bits=0, timeout_us=2500):
        self.reader.frame[1 : 1 + len(data)] = data
        self.reader.send(len(data), last_bits, timeout_us)
