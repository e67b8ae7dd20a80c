"""What the MFRC522 does by itself while time passes: transmitter, receiver, field.

`mfrc522_chip.Mfrc522Chip` adds the register interface. Nothing runs here: each access to a register that may have
changed calls `settle()`, which works off, in order, what has become due until `clock.now_us()`. Sections are those of
the MFRC522 data sheet, rev. 3.9.

Simplified: the FIFO is emptied at once when a transmission starts; only 106 kbit/s (cards do not hear a faster
frame); with ParityDisable set no card understands a frame longer than 7 bits. Open in the data sheet: whether CollPos
counts the bits that RxAlign skips; `coll_aligned` True (they count) or False.
"""

import random

from micropython import const

from boards.sim.cards import Field, crc_a, crc_fits
from boards.sim.mfrc522_crypto import Crypto
from boards.sim.mfrc522_units import NEVER, us_of_fc

_COMMAND = const(0x01)
_COM_IRQ = const(0x04)
_ERROR = const(0x06)
_CONTROL = const(0x0C)
_BIT_FRAMING = const(0x0D)
_COLL = const(0x0E)
_MODE = const(0x11)
_TX_MODE = const(0x12)
_RX_MODE = const(0x13)
_TX_CONTROL = const(0x14)
_TX_ASK = const(0x15)
_RX_SEL = const(0x17)
_MF_RX = const(0x1D)
_RF_CFG = const(0x26)
_T_MODE = const(0x2A)

_TX_IRQ = const(0x40)
_RX_IRQ = const(0x20)
_IDLE_IRQ = const(0x10)

_COLLISION_ERROR = const(0x08)
_CRC_ERROR = const(0x04)
_PARITY_ERROR = const(0x02)

_TRANSMIT = const(4)
_RECEIVE = const(8)
_TRANSCEIVE = const(12)
_AUTHENTICATE = const(14)

# ModemState of Status2Reg (table 38). RxWait becomes "wait for data" (5) by time alone.
_MODEM_IDLE = const(0)
_MODEM_WAIT_SEND = const(1)
_MODEM_WAIT_FIELD = const(2)
_MODEM_SENDING = const(3)
_MODEM_WAIT_ANSWER = const(4)
_MODEM_RECEIVING = const(6)

_POWER_DOWN = const(0x10)
_FIFO_SIZE = const(64)
_ETU_FC = const(128)


