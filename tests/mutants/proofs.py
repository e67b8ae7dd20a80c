"""Lines of the provers in drivers/ that must not be otherwise; `python -m tests.mutants` tells the form."""

_ISODEP = ("tests/drivers/chip_isodep.py", "tests/drivers/chip_proof.py")
_EV2 = ("tests/drivers/chip_ev2.py", "tests/drivers/chip_proof.py")
_CLASSIC = ("tests/drivers/chip_classic.py", "tests/fuzz/chip_proofs.py")

MUTANTS = [
    ("drivers/cmac.py", "mask = self._masks[length < end]", "mask = self._masks[1]", "whole messages", _EV2),
    ("drivers/ev2.py", "return not differs", "return True", "the status is believed without the cryptogram", _EV2),
    ("drivers/ev2.py", "differs |= clear[4 + index] ^ secret[(index + 1) & 15]",
     "differs = clear[4 + index] ^ secret[(index + 1) & 15]", "only the last byte is compared", _EV2),
    ("drivers/ev2.py", "length = -1\n", "", "", _EV2),
]
