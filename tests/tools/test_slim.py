"""What a door carries says the same as its sources, in less room."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from menwei.build import ROOT, SERVICE, compile_file, sources
from menwei.foreign import foreign
from menwei.slim import Slim, SlimError

MICROPYTHON = Path(sys.executable).with_name("micropython")

RECORD = """from micropython import const

GRANTED = const(2)
_STEP = const(5)
REFUSED = const(GRANTED + 1)
TABLE = b"ab"


def kind(value, extra=0):
    return REFUSED if value else GRANTED + _STEP
"""


def namespace(text, **modules):
    """Run a module's text with stand-ins for what it imports."""
    lines = [line for line in text.splitlines() if not line.startswith(("from ", "import ", "pass"))]
    found = {"const": lambda value: value, **modules}
    exec("\n".join(lines), found)
    return found


def test_foreign_constants_become_numbers_on_their_lines():
    user = "from storage import record\n\n\ndef f(kind):\n    return kind == record.GRANTED, record.kind(1)\n"
    slim = Slim({"storage.record": RECORD, "firmware.user": user}, {"kind"})
    text = slim.text("firmware.user")
    assert "== 2, record.kind(1)" in text
    assert text.startswith("from storage import record\n")
    assert text.count("\n") == user.count("\n")


def test_an_import_that_is_no_longer_needed_goes():
    user = (
        "from storage import record\n"
        "from storage.record import (\n    GRANTED,\n    kind,\n)\n\nX = GRANTED, record.REFUSED\n"
    )
    text = Slim({"storage.record": RECORD, "firmware.user": user}, {"kind", "X"}).text("firmware.user")
    assert text == "pass\nfrom storage.record import kind\n\n\n\n\nX = 2, 3\n"


def test_a_module_that_is_handed_on_stays_imported():
    user = "def rare():\n    from storage import record\n\n    return record\n"
    text = Slim({"storage.record": RECORD, "firmware.user": user}).text("firmware.user")
    assert "    from storage import record\n" in text


def test_own_constants_are_folded_and_forgotten():
    slim = Slim({"storage.record": RECORD}, {"TABLE", "kind"})
    text = slim.text("storage.record")
    assert "\nGRANTED" not in text
    found = namespace(text)
    assert found["TABLE"] == b"ab"
    assert (found["kind"](1), found["kind"](0)) == (3, 7)


def test_private_names_and_arguments_are_short_and_keywords_stay():
    module = (
        "class Thing:\n"
        "    def __init__(self, start_value, width=1):\n"
        "        self._long_name = start_value\n"
        "        self.shown = lambda other_value: other_value + start_value\n"
        "    def _helper(self, width=2):\n"
        "        return self._long_name * width\n"
        "    def run(self):\n"
        "        return self._helper(width=3), self.shown(1)\n"
    )
    slim = Slim({"drivers.thing": module}, {"Thing", "run"})
    text = slim.text("drivers.thing")
    for name in ("_long_name", "_helper", "start_value", "other_value", "shown"):
        assert name not in text
    assert "width" in text
    assert namespace(text)["Thing"](5).run() == (15, 6)


def test_a_name_that_is_only_read_belongs_to_somebody_else():
    text = Slim({"sync.x": "import asyncio\n\n\ndef f():\n    return asyncio.core._io_queue\n"}).text("sync.x")
    assert "_io_queue" in text


def test_an_argument_never_takes_the_name_of_a_constant():
    """The compiler puts a constant wherever its name stands, an argument of that name included."""
    module = (
        "from micropython import const\n_LIMIT = const(9)\n\n\ndef f(first, second, third):\n    return first, _LIMIT\n"
    )
    slim = Slim({"storage.x": module}, {"f"})
    text = slim.text("storage.x")
    function = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    assert slim.short.get("_LIMIT", "_LIMIT") not in {argument.arg for argument in function.args.args}
    assert namespace(text)["f"](1, 2, 3) == (1, 9)


