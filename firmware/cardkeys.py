"""The command that ends a rotation of card keys: the old version is dropped. Loaded when it comes, and not kept."""

import board
import esp32

from storage import record
from storage.keys import Keys
from sync import messages

MODULES = ("firmware.cardkeys", "storage.keys")


def drop(journal, reader, command):
    """Forget the key version that the command names; return the result number of docs/protocol.md.

    The newest version of a kind is never dropped: cards of that kind could not enter any more. How many cards still
    have no newer version, the office knows before it sends this.
    """
    kind = command.argument & 255
    version = command.argument >> 8
    keys = Keys(esp32.NVS("menwei"), board.ROOT)
    keys.load()
    try:
        left = keys.without(kind, version)
        journal.append_long(record.COMMAND, messages.OP_DROP_CARD_KEY, None, command.number, command.evidence())
        keys.drop_card_key(kind, version)
    except (ValueError, OSError):
        return messages.REFUSED_BY_DOOR
    reader.keys_changed(left)
    return messages.DONE
