"""Start a door and let it serve.

import firmware.main
firmware.main.run()
"""

import asyncio
import gc
import sys
import time

import machine

from storage import ondemand

# Needed at start only: what they leave is in the objects they made. A stock ESP32 keeps loaded code in the heap.
_ONCE = (
    "firmware.assembly",
    "firmware.clockstart",
    "firmware.config",
    "firmware.policysource",
    "firmware.forget",
    "firmware.provision",
    "storage.cardmount",
    "storage.cardrevision",
    "storage.cardsector",
    "storage.certificates",
    "storage.keys",
    "storage.mending",
    "storage.recovery",
    "storage.settings",
    "sync.credentials",
    "sync.ntp",
    "sync.parcels",
)


_SHOW_MS = 10_000  # long enough to read on the serial port, short enough for who waits at the door


def build():
    """Return the Service of this board, with nothing else left in memory."""
    from firmware import assembly

    service = assembly.build()
    ondemand.drop(_ONCE)
    gc.collect()
    return service


def run():
    """Serve for ever; what fails before that is shown, and the chip starts again."""
    try:
        asyncio.run(build().run())
    except Exception as error:
        sys.print_exception(error)
        time.sleep_ms(_SHOW_MS)
    machine.reset()
