"""Modules that are loaded when they are needed and dropped again: a stock ESP32 keeps loaded code in the heap.

from storage import cardchange      # inside the function that needs it
ondemand.drop(("storage.cardchange",))
"""

import sys


def drop(names):
    """Take modules out of memory: from the list of modules, and from the package that also holds each."""
    for name in names:
        if sys.modules.pop(name, None):
            package, _, module = name.partition(".")
            if module:
                delattr(sys.modules[package], module)
