"""A time that is forged, replayed, late, retained or of another session never reaches the clock, forward or back."""

from unittest import TestCase

from firmware.clock import Clock, Uptime
from firmware.recorder import Recorder
from storage import record
from storage.mac import derive
from sync import downlink, messages
from sync import upstream as wire

KEY = bytes(range(32))
NONCE = b"session of today"
OLD_NONCE = b"session of before"[:16]
NOW_S = 230_000_000
YEAR_S = 31_536_000


class Log:
    def info(self, area, message, **values):
        pass

    warning = error = info


class Journal:
    def __init__(self):
        self.kinds = []

    def stamp(self, time_s, grade, uncertainty):
        pass

    def append(self, kind, reason=0, pseudonym=None, detail=0):
        self.kinds.append(kind)

    def append_long(self, kind, reason, pseudonym, detail, payload):
        self.kinds.append(kind)


class Kept:
    def get(self, name):
        return 0

    def set(self, name, value):
        return True


class Host:
    """The service, as far as the link and the commands need it."""

    look_s = 60

    def __init__(self):
        self.uptime = Uptime()
        self.clock = Clock(NOW_S - YEAR_S, 50)
        self.clock.care = Kept(), False, "", 600
        self.log = Log()
        self.journal = Journal()
        self.recorder = Recorder(self.journal, self.clock, self.log)

    def monotonic_s(self):
        return self.uptime.seconds

    def command(self, order):
        from firmware import commands

        self.clock.update(self.uptime.seconds)
        return commands.execute(self, order)

    def command_refused(self, operation, result, operator):
        pass


class Link:
    def __init__(self, host):
        self._host = host
        self._nonce = NONCE
        self._number = 0
        self._session_s = 0
        self._refusals_s = self._orders_s = 0
        self._results = []

    def _purpose(self, purpose):
        return derive(KEY, purpose)

    def notify(self):
        self._results.clear()


def command(time_s, operation=messages.OP_SET_TIME, nonce=NONCE, number=1, deadline_s=3, approver=0, key=KEY):
    body = wire.command_body(operation, 0, nonce, number, deadline_s, 7, approver, time_s)
    consent = (wire.approval(derive(key, b"approve"), body),) if approver else ()
    return wire.build_command(derive(key, b"cmd"), body, *consent)


class Forged(TestCase):
    def setUp(self):
        self.host = Host()
        self.link = Link(self.host)
        self.assertEqual(self.send(command(NOW_S)), messages.DONE)
        self.number = 1

    def send(self, data, retained=False):
        return downlink.command(self.link, data, retained)

    def clock(self):
        clock = self.host.clock
        clock.update(self.host.uptime.seconds)
        return clock.now_s, clock.floor_s, clock.trust, clock.uncertainty, clock.doubt

    def unmoved(self, data, result, retained=False):
        before = self.clock()
        self.assertEqual(self.send(data, retained), result)
        self.assertEqual(self.clock(), before)

    def test_the_right_one_is_taken(self):
        self.assertEqual(self.clock()[:3], (NOW_S, NOW_S, record.SYNCHRONISED))

    def test_forged_in_either_direction(self):
        for time_s in (NOW_S + 2, NOW_S + YEAR_S, NOW_S - YEAR_S, 0, 0x3FFFFFFF):
            for operation in (messages.OP_SET_TIME, messages.OP_LOWER_CLOCK):
                self.unmoved(command(time_s, operation, number=2, approver=8, key=bytes(32)), messages.WRONG_MAC)

    def test_any_flipped_bit(self):
        data = command(NOW_S + 2, number=2)
        for bit in range(8 * len(data)):
            bad = bytearray(data)
            bad[bit >> 3] ^= 1 << (bit & 7)
            before = self.clock()
            self.assertTrue(self.send(bytes(bad)) in (messages.WRONG_MAC, messages.MALFORMED), bit)
            self.assertEqual(self.clock(), before)

    def test_replayed_stale_late_and_retained(self):
        self.unmoved(command(NOW_S), messages.REPLAYED)
        self.unmoved(command(NOW_S + 2, nonce=OLD_NONCE, number=9), messages.WRONG_SESSION)
        self.unmoved(command(NOW_S + 2, number=2), messages.RETAINED, True)
        self.host.uptime.advance(4000)
        self.unmoved(command(NOW_S, number=3), messages.TOO_LATE)

    def test_one_person_lowers_no_clock(self):
        self.unmoved(command(NOW_S - YEAR_S // 2, messages.OP_LOWER_CLOCK, number=2), messages.NOT_APPROVED)
        data = bytearray(command(NOW_S - YEAR_S // 2, messages.OP_LOWER_CLOCK, number=3, approver=8))
        body = bytes(data[:40])
        data = wire.build_command(derive(KEY, b"cmd"), body, bytes(16))  # the operator invents an approver
        self.unmoved(data, messages.NOT_APPROVED)
        self.assertEqual(self.host.journal.kinds, [record.CLOCK])

    def test_two_do(self):
        lowered_s = NOW_S - YEAR_S // 4
        self.assertEqual(self.send(command(lowered_s, messages.OP_LOWER_CLOCK, number=2, approver=8)), messages.DONE)
        self.assertEqual(self.clock()[:3], (lowered_s, lowered_s, record.SYNCHRONISED))
        self.assertEqual(self.host.journal.kinds, [record.CLOCK, record.CLOCK])
