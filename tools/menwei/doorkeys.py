"""Reads what a door says while its key is rotated: by the key that it has, or by the next one.

    state = doorkeys.state(keys, "front-gate", payload)       # raises messages.Refused

The first authentic message under the next key settles it: from then on this program takes nothing under the one
before, which whoever stole it may still have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from menwei.keyfile import KeyFile
from storage.mac import derive
from sync import messages
from sync import upstream as wire

_Read = TypeVar("_Read")


def state(keys: KeyFile, door: str, payload: bytes) -> dict:
    """A door's `state` or `renew/ask`; a last will has no MAC, and says nothing of a key.

    Raises:
        messages.Refused: the door is not known, or the message is not authentic under any of its keys.
    """
    return _read(keys, door, b"state", payload, wire.parse_state, lambda told: told.get("online") or "nonce" in told)


def result(keys: KeyFile, door: str, payload: bytes) -> tuple[int, int, int, bytes]:
    """A door's `cmd/result`: (operation, result, number, nonce); raises messages.Refused."""
    return _read(keys, door, b"result", payload, wire.parse_result, lambda told: True)


def _read(
    keys: KeyFile, door: str, purpose: bytes, payload: bytes,
    parse: Callable[[bytes, bytes], _Read], is_proof: Callable[[_Read], bool],
) -> _Read:  # fmt: skip
    refusal = messages.Refused("no key for this door: add it to the key file")
    for key in keys.door_keys(door):
        try:
            told = parse(derive(key, purpose), payload)
        except messages.Refused as error:
            refusal = error
            continue
        if is_proof(told):
            keys.proved(door, key)
        return told
    raise refusal
