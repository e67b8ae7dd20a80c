"""Generated answers at every step of a proof: none but a card with the key is proven, and nothing is raised.

    run(20_000, seed)                          # so many answers of cards; on MicroPython

Between card and driver sits somebody who drops, cuts, damages and forges frames, replays those of other sessions, asks
for time and chains without end; the cards are genuine ones, strangers with a right UID, and nobody. After each session
a genuine card is proven. What fails is raised as Wrong, with the seed and the number of the session.
"""

import random
from os import urandom

from boards.sim.cards import ACTIVE, with_crc
from boards.sim.desfire import Desfire
from boards.sim.ev2 import cmac
from boards.sim.ntag424 import Ntag424
from drivers import isodep
from drivers.credential import DESFIRE, FALSE, LOST, NTAG424, PROVEN, Credential
from drivers.ev2 import Ev2
from drivers.iso14443a import BUSY, COLLISION, GARBLED, NIBBLE, TIMEOUT, ReaderFault

UID = b"\x04\x11\x22\x33\x44\x55\x66"
KEYS = ((7, 3, bytes(range(16, 32))), (6, 2, bytes(range(16))))
AID = b"\x57\x4d\xf5"
_MOST = 400  # frames of one session
_POOL = 24


class Wrong(Exception):
    """What must not happen."""


def no_sleep(_ms):
    return iter((None,))


def await_(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def card_of(kind, key, number):
    """A personalised card, in a field."""
    application = b"\x01\x00\x00" if kind == NTAG424 else AID
    own = cmac(key, b"\x01" + UID + application + b"menwei" + bytes((number,)))
    if kind == NTAG424:
        card = Ntag424(UID, delays=0)
        card.set_key(number, own)
    else:
        card = Desfire(UID)
        card.add_application(AID, 5).keys[number].value = own
    return card


class Air:
    """A transport; `rate` of 100 answers are not what the card said."""

    def __init__(self):
        self.frame = bytearray(65)
        self.card = None
        self.rate = 0
        self.answers = 0
        self.frames = 0
        self.pool = []  # answers of earlier sessions
        self.proof = False  # a cryptogram went through as the card made it
        self.outcome = BUSY
        self.busy = False

    def present(self, card, rate):
        if card:
            card.power(True)
            card.state = ACTIVE
        self.card = card
        self.rate = rate
        self.frames = 0
        self.proof = False

    def send(self, length, last_bits, timeout_us):
        if not 0 < length <= 64 or last_bits or not 0 < timeout_us <= 250_000:
            raise Wrong("sent %d bytes, %d bits, %d us" % (length, last_bits, timeout_us))
        self.answers += 1
        self.frames += 1
        if self.frames > _MOST:
            raise Wrong("a session without end")
        card = self.card
        reply = b""
        if card:
            bits = card.answer(bytes(self.frame[1 : 1 + length]), 8 * length)
            if bits:
                reply = bytes(card.reply)
        if reply and random.randrange(40) == 0:
            self.pool.append(reply)
            if len(self.pool) > _POOL:
                self.pool.pop(random.randrange(_POOL))
        self.busy = True
        if random.randrange(100) < self.rate:
            self.outcome = self._forged(reply)
        elif len(reply) > 64:
            self.outcome = GARBLED
        else:
            self.outcome = self._put(reply) if reply else TIMEOUT
        # What is forged may by chance be what the card said
        if len(reply) >= 37 and self.outcome == len(reply) and self.frame[1 : 1 + len(reply)] == reply:
            self.proof = True

    def poll(self):
        if self.busy:
            self.busy = False
            return BUSY
        return self.outcome

    def _put(self, data):
        data = data[:64]
        self.frame[1 : 1 + len(data)] = data
        return len(data)

    def _forged(self, reply):
        what = random.randrange(12)
        if what < 3:
            self.frame[1] = random.getrandbits(8)
            return (TIMEOUT, GARBLED, COLLISION, NIBBLE)[random.randrange(4)]
        block = reply[:-2] or b"\x02"
        if what == 3:
            block = urandom(random.randrange(1, 63))
            return self._put(block)
        if what == 4:
            block = urandom(random.randrange(1, 63))
        elif what == 5:
            block = block[: random.randrange(1, len(block) + 1)]
        elif what == 6:
            block = block + urandom(random.randrange(1, 30))
        elif what == 7:
            data = bytearray(block)
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            block = bytes(data)
        elif what == 8:
            block = bytes((0xF2, random.getrandbits(8) if random.randrange(2) else 1))
        elif what == 9:
            block = bytes((random.choice(b"\xa2\xa3\xb2\xb3\xc2\xf2\x02\x03\x12\x13"),))
        elif what == 10 and self.pool:
            block = random.choice(self.pool)[:-2]
            if random.randrange(2) and block:  # in step with this session
                block = bytes((reply[0] if reply else 2,)) + block[1:]
        else:
            # chained, with a status or without
            block = bytes((0x12 | block[0] & 1,)) + urandom(random.randrange(20)) + b"\x91\x00"
        return self._put(with_crc(block))


def session(air, prover, credential, kind, counts):
    """One session with somebody between; the result is counted."""
    credential.show(kind, 7)
    choice = random.randrange(8)
    version, number, key = random.choice(KEYS)
    genuine = choice < 4
    card = card_of(kind, key if genuine else urandom(16), number) if choice < 7 else None
    air.present(card, random.choice((3, 10, 30, 100)))
    try:
        result = await_(prover.prove(credential))
    except ReaderFault:
        raise Wrong("a fault of the reader, and there was none")
    counts[result] = counts.get(result, 0) + 1
    if result == PROVEN:
        if not genuine or not air.proof or credential.version != version:
            raise Wrong("proven, and it is not")
    elif result not in (FALSE, LOST) or credential.version:
        raise Wrong("no result")


def run(count, seed):
    """Let cards answer `count` times. Gives results and how often each came. Raises Wrong."""
    random.seed(seed)
    real = isodep.sleep_ms
    isodep.sleep_ms = no_sleep
    air = Air()
    credential = Credential()
    credential.uid[:7] = UID
    kinds = (NTAG424, DESFIRE)
    provers = [Ev2(air, KEYS, kind) for kind in kinds]
    good = [card_of(kind, KEYS[0][2], KEYS[0][1]) for kind in kinds]
    counts = {}
    turn = 0
    try:
        while air.answers < count:
            at = turn & 1
            session(air, provers[at], credential, kinds[at], counts)
            air.present(good[at], 0)
            credential.show(kinds[at], 7)
            if await_(provers[at].prove(credential)) != PROVEN or credential.version != KEYS[0][0]:
                raise Wrong("a good card was refused")
            turn += 1
    except Exception as error:
        raise Wrong("seed %r, session %d: %r" % (seed, turn, error))
    finally:
        isodep.sleep_ms = real
    return counts
