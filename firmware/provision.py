"""First start of a door: take identity, keys and settings from `provision.json`, then delete it.

Loaded only when that file is there, and dropped afterwards. The file is written by the installer's tool over serial.

    {"door_key": 64 hex digits, "journal_key": 32 hex digits, "journal_epoch": 8 hex digits,
     "wifi_secret": "…", "settings": {"site": …, "door": …, "host": …, …}}

Provisioning again is safe: a journal or list that is already there is kept, unless the file says
`"erase": true`.
"""

import json
import os
from binascii import unhexlify

from firmware import config

_FILE = "/provision.json"


def apply(root, keys, store, journal, allowlist):
    """Read, check everything, then store; a bad file changes nothing.

    Raises:
        ValueError: says what is wrong with the file, which stays for the installer to look at.
    """
    with open(root + _FILE) as file:
        given = json.load(file)
    settings = config.validate(given["settings"])
    door_key = _bytes(given, "door_key", 32)
    journal_key = _bytes(given, "journal_key", 16)
    epoch = _bytes(given, "journal_epoch", 4)
    keys.store(door_key, given.get("wifi_secret", ""))
    store.save(settings)
    erase = given.get("erase", False)
    _format(journal, erase, epoch, journal_key)
    _format(allowlist, erase)
    os.remove(root + _FILE)


def _bytes(given, name, length):
    value = unhexlify(given.get(name, ""))
    if len(value) != length:
        raise ValueError("%s: %d hex digits are needed" % (name, 2 * length))
    return value


def _format(store, erase, *arguments):
    if not erase:
        try:
            store.mount()
            return
        except (OSError, ValueError):
            pass  # nothing there yet
    store.format(*arguments)
