"""Put the modules that stay in a door's memory together as one: one table of names, one dict of globals, no imports.

    bundle = Bundle({"storage.mac": text, "firmware.door": text, …}, residents(…), "door")
    bundle.texts            # {"door": text, …}: the bundle, and all other modules, which import from it now
    bundle.lines            # [(1, "storage.mac"), (89, "storage.flash"), …]: where in the bundle a module begins
    bundle.names            # {("storage.mac", "check"): "check_storage_mac", …}: what a module's name is called there

What stood in two modules under one name gets two names; a name that nothing else has stays. `record.GRANTED` becomes
`GRANTED`. The modules follow each other as imports would have run them, so each finds what it needs when it begins.

What a module must not do to be put into a bundle, each refused with a sentence: hand on another module of ours as a
value, set a name of another module, import another module of ours without `from`, import in a circle.
"""

import ast
import builtins

from menwei.edits import Text
from menwei.scopes import Scopes


class BundleError(Exception):
    """A module cannot be put together with others; the message names the place."""


def _top_imports(tree, modules):
    """Yield the modules of ours that a module imports when it is loaded."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield from (found for found in (name, node.module) if found in modules)


def literal(tree, name):
    """Return the value of `NAME = …` in a module, or an empty tuple."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    return ()


def residents(sources, root, dropped):
    """Return the modules that are loaded when `root` is and then stay, in the order in which they must run.

    Args:
        sources: dict of module name to text.
        root: module that is loaded first and dropped later.
        dropped: modules that are dropped later, too; what they import stays.

    Raises:
        BundleError: modules import each other in a circle, or one that stays imports one that goes.
    """
    trees = {name: ast.parse(text) for name, text in sources.items()}
    order, under_way, done = [], [], set()

    def visit(name):
        if name in under_way:
            raise BundleError(f"{name} imports itself by way of {' and '.join(under_way)}")
        if name in done:
            return
        done.add(name)
        under_way.append(name)
        goes = name == root or name in dropped
        for other in _top_imports(trees[name], sources):
            if not goes and other in dropped:
                raise BundleError(f"{name} stays in memory and {other} does not: import it in the function that needs it")
            visit(other)
        under_way.pop()
        if not goes:
            order.append(name)

    visit(root)
    return order


