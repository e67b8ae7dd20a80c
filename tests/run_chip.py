"""Run the unittest classes of one module on the unix port and print one line per test.

    micropython -X heapsize=96wK run_chip.py MODULE [Class.test…]

micropython-unittest exits 0 after failures and when nothing ran, so the verdict is in the printed lines, which
`conftest.py` counts: `@ok Class.test`, `@skip Class.test reason`, `@fail Class.test` with the traceback before it.
"""

import gc
import sys
from unittest import SkipTest, TestCase


def run(module, chosen):
    """Run every `test*` method of every TestCase in `module`, or those that are chosen."""
    for class_name in dir(module):
        case = getattr(module, class_name)
        if not (isinstance(case, type) and issubclass(case, TestCase) and case is not TestCase):
            continue
        for name in dir(case):
            if not name.startswith("test"):
                continue
            label = class_name + "." + name
            if chosen and label not in chosen:
                continue
            gc.collect()
            test = case()
            try:
                try:
                    if hasattr(test, "setUp"):
                        test.setUp()
                    getattr(test, name)()
                finally:
                    if hasattr(test, "tearDown"):
                        test.tearDown()
                print("@ok", label)
            except SkipTest as reason:
                print("@skip", label, reason)
            except BaseException as error:  # a power cut is one, and fails a test, too
                sys.print_exception(error)
                print("@fail", label)


# The interpreter puts this script's folder first: there tests/drivers would hide drivers.
sys.path.pop(0)
run(__import__(sys.argv[1]), sys.argv[2:])
