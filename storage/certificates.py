"""A door's certificates for TLS: two sealed slots, so that a new one that is wrong never cuts a door off.

    certificates.store("/vfs", serial, until_s, ca, certificate, key)      # into the older slot
    for path in certificates.paths("/vfs"):                                # the whole ones, the newest first
        serial, until_s, ca, certificate, key = certificates.read(path)

A slot is a file: check (SHA-256 over a label and what follows), and then generation, end of validity in seconds since
2020, lengths of serial number, CA, certificate and key, and these four (docs/flash-formats.md). Loaded before a
handshake and at provisioning, dropped afterwards.
"""

from hashlib import sha256
from struct import pack, unpack_from

from micropython import const

_LABEL = b"menwei tls 1"
_CHECK = const(32)
_HEAD = const(48)
_LAYOUT = "<IIHHHH"
_MOST = const(4096)  # P-256 certificates have 400 to 700 bytes
_NAMES = ("/tls.a", "/tls.b")


def _slot(path):
    """Return the bytes of a whole slot, or None."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST)
    except OSError:
        return None
    if len(data) < _HEAD or sha256(_LABEL + data[_CHECK:]).digest() != data[:_CHECK]:
        return None
    return data


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
        parts.append(data[at : at + length])
        at += length
    serial, ca, certificate, key = parts
    return serial, until_s, ca, certificate, key


def store(directory, serial, until_s, ca, certificate, key):
    """Write the older slot; a cut on the way leaves the newer one.

    Raises:
        ValueError: more than a slot holds.
    """
    parts = serial, ca, certificate, key
    generations = [_generation(directory + name) for name in _NAMES]
    body = pack(_LAYOUT, max(generations) + 1, until_s, *(len(part) for part in parts)) + b"".join(parts)
    if _CHECK + len(body) > _MOST:
        raise ValueError("tls: CA, certificate and key together are larger than 4 KB")
    with open(directory + _NAMES[generations[0] > generations[1]], "wb") as file:
        file.write(sha256(_LABEL + body).digest())
        file.write(body)
