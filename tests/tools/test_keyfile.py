"""The key file: only its owner may read it, and nonsense is refused with a sentence."""

import json

import pytest

from menwei.keyfile import KeyFile, Rotation

DOOR_KEY, EPOCH, JOURNAL_KEY = bytes(range(32)), bytes(range(4)), bytes(range(16))


@pytest.fixture
def path(tmp_path):
    keys = KeyFile("garden")
    keys.add("front-gate", DOOR_KEY, {EPOCH: JOURNAL_KEY})
    keys.save(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def test_round_trip_and_mode(path):
    assert path.stat().st_mode & 0o777 == 0o600
    keys = KeyFile.load(path)
    assert (keys.site, keys.doors) == ("garden", ["front-gate"])
    assert keys.door_key("front-gate") == DOOR_KEY
    assert keys.journal_key("front-gate", EPOCH) == JOURNAL_KEY
    assert keys.door_key("back") is keys.journal_key("front-gate", b"else") is keys.journal_key("back", EPOCH) is None


def test_saving_again_keeps_the_mode(path):
    path.chmod(0o644)
    KeyFile("garden").save(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_file_that_others_can_touch_is_refused(path, mode):
    path.chmod(mode)
    with pytest.raises(PermissionError, match="chmod 600"):
        KeyFile.load(path)


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"site": "garden"}', '{"site": "garden", "doors": {"a": {}}}', '{"site": "A b", "doors": {}}',
        json.dumps({"site": "s", "doors": {"d": {"door_key": "00", "journal": {}}}}),
        json.dumps({"site": "s", "doors": {"d": {"door_key": "zz" * 32, "journal": {}}}}),
        json.dumps({"site": "s", "doors": {"d": {"door_key": "00" * 32, "journal": {"00": "00" * 16}}}}),
    ],
)  # fmt: skip
def test_nonsense_is_refused(path, content):
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ValueError):
        KeyFile.load(path)


NEXT = bytes(range(100, 132))


def rotated(path, rotation, door_key=None):
    """As another program notes it in the file."""
    keys = KeyFile.load(path)
    keys.set_rotation("front-gate", rotation, door_key)
    keys.save(path)


def test_a_rotation_is_kept_and_seen_by_who_has_the_file_open(path):
    running = KeyFile.load(path)
    rotation = Rotation(next=NEXT)
    rotated(path, rotation)
    assert KeyFile.load(path).rotation("front-gate") == running.rotation("front-gate") == rotation
    assert running.door_keys("front-gate") == (DOOR_KEY, NEXT)
    assert running.door_key("front-gate") == DOOR_KEY and not running.is_sure("front-gate")
    running.proved("front-gate", DOOR_KEY)
    assert running.is_sure("front-gate") and running.door_keys("front-gate") == (DOOR_KEY, NEXT)
    running.proved("front-gate", NEXT)
    assert (running.door_keys("front-gate"), running.door_key("front-gate")) == ((NEXT,), NEXT)
    rotation = Rotation(None, DOOR_KEY, 17, 2)
    rotated(path, rotation, NEXT)
    assert running.rotation("front-gate") == rotation
    assert (running.door_keys("front-gate"), running.door_key("front-gate")) == ((NEXT,), NEXT)
    assert running.journal_key("front-gate", EPOCH) == JOURNAL_KEY
    rotated(path, Rotation())
    assert running.rotation("front-gate") == Rotation() and DOOR_KEY.hex() not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_read_meanwhile_changes_nothing(path):
    running = KeyFile.load(path)
    path.write_text("{")
    assert running.door_key("front-gate") == DOOR_KEY
    path.unlink()
    assert running.door_key("front-gate") == DOOR_KEY


def test_no_key_is_shown():
    assert NEXT.hex() not in repr(Rotation(next=NEXT, old=NEXT)) and str(NEXT) not in repr(Rotation(NEXT, NEXT))
