"""Put the modules that stay in a door's memory together as one: one table of names, one dict of globals, no imports.

    bundle = Bundle({"storage.mac": text, "firmware.door": text, …}, closure(…), "door")
    bundle.texts            # {"door": text, …}: the bundle, and all other modules, which import from it now
    bundle.lines            # [(1, "storage.mac"), (89, "storage.flash"), …]: where in the bundle a module begins
    bundle.names            # {("storage.mac", "check"): "check_storage_mac", …}: what a module's name is called there

What stood in two modules under one name gets two names; a name that nothing else has stays. `record.GRANTED` becomes
`GRANTED`. The modules follow each other as imports would have run them, so each finds what it needs when it begins.

What a module must not do, each refused with a sentence: hand on a member as a value, set a name of a member, take a
name by way of a module that only imports it, import a module of ours without `from`, import in a circle.
"""

import ast
import builtins

from menwei.edits import Text
from menwei.scopes import Scopes

_COPY = "+"


def _folded(name):
    """A constant X is called _X when it is folded (menwei.slim): one of them only."""
    return name.lstrip("_")


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


def dropped(text):
    """Return the modules that a module drops from memory, as tuples of strings name them."""
    tuples = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Tuple))
    names = (part.value for node in tuples for part in node.elts if isinstance(part, ast.Constant))
    return {name for name in names if isinstance(name, str)}


def closure(sources, roots, without=()):
    """Return the modules that are loaded with some others, in the order in which they must run.

    Args:
        sources: dict of module name to text.
        roots: modules that are loaded first.
        without: modules that are dropped from memory again; what they import stays.

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
        for other in _top_imports(trees[name], sources):
            if other in without and name not in without:
                raise BundleError(
                    f"{name} stays in memory and {other} does not: import it in the function that needs it"
                )
            visit(other)
        under_way.pop()
        if name not in without:
            order.append(name)

    for root in roots:
        visit(root)
    return order


class Bundle:
    """Reads all modules and writes them anew."""

    def __init__(self, sources, members, name, copied=()):
        """Put modules together.

        Args:
            sources: dict of module name to text.
            members: names of the modules to put together, in their order.
            name: of the bundle.
            copied: members that others go on importing from a module of its own: it must have no state.

        Raises:
            BundleError: as above.
        """
        # The copy in the bundle goes by another name: none that can be imported from outside.
        self._copies = {module: module + _COPY for module in copied}
        self._sources = sources | {copy: sources[module] for module, copy in self._copies.items()}
        self._members = [self._copies.get(module, module) for module in members]
        self._name = name
        self._trees = {module: ast.parse(text) for module, text in self._sources.items()}
        self._scopes = {module: Scopes(tree) for module, tree in self._trees.items()}
        self.names = self._unique()
        self.lines = []
        self.texts = {}
        text = ""
        self._brought = set()  # imports from elsewhere that the bundle has
        for module in self._members:
            self.lines.append((text.count("\n") + 1, module.removesuffix(_COPY)))
            text += self._rewrite(module)
        self.texts[name] = text
        for module in sources:
            if module not in self._members:
                self.texts[module] = self._rewrite(module)

    def names_of(self, member):
        """Return a dict of what stands at the top of a member to its name in the bundle, imports included."""
        found = {name: self._key(member, name) for name in self._scopes[member].module.bound}
        return {name: self.names[key] for name, key in found.items() if key}

    # What a name means.

    def _origin(self, module, name):
        """Follow imports: return ("ours", module, name), ("module", module, None) or ("other", module, name)."""
        scope = self._scopes[module].module
        if name not in scope.imports:
            return "ours", module, name
        return self._imported(module, scope.imports[name][0])

    def _imported(self, by, what):
        module, name = what
        if name is None:
            return "other", module, None
        copies = self._copies if by in self._members else {}
        whole = f"{module}.{name}"
        if whole in self._sources:
            return "module", copies.get(whole, whole), None
        module = copies.get(module, module)
        if module in self._sources and name in self._scopes[module].module.bound:
            return self._origin(module, name)
        return "other", module, name

    def _key(self, module, name):
        """What a name at the top of a module means, or None if that is nothing of a bundle's."""
        found = kind, origin, known = self._origin(module, name)
        if kind != "other" and origin in self._members:
            return (origin, known) if kind == "ours" else None
        return found if module in self._members else None

    def _unique(self):
        """Return a dict of what stands at the top of a member to its name in the bundle."""
        wanted, users = {}, {}
        for module, scopes in self._scopes.items():
            meant = set()  # all that the module may speak of
            for name in sorted(scopes.module.bound):
                key = self._key(module, name)
                if key:
                    wanted[key] = name if len(key) == 3 else key[1]
                else:
                    key = kind, origin, _ = self._origin(module, name)
                    if kind == "module" and origin in self._members:
                        meant |= {self._key(origin, other) for other in self._scopes[origin].module.bound}
                meant.add(key)
                users.setdefault(_folded(name), []).append((key, None))
            for scope in scopes.scopes:
                for name in scope.bound if scope is not scopes.module else ():
                    users.setdefault(_folded(name), []).append((scope, meant))
        taken = set(dir(builtins))

        def alone(key, name):
            # A local name is no trouble where nobody means this one.
            return all(other == key or (meant and key not in meant) for other, meant in users.get(_folded(name), ()))

        return {
            key: name
            if name not in taken and alone(key, name)
            else f"{name}_{key[-2].removesuffix(_COPY).replace('.', '_')}"
            for key, name in wanted.items()
        }

    def _meaning(self, module, scope, name):
        """Return the name in the bundle of what `name` means, the member that it is, or None."""
        home = scope.meaning(name)
        if not home:
            return None
        if home is self._scopes[module].module:
            key = self._key(module, name)
            if key:
                return "name", self.names[key]
            kind, origin, _ = self._origin(module, name)
        elif name in home.imports:
            found = {self._imported(module, what) for what in home.imports[name]}
            kind, origin, known = found.pop()
            if kind == "ours" and origin in self._members and not found:
                return "name", self.names[origin, known]
        else:
            return None
        return ("module", origin) if kind == "module" and origin in self._members else None

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
                self._look(module, scope, name, parents.get(id(node)))
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
        for node in ast.walk(self._trees[module]):
            if isinstance(node, ast.Tuple) and (dropped := self._dropped(node)):
                text.whole(node, dropped)
        for node, names in renamed.items():
            text.whole(node, "global " + ", ".join(names))
        for node, scope in scopes.statements:
            text.whole(node, self._import(module, node, scope, used))
        return str(text).rstrip("\n") + "\n"

    def _look(self, module, scope, name, attribute):
        """Refuse `other.name` where the other module, no member, only imports the name from a member."""
        home = scope.meaning(name)
        if attribute and home and name in home.imports:
            kind, origin, _ = self._imported(module, home.imports[name][0])
            if kind == "module" and attribute.attr in self._scopes[origin].module.imports:
                raise BundleError(
                    f"{module}:{attribute.lineno}: {attribute.attr} is not of {origin}: import it from where it is"
                )

    def _dropped(self, node):
        """Write a tuple of modules that are dropped anew, if the bundle has one of them: it goes as a whole."""
        names = [part.value for part in node.elts if isinstance(part, ast.Constant)]
        if len(names) == len(node.elts) and set(names) & set(self._members):
            return repr(tuple(dict.fromkeys(self._name if name in self._members else name for name in names)))
        return None

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
            key = kind, origin, _ = self._imported(module, what)
            if kind != "other" and origin in self._members:
                bundled |= used.get((scope, name), set())
            elif inside and scope is self._scopes[module].module:
                new = self.names[key]
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
