"""The benches' scripts name things as the sources do; a door carries short names.

    text = as_on_a_door(text)       # journal.append_long(…) becomes journal._d(…)

Translated are attributes that neither the script nor a script that it imports defines itself or lists as NOT_A_DOORS,
and what it imports from the door's modules.
"""

import ast
import json
from pathlib import Path

from menwei.build import SERVICE, SHORT

FOLDER = Path(__file__).parent


def _own(tree):
    """Names of a script's functions, classes and attributes, and those of the scripts that it imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            found.add(node.attr)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NOT_A_DOORS":
            found |= set(ast.literal_eval(node.value))
        elif isinstance(node, ast.ImportFrom) and (FOLDER / f"{node.module}.py").exists():
            found |= _own(ast.parse((FOLDER / f"{node.module}.py").read_text()))
    return found


def as_on_a_door(text, short=None):
    """Return the text of a script with the names that a door has; `short` if not those of the last build."""
    short = json.loads(SHORT.read_text()) if short is None else short
    tree = ast.parse(text)
    own = _own(tree)
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    edits = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in short and node.attr not in own:
            edits.append((node.end_lineno, node.end_col_offset - len(node.attr), node.attr, short[node.attr]))
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in SERVICE:
            for alias in node.names:
                if alias.name in short:
                    new = short[alias.name] if alias.asname else f"{short[alias.name]} as {alias.name}"
                    edits.append((alias.lineno, alias.col_offset, alias.name, new))
    for line, column, name, new in sorted(edits, reverse=True):
        data = lines[line - 1]
        lines[line - 1] = data[:column] + new.encode() + data[column + len(name) :]
    return b"".join(lines).decode()