def test_the_import_of_const_goes_and_the_compiler_needs_none(tmp_path):
    module = (
        "from micropython import const\n\n_STEP = const(5)\n_FRAME = const(b'ab')\n"
        "print(_STEP, _FRAME, 'const' in globals())\n"
    )
    text = Slim({"drivers.x": module}).text("drivers.x")
    assert "import" not in text
    (tmp_path / "x.py").write_text(text)
    compile_file(tmp_path / "x.py", tmp_path / "x.mpy")
    said = subprocess.run([MICROPYTHON, "-c", "import x"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "5 b'ab' False\n"


def test_a_constant_that_is_assigned_elsewhere_is_refused():
    user = "from storage.record import GRANTED\nGRANTED = 7\n"
    with pytest.raises(SlimError, match=r"firmware.user:2: GRANTED"):
        Slim({"storage.record": RECORD, "firmware.user": user}).text("firmware.user")


def test_an_attribute_of_ours_that_is_named_by_a_string_is_refused():
    user = "class Own:\n    def __init__(self):\n        self.ntp_steps = 0\n\n\ndef steps(own):\n    return "
    assert "ntp_steps" not in Slim({"firmware.user": user + "own.ntp_steps\n"}).text("firmware.user")
    with pytest.raises(SlimError, match=r"firmware.user:7: 'ntp_steps' is shortened"):
        Slim({"firmware.user": user + "getattr(own, 'ntp_steps', 0)\n"}).text("firmware.user")


def test_names_that_never_meet_share_a_short_one():
    one = "class One:\n    def first(self):\n        self.left = 1\n"
    two = "class Two:\n    def second(self):\n        self.right = 2\n\n\ndef third():\n    return Two()\n"
    slim = Slim({"storage.one": one, "storage.two": two})
    assert len({slim.short[name] for name in ("first", "left")}) == 2
    assert len({slim.short[name] for name in ("second", "right")}) == 2
    assert len({slim.short[name] for name in ("first", "left", "second", "right", "third", "One", "Two")}) <= 3


def test_a_class_keeps_its_names_apart_from_those_it_inherits_and_those_set_from_outside():
    base = "class Base:\n    def grow(self):\n        self.size = self.form = 1\n"
    more = (
        "from storage.base import Base\n\n\nclass More(Base):\n    def shrink(self):\n        self.least = 1\n"
        "\n\ndef mark(thing):\n    thing.colour = 3\n    return thing\n"
    )
    slim = Slim({"storage.base": base, "storage.more": more})
    names = ("grow", "size", "form", "shrink", "least", "colour")
    assert len({slim.short[name] for name in names}) == len(names)
    found = {}
    text = slim.text("storage.base") + slim.text("storage.more").replace("from storage.base import", "#")
    exec(text, found)
    thing = found[slim.short["mark"]](found[slim.short["More"]]())
    for name in ("grow", "shrink"):
        getattr(thing, slim.short[name])()
    assert sorted(vars(thing).values()) == [1, 1, 1, 3]


def test_the_body_of_a_class_still_finds_the_names_of_its_module():
    module = (
        "def unit():\n    return 7\n\n\nclass Thing:\n    def first(self):\n        return 1\n"
        "    def second(self, amount=unit()):\n        return amount\n"
    )
    slim = Slim({"storage.x": module})
    found = namespace(slim.text("storage.x"))
    assert getattr(found[slim.short["Thing"]](), slim.short["second"])() == 7


def test_names_of_others_and_of_exceptions_stay():
    module = (
        "class Trouble(OSError):\n    pass\n\n\nclass Worse(Trouble):\n    pass\n\n\n"
        "class Thing:\n    def readblocks(self, wlan):\n        return wlan.active()\n"
        "    def connect(self, named):\n        self.connect(named=1)\n"
    )
    board = "class Partition:\n    def readblocks(self): pass\n\n\nclass Wlan:\n    def active(self): pass\n"
    assert set(Slim({"sync.x": module}, foreign({Path("board.py"): board})).short) == {"Thing"}


def test_an_imported_module_keeps_its_name_though_an_attribute_of_ours_has_the_same():
    loads = "import tls\nfrom network import wlan\n\n\ndef context():\n    return tls.SSLContext(wlan)\n"
    holds = "class Thing:\n    def __init__(self, given):\n        self.tls = self.wlan = given\n"
    slim = Slim({"sync.x": loads, "firmware.y": holds})
    assert set(slim.short) == {"Thing", "context"}
    assert "tls.SSLContext(wlan)" in slim.text("sync.x")


def test_no_class_of_a_door_has_one_short_name_for_two():
    """Looked at as text, apart from how the short names are found."""
    texts = {".".join(path.with_suffix("").parts): (ROOT / path).read_text() for path in sources(SERVICE)}
    short = Slim(texts, foreign({path: (ROOT / path).read_text() for path in sources(("boards",))})).short
    classes = {}
    for text in texts.values():
        for name, base, body in re.findall(r"^class (\w+)(?:\((\w+)\))?:\n((?:[ ].*\n|\n)+)", text, re.MULTILINE):
            attributes = set(
                re.findall(r"\bself\.(\w+)", body) + re.findall(r"^    (?:async )?def (\w+)", body, re.MULTILINE)
            )
            classes[name] = attributes | classes.get(base, set())
    # The modules that work on the two stores from outside call them so.
    for variable, name in (("cards", "Allowlist"), ("journal", "Journal")):
        for module, text in texts.items():
            if module.startswith("storage."):
                classes[name] |= set(re.findall(rf"\b{variable}\.(_?\w+)", text))
    assert len(classes["Journal"]) > len(classes["Upkeep"]) > len(classes["Ring"]) > 20
    for name, attributes in classes.items():
        assert len({short.get(attribute, attribute) for attribute in attributes}) == len(attributes), name


def defined(text):
    """Names of all functions and classes in a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}


def test_every_module_of_a_door_keeps_its_lines_and_its_functions():
    """Nothing that another module may name has gone, but for constants."""
    texts = {".".join(path.with_suffix("").parts): (ROOT / path).read_text() for path in sources(SERVICE)}
    slim = Slim(texts, foreign({source: (ROOT / source).read_text() for source in sources(("boards",))}))
    for module, text in texts.items():
        slimmed = slim.text(module)
        assert slimmed.count("\n") == text.count("\n"), module
        assert {slim.short.get(name, name) for name in defined(text)} == defined(slimmed), module
