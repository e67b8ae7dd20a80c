"""The secrets of one door: door key and Wi-Fi secret, in NVS and in a second checked copy in a file.

    keys = Keys(esp32.NVS("menwei"), "/vfs")
    keys.load()                       # keys.lost: neither copy can be used
    list_key = keys.purpose(b"list")

NVS erases itself when its format changes or it is worn; the file covers that, and the newer copy, told by a generation
that counts up with each change, repairs the other. A copy is a check, the generation, the key, and the secret. The
journal's start key is not kept: `journal.format` takes it once, the office keeps it, and so nobody who reads the
flash can go back to it.
"""

from hashlib import sha256

from storage.mac import derive

_KEY = 32
_CHECK = 8
_SECRET = 64
_GENERATION = 4
_ROOM = 160
_BLOB = "keys"


class Keys:
    """Never printed: repr says only whether they are there."""

    def __init__(self, nvs, directory):
        self._nvs = nvs
        self._path = directory + "/keys"
        self._door_key = None
        self._generation = 0
        self.wifi_secret = ""
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

    def store(self, door_key, wifi_secret):
        """Keep new secrets, both copies.

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
        body = (self._generation + 1).to_bytes(_GENERATION, "little") + bytes(door_key) + secret
        blob = sha256(b"menwei keys 2" + body).digest()[:_CHECK] + body
        self._write(blob)
        self._take(blob)

    def purpose(self, name):
        """Return the 32-byte key for one purpose (docs/protocol.md)."""
        if self.lost:
            raise ValueError("keys lost: provision this door again")
        return derive(self._door_key, name)

    def _take(self, blob):
        self._generation = _generation_of(blob)
        self._door_key = blob[_CHECK + _GENERATION : _CHECK + _GENERATION + _KEY]
        self.wifi_secret = blob[_CHECK + _GENERATION + _KEY :].decode()
        self.lost = False

    def _checked(self, blob):
        body = blob[_CHECK:]
        whole = len(body) >= _GENERATION + _KEY and sha256(b"menwei keys 2" + body).digest()[:_CHECK] == blob[:_CHECK]
        return blob if whole else None

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


def _generation_of(blob):
    return int.from_bytes(blob[_CHECK : _CHECK + _GENERATION], "little")
