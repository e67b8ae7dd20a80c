"""`menwei door-keys`: a door's keys, drawn once for the office and the door."""

import json
import stat

from typer.testing import CliRunner

from menwei.cli import app
from menwei.keyfile import KeyFile


def draw(folder, name, out, *more):
    words = ["door-keys", name, "--keys", str(folder / "keys.json"), "--out", str(folder / out), *more]
    return CliRunner().invoke(app, words)


def test_office_and_door_hold_the_same_keys_and_nothing_shows_them(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"wifi_secret": "x", "settings": {"host": "broker"}}))
    done = draw(tmp_path, "garden/front-gate", "a.json")
    assert done.exit_code == 0, done.output
    assert draw(tmp_path, "garden/yard", "b.json").exit_code == 0
    told = [json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json")]
    keys = KeyFile.load(tmp_path / "keys.json")
    assert (keys.site, keys.doors) == ("garden", ["front-gate", "yard"])
    for door, content in zip(keys.doors, told, strict=True):
        assert keys.door_key(door).hex() == content["door_key"]
        assert keys.journal_key(door, bytes.fromhex(content["journal_epoch"])).hex() == content["journal_key"]
        assert content["settings"]["door"] == door and content["settings"]["site"] == "garden"
    assert told[0]["settings"]["host"] == "broker" and told[0]["wifi_secret"] == "x"
    assert len({content["door_key"] for content in told} | {content["journal_key"] * 2 for content in told}) == 4
    assert told[0]["door_key"] not in done.output and told[0]["journal_key"] not in done.output
    for name in ("keys.json", "b.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_no_key_is_replaced_without_being_asked_for(tmp_path):
    assert draw(tmp_path, "garden/front-gate", "a.json").exit_code == 0
    before = (tmp_path / "keys.json").read_bytes()
    for name, out, more, text in (
        ("garden/front-gate", "c.json", (), "--new-controller"),
        ("garden/yard", "a.json", (), "has a door key already"),
        ("yard/front-gate", "c.json", (), "of the site garden"),
        ("garden/yard", "c.json", ("--new-controller",), "does not know yard"),
        ("garden", "c.json", (), "SITE/DOOR"),
    ):
        done = draw(tmp_path, name, out, *more)
        assert (done.exit_code, text in done.output) == (1, True), done.output
        assert not (tmp_path / "c.json").exists()
    assert (tmp_path / "keys.json").read_bytes() == before


def test_a_new_controller_gets_new_keys_and_the_old_journal_stays_readable(tmp_path):
    draw(tmp_path, "garden/front-gate", "a.json")
    old = json.loads((tmp_path / "a.json").read_text())
    assert draw(tmp_path, "garden/front-gate", "b.json", "--new-controller").exit_code == 0
    new = json.loads((tmp_path / "b.json").read_text())
    keys = KeyFile.load(tmp_path / "keys.json")
    assert keys.door_key("front-gate").hex() == new["door_key"] != old["door_key"]
    for content in (old, new):
        epoch = bytes.fromhex(content["journal_epoch"])
        assert keys.journal_key("front-gate", epoch).hex() == content["journal_key"]
