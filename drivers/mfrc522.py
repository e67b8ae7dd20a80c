"""MFRC522 reader chip on SPI: the transport under drivers/iso14443a.py.

    from machine import Pin, SPI
    chip = Mfrc522(SPI(2, baudrate=4_000_000), Pin(16, Pin.OUT, value=1), Pin(17, Pin.OUT, value=0))
    cards = Iso14443a(chip)
    await cards.start()

Registers and sections are those of the MFRC522 data sheet, revision 3.9. What one exchange costs on the bus is counted
in tests/drivers/chip_mfrc522.py: no register is read to be modified, and one frame reads all status registers.
"""

from time import ticks_diff, ticks_ms

from micropython import const

from drivers.iso14443a import BUSY, COLLISION, GARBLED, NIBBLE, TIMEOUT, ReaderFault

# Address bytes on SPI: register << 1, bit 7 set to read, 8.1.2.3
_STATUS2 = const(0x08 << 1)
_FIFO_DATA = const(0x09 << 1)
_WATER_LEVEL = const(0x0B << 1)
_BIT_FRAMING = const(0x0D << 1)
_COLL = const(0x0E << 1)
_TX_CONTROL = const(0x14 << 1)
_RELOAD_HIGH = const(0x2C << 1)
_RELOAD_LOW = const(0x2D << 1)
_READ = const(0x80)

_START_SEND = const(0x80)
_CRYPTO1_ON = const(0x08)  # in Status2Reg
# In CollReg
_NOT_VALID = const(0x20)
_POSITION = const(0x1F)  # 1: the first bit, 0: the 32nd
# ComIrqReg
_SET1 = const(0x80)  # write only, reads 0
_RX_IRQ = const(0x20)
_IDLE_IRQ = const(0x10)
_ERR_IRQ = const(0x02)
_TIMER_IRQ = const(0x01)
# ErrorReg
_COLL_ERR = const(0x08)
_OTHER_ERRORS = const(0x93)  # WrErr, BufferOvfl, ParityErr, ProtocolErr

_FIFO_SIZE = const(64)
_SHORT = const(11)  # frames that have their slice of the buffer ready are shorter than this, address included
_FEW = const(7)  # and those that are received
_READY = const(0x47C)  # of these: 2 to 6 and 10 bytes
_TICK_US = const(25)  # of the chip's timer: 13.56 MHz / (2 * 169 + 1)
_SLACK_MS = const(20)  # 64 bytes each way take 12 ms of air
# A class of timeout of its own, which tells poll() that MFAuthent runs; no other frame has this number
_AUTHENTICATION_US = const(25001)

# Whole SPI frames that never change
_STOP = const(b"\x02\x00")  # CommandReg: Idle
_TRANSCEIVE = const(b"\x02\x0c")
_TRANSMIT = const(b"\x02\x04")
_AUTHENTICATE = const(b"\x02\x0e")
_PLAIN = const(b"\x10\x00")  # Status2Reg: MFCrypto1On off
_CLEAR_IRQ = const(b"\x08\x7f")  # ComIrqReg: clear all
_FIFO_READ = const(b"\x92")
_FLUSH = const(b"\x14\x80")  # FIFOLevelReg: FlushBuffer
# Read ComIrqReg, ErrorReg, FIFOLevelReg and ControlReg in one frame; each value follows its address, table 6
_STATUS = const(b"\x88\x8c\x94\x98\x00")
# Version, Status2, TxControl, RFCfg, TMode, TPrescaler, TxASK, Command, WaterLevel
_HEALTH = const(b"\xee\x90\xa8\xcc\xd4\xd6\xaa\x82\x96\x00")

_GAINS_DB = const((18, 23, 18, 23, 33, 38, 43, 48))  # RFCfgReg.RxGain

_DEAD = "Reader does not answer: check its power, wiring and reset pin, then start it again."


