"""CPython stand-in for MicroPython's `micropython` module, so that the pure modules of the door run on both."""


def const(value):
    """Return `value`; on MicroPython the compiler folds it."""
    return value


def native(function):
    """Return `function` unchanged."""
    return function
