"""The card path on MicroPython: record before relay, what a failing journal means, what a tap allocates."""

import gc
from unittest import TestCase

from drivers.credential import CLASSIC, DESFIRE, FALSE, LOST, NTAG424, PROVEN, UID as UID_KIND
from firmware.clock import Clock, Uptime
from firmware.config import DEFAULTS
from firmware.door import Door
from firmware.passage import SILENT, SOON, Passage
from firmware.recorder import Recorder
from storage import entry as entries
from storage import record
from storage.mac import Hmac

KEY = bytes(range(32))
UID = b"\x04\x11\x22\x33\x44\x55\x66"
RESIDENTS = 0
VISITORS = 1
WEAK = 1 << 6  # a record's detail: group 0, kind 1


def pseudonym_of(uid, kind=UID_KIND):
    mac = Hmac(KEY)
    mac.update(bytes((kind,)))
    mac.update(uid)
    return mac.digest()[:7]


class Entry:
    state = entries.LIVE
    valid_from = 0
    valid_until = 0xFFFFFF
    group = RESIDENTS
    limited = False
    uses_left = 0


class List:
    def __init__(self, trace):
        self.entry = Entry()
        self.known = pseudonym_of(UID)
        self._trace = trace

    def find(self, pseudonym):
        return pseudonym == self.known

    def use(self, _pseudonym):
        self._trace.append("use")
        self.entry.uses_left -= 1
        return self.entry.uses_left


class Journal:
    def __init__(self, trace):
        self.trace = trace
        self.fails = False

    def stamp(self, time_s, grade, uncertainty):
        self.stamped = time_s, grade, uncertainty

    def append(self, kind, reason, pseudonym, detail):
        if self.fails:
            raise OSError(5)
        self.trace.append((kind, reason, bytes(pseudonym or b""), detail))


class Lock:
    def __init__(self, trace):
        self.trace = trace
        self.released = False

    def release(self):
        self.released = True
        self.trace.append("relay")


class Log:
    def error(self, area, message, **values):
        pass


