"""Generated answers in a passage of a MIFARE Classic: nobody passes without a sealed counter, none goes back.

    run(20_000, seed)                          # so many answers of cards; on MicroPython

Crypto1 is the chip's and has tests of its own: here somebody knows it all and forges what he likes, in plain.
"""

import random
from os import urandom

from boards.sim.cards import crc_fits, with_crc
from boards.sim.ev2 import cmac
from drivers import iso14443a
from drivers.classic import Classic
from drivers.credential import CLASSIC, FALSE, LOST, PROVEN, Credential
from drivers.iso14443a import BUSY, COLLISION, GARBLED, NIBBLE, TIMEOUT, ReaderFault
from proofs_world import Wrong, await_, no_sleep

UID = b"\x9c\x59\x9b\x32"
SECTOR = 5
KEYS = ((7, SECTOR, bytes(range(16, 32))), (6, SECTOR, bytes(range(16))))
_MOST = 40  # frames of one session


def derived(key, purpose):
    return cmac(key, b"\x01" + UID + bytes((SECTOR,)) + purpose)


def sealed(key, version, counter, block):
    data = b"\x01" + counter.to_bytes(3, "little") + bytes((version, 0, 0, 0))
    return data + cmac(derived(key, b"menwei C"), bytes((block,)) + data)[:8]


class Plain:
    """A card without its cipher."""

    def __init__(self, version, key, counter):
        self.version = version
        self.key = key
        self.key_a = derived(key, b"menwei A")[:6]
        self.blocks = [sealed(key, version, counter, 4 * SECTOR), bytes(16)]
        self.open = False
        self.target = None

    def held(self):
        """The highest counter in a valid block, -1 without."""
        best = -1
        for index in (0, 1):
            value = int.from_bytes(self.blocks[index][1:4], "little")
            if self.blocks[index] == sealed(self.key, self.version, value, 4 * SECTOR + index):
                best = max(best, value)
        return best

    def answer(self, frame):
        """A frame, or an int for 4 bits, or None."""
        if not self.open or not crc_fits(frame, len(frame)):
            self.open = False
            return None
        if self.target is not None:
            if len(frame) != 18:
                self.open = False
                return 4
            self.blocks[self.target] = bytes(frame[:16])
            self.target = None
            return 10
        index = frame[1] - 4 * SECTOR
        if len(frame) != 4 or index not in (0, 1) or frame[0] not in (0x30, 0xA0):
            self.open = False
            return 4
        if frame[0] == 0x30:
            return with_crc(self.blocks[index])
        self.target = index
        return 10


