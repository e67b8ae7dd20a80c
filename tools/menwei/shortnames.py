"""Short names for what only a door's own modules name, as few of them as possible.

    short = shortnames({"firmware.door": tree, …}, foreign)     # {"_held_warn_s": "_a", "advance": "_b", …}

MicroPython keeps each name that it has met in a table that never shrinks: 7 bytes, the characters and one more, and
the table grows by doubling. So names that never stand in the same place get the same short one. Such places are the
names of one module, and the attributes of one class with those that it inherits from or that inherit from it. An
attribute that is set from outside may belong to any class, so it shares its short name with no other attribute.

Kept are the names of somebody else (`foreign`), of arguments that are passed by name, of modules, and of exceptions,
because a log says them.
"""

import ast
import builtins
import itertools
import keyword
import string
from collections import Counter

from menwei.scopes import Scopes

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
# Names that every MicroPython has in flash, by number in a `.mpy`: the builtin ones can only be attributes of ours.
STATIC = (
    *(
        "append",
        "args",
        "bytecode",
        "clear",
        "copy",
        "count",
        "end",
        "endswith",
        "extend",
        "find",
        "from_bytes",
        "get",
        "index",
        "insert",
        "isalpha",
    ),
    *(
        "isdigit",
        "islower",
        "isspace",
        "isupper",
        "items",
        "join",
        "key",
        "keys",
        "little",
        "lower",
        "lstrip",
        "pop",
        "popitem",
        "remove",
        "replace",
    ),
    *(
        "reverse",
        "rfind",
        "rindex",
        "rsplit",
        "rstrip",
        "sep",
        "setdefault",
        "sort",
        "split",
        "start",
        "startswith",
        "step",
        "stop",
        "strip",
    ),
    *("to_bytes", "update", "upper", "value", "values"),
)
STATIC_BUILTIN = (
    *(
        "abs",
        "all",
        "any",
        "bool",
        "bytearray",
        "bytes",
        "callable",
        "chr",
        "dict",
        "dir",
        "divmod",
        "eval",
        "exec",
        "getattr",
        "globals",
        "hasattr",
        "hash",
    ),
    *(
        "id",
        "int",
        "isinstance",
        "issubclass",
        "iter",
        "len",
        "list",
        "map",
        "next",
        "object",
        "open",
        "ord",
        "pow",
        "print",
        "range",
        "repr",
        "round",
        "set",
    ),
    *("setattr", "sorted", "str", "sum", "tuple", "zip"),
)
_LETTERS = string.ascii_letters + string.digits
_INTERNED = 10  # strings up to this length are names to the compiler, MICROPY_ALLOC_PARSE_INTERN_STRING_LEN
# The interpreter looks for these in objects of any class, and may find ours.
_PROTOCOLS = {
    "send",
    "throw",
    "close",
    "pend_throw",
    "ioctl",
    "read",
    "readinto",
    "readline",
    "write",
    "mount",
    "umount",
}


def _is_exception(name, bases):
    """Whether a class is an exception, by the names of the classes that it inherits from."""
    known = getattr(builtins, name, None)
    if isinstance(known, type):
        return issubclass(known, BaseException)
    return any(_is_exception(base, bases) for base in bases.get(name, ()))


def _bodies(tree):
    """Yield the nodes that run in the body of a class, not in its methods, in the namespace of the class."""
    pending = list(ast.iter_child_nodes(tree))
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, (*FUNCTIONS, ast.Lambda)):
            pending += [*getattr(node, "decorator_list", ()), *node.args.defaults, *node.args.kw_defaults]
        else:
            pending += ast.iter_child_nodes(node)
        pending = [child for child in pending if child]


def _in_module(tree):
    """Names that stand by themselves anywhere in a module; a method does not, it is an attribute."""
    scopes = Scopes(tree)
    found = {name for node, name, _ in scopes.references if isinstance(node, (ast.Name, ast.Global))}
    return found.union(*(scope.bound for scope in scopes.scopes if scope.kind != "class"))


