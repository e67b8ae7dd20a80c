"""Takes over what the installer left in `provision.json`, or what came by the network as a parcel, at a start.

Loaded only when such a file is there, and dropped afterwards. The installer's is written over serial:

    {"door_key": 64 hex digits, "journal_key": 32 hex digits, "journal_epoch": 8 hex digits,
     "wifi_secret": "…", "settings": {"site": …, "door": …, "host": …, …},
     "card_keys": [["ntag424", version, number on the card, 32 hex digits], …],
     "tls": {"ca": hex, "certificate": hex, "key": hex, "serial": hex, "until": seconds since 2020}}

Provisioning again is safe: a journal or list that is already there is kept, unless the file says
`"erase": true`; without "card_keys" or "tls" those that the door has are kept.

A file without "door_key" changes only what it names, and of the settings only those that it names. So does a parcel
(`provision.parcel`: a line with number, kind and, if known, the serial number of the certificate that works, then
JSON), which never erases and never touches the journal's keys.
If it changes how the door gets to upstream, what was there before is kept in `provision.before` until the door has
been connected: firmware/trial.py.
"""

import json
import os
from binascii import unhexlify

from firmware import config
from storage import record

FILE = "/provision.json"
PARCEL = "/provision.parcel"
BEFORE = "/provision.before"
_STAGED = "/parcel"
_MOST_SETTINGS = 4096  # characters; a start reads both copies beside its own code, and must have room for them
_MOST_SECRET = 64  # bytes, as in storage.keys
_MOST_SERIAL = 20  # bytes, RFC 5280, 4.1.2.2; `state`, which tells it, has no room for more
_MOST_TLS = 4000  # bytes; a slot has 4,096
_BACK = 0  # kind of what goes back to what was before; the others are those of sync/parcels.py
_TLS = 2
_MEMBERS = ("settings", "card_keys", "tls", "door_key", "wifi_secret")
# Who changes one of these may cut the door off.
_LINK = ("site", "door", "host", "port", "tls", "renew_port", "wifi_ssid")


class _Plan:
    """All that a file says, checked; nothing is changed yet."""

    def __init__(self, root, given, keys, store, complete):
        if not isinstance(given, dict):
            raise ValueError("an object is needed")
        self.before = store.load(config.DEFAULTS, config.validate)
        settings = given["settings"] if complete else given.get("settings", {})
        secret = given.get("wifi_secret", "" if complete else None)
        if not isinstance(settings, dict) or not isinstance("" if "wifi_secret" not in given else secret, str):
            raise ValueError("settings must be an object, wifi_secret a text")
        if not complete:
            merged = dict(self.before)
            merged.update(settings)
            settings = merged
        self.settings = settings = config.validate(settings)
        length = len(json.dumps(settings))
        if length > _MOST_SETTINGS:
            hint = "leave out holidays that are over, give groups the same hours"
            raise ValueError("settings: %d characters, at most %d; %s" % (length, _MOST_SETTINGS, hint))
        if keys.lost:
            keys.load()
        if secret and len(secret.encode()) > _MOST_SECRET:
            raise ValueError("wifi_secret: at most 64 bytes")
        self.secret = secret
        self.door_key = _bytes(given, "door_key", 32) if complete or "door_key" in given else None
        self.card_keys = _card_keys(given["card_keys"]) if "card_keys" in given else None
        kinds = [entry[0] for entry in (keys.card_keys if self.card_keys is None else self.card_keys)]
        for kind in config.all_kinds(settings):
            if kind != "uid" and config.KINDS.index(kind) + 1 not in kinds:
                raise ValueError("kinds: the door takes %s, and card_keys has no key for it" % kind)
        self.tls = _tls(given["tls"]) if "tls" in given else None
        if settings["tls"] and not self.tls:
            from storage import certificates

            if not certificates.paths(root):
                raise ValueError("tls: the door has no certificate, and none is in the file")

    def save(self, root, keys, store, old, shown=None):
        """Do it. What may find no room comes first; all of it is done again if the power goes on the way.

        Args:
            shown: see storage.certificates.store.
        """
        if self.settings != self.before:
            store.save(self.settings)
        if self.tls:
            from storage import certificates

            certificates.store(root, *self.tls, shown)
        if self.door_key or self.secret is not None or self.card_keys is not None:
            keys.store(self.door_key, self.secret, self.card_keys, old)


