"""The list of mutants fits the sources, and the runner says so when it does not."""

import ast

import pytest

from menwei.build import ROOT
from tests.mutants.__main__ import ListError, mutants, mutated


def test_every_line_is_there_once_and_every_test_exists():
    found = mutants()
    assert len(found) >= 40
    assert len({mutant[:3] for mutant in found}) == len(found)
    for mutant in found:
        file, line, replacement, why, tests = mutant
        text = mutated((ROOT / file).read_text(), mutant)
        assert text != (ROOT / file).read_text()
        ast.parse(text, line)
        assert line != replacement and why and tests
        for test in tests:
            for word in test.split():
                path, _, name = word.partition("::")
                if path.startswith("tests/"):
                    assert f"def {name.partition('.')[2]}" in (ROOT / path).read_text(), word


def test_a_line_that_is_gone_or_there_twice_is_an_error():
    mutant = ("x.py", "a = 1", "a = 2", "", ())
    assert mutated("if b:\n    a = 1\n", mutant) == "if b:\n    a = 2\n"
    for text in ("a = 2\n", "a = 1\nb = 1\na = 1\n"):
        with pytest.raises(ListError, match="exactly one"):
            mutated(text, mutant)


def test_a_line_can_be_left_out():
    assert mutated("if b:\n    a = 1\n", ("x.py", "a = 1", "", "", ())) == "if b:\n    pass\n"


def test_words_choose():
    assert {mutant[0] for mutant in mutants(["storage/mac.py"])} == {"storage/mac.py"}
