"""How the lists name tests.

chip("entry")                               # a whole chip file of tests/storage
chip("journal", "Functions.test_a", "Functions.test_b")   # tests of it
cuts("cards"), FLIPS                        # slow ones
"""

FLIPS = "tests/storage/test_flipped_bits.py"


def chip(file, *tests):
    """What pytest is given for a chip file, or for tests of it."""
    path = f"tests/storage/chip_{file}.py"
    return " ".join(f"{path}::{test}" for test in tests) or path


def cuts(store):
    """What pytest is given for the power cuts of one store."""
    return f"tests/storage/test_power_cuts.py -k {store}"
