"""A door's certificates for TLS: two sealed slots, so that a new one that is wrong never cuts a door off.

    certificates.store("/vfs", serial, until_s, ca, certificate, key)      # not into the slot that works
    for path in certificates.paths("/vfs"):                                # the whole ones, the newest first
        serial, until_s, ca, certificate, key = certificates.read(path)

A slot is a file: check (SHA-256 over a label and what follows), and then generation, end of validity in seconds since
2020, lengths of serial number, CA, certificate and key, and these four (docs/flash-formats.md). Loaded before a
handshake and at provisioning, dropped afterwards.
"""

import os
from hashlib import sha256
from struct import pack, unpack_from

from micropython import const

_LABEL = b"menwei tls 1"
_CHECK = const(32)
_HEAD = const(48)
_GENERATION = const(4)
_LAYOUT = "<IIHHHH"
_MOST = const(4096)  # P-256 certificates have 400 to 700 bytes
_NAMES = ("/tls.a", "/tls.b")


def _slot(path):
    """Return the bytes of a whole slot, or None."""
    try:
        size = os.stat(path)[6]
        if not _HEAD <= size <= _MOST:
            return None
        data = bytearray(size)
        with open(path, "rb") as file:
            file.readinto(data)
    except OSError:
        return None
    digest = sha256(_LABEL)
    digest.update(memoryview(data)[_CHECK:])
    return data if digest.digest() == data[:_CHECK] else None


def _generation(path):
    data = _slot(path)
    return unpack_from("<I", data, _CHECK)[0] if data else 0


def paths(directory):
    """Return the paths of the whole slots, the newest first: two, one or none."""
    found = sorted((_generation(directory + name), directory + name) for name in _NAMES)
    return [path for generation, path in reversed(found) if generation]


def read(path):
    """Return (serial number, end of validity in s since 2020, CA, certificate, key), all but the end bytes (DER).

    Raises:
        ValueError: the slot has been damaged since it was found.
    """
    data = _slot(path)
    if not data:
        raise ValueError("tls: a certificate in flash is damaged")
    until_s = unpack_from("<I", data, _CHECK + 4)[0]
    parts = []
    at = _HEAD
    for length in unpack_from("<HHHH", data, _CHECK + 8):
        parts.append(bytes(data[at : at + length]))
        at += length
    serial, ca, certificate, key = parts
    return serial, until_s, ca, certificate, key


def store(directory, serial, until_s, ca, certificate, key, shown=None):
    """Write one slot; a cut on the way leaves the other. What the newer slot holds already is not written again.

    Args:
        shown: serial number of the certificate with which the door is connected, if it is. It stays: a newer one that
            has failed gives way. Without it the older one does.

    Raises:
        ValueError: more than a slot holds.
    """
    parts = serial, ca, certificate, key
    rest = pack(_LAYOUT[:1] + _LAYOUT[2:], until_s, *(len(part) for part in parts)) + b"".join(parts)
    if _CHECK + _GENERATION + len(rest) > _MOST:
        raise ValueError("tls: CA, certificate and key together are larger than 4 KB")
    found = [directory + name for name in _NAMES]
    generations = [_generation(path) for path in found]
    newer = generations[1] > generations[0]
    if generations[newer] and _slot(found[newer])[_CHECK + _GENERATION :] == rest:
        return  # taken a second time after a power cut: the other slot is not to be lost for it
    target = not newer
    if shown and generations[target] and read(found[target])[0] == shown:
        target = newer
    body = pack("<I", max(generations) + 1) + rest
    with open(found[target], "wb") as file:
        file.write(sha256(_LABEL + body).digest())
        file.write(body)
