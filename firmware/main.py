"""Start a door and let it serve.

import firmware.main
firmware.main.run()
"""

import asyncio
import gc
import sys
import time

import machine

# Needed at start only: what they leave is in the objects they made. A stock ESP32 keeps loaded code in the heap.
_ONCE = (
    "firmware.assembly",
    "firmware.config",
    "firmware.provision",
    "storage.keys",
    "storage.recovery",
    "storage.settings",
)


_SHOW_MS = 10_000  # long enough to read on the serial port, short enough for who waits at the door


def drop(names):
    """Take modules out of memory: from the list of modules, and from the package that also holds each."""
    for name in names:
        if sys.modules.pop(name, None):
            package, _, module = name.partition(".")
            delattr(sys.modules[package], module)


def build():
    """Return the Service of this board, with nothing else left in memory."""
    from firmware import assembly

    service = assembly.build()
    drop(_ONCE)
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
