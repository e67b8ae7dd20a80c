"""The secrets of one door: door key and Wi-Fi secret, in NVS and in a second checked copy in a file.

    keys = Keys(esp32.NVS("menwei"), "/vfs")
    keys.load()                       # keys.lost: neither copy can be used
    list_key = keys.purpose(b"list")

NVS erases itself when its format changes or it is worn; the file covers that, and each copy repairs the other. The
journal's start key is not kept: `journal.format` takes it once, the office keeps it, and so nobody who reads the
flash can go back to it.
"""

from hashlib import sha256

from storage.mac import derive

_KEY = 32
_CHECK = 8
_SECRET = 64
_ROOM = 160
_BLOB = "keys"


class Keys:
    """Never printed: repr says only whether they are there."""

    def __init__(self, nvs, directory):
        self._nvs = nvs
        self._path = directory + "/keys"
        self._door_key = None
        self.wifi_secret = ""
        self.lost = True
        self.repaired = 0

    def __repr__(self):
        return "Keys(%s)" % ("lost" if self.lost else "present")

    def load(self):
        """Take the first copy that is whole and write the other anew if it is not the same."""
        copies = (self._from_nvs(), self._from_file())
        for blob in copies:
            if blob:
                self._take(blob)
                if copies[0] != copies[1]:
                    try:
                        self._write(blob)
                        self.repaired += 1
                    except OSError:
                        pass  # one copy is enough to start; the next start tries again
                return

    def store(self, door_key, wifi_secret):
        """Keep new secrets, both copies.

        Raises:
            ValueError: a length that cannot be.
        """
        if len(door_key) != _KEY:
            raise ValueError("door key: 32 bytes are needed")
        body = bytes(door_key) + wifi_secret.encode()
        if len(body) > _KEY + _SECRET:
            raise ValueError("Wi-Fi secret: at most 64 bytes")
        blob = sha256(b"menwei keys" + body).digest()[:_CHECK] + body
        self._write(blob)
        self._take(blob)

    def purpose(self, name):
        """Return the 32-byte key for one purpose (docs/protocol.md)."""
        if self.lost:
            raise ValueError("keys lost: provision this door again")
        return derive(self._door_key, name)

    def _take(self, blob):
        self._door_key = blob[_CHECK : _CHECK + _KEY]
        self.wifi_secret = blob[_CHECK + _KEY :].decode()
        self.lost = False

    def _checked(self, blob):
        body = blob[_CHECK:]
        whole = len(body) >= _KEY and sha256(b"menwei keys" + body).digest()[:_CHECK] == blob[:_CHECK]
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
