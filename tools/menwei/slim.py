"""Make the modules of a door smaller before they are cross-compiled: constants become numbers, names short.

    slim = Slim({"storage.record": text, "firmware.door": text})
    slim.text("firmware.door")      # record.GRANTED has become 2, _held_warn_s has become _a, on the same line
    slim.short                      # {"_held_warn_s": "_a"}, to read a traceback with

MicroPython folds a constant only inside its own module: `record.GRANTED` elsewhere is two look-ups at run time, and
each name takes room in flash, in the heap and in the table of names. The sources keep every number in one place and
every name in full; a door just does not carry them. Shortened are the names of functions, classes and attributes that
only these modules use, and the arguments that nobody passes by name. Names that never stand in the same place share a
short one (menwei.shortnames). `const` is known to the compiler and need not be imported. Lines keep their numbers, so
tracebacks fit the source.
"""

import ast

from menwei.shortnames import shortnames


class SlimError(Exception):
    """A module uses a constant in a way that cannot be inlined; the message names the place."""


def _constants(tree):
    """Return the public `NAME = const(number)` of a module as a dict."""
    known = {}
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        call = node.value
        if isinstance(call.func, ast.Name) and call.func.id == "const" and isinstance(node.targets[0], ast.Name):
            try:
                expression = ast.Expression(call.args[0])
                value = eval(compile(expression, "const", "eval"), {"__builtins__": {}}, dict(known))
            except NameError:
                continue
            known[node.targets[0].id] = value
    return {name: value for name, value in known.items() if isinstance(value, int)}


def _name_of(node):
    """Return the name that a node carries, and whether the node defines it."""
    if isinstance(node, ast.Name):
        return node.id, isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.Attribute):
        return node.attr, isinstance(node.ctx, ast.Store)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name, True
    if isinstance(node, ast.arg):
        return node.arg, True
    return "", False


class Slim:
    """All modules of a door, read once."""

    def __init__(self, sources, foreign=()):
        """Take a dict of module name to source text, and the names that others use, too (menwei.foreign)."""
        self._sources = sources
        self._trees = {name: ast.parse(text) for name, text in sources.items()}
        self._known = {
            name: {key: value for key, value in _constants(tree).items() if not key.startswith("_")}
            for name, tree in self._trees.items()
        }
        self.short = shortnames(self._trees, foreign)
        self._pool = sorted(set(self.short.values()), key=lambda short: (len(short), short))
        self._keywords = {
            node.arg for tree in self._trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)
        }

    def text(self, module):
        """Return the source of one module with foreign constants inlined and its own made private.

        Raises:
            SlimError: a constant is assigned again, or its private name is taken.
        """
        tree = self._trees[module]
        own = self._known[module]
        direct, aliases, imports = self._imported(tree)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        taken = {node.id for node in names}
        edits, inlined = [], set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                value = self._known[aliases[node.value.id]].get(node.attr)
                if value is not None:
                    edits.append((node, str(value)))
                    inlined.add(id(node.value))
        for node in names:
            if node.id in direct:
                if not isinstance(node.ctx, ast.Load):
                    raise SlimError(f"{module}:{node.lineno}: {node.id} is a constant of another module")
                edits.append((node, str(direct[node.id])))
            elif node.id in own:
                if f"_{node.id}" in taken:
                    raise SlimError(f"{module}:{node.lineno}: both {node.id} and _{node.id}")
                edits.append((node, f"_{node.id}"))
        # A constant replaces its name everywhere in a module, even where that is an argument.
        barred = {self.short.get(name, name) for name in taken | set(own) | {f"_{name}" for name in own}}
        edits += [edit for node in tree.body for edit in self._arguments(node, {}, barred)]
        done = {id(node) for node, _ in edits}
        edits += [edit for node in ast.walk(tree) if id(node) not in done and (edit := self._rename(node))]
        needed = {node.id for node in names if id(node) not in inlined}
        edits += [(node, self._import(node, direct, aliases, needed)) for node in imports]
        return self._apply(self._sources[module], edits)

    def _rename(self, node):
        """Return the edit that shortens the name of a node, or None."""
        new = self.short.get(_name_of(node)[0])
        return new and (node, new)

    def _arguments(self, node, outer, barred):
        """Yield the edits that shorten the arguments of all functions in `node`.

        The short names are in the table of names anyway; those in `barred` have a meaning in the module.
        """
        inner = outer
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            free = (name for name in self._pool if name not in barred and name not in outer.values())
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
            own = {
                argument.arg: next(free, argument.arg)
                for argument in arguments
                if argument.arg not in self._keywords and argument.arg != "self"
            }
            shadowed = {argument.arg for argument in arguments} - set(own)
            inner = {name: new for name, new in outer.items() if name not in shadowed} | own
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Name, ast.arg)) and _name_of(child)[0] in inner:
                yield child, inner[_name_of(child)[0]]
            yield from self._arguments(child, inner, barred)

    def _imported(self, tree):
        """Find what a module imports of ours: constants by name, modules by alias, and the statements."""
        direct, aliases, imports = {}, {}, []
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            ours = node.module in self._known
            for alias in node.names:
                name = alias.asname or alias.name
                if alias.name in self._known.get(node.module, {}):
                    direct[name] = self._known[node.module][alias.name]
                    ours = True
                elif f"{node.module}.{alias.name}" in self._known:
                    aliases[name] = f"{node.module}.{alias.name}"
                    ours = True
            if ours or node.module == "micropython":
                imports.append(node)
        return direct, aliases, imports

    def _import(self, node, direct, aliases, needed):
        """Write an import statement anew without what is no longer needed, on as many lines."""
        kept = []
        for alias in node.names:
            name = alias.asname or alias.name
            if name in direct or (name in aliases and name not in needed):
                continue
            if node.module == "micropython" and name == "const":
                continue  # the compiler knows it without; here it would be one more name in the module
            kept.append(ast.alias(self.short.get(alias.name, alias.name), alias.asname))
        text = ast.unparse(ast.ImportFrom(node.module, kept, 0)) if kept else "pass"
        return text + "\n" * (node.end_lineno - node.lineno)

    @staticmethod
    def _apply(text, edits):
        """Replace the nodes' text, last first."""
        lines = [line.encode() for line in text.splitlines(keepends=True)]
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line))
        data = b"".join(lines)
        places = []
        for node, new in edits:
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            old = _name_of(node)[0]
            if isinstance(node, ast.Attribute) and not new.isdigit():
                start = end - len(old)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                start = data.index(old.encode(), start)
                end = start + len(old)
            elif isinstance(node, ast.arg):
                end = start + len(old)
            places.append((start, end, new))
        for start, end, new in sorted(places, reverse=True):
            data = data[:start] + new.encode() + data[end:]
        return data.decode()
