"""The hour on the chip: what a step costs, the record at its end, the RTC's memory over a reset, the door closer."""

import sys
from unittest import TestCase

from micropython import heap_lock, heap_unlock

from firmware import hourly, upkeep
from firmware.rate import Rate
from storage import hours, ondemand, record

START_S = 400_003_200  # a full hour


class Kept(dict):
    def __init__(self):
        super().__init__()
        self.writes = 0

    def get(self, name):
        return super().get(name, 0)

    def set(self, name, value):
        self[name] = value
        self.writes += 1


class Recorder:
    """Records of long form, and alarms as firmware.recorder has them."""

    def __init__(self):
        self.alarms = set()
        self.records = []
        self.changes = []

    def note(self, kind, reason=0, pseudonym=None, detail=0, payload=None):
        self.records.append((kind, reason, detail, payload))
        return True

    def alarm_on(self, alarm, detail=0):
        if alarm not in self.alarms:
            self.alarms.add(alarm)
            self.changes.append((alarm, True, detail))

    def alarm_off(self, alarm, detail=0):
        if alarm in self.alarms:
            self.alarms.discard(alarm)
            self.changes.append((alarm, False, detail))


class Log:
    def __init__(self):
        self.lines = []

    def info(self, area, message, **values):
        self.lines.append((area, message, values))


class Hours(TestCase):
    def setUp(self):
        self.rate = Rate()
        self.kept = Kept()
        self.recorder = Recorder()
        self.log = Log()
        self.now_s = START_S
        self.memory_bytes = b""
        self.memory_writes = 0
        self.add(0, 0)

    def add(self, which, seconds):
        self.now_s += seconds
        if not self.rate.add(which, 1000 * seconds, self.now_s):
            finished = upkeep.take(self.rate, which, 1000 * seconds, self.now_s)
            if finished:
                upkeep.write(finished, self.recorder, self.log, self.rate, self.kept, 150)

    def memory(self, data):
        self.memory_bytes = bytes(data)
        self.memory_writes += 1

    def test_a_step_allocates_nothing(self):
        rate = self.rate
        now_s = self.now_s
        heap_lock()
        try:
            for _ in range(50):
                rate.add(5, 20, now_s)
        finally:
            heap_unlock()
        self.assertEqual(rate.state[5], 1000)

    def test_one_record_an_hour(self):
        for _ in range(240):
            self.add(0, 55)
            self.add(hours.OPEN + record.CAUSE_EXIT, 5)
        self.assertEqual(len(self.recorder.records), 4)
        for number, entry in enumerate(self.recorder.records):
            self.assertEqual(entry[:3], (record.HOUR, 0, START_S // 3600 + number))
            self.assertEqual(len(entry[3]), 24)
            counts = hours.unpack(entry[3])
            self.assertEqual((counts[hours.CLOSED], counts[hours.OPEN + record.CAUSE_EXIT]), (3300, 300))
        self.assertEqual(self.log.lines[0], ("rate", "hour", {"closed": 3300, "open": 300, "unknown": 0}))
        self.assertEqual(self.rate.latest, [4 * 3300, 4 * 3600])
        self.assertEqual(self.kept.writes, 0)

    def test_what_is_rare_can_be_dropped(self):
        ondemand.drop(upkeep.MODULES)
        for name in upkeep.MODULES:
            self.assertFalse(name in sys.modules)

    def test_a_reset_keeps_the_hour(self):
        self.add(5, 600)
        self.rate.save(self.memory, 7)
        self.rate.save(self.memory, 7)
        self.assertEqual(self.memory_writes, 1)
        self.rate = Rate()
        hourly.resume(self.rate, self.memory_bytes)
        self.now_s += 30
        self.add(0, 0)
        self.add(0, 2970)
        self.rate.save(self.memory, 2)  # of the new start
        counts = hours.unpack(self.recorder.records[0][3])
        self.assertEqual((counts[5], counts[hours.UNKNOWN], counts[hours.CLOSED]), (600, 30, 2970))
        self.assertEqual(counts[hours.CYCLES], 7)

    def test_memory_that_is_damaged_or_lost_is_not_taken(self):
        self.add(5, 600)
        self.rate.save(self.memory, 0)
        for kept in (b"", self.memory_bytes[:-1], bytes(len(self.memory_bytes))):
            rate = Rate()
            hourly.resume(rate, kept)
            self.assertFalse(rate.resumed)
        for at in range(8 * len(self.memory_bytes)):
            kept = bytearray(self.memory_bytes)
            kept[at >> 3] ^= 1 << (at & 7)
            rate = Rate()
            hourly.resume(rate, kept)
            self.assertFalse(rate.resumed)

    def close(self, count, tenths):
        for _ in range(count):
            self.rate.latched(100 * tenths)
        self.add(0, 3600)

    def test_the_closer_is_learnt_once_and_warned_of_once(self):
        self.close(15, 60)
        self.assertEqual((self.rate.closer, self.kept.get("closer")), (0, 0))
        self.close(1, 60)
        self.assertEqual((self.rate.closer, self.kept.get("closer")), (60, 60))
        self.close(16, 89)
        self.assertEqual(self.recorder.changes, [])
        self.close(16, 91)
        self.close(16, 91)
        self.assertEqual(self.recorder.changes, [(record.ALARM_CLOSER_SLOW, True, 91)])
        self.close(16, 80)  # better, not good
        self.assertEqual(len(self.recorder.changes), 1)
        self.close(16, 62)
        self.assertEqual(self.recorder.changes[1:], [(record.ALARM_CLOSER_SLOW, False, 62)])
        self.assertEqual((self.kept.get("closer"), self.kept.writes), (60, 1))

    def test_a_leaf_that_falls_shut_just_after_a_release_wipes_nothing(self):
        self.close(32, 60)
        self.rate.latched(60)
        self.add(0, 3600)
        self.assertEqual(self.rate.closer, 60)

    def test_people_who_hold_the_door_are_no_slow_closer(self):
        self.close(16, 60)
        for _ in range(4):
            self.rate.latched(5_800)
            for _ in range(3):
                self.rate.latched(120_000)
        self.add(0, 3600)
        self.assertEqual(self.rate.closer, 58)
        self.assertEqual(self.recorder.changes, [])

    def test_no_warning_where_none_is_wanted_and_a_new_closer_is_learnt(self):
        self.close(16, 60)
        for percent, learnt in ((0, 0), (150, 120)):
            for _ in range(16):
                self.rate.latched(12_000)
            finished = upkeep.take(self.rate, 0, 3_600_000, self.now_s + 3600)
            self.now_s += 3600
            self.assertEqual(len(finished), 1)
            upkeep.write(finished, self.recorder, self.log, self.rate, self.kept, percent)
            self.assertEqual(self.kept.get("closer"), learnt)
        self.assertEqual(self.recorder.changes, [])
