"""Whether the card is one of those that kiosks write UIDs to: a signal, and no proof.

    if await is_magic(cards): ...              # after find(); then cards.lost()

Only the oldest kind (Gen1A) shows itself: after HLTA it takes 40 (7 bits) and then 43, and answers both with ACK. CUID,
FUID and UFUID cards behave as genuine ones do.
"""

from asyncio import sleep_ms

from micropython import const

from drivers.iso14443a import NIBBLE, outcome

_WAKE = const(0x40)
_OPEN = const(0x43)
_ACK = const(0x0A)
_TIMEOUT_US = const(2500)
_HALT_MS = const(5)
_FIELD_OFF_MS = const(6)  # 5.1 ms resets any card
_FIELD_ON_MS = const(7)


async def is_magic(cards):
    """Ask the card that find() has reported. It is in HALT or reset afterwards. Raises ReaderFault."""
    transport = cards.transport
    cards.release()
    await sleep_ms(_HALT_MS)
    if not await _acknowledges(transport, _WAKE, 7):
        return False
    found = await _acknowledges(transport, _OPEN, 0)
    # It would take anything from anybody now
    transport.field(False)
    await sleep_ms(_FIELD_OFF_MS)
    transport.field(True)
    await sleep_ms(_FIELD_ON_MS)
    return found


async def _acknowledges(transport, byte, bits):
    transport.frame[1] = byte
    transport.send(1, bits, _TIMEOUT_US)
    return await outcome(transport) == NIBBLE and transport.frame[1] & 15 == _ACK
