"""Register and office: interrupted cards are known as such, copies are refused, nobody's name is asked for."""

import json
import sqlite3

import pytest
from card_models import Classic, DyingDesk, Ntag424
from typer.testing import CliRunner

from menwei import cardoffice
from menwei.carddiversify import classic_keys, counter_block
from menwei.cardkeys import CardKeyError, CardKeyFile
from menwei.cardregister import Register
from menwei.cardwriter import Card, CardError, CardGone, writer_for
from menwei.cli import app

UID7, UID4 = bytes.fromhex("04112233445566"), bytes.fromhex("9c599b32")


class Office:
    def __init__(self, folder):
        self.keys = CardKeyFile.create(folder / "keys.json")
        for community in ("garden", "lake"):
            self.keys.add(community, "ntag424", 1)
            self.keys.add(community, "classic", 1)
        self.keys.save()
        self.path = folder / "cards.db"
        self.register = Register(self.path)

    def act(self, action, card, kind="ntag424", community="garden", magic=False, **options):
        card.off()
        entry = None if kind == "uid" else self.keys.kind(community, kind)
        seen = Card(card.uid, card.sak, card.atqa, magic)
        desk = DyingDesk(card, CardGone, **options)
        writer = writer_for(desk, seen, kind, entry)
        return cardoffice.act(action, writer, seen, kind, community, entry, self.register)

    def row(self, kind="ntag424", uid=UID7):
        return self.register.find(kind, uid)


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path)
    yield office
    office.register.close()


def test_the_life_of_a_card(office):
    card = Ntag424(UID7)
    office.act("write", card)
    assert office.row()[:7] == ("ntag424", UID7.hex(), "garden", 1, 1, "written", None)
    office.keys.rotate("garden", "ntag424")
    assert office.register.versions() == [("garden", "ntag424", 1, "written", 1)]
    assert office.register.left_on("garden", "ntag424", 1) == 1
    office.act("check", card)
    assert office.row().version == 1
    office.act("rekey", card)
    assert office.row().version == 2 and office.register.left_on("garden", "ntag424", 1) == 0
    office.act("reset", card)
    assert office.row().state == "reset" and office.register.versions() == []
    office.act("write", card, community="lake")
    assert office.row()[2:6] == ("lake", 1, 1, "written")


@pytest.mark.parametrize("action", ["write", "rekey", "reset"])
@pytest.mark.parametrize("before", [True, False])
def test_an_interrupted_card_is_known(office, action, before):
    card = Ntag424(UID7)
    if action != "write":
        office.act("write", card)
    if action == "rekey":
        office.keys.rotate("garden", "ntag424")
    step = 0
    keys = list(card.keys)
    while True:
        try:
            office.act(action, card, dies_at=step, before=before)
            break
        except CardGone:
            row = office.row()
            if card.keys != keys:
                assert row.state == "begun", step
                assert office.register.left_on("garden", "ntag424", 1) == 1
            step += 1
    assert step > 5
    assert office.row().state == ("reset" if action == "reset" else "written")


def test_nothing_is_noted_of_a_card_that_was_not_changed(office):
    foreign = Ntag424(UID7)
    foreign.keys[0] = b"x" * 16
    with pytest.raises(CardError, match="none of ours"):
        office.act("write", foreign)
    assert office.register.rows() == []
    mine = Ntag424(UID7)
    office.act("write", mine)
    office.keys.rotate("garden", "ntag424")
    with pytest.raises(CardError, match="rekey"):
        office.act("write", mine)
    assert office.row().state == "written" and office.row().version == 1


def test_a_blank_card_with_a_known_uid_is_a_copy(office):
    office.act("write", Classic(UID4), "classic")
    copy = Classic(UID4)
    blank = [bytes(block) for block in copy.blocks]
    with pytest.raises(CardError, match="duplicate"):
        office.act("write", copy, "classic", magic=True)
    assert [bytes(block) for block in copy.blocks] == blank
    assert office.row("classic", UID4).state == "written" and not office.row("classic", UID4).magic
    office.register.forget(UID4)
    office.act("write", copy, "classic", magic=True)
    assert office.row("classic", UID4).magic


def test_uid_cards_are_enrolled_once(office):
    office.act("write", Classic(UID4), "uid")
    with pytest.raises(CardError, match="duplicate"):
        office.act("write", Classic(UID4), "uid")
    with pytest.raises(CardError, match="belongs to garden"):
        office.act("write", Classic(UID4), "uid", "lake")
    office.act("write", Classic(UID4), "classic")  # the same card gets keys: a migration
    assert {row.kind for row in office.register.rows()} == {"uid", "classic"}


def test_a_card_of_another_community_must_be_reset_first(office):
    office.act("write", Ntag424(UID7))
    for action in ("write", "rekey", "reset"):
        with pytest.raises(CardError, match="belongs to garden"):
            office.act(action, Ntag424(UID7), community="lake")


