"""A parcel for one door: settings, card keys, a certificate, a door key, encrypted and sealed, in pages.

    parcel = Parcel.make(door_key, 7, {"settings": {"policy": {…}}})
    for page in parcel.pages(*state["parcel"][:2]): await publish(door, "parcel", page)

The content is what provision.json of an installer may say, without what only a visit may change (docs/protocol.md,
"parcel"). Nothing here is ever printed or logged.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from menwei.epoch import UNIX_2020
from storage.mac import derive
from sync import upstream as wire

MEMBERS = frozenset(("settings", "card_keys", "tls", "door_key", "wifi_secret"))
_BLOCK = 16
_MOST_NUMBER = (1 << 30) - 1


@dataclass(frozen=True)
class Parcel:
    """One parcel for one door; its number is used once."""

    kind: int
    number: int
    file: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @classmethod
    def make(cls, door_key: bytes, number: int, content: dict) -> Parcel:
        """Seal `content` for the door with this key.

        Args:
            number: higher than that of any parcel that was made for this door before.

        Raises:
            ValueError: something that a parcel may not say, or too much of it.
        """
        if not content or set(content) - MEMBERS:
            raise ValueError(f"a parcel holds one or more of {', '.join(sorted(MEMBERS))}, and nothing else")
        if not 1 <= number <= _MOST_NUMBER:
            raise ValueError(f"the number of a parcel lies between 1 and {_MOST_NUMBER:,}")
        padder = PKCS7(8 * _BLOCK).padder()
        plain = padder.update(json.dumps(content, separators=(",", ":")).encode()) + padder.finalize()
        iv = os.urandom(_BLOCK)
        encryptor = Cipher(algorithms.AES(derive(door_key, b"secret")), modes.CBC(iv)).encryptor()
        sealed = iv + encryptor.update(plain) + encryptor.finalize()
        kind = wire.PARCEL_TLS if set(content) == {"tls"} else wire.PARCEL_MIXED
        key = derive(door_key, b"parcel")
        return cls(kind, number, wire.seal_parcel(key, kind, number, sealed), key)

    def pages(self, number: int = 0, start: int = 0) -> list[bytes]:
        """The pages that a door still needs whose state says `parcel: [number, start, …]`."""
        return wire.build_parcel(self.key, self.kind, self.number, self.file, start if number == self.number else 0)


def next_number(position: list[int], now: float) -> int:
    """A number above all that this door has seen, which needs no book: the time, in seconds since 2020.

    Args:
        position: `parcel` of the door's state.
        now: Unix time.
    """
    return max(int(now) - UNIX_2020, position[0] + 1, position[2] + 1)
