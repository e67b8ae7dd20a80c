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

from menwei.edits import Text
from menwei.shortnames import shortnames

_BY_STRING = ("getattr", "setattr", "hasattr", "delattr")


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

    def __init__(self, sources, foreign=(), known=()):
        """Take a dict of module name to source text, and names as menwei.shortnames: what others use, what is known."""
        self._sources = sources
        self._trees = {name: ast.parse(text) for name, text in sources.items()}
        self._known = {
            name: {key: value for key, value in _constants(tree).items() if not key.startswith("_")}
            for name, tree in self._trees.items()
        }
        self.short = shortnames(self._trees, foreign, known)
        self._pool = sorted(set(self.short.values()), key=lambda short: (len(short), short))
        self._keywords = {
            node.arg for tree in self._trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)
        }

    def _refuse_strings(self, module, tree):
        """An attribute that is asked for by a string would not be found under its short name."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _BY_STRING:
                name = getattr(node.args[1], "value", None)
                if name in self.short:
                    raise SlimError(f"{module}:{node.lineno}: {name!r} is shortened; name it without {node.func.id}")

    def text(self, module):
        """Return the source of one module with foreign constants inlined and its own made private.

        Raises:
            SlimError: a constant is assigned again, its private name is taken, or a string names what is shortened.
        """
        tree = self._trees[module]
        self._refuse_strings(module, tree)
        own = self._known[module]
        direct, aliases, imports = self._imported(tree)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        taken = {node.id for node in names}
        text = Text(self._sources[module])
        done, inlined = set(), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                value = self._known[aliases[node.value.id]].get(node.attr)
                if value is not None:
                    text.whole(node, str(value))
                    done.add(id(node))
                    inlined.add(id(node.value))
        for node in names:
            if node.id in direct:
                if not isinstance(node.ctx, ast.Load):
                    raise SlimError(f"{module}:{node.lineno}: {node.id} is a constant of another module")
                text.whole(node, str(direct[node.id]))
                done.add(id(node))
            elif node.id in own:
                if f"_{node.id}" in taken:
                    raise SlimError(f"{module}:{node.lineno}: both {node.id} and _{node.id}")
                text.whole(node, f"_{node.id}")
                done.add(id(node))
        for top in tree.body:
            for node, new in self._arguments(top, {}):
                text.name(node, _name_of(node)[0], new)
                done.add(id(node))
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                text.whole(node, "global " + ", ".join(self.short.get(name, name) for name in node.names))
            name = _name_of(node)[0]
            if name in self.short and id(node) not in done:
                text.name(node, name, self.short[name])
        needed = {node.id for node in names if id(node) not in inlined}
        for node in imports:
            text.whole(node, self._import(node, direct, aliases, needed))
        return str(text)

    def _arguments(self, node, outer):
        """Yield the nodes that are arguments of functions in `node`, with the short name of each.

        The short names are in the table of names anyway; those that the function uses have a meaning there.
        """
        inner = outer
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            barred = {self.short.get(name, name) for name in used} | set(outer.values())
            free = (name for name in self._pool if name not in barred)
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
            yield from self._arguments(child, inner)

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
        return ast.unparse(ast.ImportFrom(node.module, kept, 0)) if kept else "pass"
