"""The office's card key file: derivation, rotation, what a door gets, and who may read it."""

import hashlib
import hmac
import json

import pytest

from menwei.cardkeys import CardKeyError, CardKeyFile


@pytest.fixture
def keys(tmp_path):
    keys = CardKeyFile.create(tmp_path / "card-keys.json")
    keys.add("garden", "ntag424", 1)
    keys.add("garden", "classic", 3)
    keys.add("lake", "ntag424", 1)
    keys.save()
    return keys


def test_derivation_is_as_documented(keys):
    secret = bytes.fromhex(json.loads(keys.path.read_text())["secrets"]["1"])
    kind = keys.kind("garden", "ntag424")
    for purpose, key in (("read", kind.read_key(1)), ("write", kind.write_key(1))):
        message = f"menwei card {purpose}".encode() + b"\0garden\0ntag424\0\x01"
        assert key == hmac.new(secret, message, hashlib.sha256).digest()[:16]


def test_no_two_keys_are_the_same(keys):
    found = set()
    for community in keys.communities:
        for kind in keys.kinds(community):
            keys.rotate(community, kind.kind)
            for version in kind.versions:
                found |= {kind.read_key(version), kind.write_key(version)}
    assert len(found) == 3 * 2 * 2


def test_a_door_gets_read_keys_of_its_community_only(keys):
    keys.rotate("garden", "ntag424")
    entry = keys.door_entry("garden")
    assert [(kind, version, number) for kind, version, number, _ in entry] == [
        ("classic", 1, 3), ("ntag424", 2, 1), ("ntag424", 1, 1),
    ]  # fmt: skip
    text = json.dumps(entry)
    assert keys.kind("garden", "ntag424").read_key(2).hex() in text
    for kind in (*keys.kinds("garden"), *keys.kinds("lake")):
        assert kind.write_key(1).hex() not in text
    assert keys.kind("lake", "ntag424").read_key(1).hex() not in text
    with pytest.raises(CardKeyError, match="garden, lake"):
        keys.door_entry("hill")


def test_rotation_keeps_two_versions_at_most(keys):
    kind = keys.rotate("garden", "ntag424")
    assert kind.versions == [2, 1]
    with pytest.raises(CardKeyError, match="drop"):
        keys.rotate("garden", "ntag424")
    assert keys.drop("garden", "ntag424") == 1
    assert kind.versions == [2]
    assert kind.known(1) and not kind.known(3)
    with pytest.raises(CardKeyError, match="nothing to drop"):
        keys.drop("garden", "ntag424")


def test_a_door_calls_versions_by_1_to_3(keys):
    kind = keys.kind("lake", "ntag424")
    named, secrets = [], set()
    for _ in range(7):
        keys.rotate("lake", "ntag424")
        entry = keys.door_entry("lake")
        named.append([version for _, version, _, _ in entry])
        secrets |= {key for *_, key in entry}
        assert {version for version in kind.masters if (version - 1) % 3 + 1 == 2} == set(kind.called(2))
        keys.drop("lake", "ntag424")
    assert named == [[2, 1], [3, 2], [1, 3], [2, 1], [3, 2], [1, 3], [2, 1]]
    assert len(secrets) == 8


def test_a_new_master_secret_concerns_later_versions_only(keys):
    before = keys.kind("garden", "ntag424").read_key(1)
    keys.new_master()
    keys.rotate("garden", "ntag424")
    keys.save()
    content = json.loads(keys.path.read_text())
    again = CardKeyFile.load(keys.path).kind("garden", "ntag424")
    assert again.read_key(1) == before
    secret = bytes.fromhex(content["secrets"]["2"])
    message = b"menwei card read\0garden\0ntag424\0\x02"
    assert again.read_key(2) == hmac.new(secret, message, hashlib.sha256).digest()[:16]


def test_the_file_survives_and_nobody_else_reads_it(keys):
    keys.path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        CardKeyFile.load(keys.path)
    keys.save()
    assert keys.path.stat().st_mode & 0o777 == 0o600
    again = CardKeyFile.load(keys.path)
    assert again.door_entry("garden") == keys.door_entry("garden")
    assert [path.name for path in keys.path.parent.iterdir()] == [keys.path.name]
    with pytest.raises(FileExistsError):
        CardKeyFile.create(keys.path)


def test_secrets_do_not_show(keys):
    kind = keys.kind("garden", "ntag424")
    secret = json.loads(keys.path.read_text())["secrets"]["1"]
    assert bytes.fromhex(secret).hex() not in repr(kind) and str(bytes.fromhex(secret))[2:-1] not in repr(kind)


@pytest.mark.parametrize(
    ("community", "kind", "number", "words"),
    [
        ("Garden", "ntag424", 1, "a-z"), ("hill", "uid", 1, "no keys"), ("hill", "ntag424", 5, "between 1 and 4"),
        ("hill", "desfire", 0, "between 1 and 13"), ("hill", "classic", 16, "sector"),
        ("garden", "ntag424", 1, "rotate"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(keys, community, kind, number, words):
    with pytest.raises(ValueError, match=words):
        keys.add(community, kind, number)


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"card_keys": 2}', '{"card_keys": 1, "secrets": {"1": "00"}, "communities": {}}',
        '{"card_keys": 1, "secrets": {"1": "' + "00" * 32 + '"}, "communities": {"g": {"ntag424": {}}}}',
        '{"card_keys": 1, "secrets": {"1": "' + "00" * 32 + '"}, "communities": {"g": {"ntag424": '
        '{"number": 1, "current": 2, "previous": null, "masters": {"1": 1}}}}}',
        '{"card_keys": 1, "secrets": {"1": "' + "zz" * 32 + '"}, "communities": {}}',
    ],
)  # fmt: skip
def test_nonsense_is_refused_without_telling_it(keys, content):
    keys.path.write_text(content)
    with pytest.raises(CardKeyError) as caught:
        CardKeyFile.load(keys.path)
    assert "zz" not in str(caught.value)
