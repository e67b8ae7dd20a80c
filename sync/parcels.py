"""Takes in parcels: settings, keys and certificates that come by the network, in pages, over any number of connections.

    result = parcels.page(link, payload)        # raises messages.Refused, OSError
    parcels.resume(link, "/vfs", 6)             # at a start; `state` then tells where to go on

One parcel is staged at a time, in the file `<root>/parcel`: 16 bytes of header, and as much as has come. What it says
is not read here: firmware/parcels.py does that when the parcel is whole. Formats: docs/protocol.md, "parcel".

Loaded when a page comes and dropped afterwards.
"""

import os
from struct import pack, unpack_from

from micropython import const

from storage.mac import Hmac, same
from sync import messages
from sync.messages import Refused, expect, numbers, verify

_FILE = "/parcel"
_TLS = const(2)  # the kind that holds nothing but a certificate
_MAC = const(16)
_HEADER = const(16)
_LEAST = const(48)  # IV, one block, MAC
_MOST = const(8192)
_MOST_DATA = const(512)
_PIECE = const(256)


def resume(link, root, last):
    """Find out what is staged: link.parcel becomes [number, bytes so far, number that was taken last].

    Args:
        root: where the file system begins.
        last: number of the parcel that was applied or refused last, from NVS; 0 for none.
    """
    link.root = root
    parcel = link.parcel = [0, 0, last]
    try:
        size = os.stat(root + _FILE)[6] - _HEADER
        with open(root + _FILE, "rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return
    if size >= 0:
        number, _, total = unpack_from("<III", header, 4)
        if number > last and size <= total:
            parcel[0] = number
            parcel[1] = size


def page(link, payload, renewing=False):
    """Stage one page; return the result that tells what became of it. `state` is published and tells what is missing.

    Pages are taken in order; one that is there already, or that comes too early, changes nothing. A parcel with a
    higher number takes the place of the one that is staged.

    Args:
        payload: memoryview or bytes.
        renewing: the door is at the renewal listener, where only certificates are taken.

    Raises:
        messages.Refused: forged, malformed, or of parcels that do not belong together.
        OSError: the file system is full or faulty; what was staged is still there.
    """
    end = len(payload) - _MAC
    expect(payload, end + _MAC, _HEADER + 1 + _MAC)
    verify(link._purpose(b"parcel"), payload, end)
    count = end - _HEADER
    kind = payload[1]
    number, offset, total = numbers(payload, "<III", 4)
    bad = count > _MOST_DATA or payload[2] | payload[3] << 8 != count or not 1 <= kind <= _TLS
    if bad or not number or not _LEAST <= total <= _MOST or total % 16 or offset + count > total:
        raise Refused("bad page of a parcel")
    if renewing and kind != _TLS:
        raise Refused("at the renewal listener a door takes certificates only")
    last = link.parcel[2]
    if number <= last or number < link.parcel[0]:
        return messages.REPLAYED
    if not link._host.may_connect():
        return messages.BUSY  # the file system may erase; upstream sends it again
    path = link.root + _FILE
    header = pack("<BBHIII", 0, kind, 0, number, 0, total)
    have = 0
    if number == link.parcel[0]:
        have = link.parcel[1]
        with open(path, "rb") as file:
            if file.read(_HEADER) != header:
                raise Refused("another parcel has this number: give it a higher one")
    try:
        if offset <= have < offset + count:
            with open(path, "ab" if have else "wb") as file:
                if not have:
                    file.write(header)
                file.write(payload[_HEADER + have - offset : end])
    except OSError as error:
        raise OSError(error.errno, "parcel: the file system is full or faulty, nothing was taken")
    finally:
        resume(link, link.root, last)
        link.state_changed()
    if link.parcel[1] == total:
        if not whole(link, path):
            os.remove(path)
            resume(link, link.root, last)
            raise Refused("the parcel's own MAC is wrong: pages of several parcels, or damaged in flash")
        if kind == _TLS:
            return link._host.parcel_whole(number)
    return messages.DONE


def whole(link, path):
    """Return whether an authentic parcel lies there; its header has a MAC, too. Raises OSError."""
    digest = Hmac(link._purpose(b"parcel"))
    left = os.stat(path)[6] - _MAC
    if left < _LEAST:
        return False
    with open(path, "rb") as file:
        header = file.read(_HEADER)
        if unpack_from("<I", header, 12)[0] != left:
            return False
        digest.update(header)
        left -= _HEADER - _MAC + _MAC
        buf = bytearray(_PIECE)
        while left:
            piece = memoryview(buf)[: min(left, _PIECE)]
            if file.readinto(piece) != len(piece):
                return False
            digest.update(piece)
            left -= len(piece)
        return same(digest.digest()[:_MAC], file.read(_MAC), 0)