class CardPath(TestCase):
    def setUp(self):
        self.trace = []
        self.list = List(self.trace)
        self.journal = Journal(self.trace)
        self.lock = Lock(self.trace)
        self.clock = Clock(200_000_000, 50)
        self.clock.synchronise(200_000_100, 0)
        self.recorder = Recorder(self.journal, self.clock, Log())
        self.uptime = Uptime()
        self.door = Door(30, 60, True)
        self.passage = Passage(KEY, self.list, self.recorder, self.clock, self.uptime, self.door, self.lock, DEFAULTS)

    def show(self, uid=UID):
        return self.prove(uid)[1]

    def prove(self, uid, proof=PROVEN, sak=0x08, **found):
        """Show a card whose proof comes to this; what it was recognised as, and the reason."""
        credential = self.passage.credential
        credential.uid[: len(uid)] = uid
        kind = self.passage.recognise(len(uid), sak)
        for name, value in found.items():
            setattr(credential, name, value)
        return kind, self.passage.present(proof)

    def test_the_record_comes_before_the_relay(self):
        self.assertEqual(self.show(), record.OK)
        self.assertEqual(self.trace, [(record.GRANTED, record.OK, pseudonym_of(UID), WEAK), "relay"])
        self.assertTrue(self.door.relay)
        self.assertEqual(bytes(self.passage.granted), pseudonym_of(UID))

    def test_uids_of_all_lengths_have_their_own_pseudonyms(self):
        for uid in (UID[:4], UID, UID + b"\x77\x88\x99"):
            self.list.known = pseudonym_of(uid)
            self.assertEqual(self.show(uid), record.OK)
        self.list.known = pseudonym_of(UID)
        self.assertEqual(self.show(UID[:4]), record.UNKNOWN)

    def test_a_refusal_is_recorded_and_moves_nothing(self):
        self.list.entry.state = entries.SUSPENDED
        self.assertEqual(self.show(), record.SUSPENDED)
        self.assertEqual(self.trace, [(record.REFUSED, record.SUSPENDED, pseudonym_of(UID), WEAK)])
        self.assertFalse(self.lock.released)

    def test_a_cancelled_card_raises_an_alert(self):
        self.list.entry.state = entries.REVOKED
        self.assertEqual(self.show(), record.CANCELLED)
        self.assertEqual(
            [entry[:2] for entry in self.trace],
            [(record.REFUSED, record.CANCELLED), (record.ALARM, record.ALARM_CANCELLED_CARD)],
        )

    def test_a_use_is_counted_after_the_record_and_before_the_relay(self):
        self.list.entry.limited = True
        self.list.entry.group = VISITORS
        self.list.entry.uses_left = 1
        self.assertEqual(self.show(), record.OK)
        order = [entry if type(entry) is str else entry[0] for entry in self.trace]
        self.assertEqual(order, [record.GRANTED, "use", "relay"])
        self.assertEqual(self.show(), record.USES_EXHAUSTED)

    def test_a_refusal_for_want_of_a_record_takes_no_use(self):
        self.list.entry.limited = True
        self.list.entry.group = VISITORS
        self.list.entry.uses_left = 1
        self.journal.fails = True
        self.assertEqual(self.show(), record.NOT_RECORDED)
        self.assertEqual(self.list.entry.uses_left, 1)

    def test_residents_pass_without_a_record_and_are_counted(self):
        self.journal.fails = True
        self.assertEqual(self.show(), record.OK)
        self.assertTrue(self.lock.released)
        self.assertEqual(self.passage.unrecorded, 1)

    def test_visitors_do_not_pass_without_a_record(self):
        self.journal.fails = True
        self.list.entry.group = VISITORS
        self.assertEqual(self.show(), record.NOT_RECORDED)
        self.assertFalse(self.lock.released)
        self.assertFalse(self.door.relay)

    def test_a_failing_journal_opens_for_nobody_who_is_refused(self):
        self.journal.fails = True
        self.list.entry.state = entries.REVOKED
        self.assertEqual(self.show(), record.CANCELLED)
        self.assertFalse(self.lock.released)

    def test_a_use_that_cannot_be_counted_opens_nothing(self):
        self.list.entry.limited = True
        self.list.entry.group = VISITORS
        self.list.entry.uses_left = 1

        def fails(_pseudonym):
            raise OSError(5)

        self.list.use = fails
        self.assertEqual(self.show(), record.NOT_RECORDED)
        self.assertFalse(self.lock.released)
        self.assertEqual(self.trace[-1][:2], (record.REFUSED, record.NOT_RECORDED))

    def test_several_cards_let_nobody_in_and_name_nobody(self):
        self.show()
        self.trace.clear()
        self.assertEqual(self.passage.several(), record.SEVERAL_CARDS)
        self.assertEqual(self.trace, [(record.REFUSED, record.SEVERAL_CARDS, bytes(7), 0)])

    def test_junk_makes_a_few_records_and_one_that_counts_the_rest(self):
        for number in range(50):
            self.assertEqual(self.show(bytes((number, 1, 2, 3))), record.UNKNOWN)
            self.assertEqual(self.passage.several(), record.SEVERAL_CARDS)
            self.uptime.advance(1000)
            self.passage.settle()
        kinds = [entry[:2] for entry in self.trace]
        self.assertEqual(kinds.count((record.ALARM, record.ALARM_WRONG_TRIES)), 1)
        self.assertEqual([kind for kind, _ in kinds if kind != record.ALARM], [record.REFUSED] * 4)
        self.trace.clear()
        self.uptime.advance(10_000)
        self.passage.settle()
        self.passage.settle()
        self.assertEqual(self.trace, [(record.REPEATED, record.SEVERAL_CARDS, bytes(7), 96)])
        # Junk hides nobody else.
        self.trace.clear()
        self.list.entry.state = entries.REVOKED
        self.show(b"1234")
        self.assertEqual(self.show(), record.CANCELLED)
        self.assertEqual([entry[0] for entry in self.trace], [record.REFUSED, record.REFUSED, record.ALARM])

    def test_a_cancelled_card_shown_again_and_again_is_one_alert_and_a_count(self):
        self.list.entry.state = entries.REVOKED
        for _ in range(9):
            self.assertEqual(self.show(), record.CANCELLED)
        expected = [record.REFUSED, record.CANCELLED, record.ALARM, record.ALARM_CANCELLED_CARD]
        self.assertEqual([number for entry in self.trace for number in entry[:2]][:4], expected)
        self.assertEqual([entry[:2] for entry in self.trace[2:]], [(record.ALARM, record.ALARM_WRONG_TRIES)])
        self.uptime.advance(60_000)
        self.passage.settle()
        self.assertEqual(self.trace[3:], [(record.REPEATED, record.CANCELLED, pseudonym_of(UID), 8)])
        self.assertEqual(self.show(), record.CANCELLED)
        self.assertEqual(self.trace[-1][:2], (record.ALARM, record.ALARM_CANCELLED_CARD))

    def test_nothing_hides_a_cancelled_card(self):
        self.list.entry.state = entries.SUSPENDED
        for number in range(40):
            uid = bytes((number % 9, 1, 2, 3))
            self.list.known = pseudonym_of(uid)
            self.assertEqual(self.show(uid), record.SUSPENDED)
        self.trace.clear()
        self.list.known = pseudonym_of(UID)
        self.list.entry.state = entries.REVOKED
        self.assertEqual(self.show(), record.CANCELLED)
        self.assertEqual([entry[0] for entry in self.trace], [record.REFUSED, record.ALARM])

    def test_a_count_that_cannot_be_recorded_is_kept(self):
        for _ in range(3):
            self.show(b"1234")
        self.trace.clear()
        self.journal.fails = True
        self.uptime.advance(61_000)
        self.passage.settle()
        self.journal.fails = False
        self.passage.settle()
        expected = [(record.REPEATED, record.UNKNOWN, 2), (record.ALARM, record.ALARM_UNRECORDED, 0)]
        self.assertEqual([(kind, reason, detail) for kind, reason, _, detail in self.trace], expected)

    def with_policy(self, policy, residents=(RESIDENTS,)):
        settings = dict(DEFAULTS)
        settings["policy"] = policy
        settings["residents"] = list(residents)
        self.passage = Passage(KEY, self.list, self.recorder, self.clock, self.uptime, self.door, self.lock, settings)

    def test_a_grant_out_of_touch_says_so(self):
        class Link:
            connected = True

            def notify(self):
                pass

            alarm = notify

        self.recorder.link = Link()
        self.assertEqual(self.show(), record.OK)
        self.recorder.link.connected = False
        self.assertEqual(self.show(), record.OK)
        grants = [entry[:2] for entry in self.trace if entry != "relay"]
        self.assertEqual(grants, [(record.GRANTED, record.OK), (record.GRANTED, record.UNTOLD)])

    def test_reservations_are_summed(self):
        self.with_policy({"groups": {"0": {"grace_days": 1}}})
        self.passage._clock = Clock(200_000_000, 50)
        self.list.entry.valid_until = 200_000_000 // 60
        self.assertEqual(self.show(), record.OK)
        self.assertEqual(self.trace[0][:2], (record.GRANTED, record.ABOVE_FLOOR | record.IN_GRACE))
        self.assertEqual(self.passage.notice, SOON)

    def test_the_lock_is_let_go_for_as_long_as_the_group_needs(self):
        self.with_policy({"groups": {"1": {"open_s": 30}}}, (RESIDENTS, VISITORS))
        opened = []
        self.door.release = lambda cause, open_ms: opened.append(open_ms)
        self.show()
        self.list.entry.group = VISITORS
        self.show()
        self.assertEqual(opened, [5000, 30_000])

    def test_a_lock_down_lets_in_who_is_exempt(self):
        self.with_policy({"groups": {"1": {"exempt_lockdown": True}}})
        self.passage.locked_down = True
        self.assertEqual(self.show(), record.LOCKED_DOWN)
        self.assertFalse(self.lock.released)
        self.list.entry.group = VISITORS
        self.assertEqual(self.show(), record.OK)

    def test_a_card_that_ends_soon(self):
        now_min = self.clock.earliest_min
        for left_min, notice in ((7 * 1440 + 1, 0), (7 * 1440, SOON), (1, SOON)):
            self.list.entry.valid_until = now_min + left_min
            self.assertEqual(self.show(), record.OK)
            self.assertEqual(self.passage.notice, notice)
        self.list.entry.limited = True
        self.list.entry.uses_left = 1
        self.assertEqual(self.show(), record.OK)
        self.assertEqual(self.passage.notice, 0)
        self.list.entry.limited = False
        self.with_policy({"expiry_soon_days": 0, "groups": {"0": {"grace_days": 1}}})
        self.assertEqual(self.show(), record.OK)
        self.assertEqual(self.passage.notice, 0)
        self.list.entry.valid_until = now_min
        self.assertEqual(self.show(), record.OK)
        self.assertEqual(self.passage.notice, SOON)

    def test_free_passage_begins_with_the_first_card_that_is_granted(self):
        self.with_policy({"free": ["00:00-24:00"], "first_in": True})

        def free():
            clock = self.clock
            hours = self.passage.hours
            hours.turns(clock.earliest_min, clock.latest_min, clock.trust, self.passage.locked_down)
            return hours.free

        self.assertEqual(self.show(b"1234"), record.UNKNOWN)
        self.assertFalse(free())
        self.assertEqual(self.show(), record.OK)
        self.assertTrue(free())
        self.passage.locked_down = True
        self.assertFalse(free())

    def test_the_fifth_wrong_try_in_a_row_is_one_alert(self):
        alert = (record.ALARM, record.ALARM_WRONG_TRIES)

        def alerts():
            return [entry[:2] for entry in self.trace].count(alert)

        for number in range(4):
            self.show(bytes((number, 1, 2, 3)))
        self.show()
        for number in range(4):
            self.passage.several() if number & 1 else self.show(b"1234")
        self.assertEqual(alerts(), 0)
        self.list.entry.state = entries.SUSPENDED
        self.show()
        self.assertEqual(self.trace[-1], alert + (pseudonym_of(UID), WEAK))
        for _ in range(20):
            self.show()
            self.show(b"1234")
        self.assertEqual(alerts(), 1)

    def test_a_resident_in_the_pause_after_an_unknown_card_is_not_delayed(self):
        self.assertEqual(self.show(b"1234"), record.UNKNOWN)
        self.assertEqual(self.passage.notice, 0)
        self.assertEqual(self.show(b"1234"), record.UNKNOWN)
        self.assertEqual(self.passage.notice, SILENT)
        self.assertEqual(self.passage.several(), record.SEVERAL_CARDS)
        self.assertEqual(self.passage.notice, SILENT)
        self.assertFalse(self.lock.released)
        self.assertEqual(self.show(), record.OK)
        self.assertEqual(self.passage.notice, 0)
        self.assertTrue(self.lock.released)
        # Nor is any other card that the list knows, and it does not end the pause.
        self.list.entry.state = entries.REVOKED
        self.show(b"1234")
        self.assertEqual(self.show(), record.CANCELLED)
        self.assertEqual(self.passage.notice, 0)
        self.show(b"1234")
        self.assertEqual(self.passage.notice, SILENT)
        self.uptime.advance(3000)
        self.show(b"1234")
        self.assertEqual(self.passage.notice, 0)

    def test_a_prepared_tap_allocates_little(self):
        self.passage.credential.uid[: len(UID)] = UID
        self.list.find = lambda _pseudonym: True
        self.journal.append = lambda kind, reason, pseudonym, detail: None
        self.lock.release = lambda: None
        self.passage.recognise(7, 0x00)
        self.passage.present()
        self.passage.prepare()
        gc.collect()
        before = gc.mem_alloc()
        self.passage.recognise(7, 0x00)
        self.passage.present()
        # Two digests of 32 bytes on a 64-bit machine, with the objects that hold them.
        self.assertTrue(gc.mem_alloc() - before <= 320, gc.mem_alloc() - before)


