"""What a door says while its key is rotated: by either key, until the next one has been seen."""

import pytest

from menwei import doorkeys
from menwei.keyfile import KeyFile, Rotation
from storage.mac import derive
from sync import messages
from sync.messages import WILL, Refused, build_state
from sync.orders import build_result

DOOR, OLD, NEW, STRANGE = "gate", bytes(32), bytes(range(32)), bytes(range(1, 33))


def state(key):
    return build_state(derive(key, b"state"), {"v": 1, "online": 1, "nonce": "00" * 16})


@pytest.fixture
def keys():
    keys = KeyFile("garden")
    keys.add(DOOR, OLD, {})
    keys.set_rotation(DOOR, Rotation(next=NEW))
    return keys


def test_the_old_key_counts_until_the_new_one_was_seen(keys):
    assert doorkeys.state(keys, DOOR, state(OLD))["online"] == 1
    assert keys.door_key(DOOR) == OLD
    assert doorkeys.state(keys, DOOR, state(NEW))["online"] == 1
    assert keys.door_key(DOOR) == NEW
    with pytest.raises(Refused):
        doorkeys.state(keys, DOOR, state(OLD))
    assert keys.door_key(DOOR) == NEW


def test_nothing_else_counts_and_nothing_is_learnt_from_it(keys):
    with pytest.raises(Refused):
        doorkeys.state(keys, DOOR, state(STRANGE))
    with pytest.raises(Refused, match="no key"):
        doorkeys.state(keys, "back", state(OLD))
    assert doorkeys.state(keys, DOOR, WILL) == {"v": 1, "online": 0}
    assert not keys.is_sure(DOOR)


def test_a_result_proves_a_key_too(keys):
    def result(key):
        wire = build_result(derive(key, b"result"), messages.OP_APPLY, messages.DONE, 5, bytes(16))
        return doorkeys.result(keys, DOOR, wire)

    assert result(NEW)[:3] == (messages.OP_APPLY, messages.DONE, 5)
    with pytest.raises(Refused):
        result(OLD)
