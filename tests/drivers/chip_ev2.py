"""AuthenticateEV2First with frames from paper, and with a card that knows the key."""

import os
from binascii import unhexlify

import vectors
from chip_cmac import plain_cmac
from cryptolib import aes
from drivers import ev2, isodep
from drivers.credential import DESFIRE, FALSE, LOST, NTAG424, PROVEN, Credential
from drivers.ev2 import Ev2
from drivers.iso14443a import ReaderFault
from exchanges import Quick, Script, hexed, run

UID = unhexlify("04782e21801d80")
OLD = bytes(range(16))
NEW = bytes(range(16, 32))


def card_key(master, uid, number, application):
    """AN10922 by other means: a message of 18 bytes, padded to 32 here."""
    message = b"\x01" + uid + application + b"menwei" + bytes((number,))
    ecb = aes(master, 1)
    mask = int.from_bytes(ecb.encrypt(bytes(16)), "big")
    for _ in range(2):
        mask <<= 1
        if mask >> 128:
            mask ^= 1 << 128 | 0x87
    second = int.from_bytes(message[16:] + b"\x80" + bytes(13), "big") ^ mask
    first = int.from_bytes(ecb.encrypt(message[:16]), "big")
    return ecb.encrypt((first ^ second).to_bytes(16, "big"))


class Genuine:
    """What a card's application answers, status included; `change` may spoil an answer, counted from 0."""

    def __init__(self, keys, ntag=True, change=None):
        self.keys = keys
        self.ntag = ntag
        self.change = change
        self.steps = []
        self.number = 0
        self.key = None

    def __call__(self, sent):
        """A block; one more than 64 bytes long is not needed here."""
        if sent == "e050":
            answer = vectors.ATS_NTAG
        elif sent == "c2":
            answer = "c2"
        else:
            answer = sent[:2] + hexed(self.command(unhexlify(sent)[1:]))
        if self.change:
            answer = self.change(len(self.steps), answer)
        self.steps.append(sent)
        return answer

    def command(self, data):
        if data == unhexlify("00a4040c07d276000085010100") and self.ntag:
            return b"\x90\x00"
        if data == unhexlify("905a000003574df500") and not self.ntag:
            return b"\x91\x00"
        if data[:5] == unhexlify("9071000002") and len(data) == 8 and data[6:] == b"\0\0":
            if data[5] not in self.keys:
                return b"\x91\x40"
            self.key = self.keys[data[5]]
            self.random = os.urandom(16)
            return aes(self.key, 2, bytes(16)).encrypt(self.random) + b"\x91\xaf"
        if data[:5] == unhexlify("90af000020") and len(data) == 38 and data[-1] == 0 and self.key:
            clear = aes(self.key, 2, bytes(16)).decrypt(data[5:37])
            if clear[16:] != self.random[1:] + self.random[:1]:
                return b"\x91\xae"
            answer = os.urandom(4) + clear[1:16] + clear[:1] + bytes(12)
            return aes(self.key, 2, bytes(16)).encrypt(answer) + b"\x91\x00"
        return b"\x6a\x82" if self.ntag else b"\x91\xa0"


class Prover(Quick):
    modules = (isodep,)
    KIND = NTAG424
    APPLICATION = b"\x01\x00\x00"
    SELECT = "0200a4040c07d276000085010100"

    def setUp(self):
        super().setUp()
        self.paper = Script()
        self.prover = Ev2(self.paper, [(7, 3, NEW), (6, 3, OLD)], self.KIND)
        self.credential = Credential()
        self.credential.uid[:7] = UID
        self.credential.show(self.KIND, 7)

    def genuine(self, master, number=3, change=None):
        key = card_key(master, UID, number, self.APPLICATION)
        return Genuine({number: key}, self.KIND == NTAG424, change)

    def prove(self, card):
        self.credential.version = 0
        self.waited.clear()
        del self.paper.sent[:], self.paper.timeouts[:]
        self.paper.answers = card
        return run(self.prover.prove(self.credential))


