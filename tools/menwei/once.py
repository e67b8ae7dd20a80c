"""Find what is called at a start only, and write the module that takes it out of a door's memory afterwards.

    modules["firmware.forget"] = forgetting(modules, residents, setup)

A method goes if its name stands nowhere but in code that runs at a start, or in methods that go themselves. An
`__init__` goes if its class, and every class that inherits it, is named nowhere else. Names alone decide, so a method
that shares its name with one that is needed stays. What is called through `getattr` cannot be seen: do not.
"""

import ast

from menwei.scopes import FUNCTIONS

FORGET = "firmware.forget"


def _names(node):
    """All names that stand in a piece of code, strings included."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Attribute):
            found.add(part.attr)
        elif isinstance(part, ast.alias):
            found.add(part.name)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.add(part.value)
    return found


def _relatives(trees):
    """Return a dict of the name of a class to those of all that inherit from it, itself included."""
    bases = {}
    for tree in trees.values():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(_names(base).pop() for base in node.bases)
    heirs = {name: {name} for name in bases}
    for _ in bases:
        for name, above in bases.items():
            for base in above & set(heirs):
                heirs[base] |= heirs[name]
    return heirs


def start_only(modules, residents, setup):
    """Return the methods that only a start calls.

    Args:
        modules: dict of module name to text, all that a door may load.
        residents: names of the modules whose methods are looked at.
        setup: names of modules that run at a start only.

    Returns:
        set of (module, class, method).
    """
    trees = {name: ast.parse(text) for name, text in modules.items() if name not in setup}
    methods, always = {}, set()
    for module, tree in trees.items():
        for node in tree.body:
            if not isinstance(node, ast.ClassDef):
                # What stands at the top of a module that stays has run; a function of it is called by others.
                if isinstance(node, FUNCTIONS) or module not in residents:
                    always |= _names(node)
                continue
            for part in node.body:
                if isinstance(part, FUNCTIONS):
                    methods[module, node.name, part.name] = _names(part)
                elif module not in residents:
                    always |= _names(part)
    heirs = _relatives(trees)
    found = set()
    while True:
        needed = always.union(*(names for method, names in methods.items() if method not in found))
        more = set()
        for module, owner, name in set(methods) - found:
            if module not in residents or (name.startswith("__") and name != "__init__"):
                continue
            if not needed & (heirs[owner] if name == "__init__" else {name}):
                more.add((module, owner, name))
        if not more:
            return found
        found |= more


def forgetting(modules, residents, setup):
    """Return the text of `firmware.forget` for a door."""
    owners = {}
    for module, owner, name in sorted(start_only(modules, residents, setup)):
        owners.setdefault((module, owner), []).append(name)
    lines = [f"from {module} import {owner}" for module, owner in owners]
    lines += ["", "", "def forget():", "    pass"]
    for (_, owner), names in owners.items():
        # Not `del`: MicroPython would leave the function in the class's table, for the garbage collector to find.
        lines.append("    " + "".join(f"{owner}.{name} = " for name in names) + "None")
    return "\n".join(lines) + "\n"
