"""The reader's task: proofs, second tries, health, what is shown and what is not."""

import asyncio
import sys
from unittest import TestCase

from drivers.credential import CLASSIC, FALSE, LOST, NTAG424, PROVEN, UID, Credential
from firmware.passage import SILENT, SOON
from firmware.reader import Reader
from storage import record


class Cards:
    """Finds what the test puts into `looks`: lengths, or errors to raise."""

    poll_ms = 1

    def __init__(self, trace):
        self.trace = trace
        self.looks = []
        self.sak = 0x20
        self.present = 0
        self.several = False

    async def start(self):
        self.trace.append("start")

    async def find(self, _uid):
        look = self.looks.pop(0) if self.looks else 0
        if isinstance(look, OSError):
            raise look
        self.present = look
        return look

    def release(self):
        self.trace.append("release")

    def lost(self):
        self.trace.append("lost")

    def forget(self):
        self.trace.append("forget")


class Health:
    def __init__(self):
        self.recoveries = bytearray(5)
        self.stages = []
        self.checks = self.recovered = 0

    async def check(self):
        self.checks += 1
        stage = self.stages.pop(0) if self.stages else 0
        if stage < 0:
            raise OSError("deaf")
        if stage:
            self.recoveries[stage] += 1
        return stage

    async def recover(self):
        self.recovered += 1
        return await self.check() or 1


class Passage:
    unrecorded = 0
    notice = 0

    def __init__(self, trace):
        self.trace = trace
        self.credential = Credential()
        self.kind = UID
        self.reason = record.OK

    def recognise(self, length, sak):
        self.credential.show(self.kind, length)
        return self.kind

    def present(self, proof):
        self.trace.append(("present", proof))
        return self.reason

    def several(self):
        return record.SEVERAL_CARDS

    def alert(self, alarm):
        self.trace.append(("alert", alarm))


class Prover:
    def __init__(self, trace, proofs):
        self.trace = trace
        self.proofs = proofs
        self.keys = [(2, 1, bytes(16)), (1, 1, bytes(16))]

    async def prove(self, credential):
        self.trace.append("prove")
        proof = self.proofs.pop(0)
        if isinstance(proof, OSError):
            raise proof
        return proof


class Service:
    """The service, its recorder and its watch."""

    def __init__(self, trace):
        self.watch = self
        self.trace = trace
        self.alarms = set()
        self.alive = 0

    def reader_lives(self):
        self.alive += 1

    def tick(self):
        pass

    def shown(self, reason):
        self.trace.append(("shown", reason))

    def note(self, kind, reason, pseudonym, detail):
        self.trace.append((kind, reason, detail))

    def alarm_on(self, alarm):
        if alarm in self.alarms:
            return False
        self.alarms.add(alarm)
        return True

    def alarm_off(self, alarm):
        self.alarms.discard(alarm)


class Log:
    def info(self, area, message, **values):
        pass

    warning = error = info


class Copies:
    rolled_back = False
    pseudonym = b"1234567"
    evidence = 9

    def __init__(self, steps):
        self.steps = steps

    def look(self):
        if not self.steps:
            return False
        self.rolled_back = self.steps.pop(0)
        return True


class Parts:
    pass


