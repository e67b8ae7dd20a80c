"""Bring a deaf reader back, stage by stage: what Health.recover() of drivers/health.py does.

Needed after a fault only; who minds memory drops the module afterwards.
"""

from micropython import const

from drivers.iso14443a import ReaderFault

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
            if chip.healthy():
                _count(health.recoveries, stage)
                return stage
        except ReaderFault:
            pass
    _count(health.recoveries, 0)
    raise ReaderFault(_DEAF)


def _count(recoveries, stage):
    if recoveries[stage] < _MOST:
        recoveries[stage] += 1
