"""Read a door's traceback: give each line of it the place in the sources and the names that stand there.

    python -m menwei.origin < serial.log

    File "door", line 812, in events        becomes
    File "storage/ring.py", line 90, in Ring.oldest

A line of a door can stand for a few of the sources: it says "line 90-92" then. What belongs to a door is told by
`build/door-lines.json` of the build that it carries; keep that file with a release.
"""

import ast
import functools
import json
import re
import sys

from menwei.build import LINES, ROOT
from menwei.scopes import FUNCTIONS

_PLACE = re.compile(r'File "([\w.]+)", line (\d+)(, in \S+)?')


@functools.cache
def _named(path, line):
    """Return the names of the class and the functions around a line."""
    found, nodes = [], ast.parse(path.read_text()).body
    while nodes:
        node = next((node for node in nodes if node.lineno <= line <= node.end_lineno), None)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.append(node.name)
        nodes = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)] if node else []
    return ".".join(found) or "<module>"


def translate(text, origins, root=ROOT):
    """Return a line of a log with the places of a door in it replaced by those of the sources.

    Args:
        text: the line.
        origins: what is in build/door-lines.json.
        root: folder of the sources.
    """

    def place(match):
        module, number, named = match.groups()
        lines = origins.get(module, [])
        if not 0 < int(number) <= len(lines) or not lines[int(number) - 1][0]:
            return match[0]
        source, first, last = lines[int(number) - 1]
        path = root / (source.replace(".", "/") + ".py")
        around = f", in {_named(path, first)}" if named else ""
        where = f"{first}-{last}" if last > first else first
        return f'File "{path.relative_to(root)}", line {where}{around}'

    return _PLACE.sub(place, text)


def main():
    """Translate standard input."""
    origins = json.loads(LINES.read_text())
    for line in sys.stdin:
        sys.stdout.write(translate(line, origins))


if __name__ == "__main__":
    main()
