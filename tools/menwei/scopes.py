"""Which name in a module means what: a local one, one of the module, one that an import brought, or a builtin.

    module = Scopes(ast.parse(text))
    for node, name, scope in module.references: scope.meaning(name)

References are the names that stand by themselves, those of functions and classes where they are defined, and those of
`global` statements.
"""

import ast

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Scope:
    """One module, class, function or comprehension: `bound` are its names, `imports` its imports by name."""

    def __init__(self, kind, parent=None):
        """`kind` is "module", "class" or "function"."""
        self.kind = kind
        self.parent = parent
        self.bound = set()
        self.elsewhere = set()  # declared global or nonlocal
        self.imports = {}  # name: (module, name or None) of each import that brings it

    def meaning(self, name):
        """Return the scope that a name belongs to as seen from here; None for a builtin."""
        if name in self.bound:
            return self
        scope = self.parent
        while scope:
            if name in scope.bound and scope.kind != "class":
                return scope
            scope = scope.parent
        return None


class Scopes(ast.NodeVisitor):
    """All scopes of a module.

    To read: module, scopes, references as (node, name, scope), statements as (import statement, scope).
    """

    def __init__(self, tree):
        """Read a syntax tree."""
        self.module = self._scope = Scope("module")
        self.scopes = [self.module]
        self.references = []
        self.statements = []
        self.generic_visit(tree)

    def _refer(self, node, name, bind):
        scope = self._scope
        if bind and name not in scope.elsewhere:
            scope.bound.add(name)
        self.references.append((node, name, scope))

    def _within(self, kind, visit):
        outer = self._scope
        self._scope = Scope(kind, outer)
        self.scopes.append(self._scope)
        visit()
        self._scope = outer

    def visit_Name(self, node):
        """A name by itself."""
        self._refer(node, node.id, not isinstance(node.ctx, ast.Load))

    def visit_Global(self, node):
        """The names belong to the module, whose statement need not assign them."""
        self._scope.elsewhere |= set(node.names)
        self.module.bound |= set(node.names)
        self.references += [(node, name, self._scope) for name in node.names]

    def visit_Nonlocal(self, node):
        """The names belong to a function around."""
        self._scope.elsewhere |= set(node.names)

    def visit_ExceptHandler(self, node):
        """It may bind a name, which is local wherever products have one."""
        if node.name:
            self._scope.bound.add(node.name)
        self.generic_visit(node)

    def visit_Import(self, node):
        """Bring modules."""
        self.statements.append((node, self._scope))
        for alias in node.names:
            self._import(alias.asname or alias.name.split(".")[0], (alias.name, None))

    def visit_ImportFrom(self, node):
        """Bring names out of a module."""
        self.statements.append((node, self._scope))
        for alias in node.names:
            self._import(alias.asname or alias.name, (node.module, alias.name))

    def _import(self, name, what):
        self._scope.bound.add(name)
        self._scope.imports.setdefault(name, []).append(what)

    def visit_ClassDef(self, node):
        """Its body is a scope that methods do not see."""
        self._refer(node, node.name, True)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self._within("class", lambda: [self.visit(child) for child in node.body])

    def visit_FunctionDef(self, node):
        """Defaults and decorators are looked up outside."""
        self._refer(node, node.name, True)
        for part in node.decorator_list:
            self.visit(part)
        self._function(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        """A function without a name."""
        self._function(node.args, [node.body])

    def _function(self, arguments, body):
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default:
                self.visit(default)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]

        def inside():
            self._scope.bound |= {argument.arg for argument in every if argument}
            for child in body:
                self.visit(child)

        self._within("function", inside)

    def _comprehension(self, node):
        first = node.generators[0]
        self.visit(first.iter)

        def inside():
            for generator in node.generators:
                self.visit(generator.target)
                if generator is not first:
                    self.visit(generator.iter)
                for condition in generator.ifs:
                    self.visit(condition)
            for part in ("key", "value", "elt"):
                if hasattr(node, part):
                    self.visit(getattr(node, part))

        self._within("function", inside)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension
