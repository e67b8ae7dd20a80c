"""Start a door and let it serve.

import firmware.main
firmware.main.run()
"""

import asyncio
import gc
import sys

# Needed at start only: what they leave is in the objects they made. A stock ESP32 keeps loaded code in the heap.
_ONCE = (
    "firmware.assembly",
    "firmware.config",
    "firmware.provision",
    "storage.recovery",
    "storage.settings",
)


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
    """Serve for ever."""
    asyncio.run(build().run())