class Air:
    """A transport, and the cards in front of it."""

    def __init__(self):
        self.frame = bytearray(65)
        self.transport = self
        self.card = None
        self.rate = self.answers = self.frames = 0
        self.opened = False
        self.crypto = False
        self.read = []  # blocks that came through as they are
        self.outcome = BUSY
        self.busy = False

    def present(self, card, rate):
        self.card = card
        self.rate = rate
        self.frames = 0
        self.opened = False
        del self.read[:]

    async def select(self, uid, length):
        if self.crypto:
            raise Wrong("selected in a session")
        return self.card is not None and random.randrange(100) >= self.rate

    def plain(self):
        self.crypto = False
        if self.card:
            self.card.open = False
            self.card.target = None

    def authenticate(self, command, block, key, uid):
        self._count()
        card = self.card
        fits = card is not None and command == 0x60 and block == 4 * SECTOR and bytes(key) == card.key_a
        fits = fits and bytes(uid) == UID and random.randrange(100) >= self.rate
        self.busy = True
        if fits:
            card.open = self.opened = self.crypto = True
        self.outcome = 0 if fits else random.choice((TIMEOUT, TIMEOUT, GARBLED))

    def _count(self):
        self.answers += 1
        self.frames += 1
        if self.frames > _MOST:
            raise Wrong("a session without end")

    def send(self, length, last_bits, timeout_us):
        self._count()
        if not 0 < length <= 18 or last_bits or not self.crypto:
            raise Wrong("sent %d bytes" % length)
        reply = self.card.answer(bytes(self.frame[1 : 1 + length]))
        self.busy = True
        if random.randrange(100) < self.rate:
            self.outcome = self._forged(reply)
        elif reply is None:
            self.outcome = TIMEOUT
        elif isinstance(reply, int):
            self.frame[1] = reply | random.getrandbits(4) << 4
            self.outcome = NIBBLE
        else:
            self.read.append(reply[:16])
            self.outcome = self._put(reply)

    def _forged(self, reply):
        what = random.randrange(7)
        if what < 2:
            return (TIMEOUT, GARBLED, COLLISION)[random.randrange(3)]
        if what == 2:
            self.frame[1] = random.choice((0, 4, 5, 10, 15))
            return NIBBLE
        block = reply[:16] if isinstance(reply, bytes) else bytes(16)
        if what == 3:
            block = urandom(random.randrange(1, 62))
        elif what == 4:
            block = block[: random.randrange(1, 16)]
        else:
            data = bytearray(block)
            data[random.randrange(16)] ^= 1 << random.randrange(8)
            block = bytes(data)
        return self._put(with_crc(block))

    def _put(self, data):
        self.frame[1 : 1 + len(data)] = data
        return len(data)

    def poll(self):
        if self.busy:
            self.busy = False
            return BUSY
        return self.outcome


def session(air, prover, credential, counts):
    credential.show(CLASSIC, 4)
    version, _, key = random.choice(KEYS)
    kind = random.randrange(6)
    card = Plain(version, urandom(16) if kind == 1 else key, random.randrange(1000))
    if kind == 2:  # who has found out the key of the sector and no more
        card.blocks[random.randrange(2)] = urandom(16)
        card.blocks[0] = urandom(8) + card.blocks[0][8:]
    before = card.held()
    air.present(card if kind else None, random.choice((2, 10, 30, 100)))
    try:
        result = await_(prover.prove(credential))
    except ReaderFault:
        raise Wrong("a fault of the reader, and there was none")
    counts[result] = counts.get(result, 0) + 1
    if air.crypto:
        raise Wrong("left in a session")
    now = card.held()
    if now < before:
        raise Wrong("the counter went back")
    if result == PROVEN:
        if kind < 2 or before < 0 or not air.opened or credential.version != version:
            raise Wrong("proven, and it is not")
        if credential.counted:
            counts["counted"] = counts.get("counted", 0) + 1
            if credential.counter != now or now != before + 1:
                raise Wrong("counted, and it is not")
        elif credential.counter != before or now > before + 1:
            raise Wrong("another counter than the card has")
    elif result not in (FALSE, LOST) or now != before:
        raise Wrong("no result")
    return card if before >= 0 and card.key == key else None


def run(count, seed):
    """Let cards answer `count` times. Gives results and how often each came. Raises Wrong."""
    random.seed(seed)
    real = iso14443a.sleep_ms
    iso14443a.sleep_ms = no_sleep
    air = Air()
    credential = Credential()
    credential.uid[:4] = UID
    prover = Classic(air, KEYS)
    counts = {}
    turn = 0
    try:
        while air.answers < count:
            turn += 1
            card = session(air, prover, credential, counts)
            if card:  # whatever was done to it, its next passage is a whole one
                held = card.held()
                air.present(card, 0)
                credential.show(CLASSIC, 4)
                if await_(prover.prove(credential)) != PROVEN or not credential.counted:
                    raise Wrong("a good card was refused")
                if credential.counter != held + 1 or card.held() != held + 1:
                    raise Wrong("not counted on")
    except Exception as error:
        raise Wrong("seed %r, session %d: %r" % (seed, turn, error))
    finally:
        iso14443a.sleep_ms = real
    return counts
