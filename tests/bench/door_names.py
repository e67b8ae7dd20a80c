"""The benches' scripts name things as the sources do; a door carries short names.

    text = as_on_a_door(text)       # journal.append_long(…) becomes journal._d(…)

What is a part of a bundle is imported from there (menwei.bundles). Translated are attributes that neither the script
nor a script that it imports defines itself or lists as NOT_A_DOORS, and what it imports from the door's modules.
"""

import ast
import json
from pathlib import Path

from menwei.build import MEMBERS, SERVICE, SHORT
from menwei.edits import Text

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


def _import(node, short, members, modules):
    """Write an import from the door's modules as statements that import from what a door carries.

    `modules` is filled with the names of modules that are a part of something, and their own names there.
    """
    statements = []
    for alias in node.names:
        name = alias.asname or alias.name
        bundle, inside = members.get(f"{node.module}.{alias.name}", (None, None))
        if bundle:
            modules[name] = inside
            statements.append(f"import {bundle} as {name}")
            continue
        bundle, inside = members.get(node.module, (node.module, {}))
        new = inside.get(alias.name, alias.name)
        new = short.get(new, new)
        statements.append(f"from {bundle} import {new}" + (f" as {name}" if new != name else ""))
    return "; ".join(statements)


def as_on_a_door(text, short=None):
    """Return the text of a script with the names that a door has; `short`, and no bundles, if not of the last build."""
    members = json.loads(MEMBERS.read_text()) if short is None else {}
    short = json.loads(SHORT.read_text()) if short is None else short
    tree = ast.parse(text)
    own = _own(tree)
    result = Text(text)
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in SERVICE:
            result.whole(node, _import(node, short, members, modules))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.value, ast.Name) and node.value.id in modules:
            new = modules[node.value.id].get(node.attr, node.attr)
            result.name(node, node.attr, short.get(new, new))
        elif node.attr in short and node.attr not in own:
            result.name(node, node.attr, short[node.attr])
    return str(result)