class Vector(Prover):
    def test_an12196(self):
        # the factory key is not diversified
        self.prover._card_key = lambda master, uid, number: (
            self.prover._put(unhexlify("9071000002000000")) and bytes(16)
        )
        self.prover.keys = [(1, 0, None)]

        class Known:
            @staticmethod
            def urandom(count):
                return unhexlify(vectors.EV2_RANDOM)

        real = ev2.os
        ev2.os = Known
        (first, challenge), (second, proof) = vectors.EV2_EXCHANGE
        lines = ["e050 > " + vectors.ATS_NTAG, self.SELECT + " > 029000"]
        lines += ["03" + first + " > 03" + challenge, "02" + second + " > 02" + proof, "c2 > c2"]
        try:
            self.paper.follow(*lines)
            self.assertEqual(run(self.prover.prove(self.credential)), PROVEN)
            self.paper.done()
            for index in range(32):
                spoilt = bytearray(unhexlify(proof))
                spoilt[index] ^= 1 << (index & 7)
                lines[3] = "02" + second + " > 02" + hexed(spoilt)
                self.paper.follow(*lines)
                self.assertEqual(run(self.prover.prove(self.credential)), FALSE)
                self.paper.done()
        finally:
            ev2.os = real


class Keys(Prover):
    def test_newest(self):
        card = self.genuine(NEW)
        self.assertEqual(self.prove(card), PROVEN)
        self.assertEqual(self.credential.version, 7)
        self.assertEqual(len(card.steps), 5)
        self.assertEqual(card.steps[1], self.SELECT)
        self.assertEqual(card.steps[-1], "c2")

    def test_older(self):
        card = self.genuine(OLD)
        self.assertEqual(self.prove(card), PROVEN)
        self.assertEqual(self.credential.version, 6)
        self.assertEqual(len(card.steps), 7)

    def test_another_number(self):
        self.prover = Ev2(self.paper, [(7, 4, NEW), (6, 3, OLD)], self.KIND)
        self.assertEqual(self.prove(self.genuine(OLD, 3)), PROVEN)
        self.assertEqual(self.credential.version, 6)
        self.assertEqual(self.prove(self.genuine(NEW, 4)), PROVEN)
        self.assertEqual(self.credential.version, 7)

    def test_a_strangers(self):
        for card in (
            self.genuine(bytes(16)),
            self.genuine(NEW, 2),
            Genuine({3: NEW}, self.KIND == NTAG424),  # not diversified
            Genuine({3: card_key(NEW, UID[:6] + b"\0", 3, self.APPLICATION)}, self.KIND == NTAG424),
            Genuine({3: card_key(NEW, UID, 2, self.APPLICATION)}, self.KIND == NTAG424),
            Genuine({3: card_key(NEW, UID, 3, b"\x57\x4d\xf6")}, self.KIND == NTAG424),
        ):
            self.assertEqual(self.prove(card), FALSE)
            self.assertEqual(self.credential.version, 0)
            self.assertEqual(card.steps[-1], "c2")
            self.assertEqual(self.prove(self.genuine(NEW)), PROVEN)

    def test_without_keys(self):
        self.prover = Ev2(self.paper, [], self.KIND)
        self.assertEqual(self.prove(self.genuine(NEW)), FALSE)

    def test_no_card_of_this_kind(self):
        self.credential.length = 4
        self.assertEqual(self.prove(None), FALSE)
        self.credential.length = 7
        self.assertEqual(self.prove(Genuine({3: NEW}, self.KIND != NTAG424)), FALSE)


class KeysOfDesfire(Keys):
    KIND = DESFIRE
    APPLICATION = b"\x57\x4d\xf5"
    SELECT = "02905a000003574df500"

    # by name: what a class inherits is not collected
    def test_newest(self):
        super().test_newest()

    def test_older(self):
        super().test_older()

    def test_a_strangers(self):
        super().test_a_strangers()

    def test_no_card_of_this_kind(self):
        super().test_no_card_of_this_kind()


