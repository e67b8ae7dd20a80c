"""Bring a deaf reader back, stage by stage: what Health.recover() of drivers/health.py does.

A stage has helped when the registers are well and an exchange comes to its end.

Needed after a fault only; who minds memory drops the module afterwards.
"""

from micropython import const

from drivers.iso14443a import ReaderFault, outcome
from drivers.presence import WUPA

_WITHOUT_POWER = const(3)
_WITH_POWER = const(4)
_MOST = const(0xFFFF)

_DEAF = "reader deaf: no reset brings it back. Check its supply, its wiring and its antenna."


async def recover(health):
    """See Health.recover."""
    chip = health.chip
    for stage in range(1, (_WITHOUT_POWER if chip.power is None else _WITH_POWER) + 1):
        try:
            await health.cards.start(stage)
            if chip.healthy() and await _works(chip):
                _count(health.recoveries, stage)
                return stage
        except ReaderFault:
            pass
    _count(health.recoveries, 0)
    raise ReaderFault(_DEAF)


async def _works(chip):
    """Send WUPA: registers can be well in a chip that sends and times nothing. A card may be in READY afterwards."""
    chip.frame[1] = WUPA
    chip.send(1, 7, 2500)
    await outcome(chip)
    return True


def _count(recoveries, stage):
    if recoveries[stage] < _MOST:
        recoveries[stage] += 1
