"""The names that a module uses most, said first: names are numbered as they come, and small numbers are short.

print(said_first(text))     # if not __name__: append.state.poll.…

Bytecode has a name as its number in the module's table, one byte below 128, else two. The statement is never carried
out, and forgotten with everything else that a module does only when it is loaded.
"""

import ast
from collections import Counter

from menwei.scopes import FUNCTIONS, Scopes
from menwei.shortnames import constants, interned

_SHORT = 126  # two places are taken by the names of the module and of its body


def said_first(text):
    """Return the statement, one line, or an empty one for a module that has no need of it."""
    tree = ast.parse(text)
    count = Counter()
    scopes = Scopes(tree)
    for _, name, scope in scopes.references:
        if scope is not scopes.module and scope.meaning(name) in (scopes.module, None):
            count[name] += 1
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            count[node.attr] += 1
        elif isinstance(node, (ast.keyword, ast.arg)) and node.arg:
            count[node.arg] += 1
        elif interned(node):
            count[node.value] += 1
        elif isinstance(node, FUNCTIONS):
            count[node.name] += 1
    for node in constants(tree):
        count.pop(node.id, None)
    if len(count) <= _SHORT:
        return "pass\n"
    names = [name for name, _ in count.most_common(_SHORT)]
    return "if not __name__: " + ".".join(name for name in names if name not in ("None", "True", "False")) + "\n"
