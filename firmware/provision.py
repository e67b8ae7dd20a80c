"""First start of a door: take identity, keys and settings from `provision.json`, then delete it.

Loaded only when that file is there, and dropped afterwards. The file is written by the installer's tool over serial.

    {"door_key": 64 hex digits, "journal_key": 32 hex digits, "journal_epoch": 8 hex digits,
     "wifi_secret": "…", "settings": {"site": …, "door": …, "host": …, …},
     "card_keys": [["ntag424", version, number on the card, 32 hex digits], …],
     "tls": {"ca": hex, "certificate": hex, "key": hex, "serial": hex, "until": seconds since 2020}}

Provisioning again is safe: a journal or list that is already there is kept, unless the file says
`"erase": true`; without "card_keys" or "tls" those that the door has are kept.
"""

import json
import os
from binascii import unhexlify

from firmware import config
from storage import certificates

_FILE = "/provision.json"
_MOST_SETTINGS = 4096  # characters; a start reads both copies beside its own code, and must have room for them


def apply(root, keys, store, journal, allowlist):
    """Read, check everything, then store; a bad file changes nothing.

    Raises:
        ValueError: says what is wrong with the file, which stays for the installer to look at.
    """
    with open(root + _FILE) as file:
        given = json.load(file)
    settings = given["settings"]
    wifi_secret = given.get("wifi_secret", "")
    if not isinstance(settings, dict) or not isinstance(wifi_secret, str):
        raise ValueError("settings must be an object, wifi_secret a text")
    settings = config.validate(settings)
    length = len(json.dumps(settings))
    if length > _MOST_SETTINGS:
        hint = "leave out holidays that are over, give groups the same hours"
        raise ValueError("settings: %d characters, at most %d; %s" % (length, _MOST_SETTINGS, hint))
    if keys.lost:
        keys.load()
    door_key = _bytes(given, "door_key", 32)
    journal_key = _bytes(given, "journal_key", 16)
    epoch = _bytes(given, "journal_epoch", 4)
    card_keys = _card_keys(given["card_keys"]) if "card_keys" in given else None
    tls = _tls(given["tls"]) if "tls" in given else None
    if settings["tls"] and not tls and not certificates.paths(root):
        raise ValueError("tls: the door has no certificate, and none is in the file")
    kinds = _kinds(keys.card_keys if card_keys is None else card_keys)
    for kind in config.all_kinds(settings):
        if kind != "uid" and config.KINDS.index(kind) + 1 not in kinds:
            raise ValueError("kinds: the door takes %s, and card_keys has no key for it" % kind)
    if tls:
        certificates.store(root, *tls)
    keys.store(door_key, wifi_secret, card_keys)
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


def _tls(given):
    """Return what certificates.store takes."""
    if not isinstance(given, dict) or type(given.get("until")) is not int:
        raise ValueError("tls: an object with ca, certificate, key, serial in hex, and until as a number")
    serial, ca, certificate, key = [unhexlify(given.get(name, "")) for name in ("serial", "ca", "certificate", "key")]
    from sync import credentials

    try:
        credentials.context(ca, certificate, key)
    except (OSError, ValueError):
        raise ValueError("tls: ca and certificate must be X.509, key must be SEC 1 or PKCS #8, all in DER and hex")
    return serial, given["until"], ca, certificate, key


def _kinds(card_keys):
    return [entry[0] for entry in card_keys]


def _card_keys(given):
    """Check the card read keys: two versions of each kind at most."""
    if not isinstance(given, list) or any(not isinstance(entry, list) or len(entry) != 4 for entry in given):
        raise ValueError("card_keys: a list of [kind, version, number on the card, 32 hex digits]")
    keys = []
    for name, version, number, digits in given:
        if name not in config.KINDS or name == "uid":
            raise ValueError("card_keys: %s is no kind that has a key" % name)
        kind = config.KINDS.index(name) + 1
        key = unhexlify(digits)
        if not 0 <= version <= 3 or not 1 <= number <= (15, 4, 13)[kind - 2] or len(key) != 16:
            raise ValueError("card_keys: %s needs version 0-3, its number on the card, 32 hex digits" % name)
        versions = [entry[1] for entry in keys if entry[0] == kind]
        if len(versions) == 2 or version in versions:
            raise ValueError("card_keys: at most two versions of %s, and each once" % name)
        keys.append((kind, version, number, key))
    return keys


def _format(store, erase, *arguments):
    if not erase:
        try:
            store.mount()
            return
        except (OSError, ValueError):
            pass  # nothing there yet
    store.format(*arguments)
