"""The house stands as docs/architecture.md draws it: arrows, compiling, budgets of size."""

import ast

import pytest

from menwei.build import FOLDERS, ROOT, CompileError, compile_file, sources

OURS = {"boards", "drivers", "storage", "sync", "firmware", "tools", "menwei", "tests"}
MAY_IMPORT = {
    "boards": set(),
    "drivers": set(),
    "storage": set(),
    "sync": {"storage"},
    "firmware": {"drivers", "storage", "sync"},
    "tools": {"menwei"},
}
# What the host's tools share with the door: modules without I/O.
PURE = {
    "storage.entry",
    "storage.hours",
    "storage.mac",
    "storage.packing",
    "storage.record",
    "sync.messages",
    "sync.orders",
    "sync.upstream",
}
DECIDING = ("access", "clock", "clockrules", "door", "hourly", "hours", "passback", "patterns", "rate", "repeats")
DECIDES = {
    *(f"firmware/{module}.py" for module in (*DECIDING, "testitems")),
    *(f"{module.replace('.', '/')}.py" for module in PURE),
}
TOP_LEVEL = {"boards", "drivers", "storage", "sync", "firmware", "tools", "tests", "docs"}
MAX_LINES = {"tests": 500}
MAX_LINES_ELSEWHERE = 400


def imported(path):
    """Yield the full names of the modules that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import; the chip's packages use absolute names"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(folder, path):
    """Return the names in `path` that `folder` may not import."""
    allowed = MAY_IMPORT[folder] | {folder}
    found = []
    for name in imported(path):
        top = name.split(".")[0]
        if top not in OURS or top in allowed:
            continue
        if folder == "tools" and any(f"{pure}.".startswith(f"{name}.") or name.startswith(f"{pure}.") for pure in PURE):
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_no_arrow_points_up(folder):
    """Each folder imports only what the table in docs/architecture.md allows."""
    wrong = {str(path): found for path in (ROOT / folder).rglob("*.py") if (found := violations(folder, path))}
    assert not wrong


def test_an_arrow_that_points_up_is_found(tmp_path):
    """The check above can fail."""
    path = tmp_path / "bad.py"
    path.write_text("def late():\n    from firmware import door\n    import sync.link\n")
    assert "firmware" in violations("storage", path)
    assert "sync.link" in violations("drivers", path)
    assert violations("sync", path) == ["firmware", "firmware.door"]
    path.write_text("from storage import journal\n")
    assert violations("tools", path) == ["storage.journal"]


def test_tools_use_only_pure_modules():
    """Modules that decide import neither hardware nor time nor network."""
    impure = {"machine", "time", "asyncio", "socket", "select", "os", "network", "esp32", "board"}
    for name in sorted(DECIDES):
        used = {module.split(".")[0] for module in imported(ROOT / name)}
        assert not used & impure, name


def test_every_chip_module_cross_compiles(tmp_path):
    """mpy-cross takes every module of the folders that run on the chip."""
    modules = sources()
    assert {path.parts[0] for path in modules} == set(FOLDERS)
    for number, path in enumerate(modules):
        compile_file(ROOT / path, tmp_path / f"{number}.mpy")


def test_a_module_that_does_not_compile_is_found(tmp_path):
    """The check above can fail."""
    bad = tmp_path / "bad.py"
    bad.write_text("def f(:\n")
    with pytest.raises(CompileError, match="SyntaxError"):
        compile_file(bad, tmp_path / "bad.mpy")


def test_top_level():
    """A stranger finds the rooms of the house, and no other."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders - {"build"} == TOP_LEVEL


def test_modules_are_short():
    """A module can be read in one sitting."""
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in TOP_LEVEL - {"docs"}
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        and (lines := len(path.read_text().splitlines())) > MAX_LINES.get(folder, MAX_LINES_ELSEWHERE)
    }
    assert not long
