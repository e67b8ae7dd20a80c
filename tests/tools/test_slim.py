"""What a door carries says the same as its sources, in less room."""

import ast

import pytest

from menwei.build import ROOT, SERVICE, sources
from menwei.slim import Slim, SlimError

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
    slim = Slim({"storage.record": RECORD, "firmware.user": user})
    text = slim.text("firmware.user")
    assert "== 2, record.kind(1)" in text
    assert text.startswith("from storage import record\n")
    assert text.count("\n") == user.count("\n")


def test_an_import_that_is_no_longer_needed_goes():
    user = (
        "from storage import record\n"
        "from storage.record import (\n    GRANTED,\n    kind,\n)\n\nX = GRANTED, record.REFUSED\n"
    )
    text = Slim({"storage.record": RECORD, "firmware.user": user}).text("firmware.user")
    assert text == "pass\nfrom storage.record import kind\n\n\n\n\nX = 2, 3\n"


def test_a_module_that_is_handed_on_stays_imported():
    user = "def rare():\n    from storage import record\n\n    return record\n"
    text = Slim({"storage.record": RECORD, "firmware.user": user}).text("firmware.user")
    assert "    from storage import record\n" in text


def test_own_constants_are_folded_and_forgotten():
    slim = Slim({"storage.record": RECORD})
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
    slim = Slim({"drivers.thing": module})
    text = slim.text("drivers.thing")
    for name in ("_long_name", "_helper", "start_value", "other_value"):
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
    slim = Slim({"storage.x": module})
    text = slim.text("storage.x")
    function = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    assert slim.short.get("_LIMIT", "_LIMIT") not in {argument.arg for argument in function.args.args}
    assert namespace(text)["f"](1, 2, 3) == (1, 9)


def test_a_constant_that_is_assigned_elsewhere_is_refused():
    user = "from storage.record import GRANTED\nGRANTED = 7\n"
    with pytest.raises(SlimError, match=r"firmware.user:2: GRANTED"):
        Slim({"storage.record": RECORD, "firmware.user": user}).text("firmware.user")


def defined(text):
    """Names of all functions and classes in a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}


def test_every_module_of_a_door_keeps_its_lines_and_its_public_names():
    """Nothing that another module or a person may name has gone, but for constants."""
    texts = {".".join(path.with_suffix("").parts): (ROOT / path).read_text() for path in sources(SERVICE)}
    slim = Slim(texts)
    for module, text in texts.items():
        slimmed = slim.text(module)
        assert slimmed.count("\n") == text.count("\n"), module
        assert {name for name in defined(text) if not name.startswith("_")} <= defined(slimmed), module
