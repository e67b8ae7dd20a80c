"""The key file: only its owner may read it, and nonsense is refused with a sentence."""

import json

import pytest

from menwei.keyfile import KeyFile

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
