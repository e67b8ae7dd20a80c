"""Lines of what judges credentials and finds copies; `python -m tests.mutants` tells the form."""

_ACCESS = ("tests/firmware/test_access.py", "tests/firmware/chip_passage.py")
_PASSAGE = ("tests/firmware/chip_passage.py",)
_READER = ("tests/firmware/chip_reader.py",)
_WATCH = ("tests/storage/chip_copywatch.py",)
_CONFIG = ("tests/firmware/chip_config.py", "tests/firmware/chip_passage.py")

MUTANTS = [
    ("firmware/access.py", "if not accepted:", "if False:", "a kind that is not taken opens", _ACCESS),
    ("firmware/access.py", "if not proven:", "if False:", "a card opens without its proof", _ACCESS),
    ("firmware/passage.py", "proof == PROVEN,", "proof != LOST,", "a false card opens", _PASSAGE),
    ("firmware/passage.py", "if sak & _SAK[kind]:", "if True:", "a card is asked for what it cannot be", _PASSAGE),
    (
        "firmware/passage.py",
        "elif false and reason == record.NOT_PROVEN:",
        "elif reason == record.NOT_PROVEN:",
        "a holder whose card was pulled away is suspected",
        _PASSAGE,
    ),
    (
        "firmware/passage.py",
        "table[row + access.KINDS] >> credential.kind & 1,",
        "True,",
        "a group that needs AES opens to a UID",
        _PASSAGE,
    ),
    (
        "firmware/config.py",
        'for name in settings["group_kinds"].get(str(group), settings["kinds"]):',
        'for name in settings["kinds"]:',
        "groups have no kinds of their own",
        _CONFIG,
    ),
    ("drivers/credential.py", "self._message[0] = self.kind", "self._message[0] = 1", "a UID stands for all", _PASSAGE),
    (
        "firmware/reader.py",
        "if not self._tries:",
        "if True:",
        "a card that breaks off for ever is never refused",
        _READER,
    ),
    ("firmware/reader.py", "self._judge(PROVEN if kind == UID else LOST)", "self._judge(PROVEN)", "no keys", _READER),
    ("firmware/reader.py", "if self._faults > _FAULTS:", "if False:", "a deaf reader raises no alarm", _READER),
    (
        "firmware/reader.py",
        "stage = await (health.recover() if self._faults > 1 else health.check())",
        "stage = await health.check()",
        "a chip that seems well is never brought back",
        _READER,
    ),
    ("storage/copywatch.py", "held -= 1  # what it held when it came", "pass", "copies that count are missed", _WATCH),
    (
        "storage/copywatch.py",
        "self._at = (self._at - 1) % journal._sectors",
        "self._left = 0",
        "only the newest sector is searched",
        _WATCH,
    ),
    (
        "storage/copywatch.py",
        "self.rolled_back = held < record.shown(before)[3]",
        "self.rolled_back = held <= record.shown(before)[3]",
        "every second passage of a holder is suspected",
        _WATCH,
    ),
]
