"""A door's modules put together say the same as apart, on the interpreter that runs them."""

import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from menwei.build import ROOT, SERVICE, compile_file, sources
from menwei.bundle import Bundle, BundleError, closure
from menwei.bundles import BUNDLES, bundled
from menwei.condense import condense
from menwei.hot import said_first
from menwei.slim import Slim

MICROPYTHON = Path(sys.executable).with_name("micropython")

# Whatever two modules may both have: constants, state, functions, classes, locals of the same name as something else's.
ONE = '''"""First."""

from time import ticks_ms as now

from micropython import const

LIMIT = const(4)
_STEP = const(2)
_count = 0
table = [1, 2]


class Fault(OSError):
    """Alone in its body."""


def check(value):
    """One more is counted."""
    global _count
    _count += _STEP
    return value + _count + LIMIT


class Thing:
    width = _STEP

    def __init__(self, count=_STEP):
        self.count = count

    def check(self, list=table):
        return [check(check_it) for check_it in list], now() >= 0
'''
TWO = """from micropython import const

from storage import one
from storage.one import Fault, check as verify
from storage.one import Thing

_LIMIT = const(100)
_STEP = const(
    LIMIT_OF_MINE := 30
) if False else 31
_count = 7
table = {"now": 5}


def check(value, one_more=_count):
    global _count
    _count += one_more
    table["now"] += 1

    def inner(table):
        return table + _count + _LIMIT

    return verify(value), inner(1), table["now"], one.table, one.LIMIT


def local(check):
    value = check + 1  # not the function
    return (lambda verify: verify + value)(3), [table for table in (1, 2)]


class Thing2(Thing):
    now = 3

    def check(self):
        try:
            raise Fault(5)
        except Fault as table:
            return table.errno, super().check(), self.width, self.now


def rare():
    from storage import rare as module

    return module.rare(), Fault.__name__
""".replace(
    """_STEP = const(
    LIMIT_OF_MINE := 30
) if False else 31
""",
    "_STEP = const(31)\n",
)
RARE = """from storage.one import LIMIT, Fault, check


def rare():
    from storage import two

    verify = two.check
    return check(1), verify(2), LIMIT, two.table
"""
ROOT_MODULE = """from storage import two
from storage.two import Thing2


def main():
    for _ in range(2):
        print(two.check(1), two.local(5), Thing2().check(), Thing2(9).count, two.rare(), two.Fault.__name__)
"""
MODULES = {"storage.one": ONE, "storage.two": TWO, "storage.rare": RARE, "firmware.root": ROOT_MODULE}


def run(folder):
    said = subprocess.run(
        [MICROPYTHON, "-c", "from firmware.root import main; main()"], cwd=folder, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def write(folder, texts):
    for name, text in texts.items():
        path = folder / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def made(modules, roots, without=(), **options):
    return Bundle(modules, closure(modules, roots, without), "all", **options)


def test_modules_put_together_say_the_same_as_apart(tmp_path):
    write(tmp_path / "apart", MODULES)
    before = run(tmp_path / "apart")
    assert len(before.splitlines()) == 2
    bundle = made(MODULES, ["firmware.root"], {"firmware.root"})
    assert [module for _, module in bundle.lines] == ["storage.one", "storage.two"]
    write(tmp_path / "together", bundle.texts)
    assert run(tmp_path / "together") == before
    slim = Slim(bundle.texts, {"main"}, ["count", "now", "append", "index"])
    for name in bundle.texts:
        text = condense(slim.text(name))[0]
        write(tmp_path / "slim", {name: said_first(text) + text})
        place = tmp_path / "slim" / (name.replace(".", "/") + ".mpy")
        compile_file(place.with_suffix(".py"), place)
        place.with_suffix(".py").unlink()
    assert run(tmp_path / "slim") == before


def test_a_bundle_imports_nothing_of_its_own_and_nothing_twice():
    text = made(MODULES, ["firmware.root"], {"firmware.root"}).texts["all"]
    assert [line for line in text.splitlines() if "import" in line] == [
        "from time import ticks_ms as now_time",
        "from micropython import const",
        "    from storage import rare as module",
    ]


def test_a_copy_in_a_bundle_leaves_the_module_to_the_others(tmp_path):
    modules = {
        "storage.shared": "def double(value):\n    return 2 * value\n",
        "firmware.start": "from storage.shared import double\n\n\ndef begin():\n    return double(1)\n",
        "firmware.late": "from storage.shared import double\n\n\ndef end():\n    return double(2)\n",
        "firmware.root": (
            "import sys\nDROPPED = ('firmware.start', 'firmware.late', 'storage.shared')\n\n\ndef main():\n"
            "    from firmware import late, start\n\n    print(start.begin(), late.end(), DROPPED)\n"
        ),
    }
    bundle = Bundle(modules, ["storage.shared", "firmware.start"], "setup", {"storage.shared"})
    assert set(bundle.texts) == {"setup", "storage.shared", "firmware.late", "firmware.root"}
    assert bundle.texts["firmware.late"] == modules["firmware.late"]
    assert "import" not in bundle.texts["setup"]
    write(tmp_path, bundle.texts)
    assert run(tmp_path) == "2 4 ('setup', 'firmware.late', 'storage.shared')\n"


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({"firmware.root": "from storage import one\n\nparts = [one]\n"}, r"firmware.root:3: storage.one is a part"),
        (
            {"firmware.root": "from storage import one\n\none.table = 1\n"},
            r"firmware.root:3: sets a name of storage.one",
        ),
        ({"firmware.root": "from storage import one\n\none.gone()\n"}, r"firmware.root:3: storage.one has no gone"),
        (
            {
                "firmware.root": "from storage import one\n\n\ndef f():\n"
                "    from storage import rare\n\n    rare.Fault()\n"
            },
            r"firmware.root:7: Fault is not of storage.rare",
        ),
        ({"firmware.root": "import storage.one\nfrom storage import one\n"}, r"firmware.root:1: write `from"),
        ({"storage.one": "from storage import two\n"}, r"imports itself"),
    ],
)
def test_what_cannot_be_put_together_is_refused(texts, complaint):
    with pytest.raises(BundleError, match=complaint):
        made(MODULES | {"firmware.root": "from storage import two\n"} | texts, ["firmware.root"])


