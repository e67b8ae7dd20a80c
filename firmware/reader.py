"""The reader's task: find a card, let it prove itself, judge it, and say what came of it; keep the chip in health.

    reader = Reader(parts, service)
    asyncio.create_task(reader.run())

A reader that fails is brought back by the stages of drivers/health.py, again and again, for ever.
"""

from asyncio import sleep_ms
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from drivers.credential import LOST, PROVEN, UID
from firmware.passage import SILENT
from storage import ondemand, record

_STARTING = ("drivers.mfrc522_start", "drivers.recovery")
_CHECK_MS = const(1000)
_RETRY_MS = const(1000)
# Proofs of one card that broke off, and since when: then it is refused. A UID is read from further away than a cipher
# has power for, and a hand takes half a second from there to the reader.
_TRIES = const(3)
_PATIENCE_MS = const(700)
_FAULTS = const(3)  # looks that fail in a row, though the chip seems well: then it is deaf
_NOTE_MS = const(60_000)  # a chip that falls over every second must not fill the journal
_SAK_CLASSIC = const(0x08)  # AN10833: a rewritable card behaves as a MIFARE Classic
_COPY_STEPS = const(48)  # pages of the journal looked at in one go: some 6 ms


def of_kind(keys, kind):
    """Return the keys of a kind as its prover takes them: (version, number, key), the newest first."""
    return [entry[1:] for entry in keys if entry[0] == kind]


class Reader:
    """One reader at one door."""

    def __init__(self, parts, service):
        """Take cards (drivers.iso14443a), health, provers (kind to prover), copies or None, passage, settings."""
        self._cards = parts.cards
        self.health = parts.health
        self.recoveries = parts.health.recoveries  # by stage, since start; at 0: none helped
        self._provers = parts.provers
        self._copies = parts.copies
        self._passage = parts.passage
        self._magic_alarm = parts.settings["magic_alarm"]
        self._log = parts.log
        self._recorder = parts.recorder
        self._service = service
        self._tries = 0
        self._let_in = False  # one of the cards that are there was
        self._checked_ms = self._lost_ms = ticks_ms()
        self._noted_ms = ticks_add(self._checked_ms, -_NOTE_MS)
        self._faults = 0  # since the last look that worked

    async def run(self):
        """For ever."""
        cards = self._cards
        passage = self._passage
        uid = passage.credential.uid
        started = False
        while True:
            self._service.reader_lives()
            try:
                if not started:
                    started = True
                    await cards.start()
                    ondemand.drop(_STARTING)
                if self._faults or ticks_diff(ticks_ms(), self._checked_ms) >= _CHECK_MS:
                    await self._check()
                found = await cards.find(uid)
                if self._faults:
                    self._faults = 0
                    self._recorder.alarm_off(record.ALARM_READER)
                if found > 0:
                    kind = passage.recognise(found, cards.sak)
                    if kind in self._provers:
                        await self._prove(kind)
                    else:
                        cards.release()
                        # Without keys nothing can be proved; nothing is known against the card either.
                        self._judge(PROVEN if kind == UID else LOST)
                        if self._magic_alarm and passage.notice != SILENT and kind == UID and cards.sak & _SAK_CLASSIC:
                            await self._look_for_magic()
                elif found:
                    self._service.shown(passage.several())
                elif not cards.present:
                    self._tries = 0
                    self._let_in = False
            except OSError as error:
                ondemand.drop(_STARTING)
                self._faults += 1  # the next turn looks what is wrong, and after a second one does not ask
                if self._faults > _FAULTS:
                    if self._recorder.alarm_on(record.ALARM_READER):
                        self._log.error("reader", "deaf", error=error)
                    await sleep_ms(_RETRY_MS)
            await sleep_ms(cards.poll_ms)

    async def _check(self):
        health = self.health
        try:
            stage = await (health.recover() if self._faults > 1 else health.check())
        except OSError:
            self._faults = _FAULTS  # no stage helps
            raise
        self._checked_ms = ticks_ms()
        if stage:
            if not 0 <= ticks_diff(self._checked_ms, self._noted_ms) < _NOTE_MS:
                self._noted_ms = self._checked_ms
                self._recorder.note(record.READER, stage, None, health.recoveries[stage])
            self._log.warning("reader", "brought back", stage=stage)
            ondemand.drop(_STARTING)

    async def _prove(self, kind):
        cards = self._cards
        credential = self._passage.credential
        proof = LOST
        try:
            proof = await self._provers[kind].prove(credential)
        except OSError:
            cards.forget()  # the chip failed, not the card: it is found again when the chip is brought back
            raise
        finally:
            cards.lost()
        if proof == LOST:
            now_ms = ticks_ms()
            if not self._tries:
                self._lost_ms = now_ms
            self._tries += 1
            if self._tries < _TRIES or ticks_diff(now_ms, self._lost_ms) < _PATIENCE_MS:
                cards.forget()  # a card that is still there is found again by the next look
                return
        self._tries = 0
        self._judge(proof)

    def _judge(self, proof):
        self._service.watch.tick()
        reason = self._passage.present(proof)
        if reason == record.OK:
            self._let_in = True
        elif self._let_in and self._cards.several:
            return  # another card in the same purse: who was let in is not shown a refusal
        self._service.shown(reason)

    async def _look_for_magic(self):
        """After the passage, which it does not delay: is this one of the rewritable cards that kiosks use?"""
        from drivers import magic

        cards = self._cards
        found = await magic.is_magic(cards)
        cards.lost()
        if found:
            self._passage.alert(record.ALARM_MAGIC_CARD)

    def key_versions(self):
        """Return [kind, key version, …] of each kind that is proved here, the newest version first."""
        return [[kind] + [key[0] for key in prover.keys] for kind, prover in self._provers.items()]

    def keys_changed(self, keys):
        """Take the card read keys, as storage.keys has them."""
        for kind, prover in self._provers.items():
            prover.keys = of_kind(keys, kind)

    def settle(self):
        """For idle time: compare the counters of cards that passed with those of their passages before."""
        copies = self._copies
        if copies:
            for _ in range(_COPY_STEPS):
                if not copies.look():
                    return
                if copies.rolled_back:
                    self._log.warning("access", "copy suspected")
                    self._recorder.note(record.ALARM, record.ALARM_COPY_SUSPECTED, copies.pseudonym, copies.evidence)