def _in_class(tree):
    """Attributes of a class and of its objects, as far as its own text tells, and names that its body looks up."""
    found = {node.name for node in tree.body if isinstance(node, DEFINITIONS)}
    found |= {node.id for node in _bodies(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            found.add(node.attr)
    return found


def _set_from_outside(tree):
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and not isinstance(node.ctx, ast.Load)
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }


def places(trees):
    """Return sets of names; two names of one set must stay two."""
    found = [_in_module(tree) for tree in trees.values()]
    outside = set().union(*(_set_from_outside(tree) for tree in trees.values()))
    groups = {}  # class: the list that it shares with its relatives, [names]
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.ClassDef):
            group = groups.setdefault(node.name, [set()])
            group[0] |= _in_class(node) | outside
            for base in node.bases:
                name = base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")
                other = groups.setdefault(name, [set()])
                group[0] |= other[0]
                for relative, names in groups.items():
                    if names is other:
                        groups[relative] = group
    unique = {id(group): group[0] for group in groups.values()}
    return [*found, *unique.values(), outside]


def _defined(tree):
    """Names of functions, classes and attributes that a module defines, and its own private ones of any kind."""
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS):
            yield node.name
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id.startswith("_"):
            yield node.id
        elif isinstance(node, ast.arg) and node.arg.startswith("_"):
            yield node.arg
    for body in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))):
        for node in body.body:
            if isinstance(node, ast.Assign):
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _kept(trees):
    """Names of ours that stay as they are."""
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for node in nodes
        if isinstance(node, ast.ClassDef)
    }
    kept = {name for name in bases if _is_exception(name, bases)}
    keywords = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    kept |= {node.arg for node in nodes if isinstance(node, ast.arg) and node.arg in keywords}
    kept |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    kept |= {node.asname for node in nodes if isinstance(node, ast.alias) and node.asname}
    # What comes from a module of somebody else, and that module itself, is called as they call it.
    for node in nodes:
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module not in trees):
            kept |= {part for alias in node.names for part in alias.name.split(".")}
    return kept.union(*(module.split(".") for module in trees))


def constants(tree):
    """Nodes of `_NAME = const(…)`: the compiler folds it wherever it stands, and no door has the name."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            function, name = node.value.func, node.targets[0]
            if isinstance(function, ast.Name) and function.id == "const" and isinstance(name, ast.Name):
                yield name


def interned(node):
    """Whether a node is a string that is a name to the compiler, and could be one of ours."""
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and len(text) <= _INTERNED and text.isidentifier() and not keyword.iskeyword(text)


def reusable(tree):
    """Return names and short strings that a module has in the table of names anyway: none of ours to choose."""
    found = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found[node.attr] += 1
        elif isinstance(node, ast.keyword) and node.arg:
            found[node.arg] += 1
        elif interned(node):
            found[node.value] += 1
    return [name for name, _ in found.most_common() if not name.startswith("__")]


def shortnames(trees, foreign=(), known=()):
    """Return a dict of names to short names; a name that stays is not in it.

    Args:
        trees: dict of module name to syntax tree.
        foreign: names that others use for the same things, or use for theirs.
        known: names that a door's table of names has anyway, to be used first wherever they do not stand.
    """
    count = Counter()
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                count[name] += 1
    kept = _kept(trees) | set(foreign)
    folded = {node.id for tree in trees.values() for node in constants(tree)}
    wanted = {name for tree in trees.values() for name in _defined(tree)} - folded
    wanted = {name for name in wanted if len(name) > 2 and not name.startswith("__") and name not in kept}
    where = {name: [] for name in wanted}
    for place in places(trees):
        taken = place - wanted  # short names in use here, and those that stay
        for name in place & wanted:
            where[name].append(taken)
    new = ("".join(pair) for width in (1, 2) for pair in itertools.product(_LETTERS, repeat=width))
    new = ["_" + name for name in new if f"_{name}" not in count]
    barred = set(dir(builtins)) | set(keyword.kwlist) | _PROTOCOLS | wanted | {"self", "_"}
    free = [name for name in dict.fromkeys(known) if name not in barred] + new
    attributes = [name for name in dict.fromkeys(known) if name not in barred] + list(STATIC_BUILTIN) + new
    alone = set().union(*(_in_module(tree) for tree in trees.values()))
    short = {}
    # Who stands in most places has the least choice, and chooses first.
    for name in sorted(wanted, key=lambda name: (-len(where[name]), -count[name], name)):
        choice = free if name in alone or not known else attributes
        short[name] = next(new for new in choice if not any(new in taken for taken in where[name]))
        for taken in where[name]:
            taken.add(short[name])
    return short