def test_a_module_that_stays_must_not_need_one_that_goes():
    with pytest.raises(BundleError, match=r"storage.two stays in memory and storage.one does not"):
        closure(MODULES, ["firmware.root"], {"storage.one"})


# Needed at a start and later, too.
COPIES = {
    *("firmware.clockstart", "storage.cardrevision", "storage.cardsector", "storage.keys", "storage.settings"),
    *("storage.certificates", "sync.credentials", "sync.ntp", "sync.parcels"),
}


def everything():
    return {".".join(path.with_suffix("").parts): (ROOT / path).read_text() for path in sources(SERVICE)}


def test_every_module_of_a_door_is_carried_once_or_said_to_be_a_copy():
    modules = everything()
    texts, places, names = bundled(modules)
    inside = [module for name in BUNDLES for _, module in places[name]]
    alone = set(texts) - set(BUNDLES)
    assert set(inside) | alone == set(modules)
    assert len(inside) == len(set(inside))
    assert set(inside) & alone == COPIES
    assert set(names) == set(inside) - alone
    assert places["door"][-1][1] == "sync.link"


def test_what_a_start_needs_is_not_in_what_stays():
    _, places, _ = bundled(everything())
    resident = {module for _, module in places["door"]}
    assert {"firmware.service", "storage.journal", "sync.mqtt"} <= resident
    assert not resident & {
        "firmware.assembly",
        "firmware.config",
        "storage.recovery",
        "firmware.commands",
        "firmware.desk",
    }


def test_a_resident_that_somebody_drops_is_refused():
    modules = everything()
    modules["firmware.commands"] += '\nMODULES = ("firmware.commands", "storage.mac")\n'
    with pytest.raises(BundleError, match=r"storage.mac is dropped from memory and loaded at a start"):
        bundled(modules)


def test_condensed_lines_know_where_they_come_from():
    text = (
        '"""A module."""\n\n# said\nimport sys\n\n\nclass Thing:\n    """Says nothing."""\n\n\n'
        "def f(\n    value,  # first\n"
        '    other=(1,\n           2),\n):\n    """Doc."""\n    if value:  # why\n        pass\n    return [\n'
        '        "# no comment",\n        value,\n    ]\n'
    )
    condensed, lines = condense(text)
    assert condensed == (
        "import sys\nclass Thing:\n pass\ndef f( value, other=(1, 2), ):\n if value:pass\n"
        ' return [ "# no comment", value, ]\n'
    )
    assert lines == [(4, 4), (7, 7), (8, 8), (11, 11), (17, 18), (19, 19)]


def test_condensed_lines_hold_three_statements_of_one_block_and_module():
    text = "a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nif a:\n    f()\n    if b:\n        g()\nelse:\n    h()\n    i()\nx = 1\n"
    condensed, lines = condense(text, [1, 5, inf])
    assert condensed == "a = 1;b = 2;c = 3\nd = 4\ne = 5\nif a:\n f()\n if b:g()\nelse:h();i()\nx = 1\n"
    assert lines == [(1, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 9), (10, 12), (13, 13)]


def test_names_said_first_are_numbered_first(tmp_path):
    rare = "".join(f"        self.rare{number} = self.rare{number} + 1\n" for number in range(200))
    often = "        self.often()\n" * 100
    text = "class Thing:\n    def rare(self):\n" + rare + "    def often(self):\n" + often
    sizes = []
    for number, said in enumerate((said_first(text), "pass\n")):
        path = tmp_path / f"{number}.py"
        path.write_text(said + text)
        compile_file(path, path.with_suffix(".mpy"), "x")
        sizes.append(path.with_suffix(".mpy").stat().st_size)
    assert sizes[0] - len(said_first(text)) < sizes[1] - 95
    assert said_first("def short():\n    return 1\n") == "pass\n"