def test_a_counter_never_begins_below_what_doors_remember(office):
    card = Classic(UID4)
    office.act("write", card, "classic")
    office.register.done("classic", UID4, 1, 500)
    office.register.done("classic", UID4, 1, 7)
    assert office.row("classic", UID4).counter == 500
    office.act("reset", card, "classic")
    assert office.act("write", card, "classic").counter == 501


@pytest.mark.parametrize("before", [True, False])
def test_a_reset_that_is_interrupted_forgets_no_passages(office, before):
    """Doors remember them: a counter that begins anew below would look like a copy at each."""
    step = 0
    while True:
        card = Classic(UID4)
        office.register.forget(UID4)
        office.act("write", card, "classic")
        keys = office.keys.kind("garden", "classic")
        key = classic_keys(keys.read_key(1), keys.write_key(1), UID4, 1).counter
        card.blocks[4][:] = counter_block(key, 4, 500, 1)  # passages that the office knows nothing of
        try:
            office.act("reset", card, "classic", dies_at=step, before=before)
            break
        except CardGone:
            office.act("reset", card, "classic")
        assert office.act("write", card, "classic").counter > 500, step
        step += 1
    assert step > 5


def test_a_lost_register_fills_again(office):
    card = Ntag424(UID7)
    office.act("write", card)
    office.register.forget(UID7)
    office.act("check", card)
    assert office.row().version == 1 and office.row().state == "written"


def test_the_file_is_private_and_holds_no_names(office):
    assert office.path.stat().st_mode & 0o777 == 0o600
    columns = {row[1] for row in sqlite3.connect(office.path).execute("PRAGMA table_info(cards)")}
    assert columns == {
        "kind", "uid", "community", "number", "version", "state", "counter", "magic", "first_at", "last_at",
    }  # fmt: skip


def test_a_file_that_is_no_register(tmp_path):
    (tmp_path / "x.db").write_text("no database, and long enough to be sure of it " * 20)
    with pytest.raises(CardError, match="no register"):
        Register(tmp_path / "x.db")


def test_export_goes_into_a_provisioning_file(office, tmp_path):
    out = tmp_path / "provision.json"
    out.write_text('{"door_key": "ab"}')
    assert cardoffice.export_door(office.keys, "garden", out) == 2
    content = json.loads(out.read_text())
    assert content["door_key"] == "ab" and content["card_keys"] == office.keys.door_entry("garden")
    assert out.stat().st_mode & 0o777 == 0o600
    out.write_text("[]")
    with pytest.raises(CardKeyError, match="no provisioning file"):
        cardoffice.export_door(office.keys, "garden", out)
    assert out.read_text() == "[]"


def test_dropping_needs_the_register(office, tmp_path):
    entry = office.keys.rotate("garden", "ntag424")
    with pytest.raises(CardError, match="nobody knows"):
        cardoffice.left_on_previous(entry, tmp_path / "none.db")


def run(*words):
    result = CliRunner().invoke(app, ["card", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_command_line_says_what_to_do(tmp_path):
    keys, register = tmp_path / "k.json", tmp_path / "c.db"
    common = ("--community", "garden", "--kind", "ntag424", "--keys", keys)
    assert run("keys", "new", *common) == (1, f"there is no file {keys}; make a key file with: menwei card keys init\n")
    assert run("keys", "init", "--keys", keys)[0] == 0
    before = keys.read_text()
    code, output = run("keys", "init", "--keys", keys)
    assert code == 1 and "not replaced" in output and keys.read_text() == before
    code, output = run("check", "--port", tmp_path / "tty", *common, "--register", register)
    assert code == 1 and "card keys new" in output
    assert run("keys", "new", *common, "--number", 2)[0] == 0
    code, output = run("write", "--port", tmp_path / "tty", *common, "--register", register, "--number", 1)
    assert code == 1 and "uses number 2" in output
    code, output = run("write", "--port", tmp_path / "tty", *common, "--register", register)
    assert code == 1 and "no port" in output
    assert run("list", "--register", tmp_path / "none.db")[0] == 1
    out = tmp_path / "door.json"
    assert run("keys", "export-door", "--community", "garden", "--keys", keys, "--out", out)[0] == 0
    ((kind, version, number, key),) = json.loads(out.read_text())["card_keys"]
    assert (kind, version, number, len(key)) == ("ntag424", 1, 2, 32)
    code, output = run("keys", "show", "--keys", keys)
    assert code == 0 and "version 1" in output and key not in output
    keys.chmod(0o640)
    code, output = run("keys", "show", "--keys", keys)
    assert code == 1 and "chmod 600" in output


def test_trouble_with_the_register_is_one_sentence(tmp_path):
    register = tmp_path / "c.db"
    Register(register).close()
    code, output = run("forget", "--uid", "9c59zz", "--register", register)
    assert code == 1 and "is no UID" in output
    with sqlite3.connect(register) as other:
        other.execute("ALTER TABLE cards RENAME TO gone")
        other.execute("CREATE VIEW cards AS SELECT * FROM gone")
    code, output = run("forget", "--uid", "9c599b32", "--register", register)
    assert code == 1 and "the register cannot be written" in output and output.count("\n") == 1