class Bundle:
    """Reads all modules and writes them anew."""

    def __init__(self, sources, members, name):
        """Take a dict of module name to text, the names of those to put together in their order, and its name.

        Raises:
            BundleError: as above.
        """
        self._sources = sources
        self._members = members
        self._name = name
        self._trees = {module: ast.parse(text) for module, text in sources.items()}
        self._scopes = {module: Scopes(tree) for module, tree in self._trees.items()}
        self.names = self._unique()
        self.lines = []
        self.texts = {}
        text = ""
        self._brought = set()  # imports from elsewhere that the bundle has
        for module in members:
            self.lines.append((text.count("\n") + 1, module))
            text += self._rewrite(module)
        self.texts[name] = text
        for module in sources:
            if module not in members:
                self.texts[module] = self._rewrite(module)

    # What a name means.

    def _origin(self, module, name):
        """Follow imports: return ("ours", module, name), ("module", module, None) or ("other", module, name)."""
        scope = self._scopes[module].module
        if name not in scope.imports:
            return "ours", module, name
        return self._imported(scope.imports[name][0])

    def _imported(self, what):
        module, name = what
        if name is None:
            return "other", module, None
        if f"{module}.{name}" in self._sources:
            return "module", f"{module}.{name}", None
        if module in self._sources and name in self._scopes[module].module.bound:
            return self._origin(module, name)
        return "other", module, name

    def _unique(self):
        """Return a dict of what stands at the top of a member to its name in the bundle."""
        wanted, users = {}, {}
        for module, scopes in self._scopes.items():
            for scope in scopes.scopes:
                for name in scope.bound:
                    if scope is scopes.module:
                        kind, origin, known = self._origin(module, name)
                        key = (origin, known) if kind == "ours" else (kind, origin, known)
                        if kind == "ours" and origin in self._members or kind == "other" and module in self._members:
                            wanted[key] = name if kind == "other" else known
                    else:
                        key = scope
                    # A constant X is called _X when it is folded (menwei.slim).
                    users.setdefault(name.lstrip("_"), set()).add(key)
        taken = set(dir(builtins))
        return {
            key: name
            if len(users[name.lstrip("_")]) == 1 and name not in taken
            else f"{name}_{key[-2].replace('.', '_')}"
            for key, name in wanted.items()
        }

    def _meaning(self, module, scope, name):
        """Return the name in the bundle of what `name` means, the module that it is, or None."""
        home = scope.meaning(name)
        if not home:
            return None
        top = home is self._scopes[module].module
        if name in home.imports:
            found = {self._imported(what) for what in home.imports[name]}
            if len(found) > 1:
                return None
            kind, origin, known = found.pop()
            if kind == "module":
                return ("module", origin) if origin in self._members else None
            if kind == "other":
                return ("name", self.names[kind, origin, known]) if top and module in self._members else None
        elif top:
            origin, known = module, name
        else:
            return None
        return ("name", self.names[origin, known]) if origin in self._members else None

    # Writing.

    def _rewrite(self, module):
        text = Text(self._sources[module])
        scopes = self._scopes[module]
        used = {}  # (scope of an import, its name): names of the bundle that it stands for
        parents = {id(node.value): node for node in ast.walk(self._trees[module]) if isinstance(node, ast.Attribute)}
        renamed = {}  # global statement: its names
        for node, name, scope in scopes.references:
            meaning = self._meaning(module, scope, name)
            if isinstance(node, ast.Global):
                renamed.setdefault(node, []).append(meaning[1] if meaning else name)
                continue
            if not meaning:
                continue
            kind, new = meaning
            if kind == "module":
                attribute = parents.get(id(node))
                where = f"{module}:{node.lineno}"
                if not attribute:
                    raise BundleError(f"{where}: {new} is a part of the bundle and can be no value of its own")
                if not isinstance(attribute.ctx, ast.Load):
                    raise BundleError(f"{where}: sets a name of {new}, give it a function for that")
                kind, origin, known = self._origin(new, attribute.attr)
                if (origin, known) not in self.names:
                    raise BundleError(f"{where}: {new} has no {attribute.attr}")
                new = self.names[origin, known]
                text.whole(attribute, new)
            elif new != name:
                text.name(node, name, new)
            used.setdefault((scope.meaning(name), name), set()).add(new)
        for node, names in renamed.items():
            text.whole(node, "global " + ", ".join(names))
        for node, scope in scopes.statements:
            text.whole(node, self._import(module, node, scope, used))
        return str(text).rstrip("\n") + "\n"

    def _import(self, module, node, scope, used):
        """Write an import anew: without what is a part of the bundle, or from the bundle."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in self._sources:
                    raise BundleError(f"{module}:{node.lineno}: write `from … import` for a module of ours")
        inside = module in self._members
        kept, bundled = [], set()
        for alias in node.names:
            name = alias.asname or alias.name
            what = (alias.name, None) if isinstance(node, ast.Import) else (node.module, alias.name)
            kind, origin, known = self._imported(what)
            if kind != "other" and origin in self._members:
                bundled |= used.get((scope, name), set())
            elif kind == "other" and inside and scope is self._scopes[module].module:
                new = self.names[kind, origin, known]
                if new not in self._brought:
                    self._brought.add(new)
                    kept.append(alias if new == name else ast.alias(alias.name, new))
            else:
                kept.append(alias)
        parts = []
        if kept:
            again = ast.Import(kept) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, kept, 0)
            parts.append(ast.unparse(again))
        if bundled and not inside:
            parts.append(f"from {self._name} import {', '.join(sorted(bundled))}")
        return "; ".join(parts) or "pass"
