"""Settings with which the door does not get to upstream are taken back. Loaded only while new ones are on trial.

    trial.begin(service)        # at a start, if `provision.before` is there

firmware/provision.py leaves what was there before in a file. It goes when the door is connected; if that does not come
about in 15 minutes, the file becomes what the next start takes over.
"""

import asyncio
import os

import board
from micropython import const

from storage import ondemand

_MODULES = ("firmware.trial",)
_BEFORE = "/provision.before"
_READY = "/provision.parcel"
_LOOK_S = const(5)
_TRIAL_S = const(900)


def begin(service):
    """Watch from now on."""
    asyncio.create_task(_watch(service))


async def _watch(service):
    link = service.recorder.link
    while not (link and link.connected):
        await asyncio.sleep(_LOOK_S)
        if service.uptime.seconds >= _TRIAL_S:
            try:
                os.rename(board.ROOT + _BEFORE, board.ROOT + _READY)
            except OSError as error:
                service.log.error("parcel", "what was there before cannot be taken back", error=error)
            else:
                service.log.error("parcel", "no connection with it: taken back by a restart")
                service.restart()
            break
    else:
        try:
            os.remove(board.ROOT + _BEFORE)
        except OSError:
            pass  # applied again already, or the flash fails: the next start tries again
    ondemand.drop(_MODULES)