def apply(root, keys, store, journal, allowlist):
    """Read the installer's file, check everything, then store; a bad file changes nothing.

    Raises:
        ValueError: says what is wrong with the file, which stays for the installer to look at.
    """
    with open(root + FILE) as file:
        given = json.load(file)
    keys.load()
    complete = keys.lost or "door_key" in given
    if not complete:
        _only(given, _MEMBERS)
        _Plan(root, given, keys, store, False).save(root, keys, store, None)
    else:
        plan = _Plan(root, given, keys, store, True)
        journal_key = _bytes(given, "journal_key", 16)
        epoch = _bytes(given, "journal_epoch", 4)
        plan.before = None  # the settings are written again, whatever they were
        plan.save(root, keys, store, b"")
        erase = given.get("erase", False)
        _format(journal, erase, epoch, journal_key)
        _format(allowlist, erase)
        _remove(root + _STAGED)  # sealed for the door key before
        _remove(root + PARCEL)
    _remove(root + BEFORE)  # whoever stands at the door knows better
    os.remove(root + FILE)


def take_parcel(root, keys, store):
    """Take over the parcel that lies there; return what is to be recorded: (reason, number, error or None).

    A parcel that is refused changes nothing. finish() is called when that is recorded.

    Raises:
        OSError: flash is full or faulty; the next start tries again.
    """
    number = 0
    try:
        with open(root + PARCEL) as file:
            words = file.readline().split()
            number = int(words[0])
            kind = int(words[1])
            shown = unhexlify(words[2]) if words[2:] else None
            given = json.load(file)
        _only(given, ("tls",) if kind == _TLS else _MEMBERS)
        if keys.lost:
            keys.load()
        plan = _Plan(root, given, keys, store, False)
        if plan.settings["desk"] and not plan.before["desk"]:
            raise ValueError("desk: a door does not become one by the network, it would serve nobody and hear nothing")
        old = None
        key = plan.door_key
        if key and not keys.is_door_key(key):
            if keys.lost:
                raise ValueError("door_key: this door has lost its keys, provision it again")
            if keys.old:
                raise ValueError("door_key: the one before is not dropped yet, finish that rotation first")
            old = keys.purpose(b"pseudonym")
        if kind != _BACK:
            _keep_before(root, number, plan, keys)
        plan.save(root, keys, store, old, shown)
    except OSError:
        raise
    except Exception as error:  # whatever stands in the file, even what nobody thought of
        return record.PARCEL_REFUSED, number, error
    return (record.PARCEL_TAKEN_BACK if kind == _BACK else record.PARCEL_TAKEN), number, None


def finish(root, kept, number):
    """The parcel is done with, and recorded: its number is used up, and nothing is left of it."""
    if number > kept.get("parcel"):
        kept.set("parcel", number)
    for name in (_STAGED, PARCEL):
        _remove(root + name)


def _keep_before(root, number, plan, keys):
    """Keep what leads back, if this parcel changes how the door gets to upstream."""
    before = plan.before
    secret = keys.wifi_secret
    changed = plan.secret is not None and plan.secret != secret
    for name in _LINK:
        changed |= before.get(name) != plan.settings.get(name)
    if not changed or not before["host"] or _is_there(root + BEFORE):
        return  # there already: the power went while this parcel was taken over
    path = root + "/provision.tmp"
    with open(path, "w") as file:
        file.write("%d %d\n" % (number, _BACK))
        json.dump({"settings": before, "wifi_secret": secret}, file)
    os.rename(path, root + BEFORE)


def _is_there(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _remove(path):
    if _is_there(path):
        os.remove(path)


def _only(given, members):
    for name in given:
        if name not in members:
            raise ValueError("%s: only a complete file of an installer may say that" % name)


def _bytes(given, name, length):
    value = unhexlify(given.get(name, ""))
    if len(value) != length:
        raise ValueError("%s: %d hex digits are needed" % (name, 2 * length))
    return value


def _tls(given):
    """Return what storage.certificates.store takes: serial number, end of validity, CA, certificate and key in DER."""
    if not isinstance(given, dict) or type(given.get("until")) is not int:
        raise ValueError("tls: an object with ca, certificate, key, serial in hex, and until as a number")
    found = [unhexlify(given.get(name, "")) for name in ("serial", "ca", "certificate", "key")]
    if not all(found):
        raise ValueError("tls: ca, certificate, key and serial are needed, in hex")
    if (
        len(found[0]) > _MOST_SERIAL
        or sum(len(part) for part in found) > _MOST_TLS
        or not 0 <= given["until"] >> 16 <= 0xFFFF
    ):
        raise ValueError("tls: serial has at most 20 bytes, all together 4,000; until lies between 0 and 2^32")
    from sync import credentials

    try:
        credentials.context(*found[1:])
    except (OSError, ValueError):
        raise ValueError("tls: ca and certificate must be X.509, key must be SEC 1 or PKCS #8, all in DER and hex")
    return found[:1] + [given["until"]] + found[1:]


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
