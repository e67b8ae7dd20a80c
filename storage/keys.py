"""The secrets of one door: door key, card read keys, Wi-Fi secret, in NVS and in a second checked copy in a file.

    keys = Keys(esp32.NVS("menwei"), "/vfs")
    keys.load()                       # keys.lost: neither copy can be used
    list_key = keys.purpose(b"list")

NVS erases itself when its format changes or it is worn; the file covers that, and the newer copy, told by a generation
that counts up with each change, repairs the other. A copy is a check, the generation, the door key, the card keys, and
the secret (docs/flash-formats.md). The journal's start key is not kept: `journal.format` takes it once, the office
keeps it, and so nobody who reads the flash can go back to it.
"""

from hashlib import sha256

from storage.mac import derive

_KEY = 32
_CHECK = 8
_SECRET = 64
_GENERATION = 4
_CARD_KEY = 19  # kind, version, number on the card, 16 bytes
_MOST_CARD_KEYS = 8
_ROOM = 8 + 4 + 32 + 1 + 8 * 19 + 64
_OLD = b"menwei keys 2"  # up to 0.1: without card keys
_LABEL = b"menwei keys 3"
_BLOB = "keys"


class Keys:
    """Never printed: repr says only whether they are there."""

    def __init__(self, nvs, directory):
        self._nvs = nvs
        self._path = directory + "/keys"
        self._door_key = None
        self._generation = 0
        self.wifi_secret = ""
        self.card_keys = []
        self.lost = True
        self.repaired = 0

    def __repr__(self):
        return "Keys(%s)" % ("lost" if self.lost else "present")

    def load(self):
        """Take the newest copy that is whole and write the other anew if it is not the same."""
        newest = nvs = self._from_nvs()
        file = self._from_file()
        if file and not (nvs and _generation_of(nvs) >= _generation_of(file)):
            newest = file
        if newest:
            self._take(newest)
            if nvs != file:
                try:
                    self._write(newest)
                    self.repaired += 1
                except OSError:
                    pass  # one copy is enough to start; the next start tries again

    @property
    def door_key(self):
        """32 bytes, or None; for the link, which derives its keys when it needs them."""
        return self._door_key

    def copies(self):
        """Return how many of the two copies are whole; writes nothing."""
        return (self._from_nvs() is not None) + (self._from_file() is not None)

    def store(self, door_key, wifi_secret, card_keys=None):
        """Keep new secrets, both copies.

        Args:
            card_keys: list of (kind, version, number on the card, 16 bytes), the newest of each kind first; None keeps
                those that are there.

        Raises:
            ValueError: a length that cannot be.
        """
        if len(door_key) != _KEY:
            raise ValueError("door key: 32 bytes are needed")
        secret = wifi_secret.encode()
        if len(secret) > _SECRET:
            raise ValueError("Wi-Fi secret: at most 64 bytes")
        if self.lost:
            self.load()  # go on from the generation that is there
        if card_keys is None:
            card_keys = self.card_keys
        if len(card_keys) > _MOST_CARD_KEYS:
            raise ValueError("card keys: at most 8")
        body = (self._generation + 1).to_bytes(_GENERATION, "little") + bytes(door_key) + bytes((len(card_keys),))
        for kind, version, number, key in card_keys:
            if len(key) != _CARD_KEY - 3:
                raise ValueError("card key: 16 bytes are needed")
            body += bytes((kind, version, number)) + key
        blob = _sealed(body + secret)
        self._write(blob)
        self._take(blob)

    def drop_card_key(self, kind, version):
        """Forget one version of a card read key: cards that have no newer one are not let in any more.

        Raises:
            ValueError: see without().
        """
        self.store(self._door_key, self.wifi_secret, self.without(kind, version))

    def without(self, kind, version):
        """Return the card keys but for this one.

        Raises:
            ValueError: it is not there, or it is the newest of its kind. Versions are called 1, 2, 3 and 1 again: who
                means the first one of long ago must not shut out all cards that were re-keyed since.
        """
        versions = [entry[1] for entry in self.card_keys if entry[0] == kind]
        if version not in versions[1:]:
            raise ValueError("card key: this door does not hold it, or it is the newest of its kind, which is kept")
        return [entry for entry in self.card_keys if entry[:2] != (kind, version)]

    def purpose(self, name):
        """Return the 32-byte key for one purpose (docs/protocol.md)."""
        if self.lost:
            raise ValueError("keys lost: provision this door again")
        return derive(self._door_key, name)

    def _take(self, blob):
        self._generation = _generation_of(blob)
        at = _CHECK + _GENERATION
        self._door_key = blob[at : at + _KEY]
        at += _KEY
        count = blob[at]
        at += 1
        self.card_keys = []
        for _ in range(count):
            self.card_keys.append((blob[at], blob[at + 1], blob[at + 2], blob[at + 3 : at + _CARD_KEY]))
            at += _CARD_KEY
        self.wifi_secret = blob[at:].decode()
        self.lost = False

    def _checked(self, blob):
        body = blob[_CHECK:]
        if len(body) < _GENERATION + _KEY:
            return None
        if blob == _sealed(body):
            return blob
        if sha256(_OLD + body).digest()[:_CHECK] == blob[:_CHECK]:
            return _sealed(body[: _GENERATION + _KEY] + b"\0" + body[_GENERATION + _KEY :])
        return None

    def _from_nvs(self):
        buf = bytearray(_ROOM)
        try:
            length = self._nvs.get_blob(_BLOB, buf)
        except OSError:
            return None
        return self._checked(bytes(buf[:length]))

    def _from_file(self):
        try:
            with open(self._path, "rb") as file:
                return self._checked(file.read(_ROOM))
        except OSError:
            return None

    def _write(self, blob):
        # NVS first: if the power goes in between, `load` carries the newer NVS copy over.
        self._nvs.set_blob(_BLOB, blob)
        self._nvs.commit()
        with open(self._path, "wb") as file:
            file.write(blob)


def _sealed(body):
    return sha256(_LABEL + body).digest()[:_CHECK] + body


def _generation_of(blob):
    return int.from_bytes(blob[_CHECK : _CHECK + _GENERATION], "little")
