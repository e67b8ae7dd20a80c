"""The command *restart*: not before it was answered, and when nobody is at the door. Loaded when it comes.

restart.soon(service)
"""

from asyncio import create_task, sleep_ms

import machine
from micropython import const

MODULES = ("firmware.restart",)
_ANSWER_S = const(3)  # until the answer is on its way
_PATIENCE_S = const(60)
_LOOK_MS = const(200)


def soon(service):
    """Restart the chip when nobody is at the door, at the latest in a minute; never while the lock is released."""
    create_task(_restart(service))


async def _restart(service):
    began_s = service.uptime.seconds
    door = service.watch.door
    while True:
        await sleep_ms(_LOOK_MS)
        waited_s = service.uptime.seconds - began_s
        # The relay falls to locked in a reset: whoever was let go, by fire above all, must not be shut in.
        if waited_s >= _ANSWER_S and not door.relay and not door.fire and (service.quiet() or waited_s >= _PATIENCE_S):
            service.log.warning("command", "restart")
            machine.reset()
