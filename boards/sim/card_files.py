"""Cards with a memory: each lies in a JSON file, so that it can be carried from door to door.

    card = load("liu.json")  # or load("04A1B2C3"): a card that is no more than a UID
    save(card, "liu.json")

The file names the kind of card; the model's module is imported when one is met. A model has the class method
`from_dict(dict)` and `to_dict()`. A card is in one place at a time: the file is read when it is held to a reader and
written when it is taken away or the door's process ends.
"""

import json
import os
from binascii import unhexlify

from boards.sim.cards import Card

_KINDS = {"uid": "cards.Card", "classic": "classic.Classic", "ntag424": "ntag424.Ntag424", "desfire": "desfire.Desfire"}


def load(name):
    """Make the card of a UID in hex or of a file `*.json`; raises ValueError or OSError."""
    if not name.endswith(".json"):
        return Card(unhexlify(name))
    with open(name) as file:
        kept = json.load(file)
    return from_dict(kept)


def from_dict(kept):
    """Make a card of what its `to_dict` gave."""
    kind = kept.get("kind")
    if kind not in _KINDS:
        raise ValueError("kinds of card are: " + ", ".join(_KINDS))
    # By name: a model that nobody uses takes no room.
    module, _, model = _KINDS[kind].partition(".")
    return getattr(__import__("boards.sim." + module, None, None, (model,)), model).from_dict(kept)


def save(card, name):
    """Write a card back to its file; one without a file has nothing to keep."""
    if not name.endswith(".json"):
        return
    with open(name + ".new", "w") as file:
        json.dump(card.to_dict(), file)
    os.rename(name + ".new", name)
