"""MIFARE Classic with keys of its own on each card, and a counter of passages in two alternating blocks.

    prover = Classic(cards, [(version, sector, key)])
    if await prover.prove(credential) == PROVEN: ...

Crypto1 is broken: this stops the kiosk that copies cards, and shows a full copy once both are in use, by a counter that
goes back. Keys, by AES-CMAC of the community's key over 01 || UID || sector || purpose: "menwei A" gives key A,
"menwei C" the one that seals the counter. A counter block, one of the first two of the sector, is

    01 || counter (3 bytes, little endian) || key version || 000000 || CMAC(block number || those 8 bytes)[:8]

The valid one with the higher counter counts, and a passage writes the other, so a torn write loses nothing. Commands
are those of NXP's data sheet MF1S50YYX, section 12.
"""

from micropython import const

from drivers.cmac import Cmac
from drivers.credential import FALSE, LOST, PROVEN
from drivers.iso14443a import NIBBLE, crc_a, outcome

_KEY_A = const(0x60)
_READ = const(0x30)
_WRITE = const(0xA0)
_ACK = const(0x0A)
_TIMEOUT_US = const(25_000)  # a block is programmed in 4 to 10 ms
_MOST = const(0x3FFFF)  # 18 bits; a card stands 100,000 writes of a block


class Classic:
    """A prover (drivers/credential.py)."""

    def __init__(self, cards, keys):
        """`cards` is drivers.iso14443a's; `keys` are tuples (version, sector, 16 bytes), the newest first."""
        self.keys = keys
        self._cards = cards
        self._transport = cards.transport
        self._frame = cards.transport.frame
        self._blocks = bytearray(32)
        self._sealed = bytearray(9)

    async def prove(self, credential):
        """Open the sector, judge the counter and count. Gives PROVEN, FALSE or LOST.

        A card that leaves before its counter is known is LOST; from then on it is PROVEN, whatever becomes of the new
        value: `counter` is what it certainly holds, `counted` whether that is the new one. A refusal is FALSE only
        from a card that is still there and refuses all keys twice.
        """
        try:
            return await self._prove(credential)
        finally:
            self._transport.plain()

    async def _prove(self, credential):
        transport = self._transport
        uid = credential.uid
        length = credential.length
        if length > 7:
            return FALSE
        keys = self.keys
        for attempt in range(2 * len(keys)):  # noise refuses, too: what counts is refused twice
            if attempt and not await self._select(uid, length):
                return LOST
            version, sector, master = keys[attempt % len(keys)]
            key = self._derived(credential, sector, master, b"menwei A")
            transport.authenticate(_KEY_A, 4 * sector, key[:6], uid[length - 4 : length])
            if not await outcome(transport):
                return await self._passage(credential, version, sector, master)
        return FALSE if await self._select(uid, length) else LOST

    def _select(self, uid, length):
        """A refused card must be selected anew."""
        self._transport.plain()
        return self._cards.select(uid, length)

    def _derived(self, credential, sector, master, purpose):
        message = b"\x01" + credential.uid[: credential.length] + bytes((sector,)) + purpose
        return Cmac(master).tag(message, len(message))

    async def _passage(self, credential, version, sector, master):
        frame = self._frame
        blocks = self._blocks
        first = 4 * sector
        for at in (0, 16):
            if not await self._read(first + (at >> 4)):
                return LOST
            blocks[at : at + 16] = frame[1:17]
        fitting = Cmac(self._derived(credential, sector, master, b"menwei C"))
        counter = -1
        spare = 0
        for at in (0, 16):
            seal = fitting
            if blocks[at + 4] != version:  # a card whose keys are being exchanged
                seal = None
                for other, _, key in self.keys:
                    if other == blocks[at + 4]:
                        seal = Cmac(self._derived(credential, sector, key, b"menwei C"))
            if seal and not self._seal(seal, first, at, False):
                value = blocks[at + 1] | blocks[at + 2] << 8 | blocks[at + 3] << 16
                if value > counter:
                    counter = value
                    spare = 16 - at
        if counter < 0:
            return FALSE
        credential.version = version
        credential.counter = counter
        if counter < _MOST:
            counter += 1
            blocks[spare : spare + 4] = ((counter << 8) + 1).to_bytes(4, "little")
            blocks[spare + 4 : spare + 8] = bytes((version, 0, 0, 0))
            self._seal(fitting, first, spare, True)
            if await self._written(first + (spare >> 4), spare):
                credential.counter = counter
                credential.counted = True
        return PROVEN

    def _seal(self, seal, first, at, put):
        """Write the MAC of the block at `at`, or compare it; gives 0 when it and the form are right."""
        blocks = self._blocks
        message = self._sealed
        message[0] = first + (at >> 4)
        message[1:] = blocks[at : at + 8]
        tag = seal.tag(message, 9)
        differs = blocks[at] ^ 1
        for index in range(8):
            if put:
                blocks[at + 8 + index] = tag[index]
            differs |= blocks[at + 8 + index] ^ tag[index]
        return differs

    async def _written(self, block, at):
        """Write a block in two steps and read it back."""
        frame = self._frame
        blocks = self._blocks
        if await self._exchange(_WRITE, block) != NIBBLE or frame[1] & 15 != _ACK:
            return False
        frame[1:17] = blocks[at : at + 16]
        if await self._sent(16) != NIBBLE or frame[1] & 15 != _ACK or not await self._read(block):
            return False
        return frame[1:17] == blocks[at : at + 16]

    async def _read(self, block):
        """A block into frame[1:17]."""
        return await self._exchange(_READ, block) == 18 and not crc_a(self._frame, 1, 19)

    def _exchange(self, command, block):
        self._frame[1] = command
        self._frame[2] = block
        return self._sent(2)

    def _sent(self, length):
        """Begin to exchange frame[1:1 + length] and its CRC; to be awaited for the outcome."""
        frame = self._frame
        crc = crc_a(frame, 1, 1 + length)
        frame[1 + length] = crc & 0xFF
        frame[2 + length] = crc >> 8
        self._transport.send(2 + length, 0, _TIMEOUT_US)
        return outcome(self._transport)
