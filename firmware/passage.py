"""The card path: credential, pseudonym, decision, durable record, lock. Nothing here waits.

    passage = Passage(pseudonym_key, allowlist, recorder, clock, uptime, door, lock, settings)
    length = await reader.find(passage.credential.uid)
    kind = passage.recognise(length, reader.sak)
    proof = await provers[kind].prove(passage.credential) if kind in provers else PROVEN
    reason = passage.present(proof)

The list decides as what a card must prove itself, not the card: each kind has pseudonyms of its own, so a copied UID
never stands for a card with keys.

Buffers are allocated once; what a tap allocates is counted by the bench `tap.alloc_bytes`.
"""

from micropython import const

from drivers.credential import FALSE, PROVEN, UID, Credential
from firmware import access, repeats
from storage import record
from storage.mac import Hmac

SILENT = const(1)  # unknown, and so soon after another one that nobody is to see or hear it
SOON = const(2)  # let in, and the card should be renewed
_PSEUDONYM = const(7)
_STRANGERS = const(4)  # refusals in a minute with a record of each: of cards that the list does not know,
_KNOWN = const(8)  # of those that it knows, and of cancelled ones, which nothing else may hide
# What the SAK of a card of each kind says, AN10833: it speaks the protocol of MIFARE Classic, or ISO/IEC 14443-4.
_SAK = const(b"\x00\x00\x08\x20\x20")