class Spoilt(Prover):
    """Each answer spoilt in each way; the next card is proven."""

    def at(self, step, bad, master=NEW):
        return self.genuine(master, 3, lambda count, answer: bad(answer) if count >= step else answer)

    def test_gone_is_lost(self):
        for outcome in ("silence", "garbled", "collision", "bits 0", "raw 02", "raw 0290000000"):
            for master, steps in ((NEW, 4), (OLD, 6)):
                for step in range(steps):
                    self.assertEqual(self.prove(self.at(step, lambda answer, said=outcome: said, master)), LOST)
                    self.assertEqual(self.prove(self.genuine(NEW)), PROVEN)

    def test_gone_after_the_proof(self):
        self.assertEqual(self.prove(self.at(4, lambda answer: "silence")), PROVEN)

    def test_cut_or_too_long_is_false(self):
        for step in range(4):
            for bad in (lambda answer: answer[:-2], lambda answer: answer + "00", lambda answer: answer[:2]):
                if step:
                    self.assertEqual(self.prove(self.at(step, bad)), FALSE)
                    self.assertEqual(self.prove(self.genuine(NEW)), PROVEN)

    def test_other_status_is_false(self):
        for step in (1, 2, 3):
            for status in ("6700", "911c", "91ae", "917e", "91a0", "9140", "91ca", "0000", "ffff"):
                bad = lambda answer, status=status: answer[:2] + status  # noqa: E731
                self.assertEqual(self.prove(self.at(step, bad)), FALSE)

    def test_a_card_that_makes_wait_is_lost(self):
        for step in (2, 3):
            self.assertEqual(self.prove(self.at(step, lambda answer: answer[:2] + "91ad")), LOST)

    def test_status_without_a_cryptogram_is_false(self):
        self.assertEqual(self.prove(self.at(3, lambda answer: answer[:2] + "9100")), FALSE)
        self.assertEqual(self.prove(self.at(2, lambda answer: answer[:2] + "9100")), FALSE)

    def test_our_own_secret_sent_back_is_false(self):
        seen = []

        def change(count, answer):
            if count in (3, 5):
                return answer[:2] + seen[-1] + "9100"
            return answer

        card = self.genuine(NEW, 3, change)
        inner = card.command

        def command(data):
            if len(data) == 38:
                seen.append(hexed(data[5:37]))
            return inner(data)

        card.command = command
        self.assertEqual(self.prove(card), FALSE)

    def test_replayed_is_false(self):
        card = self.genuine(NEW)
        answers = []

        def record(sent):
            answers.append(card(sent))
            return answers[-1]

        self.assertEqual(self.prove(record), PROVEN)
        replay = list(answers)
        # the older version is refused by an emulator, too
        self.assertEqual(self.prove(lambda sent: replay.pop(0) if len(replay) > 1 else sent[:2] + "91ae"), FALSE)

    def test_slow_is_lost(self):
        for step in (1, 2, 3):
            self.assertEqual(self.prove(self.at(step, lambda answer: "f201")), LOST)

    def test_no_iso_14443_4_after_all(self):
        self.assertEqual(self.prove(self.at(0, lambda answer: "0a0a")), FALSE)

    def test_dead(self):
        for step in range(5):
            with self.assertRaises(ReaderFault):
                self.prove(self.at(step, lambda answer: "dead"))
            self.assertEqual(self.prove(self.genuine(NEW)), PROVEN)


class Oracle(Prover):
    def test_two_ways_to_the_same_key(self):
        key = card_key(NEW, UID, 3, self.APPLICATION)
        self.assertEqual(self.prover._card_key(NEW, UID, 3), key)
        # the short padding of RFC 4493 happens to be the same: 18 bytes are padded to 32 anyway
        message = b"\x01" + UID + self.APPLICATION + b"menwei\x03"
        self.assertEqual(plain_cmac(NEW, message), key)
