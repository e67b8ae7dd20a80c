"""docs/security.md: every test that it names is there, every purpose of a key, and everybody who may hold something."""

import ast
import re

from menwei.build import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text()
TESTS = ROOT / "tests"
HOLDERS = (
    "the broker", "the network", "one door's flash", "one door's certificate", "one technician's ticket",
    "the office's laptop", "a relay for a card's radio",
)  # fmt: skip


def named():
    return re.findall(r"`([a-z_]+/[a-z_0-9]+\.py)(?:::(\w+))?`", TEXT)


def functions(path):
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_every_test_that_is_named_exists():
    assert len(named()) > 30
    missing = []
    for file, name in named():
        path = TESTS / file
        if not path.exists() or (name and name not in functions(path)):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_everybody_has_a_section_with_a_test_or_is_a_residual_risk():
    sections = re.split(r"^### …", TEXT, flags=re.M)[1:]
    titles = [section.split("\n")[0] for section in sections]
    assert set(HOLDERS) <= set(titles)
    for title, section in zip(titles, sections, strict=True):
        words = section.split("\n## ")[0].lower()
        assert "::test_" in words or "residual" in words or "not built yet" in words, title


def test_every_purpose_of_the_code_stands_in_the_table():
    written = set()
    for folder in ("sync", "firmware", "storage", "tools/menwei"):
        for path in (ROOT / folder).glob("*.py"):
            text = path.read_text()
            written |= set(
                re.findall(r"(?:derive\([^()]*(?:\([^()]*\))?[^()]*|_?purpose\(|_key\(\w+)[, ]*b\"([a-z-]+)\"", text)
            )
            written |= set(re.findall(r"purpose\(b\"([a-z-]+)\"\)", text))
    table = TEXT.split("## Who holds…")[0]
    named_there = set(re.findall(r"K\(`([a-z-]+)`\)", table))
    assert len(written) > 5, written
    assert written <= named_there, written - named_there
