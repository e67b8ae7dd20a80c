"""The commands that end a rotation of card keys or of the door key: the old one is dropped. Loaded when they come."""

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


def drop_old_door_key(service):
    """Forget the pseudonym key of the door key before; cards that the list knows only by it are unknown from now on."""
    keys = Keys(esp32.NVS("menwei"), board.ROOT)
    keys.load()
    if keys.lost or not keys.old:
        return messages.REFUSED_BY_DOOR
    try:
        keys.store(None, None, None, b"")
    except OSError:
        return messages.REFUSED_BY_DOOR
    service.passage.old = None
    return messages.DONE