class Passage:
    """Judges what is held to the reader and lets the lock go."""

    def __init__(self, key, allowlist, recorder, clock, uptime, door, lock, settings, old=b""):
        """Prepare for the first card.

        Args:
            key: 32 bytes, purpose `pseudonym` of the door key.
            old: the same of the door key before, while that is being rotated: the list may still know cards by it.
            settings: dict of firmware.config; `policy`, `open_s`, `residents`, `kinds` and `group_kinds` are used.
        """
        from firmware import config, policysource  # not kept in memory

        self._hmac = Hmac(key)
        self.old = old and Hmac(old)
        self._allowlist = allowlist
        self._recorder = recorder
        self._clock = clock
        self._uptime = uptime
        self._series = (repeats.Series(_STRANGERS), repeats.Series(_KNOWN), repeats.Series(_KNOWN))
        self._tries = repeats.tries()
        self._door = door
        self._lock = lock
        self.table, self.hours = policysource.policy(settings)
        self.locked_down = False
        self.credential = Credential()
        self._strong = config.masks(settings)[0]
        self.pseudonym = bytearray(_PSEUDONYM)  # of the last card shown
        self.granted = bytearray(_PSEUDONYM)  # of the last one granted, for *passed*
        self.notice = 0  # SILENT or SOON, about the credential that was presented last
        self._folded = False  # the last refusal has no record of its own
        self.unrecorded = 0  # residents let in though their record could not be written

    def prepare(self):
        """Do ahead, in idle time, the half of the hashing that does not need the card."""
        self._hmac.prepare()

    def recognise(self, length, sak):
        """Return the kind by which the list knows the card with `length` bytes in `credential.uid`.

        `sak` (of ISO/IEC 14443-3) tells what the card can be. It is UID if the list knows it by nothing stronger.
        """
        credential = self.credential
        for kind in self._strong:
            if sak & _SAK[kind]:
                credential.show(kind, length)
                if self._known():
                    return kind
        credential.show(UID, length)
        if self.old:
            self._known()
        else:
            self._hash(self._hmac)
        return UID

    def _known(self):
        """Find the pseudonym by which the list knows the credential; the one of the present key if by none."""
        find = self._allowlist.find
        self._hash(self._hmac)
        found = find(self.pseudonym)
        if self.old and not found:
            self._hash(self.old)
            found = find(self.pseudonym)
            if not found:
                self._hash(self._hmac)
        return found

    def _hash(self, hmac):
        hmac.update(self.credential.input())
        digest = hmac.digest()
        pseudonym = self.pseudonym
        for index in range(_PSEUDONYM):
            pseudonym[index] = digest[index]

    def present(self, proof=PROVEN):
        """Judge the credential that was recognised; return the reason, `record.OK` if the lock was released."""
        self._folded = False
        self.notice = 0
        credential = self.credential
        pseudonym = self.pseudonym
        clock = self._clock
        table = self.table
        earliest_min = clock.earliest_min
        # Looked up after the proof, which takes a while: it may have been cancelled meanwhile.
        entry = self._allowlist.entry if self._allowlist.find(pseudonym) else None
        group = entry.group if entry else 0
        row = table[group - access.GROUPS] * access.ROW
        reason = access.decide(
            entry,
            earliest_min,
            clock.latest_min,
            clock.trust,
            self,
            table[row + access.KINDS] >> credential.kind & 1,
            proof == PROVEN,
        )
        evidence = self._evidence(group)
        if reason & access.REFUSALS:
            self._refuse(reason, evidence, proof == FALSE)
            return reason
        link = self._recorder.link
        if link and not link.connected:
            reason |= record.UNTOLD
        recorded = self._recorder.note(record.GRANTED, reason, pseudonym, evidence)
        if not recorded and (entry.limited or not table[row] & access.RESIDENT):
            return record.NOT_RECORDED
        if entry.limited:
            # After the record: a power cut between them leaves a grant that let nobody in, never one use too many.
            try:
                self._allowlist.use(pseudonym)
            except OSError:
                self._recorder.note(record.REFUSED, record.NOT_RECORDED, pseudonym, evidence)
                return record.NOT_RECORDED
        if not recorded:
            self.unrecorded += 1
        self._door.release(record.CAUSE_CARD, table[row + access.OPEN_S] * 1000)
        self._lock.release()
        self.granted[:] = pseudonym
        if not entry.limited and entry.valid_until - earliest_min <= table[access.SOON] * access.DAY_MIN:
            self.notice = SOON
        self._tries[repeats.COUNT] = 0
        if self.hours:
            self.hours.entered(earliest_min, clock.latest_min, clock.trust)
        return record.OK

    def several(self):
        """More than one card answered and they could not be told apart: nobody is let in."""
        for index in range(_PSEUDONYM):
            self.pseudonym[index] = 0
        self.notice = 0
        self._refuse(record.SEVERAL_CARDS, 0)
        return record.SEVERAL_CARDS

    def settle(self):
        """Record how many refusals were folded, when their series is over; for idle time."""
        uptime_s = self._uptime.seconds
        for series in self._series:
            if series.over(uptime_s) and (
                not series.count or self._recorder.note(record.REPEATED, series.reason, series.pseudonym, series.count)
            ):
                series.close()

    def alert(self, alarm):
        """Record an alert about the credential that was presented last, unless its refusal was folded."""
        if self._folded:
            return False
        return self._recorder.note(record.ALARM, alarm, self.pseudonym, self._evidence(0))

    def _evidence(self, group):
        """What a record says of the credential that was presented last."""
        credential = self.credential
        return record.evidence(group, credential.kind, credential.version, credential.counted, credential.counter)

    def _refuse(self, reason, evidence, false=False):
        series = self._series[1]
        uptime_s = self._uptime.seconds
        if reason == record.UNKNOWN or reason == record.SEVERAL_CARDS:
            series = self._series[0]
            if not repeats.answered(self._tries, uptime_s):
                self.notice = SILENT
        elif reason == record.CANCELLED:
            series = self._series[2]
        self._folded = series.folds(reason, self.pseudonym, uptime_s)
        if not self._folded:
            self._recorder.note(record.REFUSED, reason, self.pseudonym, evidence)
            if reason == record.CANCELLED:
                self._recorder.note(record.ALARM, record.ALARM_CANCELLED_CARD, self.pseudonym, evidence)
            elif false and reason == record.NOT_PROVEN:
                self._recorder.note(record.ALARM, record.ALARM_COPY_SUSPECTED, self.pseudonym, evidence)
        if repeats.wrong(self._tries, uptime_s):
            self._recorder.note(record.ALARM, record.ALARM_WRONG_TRIES, self.pseudonym, evidence)
