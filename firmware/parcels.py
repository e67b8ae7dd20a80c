"""Opens a parcel that is whole, and leaves what it says for the next start. Loaded when that is due, and not kept.

    result = parcels.apply(service, 7)          # number of docs/protocol.md

The plain text goes from file to file in small pieces: the heap of a door in service has no room for more.
firmware/provision.py reads it at the start that follows.
"""

import os
from struct import unpack_from

import board
import esp32
from cryptolib import aes
from micropython import const

from firmware import restart
from storage.keys import Keys
from sync import messages, parcels

MODULES = ("firmware.parcels", "firmware.restart", "storage.keys", "sync.parcels")

_FILE = "/parcel"
_PLAIN = "/provision.tmp"
_READY = "/provision.parcel"
_BEFORE = "/provision.before"
_CBC = const(2)
_BLOCK = const(16)
_MAC = const(16)
_PIECE = const(256)


def apply(service, number):
    """Have the parcel with this number taken over by a start that follows soon; return the result.

    REFUSED_BY_DOOR: it is not there, not whole, or there is no room for it; `state` tells how far it is. BUSY: it waits
    for its start already. A page that is repeated until then costs no flash.
    """
    try:
        with open(board.ROOT + _READY, "rb") as file:
            if file.readline().split()[:1] == [b"%d" % number]:
                return messages.BUSY
    except OSError:
        pass
    link = service.recorder.link
    path = board.ROOT + _FILE
    try:
        if link.parcel[0] != number or not parcels.whole(link, path):
            return messages.REFUSED_BY_DOOR
        keys = Keys(esp32.NVS("menwei"), board.ROOT)
        keys.load()
        # The certificate that works must stay, whichever of the two it is.
        shown = link.connected and link.certificate
        if not _open(path, keys.purpose(b"secret"), b" " + shown[0].encode() if shown else b""):
            return messages.REFUSED_BY_DOOR
        if link.connected:
            _settle()
        os.rename(board.ROOT + _PLAIN, board.ROOT + _READY)
    except (OSError, ValueError) as error:
        service.log.error("parcel", "not taken", number=number, error=error)
        return messages.REFUSED_BY_DOOR
    service.log.info("parcel", "is taken over by a restart", number=number)
    restart.soon(service)
    return messages.DONE


def drop_door_key(service):
    """Forget the pseudonym key of the door key before; cards that the list knows only by it are unknown from now on."""
    keys = Keys(esp32.NVS("menwei"), board.ROOT)
    keys.load()
    try:
        if keys.lost or not keys.old:
            return messages.REFUSED_BY_DOOR
        keys.store()
    except OSError:
        return messages.REFUSED_BY_DOOR
    service.passage.old = None
    return messages.DONE


def _settle():
    """What leads back is of a parcel with which the door is connected: not needed any more."""
    try:
        os.remove(board.ROOT + _BEFORE)
    except OSError:
        pass


def _open(path, key, shown):
    """Decrypt into another file, behind number, kind and `shown`; return False if the padding is wrong, which a right
    MAC leaves to the sender."""
    left = os.stat(path)[6] - _BLOCK - _MAC
    buf = bytearray(_PIECE)
    with open(path, "rb") as source, open(board.ROOT + _PLAIN, "wb") as target:
        header = source.read(_BLOCK)
        cipher = aes(key, _CBC, source.read(_BLOCK))
        target.write(b"%d %d%s\n" % (unpack_from("<I", header, 4)[0], header[1], shown))
        left -= _BLOCK
        while left:
            piece = memoryview(buf)[: min(left, _PIECE)]
            source.readinto(piece)
            cipher.decrypt(piece, piece)
            left -= len(piece)
            if not left:
                count = piece[-1]
                if not 1 <= count <= _BLOCK or bytes(piece[-count:]) != bytes((count,)) * count:
                    return False
                piece = piece[:-count]
            target.write(piece)
    return True