class Radio(Crypto):
    """Modem and antenna; the registers that steer them are written by the subclass."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock
        self.field = Field(self)
        self._modem = _MODEM_IDLE
        self._next_us = self._modem_us = self._wake_us = NEVER  # what comes first, the modem's event, the oscillator
        self._out = bytearray(_FIFO_SIZE + 2)  # the frame on its way out
        self._out_bits = self._out_us = self._wait_us = 0
        self._out_fc = 0  # its length; all later times count from _out_us, so that roundings do not add up
        self._air_us = NEVER  # when the answer to it begins
        self._air_bits = self._air_fc = 0
        self._in = bytearray(0)  # the frame on its way in
        self._in_size = self._in_bits = self._in_index = self._in_hold = self._in_offset = 0
        self._in_us = self._in_end_us = self._in_errors = 0
        self._radiates = False
        self.coll_aligned = True
        self.deaf = False  # fault: the antenna is broken, nothing goes out or comes in
        self.noise = 0  # fault: so many of the next answers arrive with a wrong bit
        self.gain_limit = 7  # fault: with a higher RxGain code most answers of more than two bytes are damaged

    def settle(self):
        """Do what has become due; return the present in microseconds."""
        now_us = self._clock.now_us()
        if now_us >= self._next_us:
            self._advance(now_us)
        return now_us

    def _advance(self, now_us):
        due_us = self._next_us
        while due_us <= now_us:
            if due_us == self._timer_us:
                self._timer_ends(due_us, now_us)
            elif due_us == self._modem_us:
                self._modem_event(due_us)
            else:
                self._wake_us = NEVER
                self.registers[_COMMAND] &= ~_POWER_DOWN & 0xFF
                self._update_field(due_us)
            due_us = self._plan()

    def _plan(self):
        self._next_us = due_us = min(self._timer_us, self._modem_us, self._wake_us)
        return due_us

    # Antenna

    def _update_field(self, at_us):
        registers = self.registers
        on = bool(registers[_TX_CONTROL] & 3) and not registers[_COMMAND] & _POWER_DOWN
        if on != self._radiates:
            self._radiates = on
            self.field.switch(on, at_us)
            if not on:
                self.cut(at_us)
            elif self._modem == _MODEM_WAIT_FIELD:
                self._send(at_us)

    def cut(self, now_us):
        """Take note that the answer which is on air, if there is one, breaks off here."""
        if self._modem == _MODEM_RECEIVING:
            periods = (now_us - self._in_us) * 339 // (25 * _ETU_FC) - 1
            bits = max(0, periods - (periods + self._in_offset) // 9)
            if bits < self._air_bits:
                self._in_bits = bits
                self._in_size = (self._in_offset + bits + 7) // 8
                self._in_end_us = self._modem_us = now_us
                if self._in_offset + bits & 7:
                    self._in[self._in_size - 1] &= (1 << (self._in_offset + bits & 7)) - 1
        elif self._air_us != NEVER:
            self._air_us = NEVER
            if self._modem == _MODEM_WAIT_ANSWER:
                self._modem_us = NEVER
        self._plan()

    # Transmitter

    def _halt_modem(self):
        self._modem = _MODEM_IDLE
        self._modem_us = NEVER
        self._pass = 0
        self._plan()

    def _finish(self):
        """End a command that ends by itself: CommandReg shows Idle, IdleIRq is set."""
        self.registers[_COMMAND] &= 0xF0
        self.registers[_COM_IRQ] |= _IDLE_IRQ

    def _send(self, now_us):
        registers = self.registers
        if not self._radiates and registers[_MODE] & 0x20:  # TxWaitRF
            self._modem = _MODEM_WAIT_FIELD
            self._modem_us = NEVER
            self._plan()
            return
        out = self._out
        count = self._level
        for i in range(count):
            out[i] = self._fifo[(self._head + i) & 63]
        self._flush()
        last_bits = registers[_BIT_FRAMING] & 7
        if registers[_COMMAND] & 0x0F == _AUTHENTICATE:
            count = self._begin_authentication()
            last_bits = 0
        elif count and not last_bits and registers[_TX_MODE] & 0x80:  # TxCRCEn
            crc = crc_a(out, count)
            out[count] = crc & 0xFF
            out[count + 1] = crc >> 8
            count += 2
        bits = 8 * count - (8 - last_bits if last_bits and count else 0)
        self._conceal(bits)
        if bits >= 8 and registers[_MF_RX] & 0x10:  # ParityDisable
            self._parity = -1
        self._transmit(bits, now_us)

    def _transmit(self, bits, now_us):
        self._out_bits = bits
        self._out_us = now_us
        self._air_us = NEVER
        self._modem = _MODEM_SENDING
        # Start of communication, then 9 bit periods a byte: 8 data bits and parity (ISO/IEC 14443-3 6.2.3).
        self._out_fc = (1 + bits + bits // 8) * _ETU_FC if bits else 0
        self._modem_us = now_us + us_of_fc(self._out_fc)
        self._plan()

    def _sent(self, due_us):
        registers = self.registers
        command = registers[_COMMAND] & 0x0F
        if registers[_T_MODE] & 0x80:  # TAuto
            self._timer_begins(due_us)
        bits = self._out_bits
        heard = 0
        # A card sees 100 % modulation only, and none of a faster frame.
        if bits and not self.deaf and registers[_TX_ASK] & 0x40 and not registers[_TX_MODE] & 0x70:
            gain = registers[_RF_CFG] >> 4 & 7
            heard = self.field.answer(self._out, bits, self._out_us, gain, self._parity)
        self._modem_us = NEVER
        self._wait_us = due_us
        if command != _AUTHENTICATE:  # which blocks TxIRq and RxIRq
            registers[_COM_IRQ] |= _TX_IRQ
        self._air_bits = heard
        if heard:
            self._air_fc = self._out_fc + self.field.delay_fc
            self._air_us = self._out_us + us_of_fc(self._air_fc)
        if command == _TRANSMIT:
            self._modem = _MODEM_IDLE
            self._finish()
        else:
            self._modem = _MODEM_WAIT_ANSWER
            # What begins while RxWait runs is not heard (table 86).
            if (registers[_RX_SEL] & 0x3F) * _ETU_FC <= self.field.delay_fc:
                self._listen()

    # Receiver

    def _listen(self):
        registers = self.registers
        if self._air_us != NEVER and not registers[_COMMAND] & 0x20 and not registers[_RX_MODE] & 0x70:  # RcvOff
            self._modem_us = self._air_us

    def _modem_event(self, due_us):
        modem = self._modem
        if modem == _MODEM_RECEIVING:
            self._receive(due_us)
        elif modem == _MODEM_SENDING:
            self._sent(due_us)
        else:
            self._answer_begins(due_us)

    def _answer_begins(self, due_us):
        registers = self.registers
        field = self.field
        self._modem = _MODEM_RECEIVING
        self._air_us = NEVER
        # Error bits of the receiver are cleared in its start-up phase (table 33).
        registers[_ERROR] &= 0xF0
        registers[_COLL] = registers[_COLL] & 0x80 | 0x20
        bits = self._air_bits
        align = registers[_BIT_FRAMING] >> 4 & 7
        self._in = reply = bytearray(field.reply)
        self._in_errors = 0 if self._reveal(reply, bits, field.parity) else _PARITY_ERROR
        if field.offset:
            reply[0] &= 0xFF << field.offset & 0xFF
        if align != field.offset:
            # Bytes end elsewhere than the receiver thinks, and so do their parity bits.
            self._in = reply = bytearray(
                (int.from_bytes(reply, "little") >> field.offset << align).to_bytes((align + bits + 7) // 8, "little")
            )
            self._in_errors |= _PARITY_ERROR
        if field.collision >= 0:
            self._collide(align, field.collision)
        strong = registers[_RF_CFG] >> 4 & 7 > self.gain_limit and bits > 16 and random.getrandbits(2)
        if self.noise or strong:
            self.noise = max(0, self.noise - 1)
            reply[-1] ^= 1 << (align + bits - 1 & 7)
            self._in_errors |= _PARITY_ERROR
        self._in_bits = bits
        self._in_offset = align
        self._in_size = size = (align + bits + 7) // 8
        # With RxCRCEn the last two bytes are checked, not handed over, so bytes leave the receiver two later.
        self._in_hold = 2 if registers[_RX_MODE] & 0x80 and size > 2 else 0
        if self._pass:
            self._in_hold = size  # an authentication gives nothing to the host
        self._in_index = -1
        self._in_us = due_us
        self._in_end_us = self._out_us + us_of_fc(self._air_fc + (1 + bits + (align + bits) // 8) * _ETU_FC)
        self._modem_us = min(due_us + us_of_fc(5 * _ETU_FC), self._in_end_us)

    def _collide(self, align, position):
        registers = self.registers
        counted = position + align if self.coll_aligned else position
        position += align
        reply = self._in
        self._in_errors |= _COLLISION_ERROR
        if counted < 32:  # CollPos counts from 1, 0 means the 32nd bit; later ones cannot be told
            registers[_COLL] = registers[_COLL] & 0x80 | (counted + 1 & 0x1F)
        if not registers[_COLL] & 0x80:  # ValuesAfterColl
            index = position >> 3
            reply[index] &= (1 << (position & 7)) - 1
            for i in range(index + 1, len(reply)):
                reply[i] = 0

    def _next_byte(self):
        byte_us = self._out_us + us_of_fc(self._air_fc + (10 - self._in_offset + 9 * self._in_index) * _ETU_FC)
        self._modem_us = min(byte_us, self._in_end_us)

    def _receive(self, due_us):
        registers = self.registers
        index = self._in_index
        if index < 0:
            # TAuto without RxMultiple: the fifth bit stops the timer (table 106).
            self._in_index = index = 0
            if registers[_T_MODE] & 0x80 and not registers[_RX_MODE] & 4 and self._in_bits > 3:
                self._timer_stops(due_us)
            if due_us < self._in_end_us:
                self._next_byte()
                return
        if due_us < self._in_end_us:
            if index >= self._in_hold:
                self._push(self._in[index - self._in_hold])
            self._in_index = index + 1
            self._next_byte()
            return
        self._modem_us = NEVER
        bits = self._in_bits
        if not bits or (bits < 4 and registers[_RX_MODE] & 8):  # RxNoErr
            self._modem = _MODEM_WAIT_ANSWER
            return
        if self._pass:
            self._authentication_answered(due_us)
            return
        size = self._in_size
        for i in range(max(0, index - self._in_hold), size - self._in_hold):
            self._push(self._in[i])
        registers[_CONTROL] = registers[_CONTROL] & 0xF8 | (self._in_offset + bits & 7)
        errors = self._in_errors
        if registers[_RX_MODE] & 0x80:
            whole = not (bits | self._in_offset) & 7 and size > 2
            if not whole or not crc_fits(self._in, size):
                errors |= _CRC_ERROR
        registers[_COM_IRQ] |= _RX_IRQ
        if errors:
            self._raise(errors)
        if registers[_RX_MODE] & 4:  # RxMultiple: a copy of ErrorReg follows, and the receiver goes on (table 55)
            self._push(registers[_ERROR])
            self._modem = _MODEM_WAIT_ANSWER
        elif registers[_COMMAND] & 0x0F == _RECEIVE:
            self._modem = _MODEM_IDLE
            self._finish()
        else:
            self._modem = _MODEM_WAIT_SEND

    def _authentication_answered(self, due_us):
        send_us = self._authentication_goes_on(due_us)
        if send_us:
            self._transmit(64, send_us)
        elif send_us is None:
            self._halt_modem()
            self._finish()
        else:
            self._modem = _MODEM_WAIT_ANSWER
