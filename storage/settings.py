"""Settings that survive a power cut while they are written: two files in turn, each with generation and check.

    store = Settings("/vfs")
    values = store.load(config.DEFAULTS, config.validate)     # store.source: "a", "b" or "defaults"
    store.save(values)

A file is the hex SHA-256 of the rest, the generation, and JSON, one line each.
"""

import json
from binascii import hexlify
from hashlib import sha256

_NAMES = ("a", "b")


class Settings:
    """The two files of one directory."""

    def __init__(self, directory):
        self._path = directory + "/settings."
        self._generation = 0
        self._latest = 1
        self.source = "defaults"
        self.whole = 0  # files that can be used
        self.damaged = 0  # files that are there but cannot be used
        self.torn = 0  # those of them whose own check fails; the others may be meant for another version

    def load(self, defaults, validate):
        """Return the newest settings that are whole and valid, else a copy of the defaults.

        Args:
            defaults: dict, taken if neither file can be used.
            validate: function that returns the checked dict or raises ValueError.
        """
        best = None
        self.whole = self.damaged = self.torn = 0
        for index in range(2):
            try:
                generation, values = self._read(index)
                values = validate(values)
            except OSError as error:
                if error.errno != 2:  # not there
                    self.damaged += 1
                continue
            except (ValueError, TypeError, KeyError, MemoryError):
                self.damaged += 1
                continue
            self.whole += 1
            if best is None or generation > self._generation:
                best = values
                self._generation = generation
                self._latest = index
        if best is None:
            self.source = "defaults"
            return dict(defaults)
        self.source = _NAMES[self._latest]
        return best

    def _read(self, index):
        with open(self._path + _NAMES[index], "rb") as file:
            check, _, rest = file.read().partition(b"\n")
        if hexlify(sha256(rest).digest()) != check:
            self.torn += 1
            raise ValueError("settings: check failed")
        generation, text = rest.split(b"\n", 1)
        return int(generation), json.loads(text)

    def save(self, values):
        """Write the older of the two files; a cut on the way leaves the other."""
        index = 1 - self._latest
        rest = b"%d\n%s" % (self._generation + 1, json.dumps(values).encode())
        with open(self._path + _NAMES[index], "wb") as file:
            file.write(hexlify(sha256(rest).digest()))
            file.write(b"\n")
            file.write(rest)
        self._generation += 1
        self._latest = index
        self.source = _NAMES[index]
