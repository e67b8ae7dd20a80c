"""Which modules a door carries together, and which by themselves.

    texts, places, names = bundled({"firmware.door": text, …})
    texts["door"]           # what stays in memory for as long as the door works
    places["door"]          # [(1, "drivers.contacts"), …]: the line in the bundle at which each module begins
    names["storage.mac"]    # ["door", {"check": "check_storage_mac", …}]: the bundle of a module, and its names there

| bundle | holds | is in memory |
|---|---|---|
| `door` | all that `firmware.assembly` loads and that stays | always |
| `setup` | what a start needs, `_ONCE` of firmware/main.py | until the door is built |
| `proofs` | what lets cards prove themselves | in doors that take such cards |

All others are loaded when they are needed and dropped again (storage/ondemand.py), each by itself. A module that is
dropped at two places, after a start and later, is in `setup` and stands by itself, too.
"""

import ast

from menwei.bundle import Bundle, BundleError, closure, dropped, literal
from menwei.once import FORGET, forgetting

RESIDENT, SETUP, PROOFS = "door", "setup", "proofs"
BUNDLES = (RESIDENT, SETUP, PROOFS)
_ROOT = "firmware.assembly"
_START = "firmware.main"
_PROVERS = ("drivers.classic", "drivers.ev2", "storage.copywatch")
_AT_A_DESK = ("firmware.desk", "sync.upstream")  # never in a door
_ALONE = ("firmware.provision",)  # most starts do without


def bundled(modules):
    """Return the texts that a door carries by name, where in each bundle its modules begin, and what became of names.

    Raises:
        BundleError: modules cannot be put together; the message says why.
    """
    places, names = {}, {}
    once = literal(ast.parse(modules[_START]), "_ONCE")
    later = set().union(*(dropped(text) for name, text in modules.items() if name != _START))
    residents = closure(modules, [_ROOT], once)
    for name in set(residents) & later:
        raise BundleError(
            f"{name} is dropped from memory and loaded at a start: import it in the function that needs it"
        )
    setup = (set(once) | {_ROOT, *_AT_A_DESK}) - later
    modules = modules | {FORGET: forgetting(modules, residents, setup)}
    texts = modules
    for name, roots in ((RESIDENT, residents), (PROOFS, _PROVERS), (SETUP, once)):
        members = [member for member in closure(texts, roots) if member not in (*BUNDLES, *_ALONE)]
        members = [member for member in members if name != SETUP or member in once]
        bundle = Bundle(texts, members, name, later & set(members))
        places[name] = bundle.lines
        texts = bundle.texts
        names |= {member: [name, bundle.names_of(member)] for member in members if member not in texts}
    return texts, places, names
