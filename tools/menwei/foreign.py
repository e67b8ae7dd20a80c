"""Names that a door's modules share with others: they keep them (menwei.shortnames).

That is what MicroPython's own types and modules call their things, and what `boards/` calls them: the simulated board
has every class and function of the chip that the firmware uses. What the simulator models behind a bus or a wire is
left out, because the firmware never holds an object of it.
"""

import ast
import builtins
import importlib

# Modules that a door imports and CPython has, too; the words below are MicroPython's own. A method of a chip's class
# that the simulated board lacks, and that one of our classes has, too, must stand there.
_MODULES = (
    *("array", "asyncio", "binascii", "errno", "gc", "hashlib", "json", "os"),
    *("random", "socket", "ssl", "struct", "sys", "time"),
)
# In boards/sim: cards, the reader chip behind SPI, the door's mechanics, flash chip below the partitions, the outside.
_BEHIND = (
    *("card", "classic", "crypto1", "desfire", "ev2", "isocard", "mfrc522", "ntag424"),
    *("mechanics", "norflash", "world", "control"),
)
_TYPES = (object, int, str, bytes, bytearray, memoryview, list, tuple, dict, set, range, type(_ for _ in ()), OSError)
_OWN = (
    *("const", "schedule", "opt_level", "mem_alloc", "mem_free", "print_exception", "urandom", "unhexlify", "hexlify"),
    *("ticks_ms", "ticks_us", "ticks_add", "ticks_diff", "sleep_ms", "sleep_us", "wait_for_ms", "core", "cur_task"),
    *("readinto", "wait_closed", "aclose", "awrite", "drain", "ioctl", "queue_read", "queue_write", "ThreadSafeFlag"),
    *("aes", "encrypt", "decrypt", "idf_heap_info", "raw_temperature", "init", "deinit", "scan", "any", "duty_u16"),
    *("readfrom", "readfrom_mem", "readfrom_into", "readfrom_mem_into", "writeto", "writeto_mem", "read_u16", "memory"),
)


def standard():
    """Return the names of Python's and MicroPython's own types and modules."""
    found = set(dir(builtins)) | set(_OWN)
    for module in map(importlib.import_module, _MODULES):
        found |= set(dir(module))
        for thing in vars(module).values():
            if isinstance(thing, type):
                found |= set(dir(thing))
    for kind in _TYPES:
        found |= set(dir(kind))
    return found


def defined(tree):
    """Return the public names of functions, arguments, classes and attributes that a board's module defines."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            found.add(node.attr)
    for body in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))):
        for node in body.body:
            if isinstance(node, ast.Assign):
                found |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def foreign(boards):
    """Return all names that are not a door's own, given a dict of path to text of the modules in `boards/`."""
    near = (text for path, text in boards.items() if not path.name.startswith(_BEHIND))
    return standard().union(*(defined(ast.parse(text)) for text in near), {"main", "run", "build"})