class Mfrc522:
    """One chip on a bus of its own: nobody else may clock it during an exchange."""

    def __init__(self, spi, cs, rst, gain_db=33, baudrate=4_000_000, power=None):
        """`cs` and `rst` are output pins; `rst` may be None when it is wired to the supply.

        `gain_db` of the receiver is 18, 23, 33, 38, 43 or 48. More than needed makes read errors. `baudrate` is the
        SPI clock, 10 MHz at most (8.1.2); above 1 MHz it must pass a test at each start. `power` is an output pin that
        switches the chip's supply, high is on.
        """
        if gain_db not in _GAINS_DB:
            raise ValueError("gain_db must be 18, 23, 33, 38, 43 or 48.")
        self._cs = cs
        self._rst = rst
        self.power = power
        self._gain = _GAINS_DB.index(gain_db) << 4 | 0x08  # bit 3 is reserved and 1 after reset
        self._wanted = baudrate
        self.baudrate = 0  # of the SPI clock in use: lower than what was wanted when that failed its test
        self._clock = spi.init
        self._write = spi.write  # bound once: binding on the way would allocate
        self._exchange = spi.write_readinto
        self.frame = bytearray(1 + _FIFO_SIZE)
        self._view = memoryview(self.frame)
        self._addresses = memoryview(_FIFO_READ * _FIFO_SIZE + b"\x00")
        # Slices by size, with the address in front: of the frames that every look has, the others are made when met
        self._slices = [self._view[:size] if _READY >> size & 1 else None for size in range(_SHORT)]
        self._reads = [self._addresses[-size:] if _READY >> size & 1 else None for size in range(_FEW)]
        self._pair = bytearray(2)
        self._status = bytearray(len(_STATUS))
        self._begin = bytearray(b"\x1a\x00")  # BitFramingReg: StartSend and what is set there; 0 is not known
        self._timeout_us = 0
        self._wait_ms = 0
        self._sent_ms = ticks_ms()
        self._antenna = 0
        self._scratch = 0x15
        self.version = 0
        self.rx_last_bits = 0  # valid bits in the last byte received, 0: all

    def start(self, stage=3):
        """A coroutine: reset the chip, prove that it works, set it up and switch the field on. Raises ReaderFault.

        By `stage`: 1 resets it by command, 2 by its pin too, 3 begins with a slow SPI clock, 4 with the supply. The
        code for it is loaded when it is needed, drivers/mfrc522_start.py.
        """
        from drivers import mfrc522_start

        return mfrc522_start.start(self, stage)

    def healthy(self):
        """Whether the chip can be written and read and is set as start() left it, in two SPI frames.

        For between two exchanges: a card does not notice, and the FIFO is left alone, because HLTA may still be on
        its way. After a MIFARE Classic session plain() must have been called.
        """
        scratch = self._scratch = self._scratch ^ 0x3F  # 15h and 2Ah: every bit of WaterLevelReg both ways
        self._register(_WATER_LEVEL, scratch)
        view = self._slices[len(_HEALTH)]
        self._cs(0)
        self._exchange(_HEALTH, view)
        self._cs(1)
        # Clones may show other bits than these differently
        return (
            0 < view[1] < 0xFF
            and not view[2] & _CRYPTO1_ON
            and view[3] & 0x03 == self._antenna
            and (view[4] ^ self._gain) & 0x70 == 0
            and view[5] & 0x80 != 0
            and view[6] == 0xA9
            and view[7] & 0x40 != 0
            and view[8] & 0x30 == 0  # neither receiver nor chip switched off
            and view[9] & 0x3F == scratch
        )

    def field(self, on):
        """The carrier on both antenna pins. Cards must get 5.1 ms after it is on."""
        self._antenna = 0x03 if on else 0x00
        self._register(_TX_CONTROL, 0x80 | self._antenna)

    def send(self, length, last_bits, timeout_us):
        """Begin an exchange: frame[1:1 + length] goes out, with `last_bits` bits of its last byte (0: all of them).

        `timeout_us` counts from the end of sending to the first bits of the answer. In anticollision bits 4 to 6 of
        `last_bits` tell where in its first byte the answer begins (RxAlign).
        """
        if timeout_us != self._timeout_us:
            self._timer(timeout_us)
        # BitFraming goes first alone when it changes: a chip that still holds StartSend would send with the old one
        begin = self._begin
        if last_bits | _START_SEND != begin[1]:
            begin[1] = last_bits | _START_SEND
            self._register(_BIT_FRAMING, last_bits)
        cs = self._cs
        write = self._write
        cs(0)
        write(_CLEAR_IRQ)
        cs(1)
        cs(0)
        write(_FLUSH)
        cs(1)
        self.frame[0] = _FIFO_DATA  # the whole frame in one burst behind the address
        length += 1
        data = self._slices[length] if length < _SHORT else None
        cs(0)
        write(data or self._view[:length])
        cs(1)
        cs(0)
        write(_TRANSCEIVE)
        cs(1)
        cs(0)
        write(begin)
        cs(1)
        self._sent_ms = ticks_ms()

    def _timer(self, timeout_us):
        self._timeout_us = timeout_us
        self._wait_ms = timeout_us // 1000 + _SLACK_MS
        ticks = min(timeout_us // _TICK_US, 0xFFFF)
        self._register(_RELOAD_HIGH, ticks >> 8)
        self._register(_RELOAD_LOW, ticks & 0xFF)

    def poll(self):
        """How the exchange goes: BUSY, TIMEOUT, COLLISION, GARBLED, NIBBLE or the number of bytes now in frame[1:].

        After authenticate() 0 means that Crypto1 is on. Raises ReaderFault.
        """
        status = self._status
        cs = self._cs
        cs(0)
        self._exchange(_STATUS, status)
        cs(1)
        irq = status[1]
        if irq & _SET1:  # always reads 0: nobody drives the line
            raise ReaderFault(_DEAD)
        if irq & _RX_IRQ:
            if status[2] & _COLL_ERR:
                return COLLISION
            count = status[3]
            if status[2] & _OTHER_ERRORS or not 0 < count <= _FIFO_SIZE:
                return GARBLED
            self.rx_last_bits = last_bits = status[4] & 0x07
            if count < _FEW - 1 and self._reads[count + 1]:
                cs(0)
                self._exchange(self._reads[count + 1], self._slices[count + 1])
                cs(1)
            else:
                self._take(count)
            if last_bits:  # only complete bytes are a frame here
                return NIBBLE if count == 1 and last_bits == 4 else GARBLED
            return count
        if irq & _TIMER_IRQ:
            self._put(_STOP)  # the receiver would listen on
            return TIMEOUT
        authenticating = self._timeout_us == _AUTHENTICATION_US
        if authenticating and irq & _IDLE_IRQ:
            return 0 if self._read(_STATUS2) & _CRYPTO1_ON else TIMEOUT
        if ticks_diff(ticks_ms(), self._sent_ms) < self._wait_ms:
            return BUSY
        # The timer runs out whatever a card does, unless the first bits of an answer have stopped it
        if not (irq & _ERR_IRQ or authenticating):
            raise ReaderFault(_DEAD)
        self._put(_STOP)
        return TIMEOUT if authenticating else GARBLED

    def collision(self):
        """After COLLISION: what came goes to frame[1:]; gives how many of its bits came before the two cards differed.

        Bits count from bit 0 of the first byte, those left out by RxAlign included. -1: the chip cannot tell.
        """
        register = self._read(_COLL)
        count = self._status[3]
        if register & _NOT_VALID or not 0 < count <= _FIFO_SIZE:
            return -1
        self._take(count)
        return (register - 1) & _POSITION

    def authenticate(self, command, block, key, uid):
        """Begin MFAuthent (10.3.1.9): `command` 60h for key A or 61h for B, 6 bytes of key, the last 4 of the UID.

        Any UID gives its last 4 bytes, AN10927 3.2.5. Then poll(). What follows goes encrypted, until plain().
        """
        frame = self.frame
        frame[1] = command
        frame[2] = block
        frame[3:9] = key
        frame[9:13] = uid
        self._timer(_AUTHENTICATION_US)
        self._put(_CLEAR_IRQ)
        self._put(_FLUSH)
        frame[0] = _FIFO_DATA
        self._put(self._view[:13])
        self._put(_AUTHENTICATE)
        self._sent_ms = ticks_ms()

    def plain(self):
        """End encryption: to be called however a MIFARE Classic session ends, or the reader is deaf from then on."""
        self._put(_STOP)
        self._put(_PLAIN)

    def push(self, length):
        """Send frame[1:1 + length] and do not listen; 1 to 5 or 9 bytes. The exchange before ended in whole bytes."""
        self.frame[0] = _FIFO_DATA
        self._put(self._slices[length + 1])
        self._put(_TRANSMIT)

    def _put(self, data):
        self._cs(0)
        self._write(data)
        self._cs(1)

    def _register(self, address, value):
        pair = self._pair
        pair[0] = address
        pair[1] = value
        self._put(pair)

    def _read(self, address):
        pair = self._pair
        pair[0] = address | _READ
        pair[1] = 0
        self._cs(0)
        self._exchange(pair, pair)
        self._cs(1)
        return pair[1]

    def _take(self, count):
        """The FIFO into frame[1:], in one burst: an address for each byte, which comes after it."""
        size = count + 1
        self._cs(0)
        self._exchange(self._addresses[-size:], self._view[:size])
        self._cs(1)