class Kinds(CardPath):
    """The list decides as what a card must prove itself."""

    def door_takes(self, kinds, group_kinds=None):
        settings = dict(DEFAULTS)
        settings["kinds"] = kinds
        settings["group_kinds"] = group_kinds or {}
        self.passage = Passage(KEY, self.list, self.recorder, self.clock, self.uptime, self.door, self.lock, settings)

    def test_a_card_that_proved_itself_opens_and_says_so(self):
        self.door_takes(["uid", "ntag424"])
        self.list.known = pseudonym_of(UID, NTAG424)
        self.assertEqual(self.prove(UID, PROVEN, 0x20, version=2), (NTAG424, record.OK))
        self.assertEqual(self.trace[0][3], RESIDENTS | NTAG424 << 6 | 2 << 9)

    def test_the_counter_stands_in_the_record(self):
        self.door_takes(["classic"])
        self.list.known = pseudonym_of(UID, CLASSIC)
        self.assertEqual(self.prove(UID, PROVEN, 0x08, version=1, counter=200_000, counted=True)[1], record.OK)
        self.assertEqual(self.trace[0][3], RESIDENTS | CLASSIC << 6 | 1 << 9 | 1 << 11 | 200_000 << 12)

    def test_a_copied_uid_of_a_card_with_keys_is_nobody(self):
        self.door_takes(["uid", "ntag424"])
        self.list.known = pseudonym_of(UID, NTAG424)
        self.assertEqual(self.prove(UID, PROVEN, 0x08), (UID_KIND, record.UNKNOWN))
        self.assertFalse(self.lock.released)

    def test_one_that_answers_wrongly_is_suspected_once(self):
        self.door_takes(["uid", "ntag424"])
        self.list.known = pseudonym_of(UID, NTAG424)
        for _ in range(3):
            self.assertEqual(self.prove(UID, FALSE, 0x20), (NTAG424, record.NOT_PROVEN))
        expected = [(record.REFUSED, record.NOT_PROVEN), (record.ALARM, record.ALARM_COPY_SUSPECTED)]
        self.assertEqual([entry[:2] for entry in self.trace], expected)
        self.assertEqual(self.trace[1][2], pseudonym_of(UID, NTAG424))
        self.assertFalse(self.lock.released)

    def test_one_that_breaks_off_is_refused_and_not_suspected(self):
        self.door_takes(["ntag424"])
        self.list.known = pseudonym_of(UID, NTAG424)
        self.assertEqual(self.prove(UID, LOST, 0x20)[1], record.NOT_PROVEN)
        self.assertEqual([entry[:2] for entry in self.trace], [(record.REFUSED, record.NOT_PROVEN)])

    def test_a_cancelled_card_is_cancelled_whatever_it_proves(self):
        self.door_takes(["ntag424"])
        self.list.known = pseudonym_of(UID, NTAG424)
        self.list.entry.state = entries.REVOKED
        for proof in (PROVEN, FALSE, LOST):
            self.assertEqual(self.prove(UID, proof, 0x20)[1], record.CANCELLED)

    def test_what_is_cancelled_during_the_proof_is_cancelled(self):
        self.door_takes(["ntag424"])
        self.list.known = pseudonym_of(UID, NTAG424)
        credential = self.passage.credential
        credential.uid[:7] = UID
        self.assertEqual(self.passage.recognise(7, 0x20), NTAG424)
        self.list.entry.state = entries.REVOKED
        self.assertEqual(self.passage.present(PROVEN), record.CANCELLED)

    def test_a_door_that_takes_no_uid_refuses_one_that_is_listed(self):
        self.door_takes(["classic"])
        self.assertEqual(self.prove(UID, PROVEN, 0x08), (UID_KIND, record.TOO_WEAK))
        self.assertFalse(self.lock.released)

    def test_a_group_may_need_more_than_the_door(self):
        self.door_takes(["uid"], {str(VISITORS): ["desfire"]})
        self.assertEqual(self.show(), record.OK)
        self.list.entry.group = VISITORS
        self.assertEqual(self.show(), record.TOO_WEAK)
        self.list.known = pseudonym_of(UID, DESFIRE)
        self.assertEqual(self.prove(UID, PROVEN, 0x20), (DESFIRE, record.OK))

    def test_kinds_stand_side_by_side(self):
        self.door_takes(["uid", "classic", "ntag424", "desfire"])
        for kind, sak in ((UID_KIND, 0x08), (CLASSIC, 0x08), (UID_KIND, 0x20), (NTAG424, 0x20), (DESFIRE, 0x20)):
            self.list.known = pseudonym_of(UID, kind)
            self.assertEqual(self.prove(UID, PROVEN, sak), (kind, record.OK))

    def test_a_kind_that_the_sak_rules_out_is_not_tried(self):
        self.door_takes(["uid", "ntag424"])
        self.list.known = pseudonym_of(UID, NTAG424)
        self.assertEqual(self.prove(UID, PROVEN, 0x00), (UID_KIND, record.UNKNOWN))

    def test_an_alert_carries_what_was_presented(self):
        self.show()
        self.assertTrue(self.passage.alert(record.ALARM_MAGIC_CARD))
        self.assertEqual(self.trace[-1], (record.ALARM, record.ALARM_MAGIC_CARD, pseudonym_of(UID), WEAK))

    def test_a_rewritable_card_shown_again_and_again_is_one_alert(self):
        self.list.known = b""
        for _ in range(20):
            self.assertEqual(self.show(), record.UNKNOWN)
            self.passage.alert(record.ALARM_MAGIC_CARD)
        kinds = [entry[:2] for entry in self.trace]
        wrong = (record.ALARM, record.ALARM_WRONG_TRIES)
        self.assertEqual(kinds, [(record.REFUSED, record.UNKNOWN), (record.ALARM, record.ALARM_MAGIC_CARD), wrong])