class Task(TestCase):
    def setUp(self):
        self.trace = []
        parts = self.parts = Parts()
        self.cards = parts.cards = Cards(self.trace)
        self.health = parts.health = Health()
        self.passage = parts.passage = Passage(self.trace)
        parts.provers = {}
        parts.copies = None
        parts.settings = {"magic_alarm": False}
        parts.log = Log()
        self.service = parts.recorder = Service(self.trace)

    def run_for(self, ms=30):
        self.reader = Reader(self.parts, self.service)

        async def main():
            task = asyncio.create_task(self.reader.run())
            await asyncio.sleep_ms(ms)
            if task.done():
                await task  # raises what ended it
            task.cancel()

        asyncio.run(main())
        return self.trace[1:]

    def prover(self, kind, *proofs):
        self.passage.kind = kind
        self.parts.provers[kind] = Prover(self.trace, list(proofs))

    def slow_prover(self, *proofs):
        self.prover(NTAG424, *proofs)
        prove = self.parts.provers[NTAG424].prove

        async def slow(credential):
            await asyncio.sleep_ms(80)
            return await prove(credential)

        self.parts.provers[NTAG424].prove = slow

    def test_a_uid_has_nothing_to_prove(self):
        self.cards.looks = [0, 7]
        self.assertEqual(self.run_for(), ["release", ("present", PROVEN), ("shown", record.OK)])

    def test_a_card_with_keys_proves_itself_first(self):
        self.prover(NTAG424, PROVEN)
        self.cards.looks = [7]
        self.assertEqual(self.run_for(), ["prove", "lost", ("present", PROVEN), ("shown", record.OK)])

    def test_a_false_one_is_judged_at_once(self):
        self.prover(NTAG424, FALSE)
        self.cards.looks = [7]
        self.assertEqual(self.run_for()[2], ("present", FALSE))

    def test_one_that_broke_off_is_tried_again_and_then_refused(self):
        self.prover(NTAG424, LOST, PROVEN)
        self.cards.looks = [7, 7]
        again = ["prove", "lost", "forget"]
        self.assertEqual(self.run_for(), again + ["prove", "lost", ("present", PROVEN), ("shown", record.OK)])
        self.setUp()
        self.slow_prover(*[LOST] * 30)
        self.passage.reason = record.NOT_PROVEN
        self.cards.looks = [7] * 30
        told = self.run_for(900)
        at = told.index(("present", LOST))
        self.assertEqual(told[at - 2 : at + 2], ["prove", "lost", ("present", LOST), ("shown", record.NOT_PROVEN)])
        self.assertEqual(told[: at - 2], again * ((at - 2) // 3))

    def test_a_card_that_comes_near_slowly_is_let_in_when_it_has_the_power(self):
        """A UID is read from further away than AES works; the hand takes half a second."""
        self.slow_prover(*[LOST] * 6 + [PROVEN])
        self.cards.looks = [7] * 7
        judged = [entry for entry in self.run_for(900) if type(entry) is tuple]
        self.assertEqual(judged, [("present", PROVEN), ("shown", record.OK)])

    def test_a_card_pulled_away_begins_anew(self):
        self.prover(NTAG424, LOST, LOST, LOST, LOST)
        self.cards.looks = [7, 7, 0, 7, 7]
        self.assertFalse(any(entry[0] == "present" for entry in self.run_for()))

    def test_a_listed_kind_without_keys_at_this_door_is_not_let_in(self):
        self.passage.kind = CLASSIC
        self.cards.looks = [4]
        self.assertEqual(self.run_for()[1], ("present", LOST))

    def test_who_was_let_in_is_not_shown_the_refusal_of_another_card_in_the_purse(self):
        self.cards.several = True
        self.cards.looks = [7]
        self.run_for(10)
        self.cards.looks = [4]
        self.trace.clear()
        self.passage.reason = record.OK
        reasons = [record.OK, record.UNKNOWN]
        self.passage.present = lambda _proof: reasons.pop(0)
        self.cards.looks = [7, 4]
        self.assertEqual(self.run_for(), ["release", ("shown", record.OK), "release"])

    def test_several_that_cannot_be_told_apart(self):
        self.cards.looks = [-1]
        self.assertEqual(self.run_for(), [("shown", record.SEVERAL_CARDS)])

    def test_health_once_a_second_and_what_helped_is_recorded(self):
        self.health.stages = [0, 2]
        self.run_for(2500)
        self.assertEqual(self.health.checks, 2)
        self.assertEqual(self.trace, ["start", (record.READER, 2, 1)])
        self.assertEqual(list(self.reader.recoveries), [0, 0, 1, 0, 0])

    def test_a_chip_that_falls_over_every_second_is_one_record_a_minute(self):
        self.health.stages = [1] * 9
        self.run_for(3300)
        self.assertEqual(self.health.checks, 3)
        self.assertEqual(self.trace, ["start", (record.READER, 1, 1)])

    def test_a_fault_while_looking_is_recovered_without_an_alarm(self):
        self.cards.looks = [OSError("dead"), 7]
        self.health.stages = [1]
        expected = [(record.READER, 1, 1), "release", ("present", PROVEN), ("shown", record.OK)]
        self.assertEqual(self.run_for(), expected)
        self.assertEqual(self.service.alarms, set())

    def test_deaf_is_one_alarm_and_ends_when_it_hears(self):
        self.cards.looks = [OSError("dead")]
        self.health.stages = [-1, -1, 3]
        self.run_for(1500)
        self.assertEqual(self.service.alarms, {record.ALARM_READER})
        self.assertEqual(self.health.checks, 2)
        self.setUp()
        self.cards.looks = [OSError("dead")]
        self.health.stages = [-1, 3]
        self.run_for(1500)
        self.assertEqual(self.service.alarms, set())
        self.assertEqual(self.trace[-1], (record.READER, 3, 1))

    def test_a_chip_that_seems_well_and_never_works_is_deaf(self):
        self.cards.looks = [OSError("no timer")] * 9
        self.run_for(200)
        self.assertEqual(self.service.alarms, {record.ALARM_READER})
        self.assertTrue(self.health.recovered >= 2)
        self.setUp()
        self.cards.looks = [OSError("no timer")] * 4
        self.run_for(1300)
        self.assertEqual(self.service.alarms, set())

    def test_a_fault_during_a_proof_leaves_the_card_to_the_next_look(self):
        self.prover(NTAG424, OSError("dead"), PROVEN)
        self.cards.looks = [7, 7]
        self.assertEqual(self.run_for()[:4], ["prove", "forget", "lost", "prove"])

    def test_magic_is_looked_for_after_the_passage(self):
        class Magic:
            @staticmethod
            async def is_magic(_cards):
                self.trace.append("look")
                return True

        import drivers

        before = sys.modules.get("drivers.magic"), getattr(drivers, "magic", None)
        sys.modules["drivers.magic"] = drivers.magic = Magic
        try:
            self.parts.settings["magic_alarm"] = True
            self.cards.sak = 0x08
            self.cards.looks = [4]
            shown = [("present", PROVEN), ("shown", record.OK)]
            after = ["look", "lost", ("alert", record.ALARM_MAGIC_CARD)]
            self.assertEqual(self.run_for(), ["release"] + shown + after)
            # A card that ends soon is looked at as any other; an unknown one that is not answered is let be.
            for notice, looked in ((SOON, after), (SILENT, [])):
                self.passage.notice = notice
                self.trace.clear()
                self.cards.looks = [4]
                self.assertEqual(self.run_for(), ["release"] + shown + looked)
        finally:
            sys.modules.pop("drivers.magic")
            if before[0]:
                sys.modules["drivers.magic"] = before[0]
                drivers.magic = before[1]

    def test_a_counter_that_went_back_is_an_alarm(self):
        self.parts.copies = Copies([False, True, False])
        self.reader = Reader(self.parts, self.service)
        self.reader.settle()
        self.assertEqual(self.trace, [(record.ALARM, record.ALARM_COPY_SUSPECTED, 9)])

    def test_versions_of_the_keys(self):
        self.prover(NTAG424)
        reader = Reader(self.parts, self.service)
        self.assertEqual(reader.key_versions(), [[NTAG424, 2, 1]])
        reader.keys_changed([(NTAG424, 2, 1, bytes(16)), (CLASSIC, 1, 1, bytes(16))])
        self.assertEqual(reader.key_versions(), [[NTAG424, 2]])
