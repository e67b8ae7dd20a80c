"""Lines of the provers in drivers/ that must not be otherwise; `python -m tests.mutants` tells the form."""

_CMAC = ("tests/drivers/chip_cmac.py",)
_ISODEP = ("tests/drivers/chip_isodep.py", "tests/drivers/chip_proof.py")
_EV2 = ("tests/drivers/chip_ev2.py", "tests/drivers/chip_proof.py")
_CLASSIC = ("tests/drivers/chip_classic.py", "tests/fuzz/chip_fuzz_proofs.py")

_DIFFERS = "differs |= clear[4 + index] ^ secret[(index + 1) & 15]"

MUTANTS = [
    ("drivers/cmac.py", "mask = self._masks[length < end]", "mask = self._masks[1]", "whole messages", _CMAC),
    ("drivers/cmac.py", "end = max(room, length + 15 & ~15)", "end = length + 15 & ~15", "AN10922 pads to 32", _CMAC),
    ("drivers/ev2.py", "return not differs", "return True", "the status is believed without the cryptogram", _EV2),
    ("drivers/ev2.py", _DIFFERS, _DIFFERS.replace("|", ""), "only the last byte is compared", _EV2),
    (
        "drivers/ev2.py",
        "if length == 2 and data[1] == 0xAD:",
        "if False:",
        "a card that makes its holder wait is called false",
        _EV2,
    ),
    (
        "drivers/ev2.py",
        "if length < 0 and not link.broken:",
        "if length < 0:",
        "nonsense that came whole is only lost",
        _EV2,
    ),
    (
        "drivers/ev2.py",
        "if length == 34 and data[32] == 0x91 and not data[33] and self._fits(key):",
        "if self._fits(key):",
        "what an answer of another length leaves in the buffer is judged",
        _EV2,
    ),
    ("drivers/ev2.py", "await link.deselect()", "", "a card that stays can be proven once", _EV2),
    ("drivers/isodep.py", "self.broken = count > 0", "self.broken = True", "silence is called false", _ISODEP),
    ("drivers/isodep.py", "if not 0 < frame[2] < 60:  # 7.3", "if False:", "a multiplier of 0", _ISODEP),
    ("drivers/isodep.py", "if not waits:", "if False:", "a card that asks for time without end", _ISODEP),
    (
        "drivers/isodep.py",
        "if got + count > len(buf) or (answer & _CHAINING and not (count and pieces)):",
        "if answer & _CHAINING and not (count and pieces):",
        "an answer longer than the buffer",
        _ISODEP,
    ),
    (
        "drivers/isodep.py",
        "if got + count > len(buf) or (answer & _CHAINING and not (count and pieces)):",
        "if got + count > len(buf):",
        "an empty chain without end",
        _ISODEP,
    ),
    ("drivers/isodep.py", "if frame[1] != count:  # TL counts itself", "if False:", "TL that is wrong", _ISODEP),
    ("drivers/isodep.py", "pcb = _ACK | number ^ 1", "pcb = _ACK | number", "the acknowledged block number", _ISODEP),
    (
        "drivers/isodep.py",
        "if answer & 1 != number:  # the piece has not come: rule 6",
        "if False:",
        "a piece that was lost is not sent again",
        _ISODEP,
    ),
    ("drivers/classic.py", "finally:", "except ImportError:", "the reader is left deaf", _CLASSIC),
    ("drivers/classic.py", "if value > counter:", "if value >= 0:", "the older block counts", _CLASSIC),
    ("drivers/classic.py", "spare = 16 - at", "spare = at", "the only valid block is written over", _CLASSIC),
    ("drivers/classic.py", "if counter < _MOST:", "if True:", "the counter overflows its record", _CLASSIC),
    ("drivers/classic.py", "return differs", "return 0", "a block needs no seal", _CLASSIC),
    (
        "drivers/classic.py",
        "return frame[1:17] == blocks[at : at + 16]",
        "return True",
        "a write that was only acknowledged counts",
        _CLASSIC,
    ),
    (
        "drivers/classic.py",
        "return FALSE if await self._select(uid, length) else LOST",
        "return FALSE",
        "a card that has gone is called false",
        _CLASSIC,
    ),
    (
        "drivers/classic.py",
        "for attempt in range(2 * len(keys)):  # noise refuses, too: what counts is refused twice",
        "for attempt in range(len(keys)):",
        "one disturbance and a card is called false",
        _CLASSIC,
    ),
]
