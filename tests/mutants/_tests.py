"""How the lists name tests: what pytest is given, files and tests of them separated by blanks.

    chip("entry")                               # a whole chip file of tests/storage
    chip("journal", "Functions.test_small_buffers")
    cuts("cards")                               # slow: only where nothing quicker catches

A chip test that is asked for alone runs alone.
"""


def chip(file, *tests):
    """Name a chip file, or tests of it."""
    path = f"tests/storage/chip_{file}.py"
    return " ".join(f"{path}::{test}" for test in tests) or path


def cuts(store):
    """Name the power cuts of one store."""
    return f"tests/storage/test_power_cuts.py -k {store}"
